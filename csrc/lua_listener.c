/* lua_listener.c - listeners as Lua sees them.
 *
 * accept hands out what the listener has parked, or waits; giving up a wait
 * never loses a client (listener.h). incoming and serve are Lua on top.
 *
 * SPDX-License-Identifier: MIT */
#include "listener.h"

#include "lua_core.h"
#include "lua_listener.h"
#include "lua_net.h"
#include "lua_select.h"

static struct lua_listener *check_listener(lua_State *L) {
  struct lua_listener *o = luaL_checkudata(L, 1, LISTENER_CLASS);
  if (rt_gone(o->rt)) luaL_error(L, "listener is closed");
  return o;
}

static struct listener *check_open(lua_State *L) {
  struct lua_listener *o = check_listener(L);
  if (!o->l) luaL_error(L, "listener is closed");
  return o->l;
}

struct lua_listener *push_listener_object(lua_State *L) {
  struct lua_listener *o = new_object(L, sizeof *o, LISTENER_CLASS, 0);
  o->rt = rt_get(L);
  return o;
}

int listener_object_open(struct lua_listener *o, struct proactor *p,
                         struct handle *h, const struct unix_path *made) {
  o->l = listener_new(p, h);
  if (o->l) {
    o->l->made = *made;
    return 0;
  }
  handle_close(p, h, NULL, NULL);
  return -ENOMEM;
}

/* -- accept -- */

static bool withdraw_accept(struct task *t) {
  link_unlink(&t->wait.waiter.link);
  listener_pass_on(t->wait.subject);
  return true;
}

static struct handle *listener_of_wait(struct task *t) {
  const struct listener *l = t->wait.subject;
  return l->closing ? NULL : l->handle;
}

static const struct wait_class waits_accept = {.verb = "accept",
                                               .external = true,
                                               .withdraw = withdraw_accept,
                                               .handle = listener_of_wait};

static void want(struct listener *l, bool once) {
  if (once)
    listener_ask(l);
  else
    listener_arm(l);
}

static int accept_go(lua_State *L);

/* Woken for a connection that it will not take: another waiter may. */
static int accept_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct lua_listener *o = check_listener(L);
  bool leaves = o->rt->current->wait.end != WAIT_READY;
  if (leaves && o->l) listener_pass_on(o->l);
  if (await_end(L) == WAIT_TIMEOUT)
    return push_fail(L, "accept: timed out", "TIMEOUT");
  return accept_go(L);
}

/* In place of the stream that was on top. */
static int accept_failed(lua_State *L, int err) {
  lua_pop(L, 1);
  return push_errno(L, "accept", err);
}

/* There is no memory for its stream: the next one in the queue may have some.
 */
static int put_back(lua_State *L, struct listener *l, int fd, int r) {
  listener_untake(l, fd);
  listener_pass_on(l);
  return accept_failed(L, r);
}

/* A parked connection becomes a stream; if that fails it is parked again, or
 * still. The object comes first, and while it is made a finaliser may close the
 * listener. */
static int accept_parked(lua_State *L, struct lua_listener *o,
                         struct listener *l) {
  struct lua_stream *stream = push_stream_object(L);
  if (l != o->l && l != o->rest) {
    lua_pop(L, 1);
    return push_fail(L, "accept: the listener was closed", "CLOSED");
  }
  int fd = listener_take(l);
  if (fd < 0) return accept_failed(L, fd);
  struct handle *h;
  int r = handle_open(l->p, fd, true, &h);
  if (r < 0) return put_back(L, l, fd, r);
  h->owned = false; /* so that a failure leaves the descriptor */
  r = stream_object_open(stream, l->p, h);
  h->owned = r >= 0;
  return r >= 0 ? 1 : put_back(L, l, fd, r);
}

/* The stack: 1 the listener, 2 the absolute limit in ns or nil, 3 whether to
 * accept one alone. */
static int accept_go(lua_State *L) {
  struct lua_listener *o = check_listener(L);
  struct listener *l = o->l;
  if (!l) return push_fail(L, "accept: the listener was closed", "CLOSED");
  if (l->parked_n || l->err) { /* before a cancellation is looked at */
    struct task *me = o->rt->current;
    if (!await_budget(me)) return await_reschedule(L, me, 0, accept_k);
    return accept_parked(L, o, l);
  }
  struct task *t = await_begin(L);
  uint64_t until = lua_isnil(L, 2) ? NEVER_NS : (uint64_t)lua_tointeger(L, 2);
  list_push(&l->waiters, &t->wait.waiter.link);
  want(l, lua_toboolean(L, 3));
  return await_yield(L, t, &waits_accept, l, until, 0, accept_k);
}

/* -- as one of several -- */

static struct listener *listener_at(lua_State *L, int idx) {
  struct lua_listener *o = luaL_checkudata(L, idx, LISTENER_CLASS);
  return rt_gone(o->rt) ? NULL : o->l;
}

static bool select_ready(lua_State *L, int idx) {
  struct listener *l = listener_at(L, idx);
  return !l || l->parked_n || l->err;
}

static void select_link(lua_State *L, int idx, struct looker *k) {
  struct listener *l = listener_at(L, idx);
  list_push(&l->waiters, &k->waiter.link);
  listener_arm(l);
}

static bool select_io(lua_State *L, int idx) {
  (void)L;
  (void)idx;
  return true;
}

static void select_pass_on(lua_State *L, int idx, struct looker *k) {
  struct listener *l = listener_at(L, idx);
  (void)k;
  if (l) listener_pass_on(l);
}

static int select_take(lua_State *L, int idx, struct looker *k) {
  struct listener *l = listener_at(L, idx);
  (void)k;
  if (!l) return push_fail(L, "accept: the listener was closed", "CLOSED");
  if (!l->parked_n && !l->err) return -1;
  return accept_parked(L, luaL_checkudata(L, idx, LISTENER_CLASS), l);
}

static const struct select_class selects_listener = {.ready = select_ready,
                                                     .link = select_link,
                                                     .external = select_io,
                                                     .leave = select_pass_on,
                                                     .take = select_take};

/* -- what serve is made of -- */

/* Also after the close, for those who came before it. */
static struct listener *open_or_rest(const struct lua_listener *o) {
  return o->l ? o->l : o->rest;
}

static int next_go(lua_State *L);

static int next_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct lua_listener *o = check_listener(L);
  struct listener *l = open_or_rest(o);
  if (o->rt->current->wait.end != WAIT_READY && l) listener_pass_on(l);
  await_end(L);
  return next_go(L);
}

/* The stack: 1 the listener, 2 whether to accept one alone. */
static int next_go(lua_State *L) {
  struct lua_listener *o = check_listener(L);
  struct listener *l = open_or_rest(o);
  if (l && (l->parked_n || (l->err && !l->closing))) {
    struct task *me = o->rt->current;
    if (!await_budget(me)) return await_reschedule(L, me, 0, next_k);
    return accept_parked(L, o, l);
  }
  if (!l || l->ended)
    return push_fail(L, "accept: the listener was closed", "CLOSED");
  struct task *t = await_begin(L);
  list_push(&l->waiters, &t->wait.waiter.link);
  want(l, lua_toboolean(L, 2));
  return await_yield(L, t, &waits_accept, l, NEVER_NS, 0, next_k);
}

/* serve_next(listener, once) -> stream | nil, message, code; CLOSED when the
 * last of those who came before the close was taken */
static int l_serve_next(lua_State *L) {
  await_begin(L);
  lua_settop(L, 2);
  return next_go(L);
}

/* serve_begin(listener): connections of a closed listener are for serve */
static int l_serve_begin(lua_State *L) {
  check_open(L);
  check_listener(L)->serving++;
  return 0;
}

static int l_serve_end(lua_State *L) {
  struct lua_listener *o = luaL_checkudata(L, 1, LISTENER_CLASS);
  struct listener *rest = o->rest;
  if (!o->serving || --o->serving) return 0;
  o->rest = NULL;
  if (rest && !rt_gone(o->rt)) listener_let_go(rest);
  return 0;
}

static const struct wait_class waits_room = {.verb = "serve",
                                             .handle = listener_of_wait};

static int room_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  await_end(L);
  return 0;
}

/* serve_wait(listener): until serve_wake, or the listener is closed */
static int l_serve_wait(lua_State *L) {
  struct lua_listener *o = check_listener(L);
  if (!o->l) return 0;
  struct task *t = await_begin(L);
  list_push(&o->l->rooms, &t->wait.waiter.link);
  return await_yield(L, t, &waits_room, o->l, NEVER_NS, 0, room_k);
}

static int l_serve_wake(lua_State *L) {
  struct lua_listener *o = luaL_checkudata(L, 1, LISTENER_CLASS);
  if (o->l && !rt_gone(o->rt)) waiter_wake_all(&o->l->rooms);
  return 0;
}

/* -- the rest -- */

/* accept([timeout]) -> stream */
static int l_accept(lua_State *L) {
  check_open(L);
  uint64_t limit = opt_limit(L, 2);
  struct task *t = await_begin(L);
  lua_settop(L, 1);
  if (limit == NEVER_NS)
    lua_pushnil(L);
  else
    lua_pushinteger(L, (lua_Integer)await_until(t->rt, limit));
  lua_pushboolean(L, false);
  return accept_go(L);
}

/* accept_once(listener) -> stream; nobody else is accepted */
static int l_accept_once(lua_State *L) {
  check_open(L);
  await_begin(L);
  lua_settop(L, 1);
  lua_pushnil(L);
  lua_pushboolean(L, true);
  return accept_go(L);
}

static int l_address(lua_State *L) {
  struct listener *l = check_open(L);
  return push_handle_name(L, l->p, l->handle, false);
}

/* listener_option(listener, name[, value]): as option of streams */
static int l_listener_option(lua_State *L) {
  struct listener *l = check_open(L);
  return push_option(L, l->p, l->handle);
}

/* close(): waiters get CLOSED, parked connections are for serve if it runs,
 * else closed and counted */
static int l_close(lua_State *L) {
  struct lua_listener *o = luaL_checkudata(L, 1, LISTENER_CLASS);
  struct listener *l = o->l;
  o->l = NULL;
  if (!l || rt_gone(o->rt)) return 0;
  if (o->serving) o->rest = l;
  listener_close(l, o->serving);
  return 0;
}

/* When it is collected no serve runs, or will ever go on. */
static int l_gc(lua_State *L) {
  struct lua_listener *o = luaL_checkudata(L, 1, LISTENER_CLASS);
  struct listener *rest = o->rest;
  o->serving = 0;
  o->rest = NULL;
  if (rest && !rt_gone(o->rt)) listener_let_go(rest);
  return l_close(L);
}

/* parked() -> connections that wait for an accept */
static int l_parked(lua_State *L) {
  lua_pushinteger(L, check_open(L)->parked_n);
  return 1;
}

static int l_closed(lua_State *L) {
  struct lua_listener *o = luaL_checkudata(L, 1, LISTENER_CLASS);
  lua_pushboolean(L, !o->l || rt_gone(o->rt));
  return 1;
}

static int l_tostring(lua_State *L) {
  struct lua_listener *o = luaL_checkudata(L, 1, LISTENER_CLASS);
  if (!o->l || rt_gone(o->rt)) {
    lua_pushliteral(L, "proa.listener (closed)");
    return 1;
  }
  push_shown_name(L, o->l->p, o->l->handle);
  lua_pushfstring(L, "proa.listener %s", lua_tostring(L, -1));
  return 1;
}

void open_listener(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"accept", l_accept}, {"address", l_address}, {"close", l_close},
      {"parked", l_parked}, {"closed", l_closed},   {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"serve_begin", l_serve_begin},         {"serve_end", l_serve_end},
      {"serve_next", l_serve_next},           {"serve_wait", l_serve_wait},
      {"serve_wake", l_serve_wake},           {"accept_once", l_accept_once},
      {"listener_option", l_listener_option}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", l_gc},
                                  {"__close", l_close},
                                  {"__tostring", l_tostring},
                                  {NULL, NULL}};
  make_class(L, LISTENER_CLASS, methods, meta);
  select_register(L, LISTENER_CLASS, &selects_listener);
  add_functions(L, functions);
  luaL_getmetatable(L, LISTENER_CLASS);
  lua_getfield(L, -1, "__index");
  lua_setfield(L, -3, "listener_methods");
  lua_pop(L, 1);
}
