/* lua_stream_hold.c - hold(stream): its bytes are somebody's alone for a while.
 *
 * For what moves bytes beside the queues (a file's position, sendfile): once
 * what was accepted is gone and the writers before it have had their turn, the
 * stream is held; other reads and writes wait. The hold is a to-be-closed
 * value, so that no error can leave it behind. A stream that is closed
 * meanwhile is not held any more.
 * Stack: 1 the stream, 2 the end of its patience, 3 the hold.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_stream.h"

#define HOLD_CLASS "proa.hold"

struct hold {
  struct lua_stream *o; /* kept by the user value */
  struct stream *s;     /* what is held; NULL: nothing */
};

enum hold_place { FIRST, AS_WRITER, AS_FLUSHER };

static int hold_go(lua_State *L, enum hold_place place);

static int hold_k(lua_State *L, int status, lua_KContext place) {
  (void)status;
  if (await_end(L) == WAIT_TIMEOUT) return push_fail(L, "timed out", "TIMEOUT");
  return hold_go(L, (enum hold_place)place);
}

/* It has its turn already, and passes it on. */
static bool withdraw_turn(struct task *t) {
  struct lua_stream *o = t->wait.subject;
  link_unlink(&t->wait.waiter.link);
  if (o->s) stream_next_writer(o->s);
  return true;
}

#define STREAM_WAIT \
  .handle = stream_wait_handle, .describe = stream_wait_describe
static const struct wait_class waits_hold = {
    .verb = "write", .external = true, STREAM_WAIT};
static const struct wait_class waits_flush = {
    .verb = "flush", .external = true, .withdraw = withdraw_turn, STREAM_WAIT};

static int hold_wait(lua_State *L, struct lua_stream *o,
                     enum hold_place place) {
  struct task *t = await_begin(L);
  struct list *list = place == AS_WRITER ? &o->s->writers : &o->s->flushers;
  list_push(list, &t->wait.waiter.link);
  return await_yield(L, t, place == AS_WRITER ? &waits_hold : &waits_flush, o,
                     (uint64_t)lua_tointeger(L, 2), place, hold_k);
}

static int push_hold_error(lua_State *L, struct stream *s, bool turn) {
  int err = s->out_err;
  if (turn) stream_next_writer(s);
  s->out_told = false;
  stream_take_error(s);
  return stream_push_error(L, s, "write", err);
}

static int hold_go(lua_State *L, enum hold_place place) {
  struct lua_stream *o = lua_touserdata(L, 1);
  struct hold *h = lua_touserdata(L, 3);
  struct stream *s = o->s;
  bool turn = place != FIRST;
  if (!s) return stream_push_closed(L, "write");
  if (s->out_err) return push_hold_error(L, s, turn);
  if (s->shut) {
    if (turn) stream_next_writer(s);
    return luaL_error(L, "the destination was shut down for writing");
  }
  if (!turn && !stream_hold(s)) return hold_wait(L, o, AS_WRITER);
  if (turn && (s->out.len || s->out.lent)) {
    if (task_cancelled_scope(o->rt->current)) stream_next_writer(s);
    return hold_wait(L, o, AS_FLUSHER); /* which raises it */
  }
  if (turn) s->turn = false;
  s->held = true;
  h->s = s;
  return 1;
}

/* hold(stream[, timeout]) -> a <close> value | nil, message, code */
static int l_hold(lua_State *L) {
  struct lua_stream *o = stream_check_open(L, 1);
  await_begin(L);
  uint64_t until = await_until(o->rt, opt_limit(L, 2));
  lua_settop(L, 1);
  lua_pushinteger(L, (lua_Integer)until);
  struct hold *h = new_object(L, sizeof *h, HOLD_CLASS, 1);
  h->o = o;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 3, 1);
  return hold_go(L, FIRST);
}

static int l_release(lua_State *L) {
  struct hold *h = luaL_checkudata(L, 1, HOLD_CLASS);
  struct stream *s = h->s;
  h->s = NULL;
  if (s && h->o->s == s && !rt_gone(h->o->rt)) stream_release(s);
  return 0;
}

void open_stream_hold(lua_State *L) {
  static const luaL_Reg methods[] = {{NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__close", l_release}, {"__gc", l_release}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"hold", l_hold}, {NULL, NULL}};
  make_class(L, HOLD_CLASS, methods, meta);
  add_functions(L, functions);
}
