/* lua_select.c - waiting for the first of several things.
 *
 * core.wait_any waits on tasks, futures and listeners at once and tells which
 * is ready; it takes nothing, so what it does not choose loses nothing.
 * select and race are put together from it in lua/proa/combine.lua; all and
 * any take one after another and use lua_watch.c.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_select.h"

#include "lua_core.h"
#include "lua_future.h"
#include "lua_listener.h"

struct node {
  struct waiter waiter;
  struct task *task;
  struct listener *listener; /* to be passed on when not chosen */
};

struct any {
  int n;
  struct node nodes[];
};

int select_ready(lua_State *L, int idx) {
  struct task *t = task_test(L, idx);
  if (t) return task_done(t);
  struct future *f = luaL_testudata(L, idx, FUTURE_CLASS);
  if (f) return future_done(f);
  struct lua_listener *l = luaL_testudata(L, idx, LISTENER_CLASS);
  if (l) return !l->l || l->l->parked_n || l->l->err;
  return -1;
}

struct listener *select_link(lua_State *L, int idx, struct waiter *w) {
  struct task *t = task_test(L, idx);
  struct future *f = t ? NULL : luaL_testudata(L, idx, FUTURE_CLASS);
  if (t || f) {
    list_push(t ? &t->watchers : &f->waiters, &w->link);
    return NULL;
  }
  struct lua_listener *l = luaL_testudata(L, idx, LISTENER_CLASS);
  list_push(&l->l->waiters, &w->link);
  listener_arm(l->l);
  return l->l;
}

bool select_external(lua_State *L, int idx) {
  if (task_test(L, idx)) return false;
  struct future *f = luaL_testudata(L, idx, FUTURE_CLASS);
  return f ? f->op != NULL : luaL_testudata(L, idx, LISTENER_CLASS) != NULL;
}

void select_leave(lua_State *L, int idx) {
  struct task *t = task_test(L, idx);
  if (!t) {
    struct lua_listener *o = luaL_testudata(L, idx, LISTENER_CLASS);
    if (o && o->l) listener_pass_on(o->l);
    return;
  }
  lua_pushvalue(L, idx);
  if (t->state == TASK_FAILED && t->looked_at && !t->observed)
    task_report_failure(L, t);
  t->looked_at = false;
  lua_pop(L, 1);
}

static int cannot_wait(lua_State *L) {
  bool named = luaL_getmetafield(L, -1, "__name") == LUA_TSTRING;
  return luaL_error(L,
                    "cannot wait for a %s: a task, a future or a listener "
                    "expected",
                    named ? lua_tostring(L, -1) : luaL_typename(L, -1));
}

void select_check_list(lua_State *L, int idx, int n) {
  for (int i = 1; i <= n; i++) {
    lua_rawgeti(L, idx, i);
    if (select_ready(L, -1) < 0) cannot_wait(L);
    lua_pop(L, 1);
  }
}

/* -- the wait -- */

static void unlink_all(struct any *a) {
  for (int i = 0; i < a->n; i++) {
    struct node *node = &a->nodes[i];
    link_unlink(&node->waiter.link);
    if (node->listener) listener_pass_on(node->listener);
    node->listener = NULL;
  }
}

static void node_wake(struct waiter *w) {
  struct node *node = container_of(w, struct node, waiter);
  if (node->task->state == TASK_WAITING) task_wake(node->task, WAIT_READY);
}

static bool withdraw_any(struct task *t) {
  unlink_all(t->wait.subject);
  return true;
}

static const struct wait_class waits_any = {.verb = "select",
                                            .withdraw = withdraw_any};
static const struct wait_class waits_any_io = {
    .verb = "select", .external = true, .withdraw = withdraw_any};

static int push_first_ready(lua_State *L, int n) {
  for (int i = 1; i <= n; i++) {
    lua_rawgeti(L, 1, i);
    bool ready = select_ready(L, -1) == 1;
    lua_pop(L, 1);
    if (!ready) continue;
    lua_pushinteger(L, i);
    return 1;
  }
  return 0;
}

static int wait_nodes(lua_State *L, struct task *t);

static void leave_others(lua_State *L, int n, lua_Integer chosen) {
  for (int i = 1; i <= n; i++) {
    if (i == chosen) continue;
    lua_rawgeti(L, 1, i);
    select_leave(L, -1);
    lua_pop(L, 1);
  }
}

/* The stack: 1 the list, 2 the absolute limit, 3 the nodes. */
static int any_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct any *a = lua_touserdata(L, 3);
  lua_settop(L, 3);
  for (int i = 0; i < a->n; i++) link_unlink(&a->nodes[i].waiter.link);
  if (rt_get(L)->current->wait.end != WAIT_READY) leave_others(L, a->n, 0);
  if (await_end(L) == WAIT_TIMEOUT) return 0;
  if (!push_first_ready(L, a->n)) /* another took it first */
    return wait_nodes(L, await_begin(L));
  leave_others(L, a->n, lua_tointeger(L, -1));
  return 1;
}

/* It is collected with its coroutine, or with the state. */
static int any_gc(lua_State *L) {
  struct any *a = lua_touserdata(L, 1);
  for (int i = 0; i < a->n; i++) link_unlink(&a->nodes[i].waiter.link);
  return 0;
}

static void push_any(lua_State *L, struct task *t, int n) {
  size_t size = sizeof(struct any) + (size_t)n * sizeof(struct node);
  struct any *a = new_object(L, size, "proa.any", 0);
  a->n = n;
  for (int i = 0; i < n; i++) {
    link_init(&a->nodes[i].waiter.link);
    a->nodes[i].waiter.wake = node_wake;
    a->nodes[i].waiter.looks = true;
    a->nodes[i].task = t;
  }
}

static bool link_nodes(lua_State *L, struct any *a) {
  bool external = false;
  for (int i = 0; i < a->n; i++) {
    struct node *node = &a->nodes[i];
    lua_rawgeti(L, 1, i + 1);
    node->listener = select_link(L, -1, &node->waiter);
    external |= select_external(L, -1);
    lua_pop(L, 1);
  }
  return external;
}

static int wait_nodes(lua_State *L, struct task *t) {
  struct any *a = lua_touserdata(L, 3);
  bool external = link_nodes(L, a);
  return await_yield(L, t, external ? &waits_any_io : &waits_any, a,
                     (uint64_t)lua_tointeger(L, 2), 0, any_k);
}

/* wait_any(list[, timeout]) -> index of one that is ready | nil: timed out */
static int l_wait_any(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  uint64_t limit = opt_limit(L, 2);
  int n = (int)luaL_len(L, 1);
  lua_settop(L, 1);
  select_check_list(L, 1, n);
  struct task *t = await_begin(L);
  if (push_first_ready(L, n)) return 1;
  lua_pushinteger(L, (lua_Integer)await_until(t->rt, limit));
  push_any(L, t, n);
  return wait_nodes(L, t);
}

/* ready(x) -> boolean */
static int l_ready(lua_State *L) {
  int ready = select_ready(L, 1);
  luaL_argcheck(L, ready >= 0, 1, "a task, a future or a listener expected");
  lua_pushboolean(L, ready);
  return 1;
}

void open_select(lua_State *L) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", any_gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"wait_any", l_wait_any}, {"ready", l_ready}, {NULL, NULL}};
  make_class(L, "proa.any", none, meta);
  add_functions(L, functions);
}
