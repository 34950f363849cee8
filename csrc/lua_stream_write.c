/* lua_stream_write.c - writing to streams: all or nothing, in order.
 *
 * What was accepted goes out whatever happens to the task that wrote it. A
 * call waits before it is accepted (for its turn and for room), and afterwards
 * while more than the high-water mark is on its way.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_buffer.h"
#include "lua_stream.h"

static struct lua_stream *self(lua_State *L) {
  return lua_touserdata(L, 1); /* was checked when the call began */
}

static uint64_t patience(struct task *t) {
  return stream_patience(t->wait.subject, t);
}

#define STREAM_WAIT                                   \
  .patience = patience, .handle = stream_wait_handle, \
  .describe = stream_wait_describe
static const struct wait_class waits_write = {
    .verb = "write", .external = true, STREAM_WAIT};
static const struct wait_class waits_flush = {
    .verb = "flush", .external = true, STREAM_WAIT};
static const struct wait_class waits_write_inside = {.verb = "write",
                                                     STREAM_WAIT};
static const struct wait_class waits_flush_inside = {.verb = "flush",
                                                     STREAM_WAIT};

static int push_write_error(lua_State *L, struct stream *s, const char *what) {
  int err = s->out_err;
  s->out_told = false;
  stream_take_error(s);
  return stream_push_error(L, s, what, err);
}

/* Everything from index 2 up as one string at 2. */
static void join_arguments(lua_State *L) {
  int top = lua_gettop(L);
  for (int i = 2; i <= top; i++) {
    if (lua_type(L, i) == LUA_TSTRING) continue;
    struct buf *b = test_buffer(L, i);
    if (b) {
      b = check_buffer(L, i);
      lua_pushlstring(L, (char *)b->data, b->len);
      lua_replace(L, i);
    }
    luaL_checkstring(L, i);
  }
  if (top < 2) lua_pushliteral(L, "");
  if (top > 2) lua_concat(L, top - 1);
}

static int anchor_value(lua_State *L) {
  lua_pushinteger(L, luaL_ref(L, LUA_REGISTRYINDEX));
  return 1;
}

/* Index 2 as an anchor. Protected, since a writer that has its turn must pass
 * it on; 0: the error (no memory, an interrupt) is left on top. */
static int make_anchor(lua_State *L) {
  lua_pushcfunction(L, anchor_value);
  lua_pushvalue(L, 2);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) return 0;
  int anchor = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return anchor;
}

/* Small: copied. Large: anchored until the kernel has it. false: the error is
 * left on top. A finaliser may have closed the stream, which drops it. */
static bool accept_bytes(lua_State *L, struct stream *s) {
  size_t len;
  const char *bytes = lua_tolstring(L, 2, &len);
  int anchor = len > OUTQ_COPY_MAX ? make_anchor(L) : 0;
  if (len > OUTQ_COPY_MAX && !anchor) return false;
  if (stream_write(s, bytes, len, anchor) == 0) return true;
  lua_pushliteral(L, "not enough memory");
  return false;
}

/* The absolute end of this call's patience, for all its waits, at index 3. */
static int wait_room(lua_State *L, struct lua_stream *o, struct list *list,
                     lua_KFunction k) {
  struct task *t = await_begin(L);
  list_push(list, &t->wait.waiter.link);
  return await_yield(L, t, o->s->outside ? &waits_write : &waits_write_inside,
                     o, (uint64_t)lua_tointeger(L, 3), 0, k);
}

/* The bytes were accepted and go out whatever happens to this wait. Woken once
 * is enough: others may have filled the queue again, and will for ever. */
static int accepted_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct lua_stream *o = self(L);
  if (await_end(L) == WAIT_TIMEOUT)
    return stream_push_timeout(
        L, o, NULL, "write: timed out; what was accepted is still sent");
  if (!o->s) return stream_push_closed(L, "write");
  if (o->s->out_err) return push_write_error(L, o->s, "write");
  lua_settop(L, 1);
  return 1;
}

static int write_go(lua_State *L, bool first);

/* Its turn: the next writer's comes when this one has written, or can't. */
static int write_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  if (await_end(L) == WAIT_TIMEOUT) /* withdrawn, so its turn had not come */
    return stream_push_timeout(L, self(L), NULL, "write: timed out");
  return write_go(L, false);
}

/* Whole calls in order: behind writers that wait, and while the queue is
 * above its mark, nothing is accepted yet. */
static int write_go(lua_State *L, bool first) {
  struct lua_stream *o = self(L);
  struct stream *s = o->s;
  if (!s) return stream_push_closed(L, "write");
  if (!first && (s->out_err || s->shut)) stream_next_writer(s);
  if (s->out_err) return push_write_error(L, s, "write");
  if (s->shut) return luaL_error(L, "stream was shut down for writing");
  if (first && !stream_may_write(s))
    return wait_room(L, o, &s->writers, write_k);
  bool accepted = accept_bytes(L, s);
  if (!first) stream_next_writer(s);
  if (!accepted) return lua_error(L);
  if (!o->s) return stream_push_closed(L, "write");
  if (s->transport->completes && s->out.len)
    return wait_room(L, o, &s->flushers, accepted_k);
  if (stream_full(s)) return wait_room(L, o, &s->leavers, accepted_k);
  if (!await_budget(o->rt->current))
    return await_reschedule(L, o->rt->current, 0, accepted_k);
  lua_settop(L, 1);
  return 1;
}

/* write(...) -> the stream; all of it is accepted, or nothing */
static int l_write(lua_State *L) {
  struct lua_stream *o = stream_check_open(L, 1);
  join_arguments(L);
  await_begin(L);
  lua_pushinteger(L, (lua_Integer)await_until(o->rt, o->write_ns));
  return write_go(L, true);
}

/* try_write(...): the same where it need not wait; else nothing, EAGAIN. Not
 * an await. */
static int l_try_write(lua_State *L) {
  stream_check_open(L, 1);
  join_arguments(L);
  struct stream *s = stream_check_open(L, 1)->s;
  if (s->out_err) return push_write_error(L, s, "write");
  if (s->shut) return luaL_error(L, "stream was shut down for writing");
  if (!stream_may_write(s))
    return push_fail(L, "write: the stream has no room now", "EAGAIN");
  if (!accept_bytes(L, s)) return lua_error(L);
  if (!self(L)->s) return stream_push_closed(L, "write");
  lua_settop(L, 1);
  return 1;
}

/* -- flushing -- */

static int flush_go(lua_State *L, bool again);

static int flush_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  if (await_end(L) == WAIT_TIMEOUT)
    return stream_push_timeout(L, self(L), NULL, "flush: timed out");
  return flush_go(L, true);
}

static int flush_go(lua_State *L, bool again) {
  struct lua_stream *o = self(L);
  struct stream *s = o->s;
  if (!s) return stream_push_closed(L, "flush");
  int err = s->out_err ? stream_take_error(s) : 0;
  if (err) return stream_push_error(L, s, "write", err);
  if (stream_flushed(s)) {
    lua_settop(L, 1);
    return 1;
  }
  uint64_t until = (uint64_t)lua_tointeger(L, 2);
  if (again && proactor_now(s->p) >= until) /* others kept it from ending */
    return stream_push_timeout(L, self(L), NULL, "flush: timed out");
  struct task *t = await_begin(L);
  list_push(&s->flushers, &t->wait.waiter.link);
  return await_yield(L, t, s->outside ? &waits_flush : &waits_flush_inside, o,
                     until, 0, flush_k);
}

static int flush_begin(lua_State *L, uint64_t until_ns) {
  lua_settop(L, 1);
  lua_pushinteger(L, (lua_Integer)until_ns);
  return flush_go(L, false);
}

/* flush([timeout]) -> the stream, when all that was accepted is gone */
static int l_flush(lua_State *L) {
  struct lua_stream *o = stream_check_open(L, 1);
  uint64_t until = stream_until(L, o, 2, o->write_ns);
  await_begin(L);
  return flush_begin(L, until);
}

/* shutdown("w"[, timeout]): FIN behind what was accepted */
static int l_shutdown(lua_State *L) {
  static const char *const ways[] = {"w", NULL};
  struct lua_stream *o = stream_check_open(L, 1);
  luaL_checkoption(L, 2, "w", ways);
  uint64_t until = stream_until(L, o, 3, o->write_ns);
  await_begin(L);
  stream_shutdown(o->s);
  return flush_begin(L, until);
}

const luaL_Reg stream_write_methods[] = {{"write", l_write},
                                         {"try_write", l_try_write},
                                         {"flush", l_flush},
                                         {"shutdown", l_shutdown},
                                         {NULL, NULL}};
