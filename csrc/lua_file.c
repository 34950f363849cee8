/* lua_file.c - file objects, and reading and writing at an offset.
 *
 * A file is a stream (lua_stream.h) whose transport has a position
 * (stream_file.h), of a class of its own: what streams can, it can, and here
 * is what needs the file below: ops at an offset, which run beside each other
 * and leave the position alone, and the position itself. What is put together
 * from those is in lua/proa/file.lua.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lua_buffer.h"
#include "lua_fd.h"
#include "lua_op.h"
#include "lua_stream.h"
#include "stream_file.h"

#define FILE_CLASS "proa.file"

enum { COPY_MAX = 4096 }; /* longer strings are kept, not copied */

static struct lua_stream *check_file(lua_State *L, int arg) {
  struct lua_stream *o = stream_check_open(L, arg);
  luaL_argcheck(L, stream_is_file(o->s), arg, "a file expected");
  return o;
}

static int64_t check_offset(lua_State *L, int arg) {
  lua_Integer off = luaL_checkinteger(L, arg);
  luaL_argcheck(L, off >= 0, arg, "an offset is not negative");
  return off;
}

/* nil, message, code of an op that failed. Returns 3. */
static int push_failed(lua_State *L, const struct lua_stream *o,
                       const struct op *op, const char *what) {
  if (op->closed || !o->s) return stream_push_closed(L, what);
  return stream_push_error(L, o->s, what, op->res);
}

static int push_late(lua_State *L, const char *what) {
  return push_fail(L, lua_pushfstring(L, "%s: timed out", what), "TIMEOUT");
}

/* Raises when there is no memory. */
static struct op *new_op(lua_State *L, struct lua_stream *o,
                         const struct op_class *class, int64_t off) {
  struct op *op = proactor_op(o->s->p, class);
  if (!op) luaL_error(L, "not enough memory");
  op->handle = stream_handle(o->s);
  op->io.off = off;
  return op;
}

/* -- reading at an offset -- */

static int push_string(lua_State *L, const struct op *op) {
  if (op->res == 0 && op->io.len)
    lua_pushnil(L);
  else
    lua_pushlstring(L, op->memory, (size_t)op->res);
  return 1;
}

static int read_at_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  struct op *op = (struct op *)ctx;
  struct lua_stream *o = lua_touserdata(L, 1);
  if (op_await_end(L, op) == WAIT_TIMEOUT) return push_late(L, "read_at");
  int n = op->res < 0 ? push_failed(L, o, op, "read_at") : push_string(L, op);
  op_await_free(op);
  return n;
}

/* A ring takes many reads in one call, each for half the price of a call of its
 * own; one alone is cheaper without it. A worker is never cheaper. */
static bool pays_now(struct lua_stream *o, struct task *t) {
  const struct proactor *p = o->s->p;
  bool alone = list_empty(&o->rt->ready) && !proactor_has_batch(p);
  return (alone || !p->driver->entries) && await_budget(t);
}

/* The string is made of bytes that are in memory; false: they are not. */
static bool push_now(lua_State *L, struct lua_stream *o, size_t n,
                     int64_t off) {
  char bytes[4096];
  if (n == 0 || n > sizeof bytes) return false;
  if (file_read_now(o->s, bytes, n, off) < 0) return false;
  lua_pushlstring(L, bytes, n);
  return true;
}

/* read_at(offset, n[, timeout]) -> string; nil at the end of the file */
static int l_read_at(lua_State *L) {
  struct lua_stream *o = check_file(L, 1);
  int64_t off = check_offset(L, 2);
  lua_Integer n = luaL_checkinteger(L, 3);
  luaL_argcheck(L, n >= 0 && n <= INT32_MAX - 4096, 3, "0 to 2 GiB expected");
  uint64_t until = stream_until(L, o, 4, o->read_ns);
  struct task *t = await_begin(L);
  if (pays_now(o, t) && push_now(L, o, (size_t)n, off)) return 1;
  struct op *op = new_op(L, o, &op_read, off);
  op->io.ptr = op->memory = malloc(n ? (size_t)n : 1);
  op->io.len = (size_t)n;
  if (!op->memory) {
    proactor_free(o->s->p, op);
    return luaL_error(L, "not enough memory");
  }
  return op_await(L, t, op, until, read_at_k);
}

static int read_into_at_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  struct op *op = (struct op *)ctx;
  struct lua_stream *o = lua_touserdata(L, 1);
  if (op_await_end(L, op) == WAIT_TIMEOUT) return push_late(L, "read_into_at");
  int n = 1;
  if (op->res < 0)
    n = push_failed(L, o, op, "read_into_at");
  else if (op->res == 0 && op->io.len)
    lua_pushnil(L);
  else
    lua_pushinteger(L, op->res);
  op_await_free(op);
  return n;
}

static void lend(struct op *op, struct buf *b, size_t at, size_t n) {
  op_borrow(op, b);
  op->io.ptr = b->data + at;
  op->io.len = min_size(n, INT32_MAX - 4095);
}

/* It need not wait: the bytes are in memory. */
static bool read_now(struct lua_stream *o, struct buf *b, size_t at, size_t n,
                     int64_t off) {
  return file_read_now(o->s, b->data + at, n, off) >= 0;
}

/* read_into_at(offset, buffer[, i[, j[, timeout]]]) -> n; nil at the end */
static int l_read_into_at(lua_State *L) {
  struct lua_stream *o = check_file(L, 1);
  int64_t off = check_offset(L, 2);
  struct buf *b = check_buffer(L, 3);
  size_t at, n;
  opt_range(L, 4, b->len, &at, &n);
  uint64_t until = stream_until(L, o, 6, o->read_ns);
  struct task *t = await_begin(L);
  if (n && pays_now(o, t) && read_now(o, b, at, n, off)) {
    lua_pushinteger(L, (lua_Integer)n);
    return 1;
  }
  struct op *op = new_op(L, o, &op_read, off);
  lend(op, b, at, n);
  return op_await(L, t, op, until, read_into_at_k);
}

/* -- writing at an offset -- */

/* Less than all was written: why no more was. */
static int push_short(lua_State *L, const struct lua_stream *o, struct op *op) {
  if (op->res >= 0) op->res = op->io.err < 0 ? op->io.err : -EIO;
  return push_failed(L, o, op, "write_at");
}

static int write_at_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  struct op *op = (struct op *)ctx;
  struct lua_stream *o = lua_touserdata(L, 1);
  if (o->s) file_changed(o->s, lua_tointeger(L, 2), lua_tointeger(L, 3));
  if (op_await_end(L, op) == WAIT_TIMEOUT) return push_late(L, "write_at");
  bool all = op->res >= 0 && (size_t)op->res == op->io.len;
  int n = all ? 1 : push_short(L, o, op);
  op_await_free(op);
  if (all) lua_pushvalue(L, 1);
  return n;
}

/* Small: copied. Large: kept until the op has ended. */
static bool fill_string(struct op *op, const char *bytes, size_t n,
                        int anchor) {
  op->anchor = anchor;
  op->io.len = n;
  op->io.ptr = (unsigned char *)(uintptr_t)bytes; /* only ever read */
  if (anchor) return true;
  op->io.ptr = op->memory = malloc(n ? n : 1);
  if (op->memory) memcpy(op->memory, bytes, n);
  return op->memory != NULL;
}

/* A write op of the string or buffer at 3. */
static struct op *write_op(lua_State *L, struct lua_stream *o, int64_t off) {
  struct buf *b = test_buffer(L, 3);
  size_t n = b ? b->len : 0;
  const char *bytes = b ? NULL : luaL_checklstring(L, 3, &n);
  luaL_argcheck(L, n <= INT32_MAX - 4095, 3, "more than 2 GiB at once");
  lua_pushvalue(L, 3);
  int anchor = n > COPY_MAX && !b ? luaL_ref(L, LUA_REGISTRYINDEX) : 0;
  if (!o->s) release_anchor(o->rt, anchor); /* a finaliser has closed it */
  check_file(L, 1);
  struct op *op = proactor_op(o->s->p, &op_write);
  bool filled = op && (b || fill_string(op, bytes, n, anchor));
  if (!filled) {
    if (op) proactor_free(o->s->p, op);
    release_anchor(o->rt, anchor);
    luaL_error(L, "not enough memory");
  }
  if (b) lend(op, b, 0, n);
  op->handle = stream_handle(o->s);
  op->io.off = off;
  return op;
}

/* write_at(offset, string | buffer[, timeout]) -> the file */
static int l_write_at(lua_State *L) {
  struct lua_stream *o = check_file(L, 1);
  int64_t off = check_offset(L, 2);
  uint64_t until = stream_until(L, o, 4, o->write_ns);
  struct task *t = await_begin(L);
  struct op *op = write_op(L, o, off);
  lua_settop(L, 2);
  lua_pushinteger(L, (lua_Integer)op->io.len);
  file_changed(o->s, off, (int64_t)op->io.len);
  return op_await(L, t, op, until, write_at_k);
}

/* -- reading into a buffer at the position: the buffer itself is lent -- */

static int read_into_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  struct op *op = (struct op *)ctx;
  struct lua_stream *o = lua_touserdata(L, 1);
  struct task *t = o->rt->current;
  int32_t n = t->wait.end == WAIT_READY ? op->res : 0;
  if (o->s) {
    if (n > 0) file_seek(o->s, file_position(o->s) + n);
    stream_release(o->s);
  }
  if (o->reader == t) stream_free_reader(o);
  return read_into_at_k(L, status, ctx);
}

/* Nothing is queued, and nobody else is at it: past the queue. */
static bool may_lend(struct lua_stream *o) {
  struct stream *s = o->s;
  return file_seekable(s) && !s->in.len && !o->reader && stream_hold(s);
}

/* read_into(buffer[, i[, j[, timeout]]]) -> n; nil at the end of the file */
static int l_read_into(lua_State *L) {
  struct lua_stream *o = check_file(L, 1);
  struct buf *b = check_buffer(L, 2);
  size_t at, n;
  opt_range(L, 3, b->len, &at, &n);
  uint64_t until = stream_until(L, o, 5, o->read_ns);
  struct task *t = await_begin(L);
  if (!n || !may_lend(o)) return stream_read_into(L, until);
  int64_t off = file_position(o->s);
  file_seek(o->s, off); /* what may be on its way is stale */
  if (pays_now(o, t) && read_now(o, b, at, n, off)) {
    file_seek(o->s, off + (int64_t)n);
    stream_release(o->s);
    lua_pushinteger(L, (lua_Integer)n);
    return 1;
  }
  struct op *op = proactor_op(o->s->p, &op_read);
  if (!op) {
    stream_release(o->s);
    return luaL_error(L, "not enough memory");
  }
  op->handle = stream_handle(o->s);
  op->io.off = off;
  lend(op, b, at, n);
  o->reader = t;
  return op_await(L, t, op, until, read_into_k);
}

/* -- the position, for file.lua; the file is held or idle -- */

/* position(file) -> integer; nil: it has none */
static int l_position(lua_State *L) {
  struct lua_stream *o = check_file(L, 1);
  if (file_seekable(o->s))
    lua_pushinteger(L, file_position(o->s));
  else
    lua_pushnil(L);
  return 1;
}

/* set_position(file, offset) */
static int l_set_position(lua_State *L) {
  struct lua_stream *o = check_file(L, 1);
  file_seek(o->s, check_offset(L, 2));
  return 0;
}

/* changed(file, offset, n): what was read ahead there is read again */
static int l_changed(lua_State *L) {
  struct lua_stream *o = stream_check(L, 1);
  if (o->s && !rt_gone(o->rt))
    file_changed(o->s, check_offset(L, 2), luaL_checkinteger(L, 3));
  return 0;
}

/* appends(file) -> was it opened for that? */
static int l_appends(lua_State *L) {
  lua_pushboolean(L, file_appends(check_file(L, 1)->s));
  return 1;
}

/* unread_bytes(stream): how many are queued */
static int l_unread_bytes(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)stream_check_open(L, 1)->s->in.len);
  return 1;
}

/* stream_kind(stream) -> "file", "socket", "memory" ... */
static int l_stream_kind(lua_State *L) {
  lua_pushstring(L, stream_check_open(L, 1)->s->transport->name);
  return 1;
}

/* idle_limit(stream) -> seconds, or nil: it has none */
static int l_idle_limit(lua_State *L) {
  struct lua_stream *o = stream_check_open(L, 1);
  if (o->idle_ns == NEVER_NS)
    lua_pushnil(L);
  else
    lua_pushnumber(L, (lua_Number)o->idle_ns / 1e9);
  return 1;
}

/* moved_at(stream) -> when a byte last moved, by now()'s clock, as far as that
 * is known: it is noted from now on */
static int l_moved_at(lua_State *L) {
  struct lua_stream *o = stream_check(L, 1);
  uint64_t at = 0;
  if (o->s && !rt_gone(o->rt)) {
    at = o->s->moved_ns;
    o->s->timed = true;
  }
  lua_pushnumber(L, (lua_Number)at / 1e9);
  return 1;
}

/* stream_moved(stream): a byte did, beside the queues */
static int l_stream_moved(lua_State *L) {
  struct lua_stream *o = stream_check(L, 1);
  if (o->s && !rt_gone(o->rt)) stream_moved(o->s);
  return 0;
}

/* -- the object -- */

static int l_path(lua_State *L) {
  struct lua_stream *o = check_file(L, 1);
  lua_pushstring(L, o->s->transport->label(o->s));
  return 1;
}

static int l_fileno(lua_State *L) {
  struct lua_stream *o = check_file(L, 1);
  lua_pushinteger(L, stream_handle(o->s)->fd);
  return 1;
}

static int l_tostring(lua_State *L) {
  struct lua_stream *o = stream_check(L, 1);
  struct stream *s = o->s;
  if (!s || rt_gone(o->rt)) {
    lua_pushliteral(L, "proa.file (closed)");
    return 1;
  }
  const char *path = s->transport->label(s);
  int fd = stream_handle(s)->fd;
  if (file_seekable(s))
    lua_pushfstring(L, "proa.file %s (fd %d, at %I)", path, fd,
                    (LUAI_UACINT)file_position(s));
  else
    lua_pushfstring(L, "proa.file %s (fd %d)", path, fd);
  return 1;
}

struct lua_stream *push_file_object(lua_State *L) {
  return stream_push_empty(L, FILE_CLASS);
}

int file_object_open(struct lua_stream *o, struct proactor *p, struct handle *h,
                     const struct file_options *with) {
  struct anchors anchors = stream_anchors(o->rt);
  o->s = stream_over_file(p, h, with, &anchors);
  if (o->s) return 0;
  handle_close(p, h, NULL, NULL);
  return -ENOMEM;
}

bool is_fifo_to_read(const struct proactor *p, const struct handle *h) {
  struct stat st;
  return h->kind == HANDLE_PIPE && p->driver->class != &driver_sim &&
         fstat(h->fd, &st) == 0 && S_ISFIFO(st.st_mode) &&
         (fcntl(h->fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
}

/* file(fd object, path, append, direct, choosy) -> a file that owns the
 * descriptor; false, when choosy: it is a FIFO's, whose writer is to come */
static int l_file(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  bool choosy = lua_toboolean(L, 5);
  lua_settop(L, 4);
  struct lua_stream *o = stream_push_empty(L, FILE_CLASS); /* may collect */
  struct handle *h = check_fd(L, p, 1)->handle;
  if (choosy && is_fifo_to_read(p, h)) {
    lua_pushboolean(L, false);
    return 1;
  }
  struct file_options with = {.path = luaL_checkstring(L, 2),
                              .append = lua_toboolean(L, 3),
                              .direct = lua_toboolean(L, 4)};
  luaL_argcheck(L, h->kind != HANDLE_SOCKET, 1, "a socket is no file");
  luaL_argcheck(L, !h->inflight, 1, "fd has ops in flight");
  struct anchors anchors = stream_anchors(o->rt);
  o->s = stream_over_file(p, h, &with, &anchors);
  if (!o->s) return push_errno(L, "open", -ENOMEM);
  take_fd(L, 1);
  return 1;
}

void open_file(lua_State *L) {
  static const luaL_Reg methods[] = {{"read_at", l_read_at},
                                     {"read_into_at", l_read_into_at},
                                     {"write_at", l_write_at},
                                     {"read_into", l_read_into},
                                     {"path", l_path},
                                     {"fileno", l_fileno},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", stream_end_object},
                                  {"__close", stream_end_object},
                                  {"__tostring", l_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg functions[] = {{"file", l_file},
                                       {"position", l_position},
                                       {"set_position", l_set_position},
                                       {"changed", l_changed},
                                       {"appends", l_appends},
                                       {"unread_bytes", l_unread_bytes},
                                       {"stream_kind", l_stream_kind},
                                       {"stream_moved", l_stream_moved},
                                       {"idle_limit", l_idle_limit},
                                       {"moved_at", l_moved_at},
                                       {NULL, NULL}};
  make_class(L, FILE_CLASS, methods, meta);
  add_functions(L, functions);
  luaL_getmetatable(L, FILE_CLASS);
  lua_getfield(L, -1, "__index");
  lua_setfield(L, -3, "file_methods");
  lua_pop(L, 1);
}
