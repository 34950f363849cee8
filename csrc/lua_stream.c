/* lua_stream.c - streams as Lua sees them: reading, writing, ending.
 *
 * Reads are transactions on the queue of struct stream: a result is made
 * first and consumed after, so that a timeout, a cancellation or a failed
 * allocation loses nothing. One function, read_go, serves every kind of read:
 * satisfied from the queue it does not yield.
 *
 * SPDX-License-Identifier: MIT */
#include "stream.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "lua_buffer.h"
#include "lua_core.h"
#include "lua_fd.h"
#include "lua_net.h"

#define STREAM_CLASS "proa.stream"

enum { LINE_MAX_BYTES = 1 << 20, SOME_MAX = 64 * 1024 };
#define LINGER_NS (5 * NS_PER_S)

struct lua_stream {
  struct runtime *rt;
  struct stream *s;    /* NULL: closed */
  struct buf *lent;    /* by a read_into that waits */
  struct task *reader; /* a read that waits, or was woken and not resumed */
  uint64_t read_ns, write_ns; /* limits of each call; NEVER_NS */
  uint64_t read_until_ns;     /* ... of the read that waits */
  bool served; /* the next <close> is serve's, and leaves it open if ... */
  bool kept;   /* ... the handler wants to keep it */
};

enum read_kind {
  READ_SOME,  /* what there is, at most n */
  READ_N,     /* n, fewer at end of stream */
  READ_EXACT, /* n, or EOF */
  READ_LINE,  /* to a newline, without it */
  READ_LINE_KEEP,
  READ_ALL,  /* to end of stream, at most n */
  READ_INTO, /* what there is, into a buffer */
};

static struct lua_stream *check_stream(lua_State *L) {
  return luaL_checkudata(L, 1, STREAM_CLASS);
}

static struct lua_stream *check_open(lua_State *L) {
  struct lua_stream *o = check_stream(L);
  if (!o->s || rt_gone(o->rt)) luaL_error(L, "stream is closed");
  return o;
}

int push_stream(lua_State *L, struct proactor *p, struct handle *h) {
  struct lua_stream *o = new_object(L, sizeof *o, STREAM_CLASS, 0);
  o->rt = rt_get(L);
  o->read_ns = o->write_ns = NEVER_NS;
  o->s = stream_new(p, h, release_anchor, o->rt);
  if (o->s) return 0;
  handle_close(p, h, NULL, NULL);
  lua_pop(L, 1);
  return -ENOMEM;
}

static int push_closed(lua_State *L, const char *what) {
  return push_fail(L, lua_pushfstring(L, "%s: the stream was closed", what),
                   "CLOSED");
}

/* -- reading -- */

/* Bytes that can be returned now, or -1 with *want: wake me at so many. */
static ssize_t available(struct stream *s, enum read_kind kind, size_t n,
                         size_t *want) {
  size_t len = s->in.len;
  *want = 1;
  switch (kind) {
  case READ_SOME:
  case READ_INTO:
    if (len || n == 0) return (ssize_t)min_size(len, n);
    break;
  case READ_N:
  case READ_EXACT:
    *want = n;
    if (len >= n) return (ssize_t)n;
    break;
  case READ_LINE:
  case READ_LINE_KEEP: {
    ssize_t at = inq_find(&s->in, '\n');
    if (at >= 0) return at;
    *want = len + 1;
    break;
  }
  case READ_ALL:
    *want = n < SIZE_MAX ? n + 1 : n;
    if (len > n) return (ssize_t)len;
    break;
  }
  return -1;
}

/* What is returned when nothing more will come: the rest, or -1: nothing. An
 * error comes after the bytes before it; only whole units come before it. */
static ssize_t rest(const struct stream *s, enum read_kind kind) {
  if (s->in_err) return -1;
  switch (kind) {
  case READ_ALL:
    return (ssize_t)s->in.len;
  case READ_N:
  case READ_LINE:
  case READ_LINE_KEEP:
    return s->in.len ? (ssize_t)s->in.len : -1;
  default:
    return -1;
  }
}

static int push_end(lua_State *L, struct stream *s, enum read_kind kind) {
  if (s->in_err) return push_errno(L, "read", s->in_err);
  if (kind == READ_EXACT)
    return push_fail(L, "read: the stream ended too early", "EOF");
  lua_pushnil(L);
  return 1;
}

/* Into one string, without a copy of its own where the bytes lie together. */
static void push_bytes(lua_State *L, struct stream *s, size_t n) {
  size_t have;
  const unsigned char *at = inq_peek(&s->in, &have);
  if (have >= n) {
    lua_pushlstring(L, (const char *)at, n);
    return;
  }
  luaL_Buffer b;
  inq_copy(&s->in, luaL_buffinitsize(L, &b, n), n);
  luaL_pushresultsize(&b, n);
}

static int take_into(lua_State *L, struct stream *s, size_t n) {
  struct buf *b = check_buffer(L, 2);
  size_t at, room;
  opt_range(L, 3, b->len, &at, &room);
  inq_take(&s->in, b->data + at, n);
  stream_consumed(s);
  lua_pushinteger(L, (lua_Integer)n);
  return 1;
}

static int take(lua_State *L, struct stream *s, enum read_kind kind, size_t n) {
  if (kind == READ_INTO) return take_into(L, s, n);
  unsigned char last = 0;
  push_bytes(L, s, n);
  if (kind == READ_LINE && n > 0) {
    last = (unsigned char)lua_tostring(L, -1)[n - 1];
    if (last == '\n') lua_pushlstring(L, lua_tostring(L, -1), n - 1);
  }
  inq_consume(&s->in, n);
  stream_consumed(s);
  return 1;
}

static void give_back(struct lua_stream *o) {
  if (!o->lent) return;
  buf_return(o->lent);
  buf_unref(o->lent);
  o->lent = NULL;
}

/* wait.subject is the Lua object's record: alive while the task waits. */
static bool withdraw_read(struct task *t) {
  struct lua_stream *o = t->wait.subject;
  give_back(o);
  o->reader = NULL;
  return true;
}

static const struct wait_class waits_read = {
    .verb = "read", .external = true, .withdraw = withdraw_read};

/* One reader at a time: bytes for one would go to another. */
static void check_reader(lua_State *L, const struct lua_stream *o,
                         const struct task *t) {
  char label[96];
  if (!o->reader || o->reader == t) return;
  task_label(o->reader, label, sizeof label);
  luaL_error(L, "stream is being read by task %s", label);
}

static int read_go(lua_State *L, enum read_kind kind, bool again);

static int read_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  struct lua_stream *o = check_stream(L);
  if (o->reader == o->rt->current) {
    give_back(o);
    o->reader = NULL;
  }
  if (await_end(L) == WAIT_TIMEOUT)
    return push_fail(L, "read: timed out", "TIMEOUT");
  return read_go(L, (enum read_kind)ctx, true);
}

static int wait_bytes(lua_State *L, struct lua_stream *o, struct task *t,
                      enum read_kind kind, size_t want, bool again) {
  struct stream *s = o->s;
  if (again) await_begin(L);
  if (kind == READ_INTO) {
    o->lent = buf_ref(check_buffer(L, 2));
    buf_lend(o->lent, "read");
  }
  o->reader = t;
  list_push(&s->readers, &t->wait.waiter.link);
  stream_receive(s, want);
  return await_yield(L, t, &waits_read, o, o->read_until_ns, kind, read_k);
}

static size_t count_of(lua_State *L, enum read_kind kind) {
  if (kind == READ_INTO) {
    size_t at, n;
    opt_range(L, 3, check_buffer(L, 2)->len, &at, &n);
    return n;
  }
  return (size_t)lua_tointeger(L, 2);
}

/* Satisfied, ended, or waiting; the stack: 1 the stream, 2 a count or a
 * buffer. */
static int read_go(lua_State *L, enum read_kind kind, bool again) {
  struct lua_stream *o = check_stream(L);
  struct stream *s = o->s;
  size_t want, n = count_of(L, kind);
  if (!s) return push_closed(L, "read");
  /* A read that was woken delivers before a cancellation is looked at. */
  struct task *t = again ? o->rt->current : await_begin(L);
  check_reader(L, o, t);
  if (!again) o->read_until_ns = await_until(o->rt, o->read_ns);
  ssize_t got = available(s, kind, n, &want);
  bool line = kind == READ_LINE || kind == READ_LINE_KEEP;
  if (line && (size_t)(got < 0 ? (ssize_t)s->in.len : got) > LINE_MAX_BYTES)
    return push_fail(L, "read: the line is longer than 1 MiB", "LIMIT");
  if (kind == READ_ALL && s->in.len > n)
    return push_fail(L, "read: more than the limit", "LIMIT");
  if (got < 0 && stream_ended(s)) {
    got = rest(s, kind);
    if (got < 0) return push_end(L, s, kind);
  }
  if (got < 0) return wait_bytes(L, o, t, kind, want, again);
  if (!await_budget(t)) {
    o->reader = t; /* it has not given up its place */
    return await_reschedule(L, t, kind, read_k);
  }
  return take(L, s, kind, (size_t)got);
}

static int read_count(lua_State *L, enum read_kind kind, lua_Integer n) {
  luaL_argcheck(L, n >= 0, 2, "a count is not negative");
  lua_settop(L, 1);
  lua_pushinteger(L, n);
  return read_go(L, kind, false);
}

/* read("l" | "L" | "a" | n) */
static int l_read(lua_State *L) {
  check_open(L);
  if (lua_isnumber(L, 2)) {
    lua_Integer n = luaL_checkinteger(L, 2);
    return read_count(L, READ_N, n);
  }
  const char *format = luaL_optstring(L, 2, "l");
  if (*format == '*') format++;
  switch (*format) {
  case 'l':
    return read_count(L, READ_LINE, 0);
  case 'L':
    return read_count(L, READ_LINE_KEEP, 0);
  case 'a':
    return read_count(L, READ_ALL, luaL_optinteger(L, 3, LUA_MAXINTEGER));
  default:
    return luaL_argerror(L, 2, "invalid format: l, L, a or a number");
  }
}

/* read_some([max]): at least one byte; nil at end of stream */
static int l_read_some(lua_State *L) {
  check_open(L);
  return read_count(L, READ_SOME, luaL_optinteger(L, 2, SOME_MAX));
}

static int l_read_exact(lua_State *L) {
  check_open(L);
  return read_count(L, READ_EXACT, luaL_checkinteger(L, 2));
}

/* read_into(buffer[, i[, j]]) -> n | nil, message, code */
static int l_read_into(lua_State *L) {
  check_open(L);
  check_buffer(L, 2);
  lua_settop(L, 4);
  return read_go(L, READ_INTO, false);
}

/* -- writing -- */

static const struct wait_class waits_write = {.verb = "write",
                                              .external = true};
static const struct wait_class waits_flush = {.verb = "flush",
                                              .external = true};

static int push_write_error(lua_State *L, struct stream *s, const char *what) {
  s->out_told = true;
  return push_errno(L, what, s->out_err);
}

/* Everything from index 2 up as one string at 2. */
static void join_arguments(lua_State *L) {
  int top = lua_gettop(L);
  for (int i = 2; i <= top; i++) {
    struct buf *b = test_buffer(L, i);
    if (b) {
      lua_pushlstring(L, (char *)b->data, b->len);
      lua_replace(L, i);
    }
    luaL_checkstring(L, i);
  }
  if (top < 2) lua_pushliteral(L, "");
  if (top > 2) lua_concat(L, top - 1);
}

/* Small: copied. Large: anchored until the kernel has it. */
static int accept_bytes(lua_State *L, struct stream *s) {
  size_t len;
  const char *bytes = lua_tolstring(L, 2, &len);
  int anchor = 0;
  if (len > OUTQ_COPY_MAX) {
    lua_pushvalue(L, 2);
    anchor = luaL_ref(L, LUA_REGISTRYINDEX);
  }
  return stream_write(s, bytes, len, anchor);
}

/* The absolute end of this call's patience, for all its waits. */
static void push_limit(lua_State *L, const struct lua_stream *o) {
  lua_pushinteger(L, (lua_Integer)await_until(o->rt, o->write_ns));
}

static int wait_room(lua_State *L, struct lua_stream *o, struct list *list,
                     lua_KFunction k) {
  struct task *t = await_begin(L);
  list_push(list, &t->wait.waiter.link);
  return await_yield(L, t, &waits_write, o, (uint64_t)lua_tointeger(L, 3), 0,
                     k);
}

/* The bytes were accepted and go out whatever happens to this wait. */
static int accepted_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct lua_stream *o = check_stream(L);
  if (await_end(L) == WAIT_TIMEOUT)
    return push_fail(L, "write: timed out; what was accepted is still sent",
                     "TIMEOUT");
  if (!o->s) return push_closed(L, "write");
  if (o->s->out_err) return push_write_error(L, o->s, "write");
  if (stream_full(o->s)) return wait_room(L, o, &o->s->leavers, accepted_k);
  lua_settop(L, 1);
  return 1;
}

static int write_go(lua_State *L, bool first);

/* Its turn: the next writer's comes when this one has written, or can't. */
static int write_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  if (await_end(L) == WAIT_TIMEOUT) /* withdrawn, so its turn had not come */
    return push_fail(L, "write: timed out", "TIMEOUT");
  return write_go(L, false);
}

/* Whole calls in order: behind writers that wait, and while the queue is
 * above its mark, nothing is accepted yet. */
static int write_go(lua_State *L, bool first) {
  struct lua_stream *o = check_stream(L);
  struct stream *s = o->s;
  if (!s) return push_closed(L, "write");
  if (!first && (s->out_err || s->shut)) stream_next_writer(s);
  if (s->out_err) return push_write_error(L, s, "write");
  if (s->shut) return luaL_error(L, "stream was shut down for writing");
  if (first && !stream_may_write(s))
    return wait_room(L, o, &s->writers, write_k);
  int r = accept_bytes(L, s);
  if (!first) stream_next_writer(s);
  if (r < 0) return luaL_error(L, "not enough memory");
  if (stream_full(s)) return wait_room(L, o, &s->leavers, accepted_k);
  if (!await_budget(o->rt->current))
    return await_reschedule(L, o->rt->current, 0, accepted_k);
  lua_settop(L, 1);
  return 1;
}

/* write(...) -> the stream; all of it is accepted, or nothing */
static int l_write(lua_State *L) {
  struct lua_stream *o = check_open(L);
  join_arguments(L);
  await_begin(L);
  push_limit(L, o); /* at index 3 */
  return write_go(L, true);
}

static int flush_go(lua_State *L, bool again);

static int flush_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  if (await_end(L) == WAIT_TIMEOUT)
    return push_fail(L, "flush: timed out", "TIMEOUT");
  return flush_go(L, true);
}

static int flush_go(lua_State *L, bool again) {
  struct lua_stream *o = check_stream(L);
  struct stream *s = o->s;
  if (!s) return push_closed(L, "flush");
  if (s->out_err) {
    int err = stream_take_error(s);
    if (err) return push_errno(L, "write", err);
  }
  if (stream_flushed(s) && !s->send) {
    lua_settop(L, 1);
    return 1;
  }
  uint64_t until = (uint64_t)lua_tointeger(L, 2);
  if (again && proactor_now(s->p) >= until) /* others kept it from ending */
    return push_fail(L, "flush: timed out", "TIMEOUT");
  struct task *t = await_begin(L);
  list_push(&s->flushers, &t->wait.waiter.link);
  return await_yield(L, t, &waits_flush, o, until, 0, flush_k);
}

/* flush() -> the stream, when the kernel has taken all that was accepted */
static int l_flush(lua_State *L) {
  struct lua_stream *o = check_open(L);
  await_begin(L);
  lua_settop(L, 1);
  push_limit(L, o); /* at index 2 */
  return flush_go(L, false);
}

/* shutdown("w"): FIN behind what was accepted */
static int l_shutdown(lua_State *L) {
  static const char *const ways[] = {"w", NULL};
  struct lua_stream *o = check_open(L);
  luaL_checkoption(L, 2, "w", ways);
  await_begin(L);
  stream_shutdown(o->s);
  lua_settop(L, 1);
  push_limit(L, o);
  return flush_go(L, false);
}

/* -- ending -- */

static void end(struct lua_stream *o, uint64_t linger_ns, bool abort) {
  struct stream *s = o->s;
  o->s = NULL;
  if (!s || rt_gone(o->rt)) return;
  if (abort)
    stream_abort(s);
  else
    stream_close(s, linger_ns);
}

/* close([linger]) -> true | nil, message, code of an earlier write. Returns
 * at once; what was accepted goes out within `linger` seconds (5). */
static int l_close(lua_State *L) {
  struct lua_stream *o = check_stream(L);
  uint64_t linger = lua_isnoneornil(L, 2) ? LINGER_NS : opt_limit(L, 2);
  int err = o->s && !rt_gone(o->rt) ? stream_take_error(o->s) : 0;
  end(o, linger, false);
  if (err) return push_errno(L, "write", err);
  lua_pushboolean(L, 1);
  return 1;
}

/* __close gets the error as its second argument, not a limit. */
static int l_end(lua_State *L) {
  end(check_stream(L), LINGER_NS, false);
  return 0;
}

/* <close>: serve's own leaves open what its handler keeps. */
static int l_leave(lua_State *L) {
  struct lua_stream *o = check_stream(L);
  bool keep = o->served && o->kept;
  o->served = false;
  return keep ? 0 : l_end(L);
}

/* served(stream) -> the stream, whose next <close> honours keep() */
static int l_served(lua_State *L) {
  check_stream(L)->served = true;
  return 1;
}

/* keep() -> the stream: serve does not close it when the handler returns */
static int l_keep(lua_State *L) {
  check_open(L)->kept = true;
  lua_settop(L, 1);
  return 1;
}

static int l_abort(lua_State *L) {
  end(check_stream(L), 0, true);
  return 0;
}

/* -- the rest -- */

static int l_address(lua_State *L) {
  struct stream *s = check_open(L)->s;
  return push_handle_name(L, s->p, s->handle, false);
}

static int l_peer(lua_State *L) {
  struct stream *s = check_open(L)->s;
  return push_handle_name(L, s->p, s->handle, true);
}

static void set_limit(lua_State *L, const char *key, uint64_t *limit) {
  if (lua_getfield(L, 2, key) != LUA_TNIL) {
    luaL_argcheck(L, lua_isnumber(L, -1), 2, "a limit is a number of seconds");
    *limit = ns_from_seconds(lua_tonumber(L, -1));
  }
  lua_pop(L, 1);
}

/* timeout{read=, write=}: seconds that each call may wait; math.huge: no
 * limit */
static int l_timeout(lua_State *L) {
  struct lua_stream *o = check_open(L);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_pushnil(L);
  while (lua_next(L, 2)) {
    const char *key =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    if (strcmp(key, "read") != 0 && strcmp(key, "write") != 0)
      return luaL_error(L, "timeout: unknown option '%s'", key);
    lua_pop(L, 1);
  }
  set_limit(L, "read", &o->read_ns);
  set_limit(L, "write", &o->write_ns);
  lua_settop(L, 1);
  return 1;
}

static int l_closed(lua_State *L) {
  struct lua_stream *o = check_stream(L);
  lua_pushboolean(L, !o->s || rt_gone(o->rt));
  return 1;
}

static int l_tostring(lua_State *L) {
  struct lua_stream *o = check_stream(L);
  if (!o->s || rt_gone(o->rt)) {
    lua_pushliteral(L, "proa.stream (closed)");
    return 1;
  }
  bool named = push_handle_name(L, o->s->p, o->s->handle, true) == 1;
  const char *peer = named ? lua_tostring(L, -1) : "without peer";
  lua_pushfstring(L, "proa.stream %s (fd %d, %d bytes unread, %d unsent)", peer,
                  o->s->handle->fd, (int)o->s->in.len, (int)o->s->out.len);
  return 1;
}

/* stream(fd object) -> a stream that owns the descriptor from now on */
static int l_stream(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  struct handle *h = check_fd(L, p, 1)->handle;
  luaL_argcheck(L, h->kind == HANDLE_SOCKET, 1, "not a socket");
  luaL_argcheck(L, !h->inflight, 1, "fd has ops in flight");
  int on = 1;
  struct sys *sys = proactor_sys(p);
  sys->class->setopt(sys, h->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  int r = push_stream(L, p, take_fd(L, 1));
  return r < 0 ? push_errno(L, "stream", r) : 1;
}

void open_stream(lua_State *L) {
  static const luaL_Reg methods[] = {{"read", l_read},
                                     {"read_some", l_read_some},
                                     {"read_exact", l_read_exact},
                                     {"read_into", l_read_into},
                                     {"write", l_write},
                                     {"flush", l_flush},
                                     {"shutdown", l_shutdown},
                                     {"close", l_close},
                                     {"abort", l_abort},
                                     {"address", l_address},
                                     {"peer", l_peer},
                                     {"timeout", l_timeout},
                                     {"keep", l_keep},
                                     {"closed", l_closed},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", l_end},
                                  {"__close", l_leave},
                                  {"__tostring", l_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"stream", l_stream}, {"served", l_served}, {NULL, NULL}};
  make_class(L, STREAM_CLASS, methods, meta);
  add_functions(L, functions);
  luaL_getmetatable(L, STREAM_CLASS);
  lua_getfield(L, -1, "__index");
  lua_setfield(L, -3, "stream_methods");
  lua_pop(L, 1);
}
