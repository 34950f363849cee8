/* lua_run.c - groups of tasks, run and stop.
 *
 * A group is the tasks that end together: those of a run, of a nursery
 * (lua_nursery.c), or of the main chunk. What a member spawns joins its group.
 * Background members are cancelled when only they are left. In the main chunk
 * run(fn) makes a group and spawns fn in it; inside a task it is a nursery.
 * The group of a run is a userdata on the stack of who waits for it; if that
 * goes away first, its members move to the root's.
 *
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "lua_scope.h"

#define GROUP_CLASS "proa.group"

/* -- groups -- */

void group_init(struct group *g) {
  memset(g, 0, sizeof *g);
  list_init(&g->members);
  list_init(&g->waiters);
  link_init(&g->main_end.link);
}

/* The innermost nursery that the running task is in, or its own group. */
struct group *group_current(struct runtime *rt) {
  struct task *t = rt->current;
  if (!t) return &rt->root_group;
  for (struct scope *s = t->scope; s != &t->base; s = s->outer)
    if (s->kind == SCOPE_NURSERY) return nursery_group(s);
  return t->group;
}

void group_join(struct group *g, struct task *t) {
  t->group = g;
  list_push(&g->members, &t->member);
  g->foreground++;
  g->total++;
}

static void cancel_members(struct group *g) {
  for (struct link *k = list_first(&g->members), *next; k; k = next) {
    next = list_next(&g->members, k);
    task_cancel(container_of(k, struct task, member));
  }
}

/* The main chunk's has no end. */
void group_cancel(struct group *g) {
  g->cancelled = g->nursery || g->main;
  cancel_members(g);
}

/* Only the background is left: it ends with the rest. */
void group_check(struct group *g) {
  if (g->foreground == 0 && g->total && !list_empty(&g->waiters))
    cancel_members(g);
  if (g->total == 0) waiter_wake_all(&g->waiters);
}

void group_leave(struct task *t) {
  struct group *g = t->group;
  link_unlink(&t->member);
  g->total--;
  if (!t->background) g->foreground--;
  if (g->nursery) nursery_left(t);
  group_check(g);
}

void group_disband(struct runtime *rt, struct group *g, struct group *heir) {
  struct link *k;
  while ((k = list_pop(&g->members))) {
    struct task *t = container_of(k, struct task, member);
    group_join(heir, t);
    if (t->background) heir->foreground--;
    t->child = false;
    if (!rt->closed) task_cancel(t);
  }
  g->foreground = g->total = 0;
  link_unlink(&g->main_end.link);
  if (rt->run_group == g) rt->run_group = NULL;
}

int group_wait(lua_State *L, struct task *me, const struct wait_class *class,
               struct group *g, lua_KContext ctx, lua_KFunction k) {
  list_push(&g->waiters, &me->wait.waiter.link);
  group_check(g); /* there may be nothing but background */
  return await_yield(L, me, class, g, NEVER_NS, ctx, k);
}

bool group_stopped(struct runtime *rt, struct group *g) {
  bool stopped = rt->run_group == g && rt->stopping;
  if (rt->run_group == g) {
    rt->run_group = NULL;
    rt->stopping = false;
  }
  return stopped;
}

/* With a handler they were told, and that is all. */
void group_check_unobserved(lua_State *L, struct group *g) {
  unsigned n = g->unobserved;
  if (g == &rt_get(L)->root_group) g->unobserved = 0;
  if (!n || rt_get(L)->on_error_ref != LUA_NOREF) return;
  luaL_error(L, "%d task%s failed and nobody awaited %s (reported above)",
             (int)n, n == 1 ? "" : "s", n == 1 ? "it" : "them");
}

/* Whoever waited is gone. */
static int group_gc(lua_State *L) {
  struct runtime *rt = rt_get(L);
  group_disband(rt, luaL_checkudata(L, 1, GROUP_CLASS), &rt->root_group);
  return 0;
}

/* -- run -- */

/* Cancelled or interrupted: the members end first, then the wait does. */
static bool withdraw_group(struct task *t) {
  struct group *g = t->wait.subject;
  group_cancel(g);
  return g->total == 0;
}

void group_describe(struct task *t, char *into, size_t len) {
  const struct group *g = t->wait.subject;
  snprintf(into, len, "%u task%s to end", g->total, g->total == 1 ? "" : "s");
}

void group_whom(struct task *t, struct task_visitor *v) {
  const struct group *g = t->wait.subject;
  list_each(&g->members, k) v->visit(v, container_of(k, struct task, member));
}

static const struct wait_class waits_group = {.verb = "run",
                                              .settles = true,
                                              .withdraw = withdraw_group,
                                              .describe = group_describe,
                                              .whom = group_whom};

/* The error of fn. Above the main chunk nobody may catch it: a string begins
 * as it was, and tells where it was raised; other values stay what they are. */
static int raise_main(lua_State *L, struct task *main, bool told) {
  if (!told || !main->co || lua_type(main->co, -1) != LUA_TSTRING)
    return task_push_results(L, main);
  lua_settop(L, 2);
  task_observe(main);
  lua_pushvalue(main->co, -1);
  lua_xmove(main->co, L, 1);
  task_push_origin(L, 2, main);
  lua_concat(L, 2);
  return lua_error(L);
}

/* The stack of run: 1 the group, 2 the main task. */
static int run_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  struct group *g = luaL_checkudata(L, 1, GROUP_CLASS);
  struct task *main = task_test(L, 2);
  bool stopped = group_stopped(main->rt, g);
  /* Cancelled from outside, the members have ended; now the wait does. */
  await_end_op(L, main->state == TASK_CANCELLED ? -ECANCELED : 0);
  if (main->state == TASK_FAILED) return raise_main(L, main, ctx);
  if (stopped) return 0;
  group_check_unobserved(L, g);
  if (main->state == TASK_CANCELLED)
    return push_fail(L, "run was cancelled", "CANCELLED");
  return task_push_results(L, main);
}

/* fn's own error or cancellation ends the others. */
static void main_ended(struct waiter *w) {
  struct group *g = container_of(w, struct group, main_end);
  if (g->main->state != TASK_ENDED) group_cancel(g);
}

static int run_fn(lua_State *L, struct task *me, bool told) {
  struct runtime *rt = me->rt;
  int nargs = lua_gettop(L) - 1;
  struct group *g = lua_newuserdatauv(L, sizeof *g, 0);
  group_init(g);
  luaL_setmetatable(L, GROUP_CLASS);
  object_register(L, g);
  lua_insert(L, 1);
  g->main = task_spawn(L, rt, nargs, g, 0);
  g->main_end.wake = main_ended;
  list_push(&g->main->watchers, &g->main_end.link);
  if (!rt->run_group) rt->run_group = g;
  return group_wait(L, me, &waits_group, g, told, run_k);
}

static int run_rest_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct group *g = &rt_get(L)->root_group;
  bool stopped = group_stopped(rt_get(L), g);
  await_end(L);
  if (stopped) g->unobserved = 0;
  group_check_unobserved(L, g);
  return 0;
}

/* run(fn, ...) -> fn's results; run() waits for what the main chunk spawned */
static int run_any(lua_State *L, bool told) {
  bool all = lua_isnoneornil(L, 1);
  if (!all && !lua_isfunction(L, 1)) return luaL_typeerror(L, 1, "function");
  struct task *me = await_begin(L);
  if (!all) return me->co ? nursery_run(L, me) : run_fn(L, me, told);
  if (me->co)
    return luaL_error(L, "run() without a function belongs in the main chunk");
  struct group *g = &me->rt->root_group;
  if (g->total == 0) return 0;
  me->rt->run_group = g;
  return group_wait(L, me, &waits_group, g, 0, run_rest_k);
}

static int l_run(lua_State *L) {
  return run_any(L, true);
}

/* The same, but its error is raised as it was: for proa.testing. */
static int l_run_plain(lua_State *L) {
  return run_any(L, false);
}

/* stop(): the outermost run cancels its tasks and returns. */
static int l_stop(lua_State *L) {
  struct runtime *rt = rt_get(L);
  if (!rt->run_group) return 0;
  rt->stopping = true;
  if (rt->run_group->nursery)
    nursery_cancel(rt->run_group);
  else
    group_cancel(rt->run_group);
  return 0;
}

void open_run(lua_State *L) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", group_gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"run", l_run},
                                       {"run_plain", l_run_plain},
                                       {"stop", l_stop},
                                       {NULL, NULL}};
  make_class(L, GROUP_CLASS, none, meta);
  add_functions(L, functions);
}
