/* lua_select.c - waiting for the first of several things.
 *
 * core.choose waits on several entries at once and takes from the first that
 * is ready; what it does not choose loses nothing (lua_select.h: what an entry
 * can be, and how a type joins). select and race are put together from it in
 * lua/proa/combine.lua; all and any take one after another and use
 * lua_watch.c.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_select.h"

#include <stdio.h>

#include "lua_core.h"

#define ANY_CLASS "proa.any"

struct any {
  struct task *task;
  int n;
  int claimed; /* number of the entry it was decided for, or 0 */
  struct looker lookers[];
};

/* The places on the stack of who chooses. */
enum { LIST = 1, LIMIT, ANY };

/* -- classes -- */

static const char class_key = 0;

void select_register(lua_State *L, const char *name,
                     const struct select_class *class) {
  luaL_getmetatable(L, name);
  lua_pushlightuserdata(L, (void *)(uintptr_t) class);
  lua_rawsetp(L, -2, &class_key);
  lua_pop(L, 1);
}

const struct select_class *select_class_of(lua_State *L, int idx) {
  if (lua_type(L, idx) != LUA_TUSERDATA || !lua_getmetatable(L, idx))
    return NULL;
  lua_rawgetp(L, -1, &class_key);
  const struct select_class *class = lua_touserdata(L, -1);
  lua_pop(L, 2);
  return class;
}

void select_check(lua_State *L, int idx) {
  if (select_class_of(L, idx)) return;
  bool named = luaL_getmetafield(L, idx, "__name") == LUA_TSTRING;
  luaL_error(L,
             "cannot wait for a %s: a task, a future, a listener or another "
             "awaitable expected",
             named ? lua_tostring(L, -1) : luaL_typename(L, idx));
}

bool select_external(lua_State *L, int idx) {
  const struct select_class *class = select_class_of(L, idx);
  return class->external && class->external(L, idx);
}

void select_leave(lua_State *L, int idx, struct looker *k) {
  const struct select_class *class = select_class_of(L, idx);
  if (class->leave) class->leave(L, lua_absindex(L, idx), k);
}

void select_visit(lua_State *L, int n, struct task_visitor *v) {
  for (int i = 1; lua_istable(L, -1) && i <= n; i++) {
    lua_rawgeti(L, -1, i);
    struct task *t = task_test(L, -1);
    lua_pop(L, 1);
    if (t && !task_done(t)) v->visit(v, t);
  }
  lua_pop(L, 1);
}

/* -- waking -- */

static void any_wake(struct waiter *w) {
  const struct looker *k = looker_of(w);
  if (looker_waits(k)) task_wake(*k->task, WAIT_READY);
}

static void any_claim(struct looker *k) {
  struct any *a = k->wait;
  link_unlink(&k->waiter.link);
  k->claimed = true;
  a->claimed = (int)(k - a->lookers) + 1;
  task_wake(a->task, WAIT_READY);
}

static void unlink_all(struct any *a) {
  for (int i = 0; i < a->n; i++) link_unlink(&a->lookers[i].waiter.link);
}

static bool withdraw_any(struct task *t) {
  unlink_all(t->wait.subject);
  return true;
}

static void describe_any(struct task *t, char *into, size_t len) {
  const struct any *a = t->wait.subject;
  snprintf(into, len, "the first of %d", a->n);
}

static void whom_any(struct task *t, struct task_visitor *v) {
  const struct any *a = t->wait.subject;
  lua_State *co = task_argument(t, LIST);
  if (co) select_visit(co, a->n, v);
}

#define ANY_WAIT                                                        \
  .verb = "select", .withdraw = withdraw_any, .describe = describe_any, \
  .whom = whom_any
static const struct wait_class waits_any = {ANY_WAIT};
static const struct wait_class waits_any_io = {.external = true, ANY_WAIT};

/* -- choosing -- */

/* The number of the first that is ready, or 0. */
static int first_ready(lua_State *L, int n) {
  for (int i = 1; i <= n; i++) {
    lua_rawgeti(L, LIST, i);
    bool ready = select_class_of(L, -1)->ready(L, lua_gettop(L));
    lua_pop(L, 1);
    if (ready) return i;
  }
  return 0;
}

static void leave_others(lua_State *L, struct any *a, int chosen) {
  for (int i = 1; i <= a->n; i++) {
    if (i == chosen) continue;
    lua_rawgeti(L, LIST, i);
    select_leave(L, -1, &a->lookers[i - 1]);
    lua_pop(L, 1);
  }
}

/* Pushes its number and what it gave; -1: it had nothing any more. */
static int take(lua_State *L, int i, struct looker *k) {
  lua_settop(L, ANY);
  lua_rawgeti(L, LIST, i);
  lua_pushinteger(L, i);
  int n = select_class_of(L, ANY + 1)->take(L, ANY + 1, k);
  assert(n < 0 || lua_gettop(L) == ANY + 2 + n);
  if (k) k->claimed = false;
  return n < 0 ? n : n + 1;
}

static int choose_go(lua_State *L, struct task *t);

static int any_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct any *a = lua_touserdata(L, ANY);
  lua_settop(L, ANY);
  unlink_all(a);
  int chosen = a->claimed;
  a->claimed = 0;
  if (!chosen && a->task->wait.end == WAIT_READY) chosen = first_ready(L, a->n);
  leave_others(L, a, chosen);
  if (await_end(L) == WAIT_TIMEOUT) return 0;
  int n = chosen ? take(L, chosen, &a->lookers[chosen - 1]) : -1;
  return n >= 0 ? n : choose_go(L, await_begin(L)); /* others were quicker */
}

/* It is collected with its coroutine, or with the state. */
static int any_gc(lua_State *L) {
  unlink_all(lua_touserdata(L, 1));
  return 0;
}

static struct any *push_any(lua_State *L, struct task *t, int n) {
  size_t size = sizeof(struct any) + (size_t)n * sizeof(struct looker);
  struct any *a = new_object(L, size, ANY_CLASS, 0);
  a->task = t;
  a->n = n;
  for (int i = 0; i < n; i++) {
    struct looker *k = &a->lookers[i];
    link_init(&k->waiter.link);
    k->waiter.wake = any_wake;
    k->waiter.looks = true;
    k->claim = any_claim;
    k->wait = a;
    k->task = &a->task;
  }
  return a;
}

/* list, any -> whether something outside may end the wait */
static int link_all(lua_State *L) {
  struct any *a = lua_touserdata(L, 2);
  bool external = false;
  for (int i = 1; i <= a->n; i++) {
    lua_rawgeti(L, 1, i);
    external |= select_external(L, 3);
    select_class_of(L, 3)->link(L, 3, &a->lookers[i - 1]);
    lua_settop(L, 2);
  }
  lua_pushboolean(L, external);
  return 1;
}

/* One that can't be linked takes back the others. */
static bool link_or_raise(lua_State *L, struct any *a) {
  lua_pushcfunction(L, link_all);
  lua_pushvalue(L, LIST);
  lua_pushvalue(L, ANY);
  if (lua_pcall(L, 2, 1, 0) != LUA_OK) {
    unlink_all(a);
    leave_others(L, a, 0);
    lua_error(L);
  }
  bool external = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return external;
}

static int wait_for_any(lua_State *L, struct task *t, int n) {
  lua_settop(L, ANY);
  if (lua_isnil(L, ANY)) {
    push_any(L, t, n);
    lua_replace(L, ANY);
  }
  struct any *a = lua_touserdata(L, ANY);
  bool external = link_or_raise(L, a);
  return await_yield(L, t, external ? &waits_any_io : &waits_any, a,
                     (uint64_t)lua_tointeger(L, LIMIT), 0, any_k);
}

static int turn_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  await_end(L);
  return choose_go(L, await_begin(L));
}

/* The stack: the list, the absolute limit, the struct any or nil. */
static int choose_go(lua_State *L, struct task *t) {
  int n = (int)lua_rawlen(L, LIST), ready;
  while ((ready = first_ready(L, n))) {
    if (!await_budget(t)) return await_reschedule(L, t, 0, turn_k);
    int results = take(L, ready, NULL);
    if (results >= 0) return results;
  }
  return wait_for_any(L, t, n);
}

static struct task *begin(lua_State *L) {
  for (int i = 1; i <= (int)lua_rawlen(L, LIST); i++) {
    lua_rawgeti(L, LIST, i);
    select_check(L, -1);
    lua_pop(L, 1);
  }
  return await_begin(L);
}

/* choose(list[, timeout]) -> index, results... of the first that is ready |
 * nothing: timed out */
static int l_choose(lua_State *L) {
  luaL_checktype(L, LIST, LUA_TTABLE);
  uint64_t limit = opt_limit(L, 2);
  lua_settop(L, LIST);
  struct task *t = begin(L);
  lua_pushinteger(L, (lua_Integer)await_until(t->rt, limit));
  lua_pushnil(L);
  return choose_go(L, t);
}

static int try_go(lua_State *L, struct task *t);

static int try_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  await_end(L);
  return try_go(L, await_begin(L));
}

static int try_go(lua_State *L, struct task *t) {
  int ready = first_ready(L, (int)lua_rawlen(L, LIST));
  if (!ready) return 0;
  if (!await_budget(t)) return await_reschedule(L, t, 0, try_k);
  int results = take(L, ready, NULL);
  return results >= 0 ? results : 0;
}

/* try_choose(list) -> the same, or nothing: none is ready */
static int l_try_choose(lua_State *L) {
  luaL_checktype(L, LIST, LUA_TTABLE);
  lua_settop(L, ANY);
  return try_go(L, begin(L));
}

void open_select(lua_State *L) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", any_gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"choose", l_choose}, {"try_choose", l_try_choose}, {NULL, NULL}};
  make_class(L, ANY_CLASS, none, meta);
  add_functions(L, functions);
}
