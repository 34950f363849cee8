/* lua_stream_read.c - reading from streams.
 *
 * Reads are transactions on the queue of struct stream: a result is made
 * first and consumed after, so that a timeout, a cancellation or a failed
 * allocation loses nothing. One function, read_go, serves every kind of read:
 * satisfied from the queue it does not yield.
 * Stack of every read: 1 the stream, 2 its count, limit or buffer, 3 what it
 * looks for, or the range of the buffer at 3 and 4.
 *
 * SPDX-License-Identifier: MIT */
#include <limits.h>
#include <string.h>

#include "lua_buffer.h"
#include "lua_stream.h"

enum {
  LINE_MAX_BYTES = 1 << 20,
  LIKE_SECONDS = 100, /* a limit below it may have been meant as one in time */
  SOME_MAX = 64 * 1024,
  READ_NOW_MAX = 64, /* reads without waiting before others get their turn */
};

enum read_kind {
  READ_SOME,  /* what there is, at most n */
  READ_N,     /* n, fewer at end of stream */
  READ_EXACT, /* n, or EOF */
  READ_LINE,  /* to a newline, without it, at most n */
  READ_LINE_KEEP,
  READ_UNTIL, /* to a delimiter, without it, at most n */
  READ_ALL,   /* to end of stream, at most n */
  READ_INTO,  /* what there is, into a buffer */
  PEEK_SOME,  /* as READ_SOME, and leave it there */
  PEEK_N,
};

struct reading {
  enum read_kind kind;
  size_t n;
  const char *delimiter; /* where one is looked for */
  size_t delimiter_len;
};

static struct lua_stream *self(lua_State *L) {
  return lua_touserdata(L, 1); /* was checked when the read began */
}

static struct reading reading_of(lua_State *L, enum read_kind kind) {
  struct reading r = {.kind = kind, .delimiter = "\n", .delimiter_len = 1};
  if (kind == READ_INTO) {
    size_t at;
    opt_range(L, 3, check_buffer(L, 2)->len, &at, &r.n);
    return r;
  }
  r.n = (size_t)lua_tointeger(L, 2);
  if (kind == READ_UNTIL) r.delimiter = lua_tolstring(L, 3, &r.delimiter_len);
  return r;
}

static bool delimited(enum read_kind kind) {
  return kind == READ_LINE || kind == READ_LINE_KEEP || kind == READ_UNTIL;
}

/* Bytes that can be taken now, or -1 with *want: wake me at so many. */
static ssize_t available(struct stream *s, const struct reading *r,
                         size_t *want) {
  size_t len = s->in.len;
  *want = 1;
  switch (r->kind) {
  case READ_SOME:
  case READ_INTO:
  case PEEK_SOME:
    if (len || r->n == 0) return (ssize_t)min_size(len, r->n);
    break;
  case READ_N:
  case READ_EXACT:
  case PEEK_N:
    *want = r->n;
    if (len >= r->n) return (ssize_t)r->n;
    break;
  case READ_LINE:
  case READ_LINE_KEEP:
  case READ_UNTIL:
    *want = len + 1;
    return inq_find(&s->in, r->delimiter, r->delimiter_len);
  case READ_ALL:
    *want = r->n < SIZE_MAX ? r->n + 1 : r->n;
    if (len > r->n) return (ssize_t)len;
    break;
  }
  return -1;
}

/* Is this more than was asked for? got < 0: not found in what there is. */
static bool over_limit(const struct stream *s, const struct reading *r,
                       ssize_t got) {
  if (r->kind == READ_ALL) return s->in.len > r->n;
  if (!delimited(r->kind)) return false;
  size_t n = got < 0 ? s->in.len : (size_t)got;
  return n >= r->delimiter_len && n - r->delimiter_len >= r->n + (got >= 0);
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
  case PEEK_N:
    return s->in.len ? (ssize_t)s->in.len : -1;
  default:
    return -1;
  }
}

static int push_end(lua_State *L, struct stream *s, enum read_kind kind) {
  if (s->in_err) return stream_push_error(L, s, "read", s->in_err);
  if (kind == READ_EXACT || (kind == READ_UNTIL && s->in.len))
    return push_fail(L, "read: the stream ended too early", "EOF");
  lua_pushnil(L);
  return 1;
}

static int push_over_limit(lua_State *L, const struct reading *r) {
  const char *unit = r->kind == READ_ALL     ? "text up to the end"
                     : r->kind == READ_UNTIL ? "text before the delimiter"
                                             : "line";
  int n = (int)min_size(r->n, INT_MAX);
  lua_pushnil(L);
  lua_pushfstring(L, "read: the %s is longer than %d bytes", unit, n);
  if (r->n < LIKE_SECONDS) {
    lua_pushfstring(L, " (which is max; for seconds: { timeout = %d })", n);
    lua_concat(L, 2);
  }
  lua_pushliteral(L, "LIMIT");
  return 3;
}

int stream_push_capped(lua_State *L, const char *what) {
  lua_pushnil(L);
  lua_pushfstring(L,
                  "%s: the unread bytes of all streams together have reached "
                  "their limit (setup{memory=})",
                  what);
  lua_pushliteral(L, "LIMIT");
  return 3;
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

/* What of n bytes is the delimiter and not to be seen. */
static size_t unseen(lua_State *L, const struct reading *r, size_t n) {
  if (r->kind == READ_UNTIL) return r->delimiter_len;
  if (r->kind != READ_LINE || n == 0) return 0;
  return lua_tostring(L, -1)[n - 1] == '\n';
}

static int take(lua_State *L, struct stream *s, const struct reading *r,
                size_t n) {
  if (r->kind == READ_INTO) return take_into(L, s, n);
  push_bytes(L, s, n);
  if (r->kind == PEEK_SOME || r->kind == PEEK_N) return 1;
  size_t cut = delimited(r->kind) ? unseen(L, r, n) : 0;
  if (cut) lua_pushlstring(L, lua_tostring(L, -1), n - cut);
  inq_consume(&s->in, n);
  stream_consumed(s);
  return 1;
}

/* -- waiting -- */

void stream_give_back(struct lua_stream *o) {
  if (!o->lent) return;
  buf_return(o->lent);
  buf_unref(o->lent);
  o->lent = NULL;
}

/* wait.subject is the Lua object's record: alive while the task waits. */
static bool withdraw_read(struct task *t) {
  struct lua_stream *o = t->wait.subject;
  stream_give_back(o);
  stream_free_reader(o);
  return true;
}

/* It looks again, and waits on when somebody was quicker. */
void stream_free_reader(struct lua_stream *o) {
  o->reader = NULL;
  stream_unwanted(o->s);
  waiter_wake_first(&o->readers);
}

static uint64_t patience(struct task *t) {
  return stream_patience(t->wait.subject, t);
}

#define STREAM_WAIT                                \
  .withdraw = withdraw_read, .patience = patience, \
  .handle = stream_wait_handle, .describe = stream_wait_describe
static const struct wait_class waits_read = {
    .verb = "read", .external = true, STREAM_WAIT};
static const struct wait_class waits_read_inside = {.verb = "read",
                                                    STREAM_WAIT};

/* In a stream in memory nothing comes but from this program. */
static const struct wait_class *read_class(const struct stream *s) {
  return s->outside ? &waits_read : &waits_read_inside;
}

void stream_check_reader(lua_State *L, const struct lua_stream *o,
                         const struct task *t) {
  char label[96];
  if (!o->reader || o->reader == t) return;
  task_label(o->reader, label, sizeof label);
  luaL_error(L, "stream is being read by task %s", label);
}

void stream_leave(struct lua_stream *o) {
  if (o->reader != o->rt->current) return;
  stream_give_back(o);
  stream_free_reader(o);
}

int stream_await_bytes(lua_State *L, struct lua_stream *o, size_t want,
                       lua_KContext ctx, lua_KFunction k) {
  struct stream *s = o->s;
  struct task *t = o->rt->current;
  o->reader = t;
  list_push(&s->readers, &t->wait.waiter.link);
  s->asking = true; /* receiving may fail at once, for lack of memory */
  stream_receive(s, want);
  s->asking = false;
  if (s->in.len >= want || stream_ended(s) || stream_capped(s)) {
    link_unlink(&t->wait.waiter.link);
    return await_reschedule(L, t, ctx, k);
  }
  return await_yield(L, t, read_class(s), o, o->read_until_ns, ctx, k);
}

static int read_go(lua_State *L, enum read_kind kind, bool again);

static int read_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  stream_leave(self(L));
  if (await_end(L) == WAIT_TIMEOUT)
    return stream_push_timeout(L, self(L), NULL, "read: timed out");
  return read_go(L, (enum read_kind)ctx, true);
}

static int wait_bytes(lua_State *L, struct lua_stream *o,
                      const struct reading *r, size_t want, bool again) {
  if (again) await_begin(L);
  if (r->kind == READ_INTO) {
    o->lent = buf_ref(check_buffer(L, 2));
    buf_lend(o->lent, "read");
  }
  return stream_await_bytes(L, o, want, (lua_KContext)r->kind, read_k);
}

/* Satisfied, ended, or waiting. A read that was woken delivers before a
 * cancellation is looked at. */
static int read_go(lua_State *L, enum read_kind kind, bool again) {
  struct lua_stream *o = self(L);
  struct stream *s = o->s;
  if (!s) return stream_push_closed(L, "read");
  struct task *t = o->rt->current;
  struct reading r = reading_of(L, kind);
  size_t want;
  ssize_t got = available(s, &r, &want);
  while (got < 0 && !stream_ended(s) && t->budget < READ_NOW_MAX &&
         stream_receive_now(s, want)) {
    t->budget++;
    got = available(s, &r, &want);
  }
  if (over_limit(s, &r, got)) return push_over_limit(L, &r);
  if (got < 0 && stream_ended(s)) {
    got = rest(s, kind);
    if (got < 0) return push_end(L, s, kind);
  }
  if (got < 0 && stream_capped(s)) return stream_push_capped(L, "read");
  if (got < 0) return wait_bytes(L, o, &r, want, again);
  if (!await_budget(t)) {
    o->reader = t; /* it has not given up its place */
    return await_reschedule(L, t, kind, read_k);
  }
  return take(L, s, &r, (size_t)got);
}

/* Its turn, the limit of which is at index 5 while it waited for that. */
static int read_first(lua_State *L, enum read_kind kind, uint64_t until_ns) {
  struct lua_stream *o = self(L);
  struct stream *s = o->s;
  o->read_until_ns = until_ns;
  if (s && s->transport->again && !o->reader) s->transport->again(s);
  if (s && delimited(kind)) inq_rewind(&s->in);
  return read_go(L, kind, false);
}

static int turn_k(lua_State *L, int status, lua_KContext kind);

/* Of a file, reads take turns: every one has its own bytes. Who was woken and
 * finds another one reading keeps its place. */
static int wait_turn(lua_State *L, struct lua_stream *o, struct task *t,
                     enum read_kind kind, bool again) {
  static const struct wait_class waits_turn = {.verb = "read",
                                               .external = true,
                                               .handle = stream_wait_handle,
                                               .describe =
                                                   stream_wait_describe};
  if (again)
    list_push_front(&o->readers, &t->wait.waiter.link);
  else
    list_push(&o->readers, &t->wait.waiter.link);
  return await_yield(L, t, &waits_turn, o, (uint64_t)lua_tointeger(L, 5),
                     (lua_KContext)kind, turn_k);
}

/* The next one is woken before this one reads, which may raise. */
static int turn_k(lua_State *L, int status, lua_KContext kind) {
  (void)status;
  struct lua_stream *o = self(L);
  if (await_end(L) == WAIT_TIMEOUT)
    return stream_push_timeout(L, self(L), NULL, "read: timed out");
  struct task *t = o->rt->current;
  if (o->s && o->reader) {
    await_begin(L);
    return wait_turn(L, o, t, (enum read_kind)kind, true);
  }
  waiter_wake_first(&o->readers);
  uint64_t until = (uint64_t)lua_tointeger(L, 5);
  lua_settop(L, 4);
  return read_first(L, (enum read_kind)kind, until);
}

static int read_begin(lua_State *L, enum read_kind kind, uint64_t until_ns) {
  struct lua_stream *o = self(L);
  struct task *t = await_begin(L);
  if (o->s && o->s->transport->completes && o->reader && o->reader != t) {
    lua_settop(L, 4);
    lua_pushinteger(L, (lua_Integer)until_ns);
    return wait_turn(L, o, t, kind, false);
  }
  stream_check_reader(L, o, t);
  return read_first(L, kind, until_ns);
}

static int read_count(lua_State *L, enum read_kind kind, lua_Integer n,
                      uint64_t until_ns) {
  luaL_argcheck(L, n >= 0, 2, "a count is not negative");
  lua_settop(L, 1);
  lua_pushinteger(L, n);
  return read_begin(L, kind, until_ns);
}

/* -- what Lua calls -- */

static enum read_kind kind_of(lua_State *L, const char *format) {
  if (*format == '*') format++;
  switch (*format) {
  case 'l':
    return READ_LINE;
  case 'L':
    return READ_LINE_KEEP;
  case 'a':
    return READ_ALL;
  default:
    luaL_argerror(L, 2, "invalid format: l, L, a or a number");
    return READ_ALL;
  }
}

/* read("l" | "L" | "a" | n[, max | {max=, timeout=}]) */
static int l_read(lua_State *L) {
  struct lua_stream *o = stream_check_open(L, 1);
  bool count = lua_type(L, 2) == LUA_TNUMBER;
  lua_Integer n = count ? luaL_checkinteger(L, 2) : 0;
  enum read_kind kind = count ? READ_N : kind_of(L, luaL_optstring(L, 2, "l"));
  struct stream_options opts = {.max = kind == READ_ALL ? LUA_MAXINTEGER
                                                        : LINE_MAX_BYTES,
                                .until_ns = await_until(o->rt, o->read_ns)};
  if (!lua_isnoneornil(L, 3))
    stream_options(L, 3, "read", count ? "timeout" : "max timeout", o->rt,
                   &opts);
  return read_count(L, kind, count ? n : (lua_Integer)opts.max, opts.until_ns);
}

/* read_some([max[, timeout]]): at least one byte; nil at end of stream */
static int l_read_some(lua_State *L) {
  struct lua_stream *o = stream_check_open(L, 1);
  lua_Integer n = luaL_optinteger(L, 2, SOME_MAX);
  return read_count(L, READ_SOME, n, stream_until(L, o, 3, o->read_ns));
}

/* read_exact(n[, timeout]) */
static int l_read_exact(lua_State *L) {
  struct lua_stream *o = stream_check_open(L, 1);
  lua_Integer n = luaL_checkinteger(L, 2);
  return read_count(L, READ_EXACT, n, stream_until(L, o, 3, o->read_ns));
}

/* peek([n[, timeout]]): what read_some or read(n) would return, left there */
static int l_peek(lua_State *L) {
  struct lua_stream *o = stream_check_open(L, 1);
  enum read_kind kind = lua_isnoneornil(L, 2) ? PEEK_SOME : PEEK_N;
  lua_Integer n = luaL_optinteger(L, 2, SOME_MAX);
  return read_count(L, kind, n, stream_until(L, o, 3, o->read_ns));
}

/* read_until(delimiter[, max | {max=, timeout=}]) */
static int l_read_until(lua_State *L) {
  struct lua_stream *o = stream_check_open(L, 1);
  size_t len;
  luaL_checklstring(L, 2, &len);
  luaL_argcheck(L, len > 0, 2, "an empty delimiter");
  struct stream_options opts = {.max = LINE_MAX_BYTES,
                                .until_ns = await_until(o->rt, o->read_ns)};
  if (!lua_isnoneornil(L, 3))
    stream_options(L, 3, "read_until", "max timeout", o->rt, &opts);
  lua_settop(L, 2);
  lua_pushinteger(L, (lua_Integer)opts.max);
  lua_insert(L, 2);
  return read_begin(L, READ_UNTIL, opts.until_ns);
}

int stream_read_into(lua_State *L, uint64_t until_ns) {
  lua_settop(L, 4);
  return read_begin(L, READ_INTO, until_ns);
}

/* read_into(buffer[, i[, j[, timeout]]]) -> n | nil, message, code */
static int l_read_into(lua_State *L) {
  struct lua_stream *o = stream_check_open(L, 1);
  check_buffer(L, 2);
  return stream_read_into(L, stream_until(L, o, 5, o->read_ns));
}

/* unread(string | buffer): the next read begins with it */
static int l_unread(lua_State *L) {
  struct lua_stream *o = stream_check_open(L, 1);
  struct buf *b = test_buffer(L, 2) ? check_buffer(L, 2) : NULL;
  size_t n = b ? b->len : 0;
  const void *bytes = b ? (void *)b->data : luaL_checklstring(L, 2, &n);
  stream_check_reader(L, o, NULL);
  stream_check_open(L, 1); /* a number became a string: a finaliser may run */
  if (inq_unread(&o->s->in, bytes, n) < 0)
    return luaL_error(L, "not enough memory");
  lua_settop(L, 1);
  return 1;
}

const luaL_Reg stream_read_methods[] = {{"read", l_read},
                                        {"read_some", l_read_some},
                                        {"read_exact", l_read_exact},
                                        {"read_into", l_read_into},
                                        {"read_until", l_read_until},
                                        {"peek", l_peek},
                                        {"unread", l_unread},
                                        {NULL, NULL}};
