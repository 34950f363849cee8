/* lua_signal_each.c - an iterator over signals, which is also an awaitable.
 *
 * While it is open its signals have no effect of their own, and each that
 * comes is kept until it is asked for (of several of one kind one is kept, as
 * with the kernel). Every iterator gets every signal. See lua_signal.c.
 *
 * SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "lua_core.h"
#include "lua_select.h"
#include "lua_signal.h"

#define SIGNALS_CLASS "proa.signals"

/* Its user value: the list of signals as they were written. */
struct signal_watch {
  struct runtime *rt;
  uint64_t wants, came; /* bit n - 1: signal n */
  bool open;
  struct link link;    /* in runtime.signal_watches while open */
  struct list waiters; /* struct waiter */
};

static uint64_t bit(int signal) {
  return UINT64_C(1) << (signal - 1);
}

static struct signal_watch *check_watch(lua_State *L, int arg) {
  return luaL_checkudata(L, arg, SIGNALS_CLASS);
}

void signals_came(struct runtime *rt, int signal) {
  list_each(&rt->signal_watches, k) {
    struct signal_watch *w = container_of(k, struct signal_watch, link);
    if (!(w->wants & bit(signal))) continue;
    w->came |= bit(signal);
    waiter_wake_all(&w->waiters);
  }
}

static void shut(struct signal_watch *w) {
  if (!w->open) return;
  w->open = false;
  w->came = 0;
  link_unlink(&w->link);
  for (int i = 1; i < SIGNALS_MAX; i++)
    if (w->wants & bit(i)) signal_unwant(w->rt, i);
  waiter_wake_all(&w->waiters);
}

void signals_forget(struct runtime *rt) {
  struct link *k;
  while ((k = list_first(&rt->signal_watches)))
    shut(container_of(k, struct signal_watch, link));
}

/* -- taking -- */

static bool is_ready(struct signal_watch *w) {
  signals_dispatch(w->rt);
  return w->came || !w->open;
}

/* Push the first in the order of the list, as it was written there; false: it
 * is closed and none is left. */
static bool take(lua_State *L, int idx, struct signal_watch *w) {
  lua_getiuservalue(L, idx, 1);
  for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
    int signal = signal_check(L, -1);
    if (w->came & bit(signal)) {
      w->came &= ~bit(signal);
      signal_seen(w->rt, signal);
      lua_remove(L, -2);
      return true;
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
  return false;
}

static void describe(struct task *t, char *into, size_t len) {
  const struct signal_watch *w = t->wait.subject;
  size_t n = 0;
  into[0] = 0;
  for (int i = 1; i < SIGNALS_MAX && n + 4 < len; i++)
    if (w->wants & bit(i))
      n += (size_t)snprintf(into + n, len - n, n ? ", %d" : "signal %d", i);
}

static const struct wait_class waits_signals = {
    .verb = "signal", .external = true, .describe = describe};

/* ctx: it is called as an iterator, which ends without a word. */
static int next_go(lua_State *L, lua_KContext ctx);

static int next_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  if (await_end(L) == WAIT_TIMEOUT)
    return push_fail(L, "signal: timed out", "TIMEOUT");
  return next_go(L, ctx);
}

static int next_go(lua_State *L, lua_KContext ctx) {
  struct signal_watch *w = check_watch(L, 1);
  struct task *t = await_begin(L);
  if (is_ready(w)) {
    if (take(L, 1, w)) return 1;
    if (!ctx) return push_fail(L, "signal: it was closed", "CLOSED");
    lua_pushnil(L);
    return 1;
  }
  list_push(&w->waiters, &t->wait.waiter.link);
  return await_yield(L, t, &waits_signals, w, (uint64_t)lua_tointeger(L, 2),
                     ctx, next_k);
}

static int next_start(lua_State *L, uint64_t limit, lua_KContext ctx) {
  lua_settop(L, 1);
  lua_pushinteger(L, (lua_Integer)await_until(check_watch(L, 1)->rt, limit));
  return next_go(L, ctx);
}

/* wait([timeout]) -> a signal, as it was written | nil, message, code */
static int l_wait(lua_State *L) {
  if (rt_gone(check_watch(L, 1)->rt)) luaL_error(L, "signals are closed");
  return next_start(L, opt_limit(L, 2), 0);
}

static int l_call(lua_State *L) {
  return next_start(L, NEVER_NS, 1);
}

/* -- as one of several -- */

static bool watch_ready(lua_State *L, int idx) {
  return is_ready(check_watch(L, idx));
}

static void watch_link(lua_State *L, int idx, struct looker *k) {
  list_push(&check_watch(L, idx)->waiters, &k->waiter.link);
}

static bool watch_external(lua_State *L, int idx) {
  (void)L;
  (void)idx;
  return true;
}

static int watch_take(lua_State *L, int idx, struct looker *k) {
  struct signal_watch *w = check_watch(L, idx);
  (void)k;
  if (take(L, idx, w)) return 1;
  return w->open ? -1 : push_fail(L, "signal: it was closed", "CLOSED");
}

static const struct select_class selects_signals = {.ready = watch_ready,
                                                    .link = watch_link,
                                                    .external = watch_external,
                                                    .take = watch_take};

/* -- the object -- */

static int l_close(lua_State *L) {
  struct signal_watch *w = check_watch(L, 1);
  if (!rt_gone(w->rt)) shut(w);
  return 0;
}

static int l_tostring(lua_State *L) {
  struct signal_watch *w = check_watch(L, 1);
  luaL_Buffer b;
  lua_getiuservalue(L, 1, 1);
  luaL_buffinit(L, &b);
  luaL_addstring(&b, "proa.signals");
  for (lua_Integer i = 1; i <= (lua_Integer)lua_rawlen(L, 2); i++) {
    luaL_addchar(&b, ' ');
    lua_rawgeti(L, 2, i);
    luaL_addvalue(&b);
  }
  luaL_addstring(&b, w->open ? "" : " (closed)");
  luaL_pushresult(&b);
  return 1;
}

static void want_all(lua_State *L, struct signal_watch *w, int names) {
  for (int i = 1; i <= names; i++) {
    int signal = signal_check(L, i);
    if (!(w->wants & bit(signal))) signal_want(w->rt, signal);
    w->wants |= bit(signal);
  }
  w->open = true;
  list_push(&w->rt->signal_watches, &w->link);
}

/* signal_each(name, ...) -> iterator, nil, nil, iterator: for the generic for,
 * which closes it when it is left */
static int l_each(lua_State *L) {
  struct runtime *rt = rt_open(L);
  int names = lua_gettop(L);
  luaL_argcheck(L, names >= 1, 1, "name of a signal expected");
  luaL_checkstack(L, 8, NULL);
  for (int i = 1; i <= names; i++) signal_check_wanted(L, i);
  struct signal_watch *w = new_object(L, sizeof *w, SIGNALS_CLASS, 1);
  w->rt = rt;
  link_init(&w->link);
  list_init(&w->waiters);
  lua_createtable(L, names, 0);
  for (int i = 1; i <= names; i++) {
    lua_pushvalue(L, i);
    lua_rawseti(L, -2, i);
  }
  lua_setiuservalue(L, -2, 1);
  want_all(L, w, names);
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushvalue(L, -3);
  return 4;
}

void open_signal_each(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"wait", l_wait}, {"close", l_close}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__call", l_call},
                                  {"__close", l_close},
                                  {"__gc", l_close},
                                  {"__tostring", l_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg functions[] = {{"signal_each", l_each}, {NULL, NULL}};
  make_class(L, SIGNALS_CLASS, methods, meta);
  select_register(L, SIGNALS_CLASS, &selects_signals);
  add_functions(L, functions);
}
