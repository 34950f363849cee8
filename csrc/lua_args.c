/* lua_args.c - maps the argument kinds of op classes.
 *
 * Arguments are all checked, and may raise, before an op or any memory is
 * taken; then the op is filled. One letter of op.h's enum op_arg each; a new
 * kind is one function here.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_args.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lua_buffer.h"
#include "lua_core.h"
#include "lua_fd.h"
#include "lua_net.h"
#include "lua_stream.h"
#include "message.h"

/* What the kernel moves at most in one call (MAX_RW_COUNT). */
#define IO_MAX ((size_t)0x7ffff000)

/* What was read from the stack so far; pointers into Lua values on it. */
struct parsed {
  lua_State *L;
  struct proactor *p;
  int arg; /* the next index */
  struct handle *handle, *other;
  struct buf *buf;
  const char *bytes; /* a string to send */
  size_t len, at;
  int64_t off, count;
  int64_t offs[2]; /* off is the first */
  unsigned offs_n;
  struct address address;
  bool has_address;
  uint64_t delay_ns;
  const char *path, *to;
  int flags;
  unsigned mode;
  int how;
  short events;
  char host[256], service[32];
  int parts;    /* the index of a list of strings or buffers */
  bool into;    /* ... of buffers */
  bool sockets; /* of streams are taken, beside files */
  int keep_fd, keep_bytes;
};

/* -- one function a kind -- */

/* A second one need not be kept: its handle stays open until the op ends. */
static void parse_fd(struct parsed *a) {
  struct handle *h = stream_test_handle(a->L, a->arg, a->sockets);
  if (!h) h = check_fd(a->L, a->p, a->arg)->handle;
  if (a->handle) {
    a->other = h;
    a->arg++;
  } else {
    a->handle = h;
    a->keep_fd = a->arg++;
  }
}

static void parse_at(struct parsed *a) {
  if (lua_isnoneornil(a->L, a->arg))
    a->arg++;
  else
    parse_fd(a);
}

static void parse_into(struct parsed *a) {
  a->buf = check_buffer(a->L, a->arg);
  opt_range(a->L, a->arg + 1, a->buf->len, &a->at, &a->len);
  a->arg += 3;
}

static void parse_bytes(struct parsed *a) {
  a->buf = test_buffer(a->L, a->arg);
  if (a->buf) {
    parse_into(a);
    return;
  }
  a->bytes = luaL_checklstring(a->L, a->arg, &a->len);
  a->keep_bytes = a->arg++;
}

static void parse_parts(struct parsed *a) {
  luaL_checktype(a->L, a->arg, LUA_TTABLE);
  lua_Integer n = luaL_len(a->L, a->arg);
  luaL_argcheck(a->L, n >= 1 && n <= 64, a->arg, "1 to 64 strings expected");
  for (lua_Integer i = 1; i <= n; i++) {
    if (lua_rawgeti(a->L, a->arg, i) != LUA_TSTRING)
      luaL_argerror(a->L, a->arg, "a list of strings expected");
    a->len += lua_rawlen(a->L, -1);
    lua_pop(a->L, 1);
  }
  a->flags = (int)n;
  a->parts = a->keep_bytes = a->arg++;
}

static void parse_buffers(struct parsed *a) {
  luaL_checktype(a->L, a->arg, LUA_TTABLE);
  lua_Integer n = luaL_len(a->L, a->arg);
  luaL_argcheck(a->L, n >= 1 && n <= 64, a->arg, "1 to 64 buffers expected");
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(a->L, a->arg, i);
    if (!test_buffer(a->L, -1))
      luaL_argerror(a->L, a->arg, "a list of buffers expected");
    a->len += check_buffer(a->L, -1)->len;
    lua_pop(a->L, 1);
  }
  a->flags = (int)n;
  a->into = true;
  a->parts = a->keep_bytes = a->arg++;
}

static void parse_offset(struct parsed *a) {
  lua_Integer off = luaL_optinteger(a->L, a->arg, -1);
  luaL_argcheck(a->L, lua_isnoneornil(a->L, a->arg) || off >= 0, a->arg,
                "an offset is not negative");
  if (a->offs_n == 0) a->off = off;
  a->offs[a->offs_n++] = off;
  a->arg++;
}

static void parse_count(struct parsed *a) {
  a->count = luaL_checkinteger(a->L, a->arg);
  luaL_argcheck(a->L, a->count >= 0, a->arg, "a count is not negative");
  a->arg++;
}

static void parse_mask(struct parsed *a) {
  lua_Integer n = luaL_optinteger(a->L, a->arg, 0777);
  luaL_argcheck(a->L, n >= 0 && n <= UINT32_MAX, a->arg, "out of range");
  a->mode = (unsigned)n;
  a->arg++;
}

static void parse_lock(struct parsed *a) {
  static const char *const names[] = {"shared", "exclusive", "none", NULL};
  static const int values[] = {LOCK_SH, LOCK_EX, LOCK_UN};
  a->flags = values[luaL_checkoption(a->L, a->arg++, "exclusive", names)];
}

static void parse_access(struct parsed *a) {
  const char *how = luaL_optstring(a->L, a->arg, "");
  luaL_argcheck(a->L, how[strspn(how, "rwx")] == 0, a->arg,
                "some of the letters r, w, x expected");
  a->flags = (strchr(how, 'r') ? R_OK : 0) | (strchr(how, 'w') ? W_OK : 0) |
             (strchr(how, 'x') ? X_OK : 0);
  a->arg++;
}

static void parse_address(struct parsed *a) {
  check_address(a->L, a->arg++, ADDRESS_CONNECT, &a->address);
  a->has_address = true;
}

static void parse_to(struct parsed *a) {
  if (lua_isnoneornil(a->L, a->arg))
    a->arg++;
  else
    parse_address(a);
}

static void parse_seconds(struct parsed *a) {
  a->delay_ns = ns_from_seconds(luaL_checknumber(a->L, a->arg++));
}

static void parse_path(struct parsed *a) {
  size_t len;
  const char *path = luaL_checklstring(a->L, a->arg, &len);
  luaL_argcheck(a->L, strlen(path) == len, a->arg, "a path has no zero bytes");
  if (a->path)
    a->to = path;
  else
    a->path = path;
  a->arg++;
}

/* "r", "r+", "w", "w+", "a", "a+" as io.open; behind them "x": must be new,
 * "d": past the page cache (O_DIRECT). Or open(2)'s own bits. */
static int open_flags(const char *mode) {
  int direct = strchr(mode, 'd') ? O_DIRECT : 0;
  bool plus = strchr(mode, '+'), x = strchr(mode, 'x');
  int access = plus ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY;
  if (strspn(mode + 1, "+xdb") != strlen(mode + 1)) return -1;
  switch (mode[0]) {
  case 'r':
    return access | direct;
  case 'w':
    return access | direct | O_CREAT | (x ? O_EXCL : O_TRUNC);
  case 'a':
    return access | direct | O_CREAT | O_APPEND | (x ? O_EXCL : 0);
  default:
    return -1;
  }
}

static void parse_mode(struct parsed *a) {
  bool bits = lua_isinteger(a->L, a->arg);
  const char *mode = bits ? "" : luaL_optstring(a->L, a->arg, "r");
  a->flags = bits      ? (int)lua_tointeger(a->L, a->arg)
             : mode[0] ? open_flags(mode)
                       : -1;
  luaL_argcheck(a->L, a->flags >= 0, a->arg, "invalid mode");
  a->mode = (unsigned)luaL_optinteger(a->L, a->arg + 1, 0666);
  a->arg += 2;
}

static void parse_how(struct parsed *a) {
  static const char *const names[] = {"r", "w", "rw", NULL};
  static const int values[] = {SHUT_RD, SHUT_WR, SHUT_RDWR};
  a->how = values[luaL_checkoption(a->L, a->arg++, "rw", names)];
}

static void parse_events(struct parsed *a) {
  static const char *const names[] = {"r", "w", "rw", NULL};
  static const short values[] = {POLLIN, POLLOUT, POLLIN | POLLOUT};
  a->events = values[luaL_checkoption(a->L, a->arg++, "r", names)];
}

static void parse_host(struct parsed *a) {
  const char *host = luaL_checkstring(a->L, a->arg);
  const char *service = luaL_optstring(a->L, a->arg + 1, "0");
  luaL_argcheck(a->L, strlen(host) < sizeof a->host, a->arg, "too long");
  luaL_argcheck(a->L, strlen(service) < sizeof a->service, a->arg + 1,
                "too long");
  strcpy(a->host, host);
  strcpy(a->service, service);
  a->arg += 2;
}

static void parse_flag(struct parsed *a) {
  a->flags = lua_toboolean(a->L, a->arg++);
}

static void parse_one(struct parsed *a, enum op_arg kind) {
  static void (*const parse[])(struct parsed *) = {
      [ARG_FD] = parse_fd,           [ARG_INTO] = parse_into,
      [ARG_BYTES] = parse_bytes,     [ARG_PARTS] = parse_parts,
      [ARG_OFFSET] = parse_offset,   [ARG_ADDRESS] = parse_address,
      [ARG_SECONDS] = parse_seconds, [ARG_PATH] = parse_path,
      [ARG_MODE] = parse_mode,       [ARG_HOW] = parse_how,
      [ARG_EVENTS] = parse_events,   [ARG_FLAG] = parse_flag,
      [ARG_HOST] = parse_host,       [ARG_AT] = parse_at,
      [ARG_COUNT] = parse_count,     [ARG_BUFFERS] = parse_buffers,
      [ARG_LOCK] = parse_lock,       [ARG_ACCESS] = parse_access,
      [ARG_MASK] = parse_mask,       [ARG_TO] = parse_to};
  _Static_assert(countof(parse) == ARG_TO + 1, "a kind has no parser");
  parse[kind](a);
}

/* -- filling the op; nothing here raises -- */

static void *op_memory(struct op *op, const void *from, size_t len) {
  op->memory = malloc(len);
  if (op->memory) memcpy(op->memory, from, len);
  return op->memory;
}

struct parts {
  struct msghdr msg;
  struct iovec iov[64];
  struct buf *bufs[64];
};

/* false: a finaliser that ran since they were checked has lent one. */
static bool fill_buffers(struct op *op, struct parts *m,
                         const struct parsed *a) {
  op->bufs = m->bufs;
  for (int i = 0; i < a->flags; i++) {
    lua_rawgeti(a->L, a->parts, i + 2); /* of the copy; 1 is the fd */
    struct buf *b = free_buffer(a->L, -1);
    lua_pop(a->L, 1);
    if (!b) return false;
    buf_lend(b, op->class->name);
    op->bufs[op->bufs_n++] = buf_ref(b);
    m->iov[i] = (struct iovec){b->data, b->len};
    op->io.len += b->len;
  }
  return true;
}

static bool fill_parts(struct op *op, const struct parsed *a) {
  struct parts *m = op->memory = calloc(1, sizeof *m);
  if (!m) return false;
  op->arg.msg = &m->msg;
  m->msg.msg_iov = m->iov;
  m->msg.msg_iovlen = (size_t)a->flags;
  if (a->into) return fill_buffers(op, m, a);
  for (int i = 0; i < a->flags; i++) {
    lua_rawgeti(a->L, a->parts, i + 2); /* of the copy; 1 is the fd */
    size_t len;
    m->iov[i].iov_base = (void *)(uintptr_t)lua_tolstring(a->L, -1, &len);
    m->iov[i].iov_len = len;
    op->io.len += len;
    lua_pop(a->L, 1);
  }
  return true;
}

/* Room for the result, then the paths. */
static bool fill_paths(struct op *op, const struct parsed *a) {
  size_t space = op->class->space;
  size_t one = a->path ? strlen(a->path) + 1 : 0;
  size_t two = a->to ? strlen(a->to) + 1 : 0;
  char *at = op->memory = malloc(space + one + two);
  if (!at) return false;
  op->arg.file.flags = a->flags;
  op->arg.file.mode = a->mode;
  at += space;
  if (a->path) op->arg.file.path = memcpy(at, a->path, one);
  if (a->to) op->arg.file.to = memcpy(at + one, a->to, two);
  return true;
}

static bool fill_query(struct op *op, const struct parsed *a) {
  struct resolve_query q = {.family = AF_UNSPEC};
  memcpy(q.host, a->host, sizeof q.host);
  memcpy(q.service, a->service, sizeof q.service);
  return op_memory(op, &q, sizeof q) != NULL;
}

static bool fill_outgoing(struct op *op, const struct parsed *a) {
  struct outgoing *o = op->memory = calloc(1, sizeof *o);
  if (!o) return false;
  o->to = a->address;
  if (!a->has_address) return true;
  o->msg.msg_name = &o->to.at;
  o->msg.msg_namelen = o->to.len;
  return true;
}

static bool fill_incoming(struct op *op) {
  struct incoming *in = op->memory = calloc(1, sizeof *in);
  if (!in) return false;
  in->msg.msg_name = &in->from.at;
  in->msg.msg_namelen = sizeof in->from.at;
  return true;
}

static bool fill_memory(struct op *op, const struct parsed *a) {
  if (op->class == &op_send_to) return fill_outgoing(op, a);
  if (op->class == &op_recv_from) return fill_incoming(op);
  if (a->parts) return fill_parts(op, a);
  if (a->host[0]) return fill_query(op, a);
  if (a->has_address)
    return (op->arg.address = op_memory(op, &a->address, sizeof a->address)) !=
           NULL;
  return !(a->path || op->class->space) || fill_paths(op, a);
}

static void fill_bytes(struct op *op, const struct parsed *a) {
  if (a->buf) {
    op_borrow(op, a->buf);
    op->io.ptr = a->buf->data + a->at;
  } else {
    op->io.ptr = (unsigned char *)(uintptr_t)a->bytes; /* only ever read */
  }
  op->io.len = a->len;
}

static bool fill(struct op *op, const struct parsed *a) {
  op->handle = a->handle;
  op->other = a->other;
  op->io.off = op->class == &op_truncate ? a->count : a->off;
  op->io.count = a->count;
  op->io.flags = a->flags;
  if ((op->class->flags & (OP_FILLS | OP_EMPTIES)) && !a->parts)
    fill_bytes(op, a);
  if (a->other) op->arg.from_off = a->offs[a->offs_n - 1];
  if (op->class == &op_shutdown) op->arg.how = a->how;
  if (op->class == &op_ready) op->arg.events = a->events;
  if (op->class == &op_timer) op->arg.delay_ns = a->delay_ns;
  return fill_memory(op, a);
}

/* Whatever the list has become since it was looked at. */
static void check_part(const struct parsed *a, int type) {
  if (a->into ? !test_buffer(a->L, -1) : type != LUA_TSTRING)
    luaL_argerror(a->L, a->parts,
                  a->into ? "a list of buffers expected"
                          : "a list of strings expected");
}

/* The fd object and the string stay alive with the op. */
static int anchor(lua_State *L, const struct parsed *a) {
  if (!a->keep_fd && !a->keep_bytes) return 0;
  lua_createtable(L, 2, 0);
  if (a->keep_fd) lua_pushvalue(L, a->keep_fd);
  if (a->keep_fd) lua_rawseti(L, -2, 1);
  if (a->parts) { /* what is in the caller's list, which may change */
    for (int i = 1; i <= a->flags; i++) {
      check_part(a, lua_rawgeti(L, a->parts, i));
      lua_rawseti(L, -2, i + 1);
    }
    lua_pushvalue(L, -1);
    lua_replace(L, a->parts);
  } else if (a->keep_bytes) {
    lua_pushvalue(L, a->keep_bytes);
    lua_rawseti(L, -2, 2);
  }
  return luaL_ref(L, LUA_REGISTRYINDEX);
}

static bool has_twice(const struct parsed *a) {
  bool twice = false;
  for (int i = 1; i <= a->flags; i++) {
    lua_rawgeti(a->L, a->parts, i);
    for (int k = 1; k < i; k++) {
      lua_rawgeti(a->L, a->parts, k);
      twice |= lua_rawequal(a->L, -1, -2);
      lua_pop(a->L, 1);
    }
    lua_pop(a->L, 1);
  }
  return twice;
}

struct op *args_op(lua_State *L, struct proactor *p,
                   const struct op_class *class, int first) {
  struct parsed a = {.L = L, .p = p, .arg = first, .off = -1};
  a.sockets = class == &op_sendfile || class == &op_ready;
  if (class->flags & OP_MULTISHOT)
    luaL_error(L, "%s belongs to listeners and streams", class->name);
  for (int i = 0; class->args[i] != ARG_END; i++) parse_one(&a, class->args[i]);
  if (a.arg < first + ARGS_MAX && !lua_isnoneornil(L, a.arg))
    luaL_argerror(L, a.arg, "one argument too many");
  if (a.into && has_twice(&a))
    luaL_argerror(L, a.parts, "a buffer is in the list twice");
  if (a.len > IO_MAX) luaL_error(L, "%s: more than 2 GiB at once", class->name);
  int kept = anchor(L, &a);
  struct op *op = proactor_op(p, class);
  bool filled = op && fill(op, &a);
  if (!filled) {
    if (op) proactor_free(p, op);
    luaL_unref(L, LUA_REGISTRYINDEX, kept ? kept : LUA_NOREF);
    luaL_error(L, a.into ? "not enough memory, or a buffer is in use"
                         : "not enough memory");
  }
  op->anchor = kept;
  return op;
}
