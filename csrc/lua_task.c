/* lua_task.c - tasks as Lua sees them: spawning, awaiting, naming.
 *
 * A task is a userdata that holds its coroutine; a table of the live ones
 * keeps it alive while it lives, a handle in Lua afterwards. Results stay on
 * the coroutine's stack, so ending a task allocates nothing. What few tasks
 * have (a name, the traceback of a failure) is in a table made when needed.
 *
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "lua_scope.h"
#include "lua_select.h"
#include "malloc_hint.h"

enum { KEPT_MAX = 3 }; /* arguments in the record of one not started */

enum { MANY = 1000 }; /* live tasks; their memory is worth asking for */

enum { NAME_LENGTH = 23 };

/* -- making -- */

/* Made into text only when somebody asks. */
static void note_place(lua_State *L, struct task *t, int instead) {
  struct runtime *rt = t->rt;
  const struct task *by = rt->current;
  lua_Debug ar;
  bool found = traceback_find_place(L, rt, instead, &ar);
  t->by = by ? by->id : 0;
  t->born = rt->tick;
  t->place = place_find(&rt->places, by ? by->place : PLACE_MAIN,
                        found ? ar.short_src : "", found ? ar.currentline : 0);
}

static void task_init(struct task *t, struct runtime *rt) {
  memset(t, 0, sizeof *t);
  link_init(&t->all);
  link_init(&t->member);
  link_init(&t->wait.waiter.link);
  list_init(&t->watchers);
  t->rt = rt;
  t->scope = &t->base;
  t->base.task = t;
}

/* Into the table of live ones: the task on top of L. Free slots are a list in
 * the table itself. */
static void anchor(lua_State *L, struct task *t) {
  struct runtime *rt = t->rt;
  lua_rawgeti(L, LUA_REGISTRYINDEX, rt->live_ref);
  lua_Integer next = 0;
  if (rt->free_slot) {
    lua_rawgeti(L, -1, rt->free_slot);
    next = lua_tointeger(L, -1);
    lua_pop(L, 1);
  }
  t->slot = rt->free_slot ? rt->free_slot : rt->slots + 1;
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, t->slot);
  lua_pop(L, 1);
  if (t->slot > rt->slots) rt->slots = t->slot;
  rt->free_slot = (int)next;
}

void task_unanchor(lua_State *L, struct task *t) {
  struct runtime *rt = t->rt;
  lua_rawgeti(L, LUA_REGISTRYINDEX, rt->live_ref);
  lua_pushinteger(L, rt->free_slot);
  lua_rawseti(L, -2, t->slot);
  lua_pop(L, 1);
  rt->free_slot = t->slot;
}

/* A coroutine for the task on top of L, whose function and nargs arguments
 * are below it, and stay. */
static lua_State *make_coroutine(lua_State *L, struct task *t, int nargs) {
  lua_State *co = lua_newthread(L);
  if (!lua_checkstack(co, nargs + 8)) luaL_error(L, "too many arguments");
  if (lua_gethook(t->rt->L)) task_inherit_hook(L, co, t->rt->L);
  executor_push_main(co, t);
  luaL_checkstack(L, nargs + 1, "too many arguments");
  for (int i = 0; i <= nargs; i++) lua_pushvalue(L, -(nargs + 3));
  lua_xmove(L, co, nargs + 1);
  lua_setiuservalue(L, -2, 1);
  return co;
}

/* Move the arguments that the task at idx keeps to the top of L; how many. */
static int take_arguments(lua_State *L, int idx) {
  int n = 0;
  while (lua_getiuservalue(L, idx, n + 2) != LUA_TNONE) {
    lua_pushnil(L);
    lua_setiuservalue(L, idx, ++n + 1);
  }
  lua_pop(L, 1);
  return n;
}

/* The coroutine is made just before its first resume: until then a task is
 * only its record. A table that it has been given since (a name) stays. */
void task_start(lua_State *L, struct task *t) {
  int idx = lua_gettop(L) + 1;
  luaL_checkstack(L, KEPT_MAX + 8, NULL);
  task_push(L, t);
  bool table = lua_getiuservalue(L, idx, 1) == LUA_TTABLE;
  if (table) {
    lua_rawgeti(L, -1, EXTRA_CO);
    lua_replace(L, -2);
  }
  lua_State *co = lua_newthread(L);
  if (t->rt->live > MANY) malloc_hint_growth(co);
  if (lua_gethook(t->rt->L)) task_inherit_hook(L, co, t->rt->L);
  executor_push_main(co, t);
  lua_insert(L, -2); /* the task, the coroutine, the function */
  lua_xmove(L, co, 1 + take_arguments(L, idx));
  if (table)
    task_set_extra(L, idx, EXTRA_CO);
  else
    lua_setiuservalue(L, idx, 1);
  lua_settop(L, idx - 1);
  t->co = co;
}

/* Needs no memory. What else its table holds (a name) stays. */
void task_drop_start(lua_State *L, struct task *t) {
  if (!lua_checkstack(L, KEPT_MAX + 4)) return;
  task_push(L, t);
  int idx = lua_gettop(L);
  take_arguments(L, idx);
  lua_settop(L, idx);
  lua_pushnil(L);
  if (lua_getiuservalue(L, idx, 1) == LUA_TTABLE) {
    lua_insert(L, -2);
    lua_rawseti(L, -2, EXTRA_CO); /* there is one: no new key */
  } else {
    lua_pop(L, 1);
    lua_setiuservalue(L, idx, 1);
  }
  lua_settop(L, idx - 1);
}

/* Many arguments need a stack; a callable table in the place of the function
 * would be taken for the table of extras. */
static bool needs_coroutine(lua_State *L, int nargs) {
  return nargs > KEPT_MAX || !lua_isfunction(L, -(nargs + 2));
}

static void keep_arguments(lua_State *L, int nargs) {
  for (int i = 0; i <= nargs; i++) {
    lua_pushvalue(L, i - nargs - 2);
    lua_setiuservalue(L, -2, i + 1);
  }
}

/* All that can fail first; then the task exists for everybody at once. */
struct task *task_spawn(lua_State *L, struct runtime *rt, int nargs,
                        struct group *group, int instead) {
  int kept = nargs <= KEPT_MAX ? nargs : 0;
  struct task *t = lua_newuserdatauv(L, sizeof *t, 1 + kept);
  if (rt->live > MANY) malloc_hint_growth(t);
  task_init(t, rt);
  lua_rawgeti(L, LUA_REGISTRYINDEX, rt->class_ref);
  lua_setmetatable(L, -2);
  if (needs_coroutine(L, nargs))
    t->co = make_coroutine(L, t, nargs);
  else
    keep_arguments(L, nargs);
  if (rt->locals) locals_inherit(L, t);
  anchor(L, t);
  lua_replace(L, -(nargs + 2));
  lua_pop(L, nargs);
  t->id = ++rt->last_id;
  note_place(L, t, instead);
  list_push(&rt->tasks, &t->all);
  task_make_ready(t);
  rt->live++;
  group_join(group, t);
  if (TRACED(rt)) trace_task_born(t);
  return t;
}

struct task *task_test(lua_State *L, int arg) {
  return luaL_testudata(L, arg, TASK_CLASS);
}

static struct task *check_task(lua_State *L, int arg) {
  return luaL_checkudata(L, arg, TASK_CLASS);
}

void task_push(lua_State *L, struct task *t) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, t->rt->live_ref);
  lua_rawgeti(L, -1, t->slot);
  lua_remove(L, -2);
}

const struct place *task_place(const struct task *t) {
  return place_at(&t->rt->places, t->place);
}

void task_label(const struct task *t, char *into, size_t len) {
  const struct place *at = task_place(t);
  if (task_is_root(t))
    snprintf(into, len, "main chunk");
  else if (t->name && t->name[0])
    snprintf(into, len, "#%u \"%s\" (%s:%d)", t->id, t->name, at->file,
             at->line);
  else
    snprintf(into, len, "#%u (%s:%d)", t->id, at->file, at->line);
}

/* -- what few tasks have -- */

void task_set_extra(lua_State *L, int idx, enum task_extra what) {
  idx = lua_absindex(L, idx);
  if (lua_getiuservalue(L, idx, 1) != LUA_TTABLE) {
    lua_createtable(L, EXTRA_NAME, 0);
    lua_insert(L, -2);
    lua_rawseti(L, -2, EXTRA_CO);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, idx, 1);
  }
  lua_insert(L, -2);
  lua_rawseti(L, -2, what);
  lua_pop(L, 1);
}

void task_get_extra(lua_State *L, int idx, enum task_extra what) {
  if (lua_getiuservalue(L, idx, 1) == LUA_TTABLE)
    lua_rawgeti(L, -1, what);
  else
    lua_pushnil(L);
  lua_remove(L, -2);
}

void task_push_origin(lua_State *L, int idx, struct task *t) {
  char label[128];
  task_label(t, label, sizeof label);
  lua_pushfstring(L, "\nraised in task %s", label);
  task_get_extra(L, idx, EXTRA_TRACE);
  if (lua_isstring(L, -1))
    lua_pushfstring(L, ":\n%s", lua_tostring(L, -1));
  else
    lua_pushliteral(L, "");
  lua_remove(L, -2);
  lua_concat(L, 2);
}

/* -- ending -- */

/* The error that unwound it is there, unless it was closed. */
static int push_cancelled(lua_State *L, struct task *t) {
  const char *text = "the task was cancelled";
  if (!t->co || !lua_gettop(t->co) || !lua_checkstack(t->co, 1))
    return push_fail(L, text, "CANCELLED");
  luaL_checkstack(L, 8, NO_MEMORY);
  lua_pushvalue(t->co, -1);
  lua_xmove(t->co, L, 1);
  cancel_push_text(L, -1, text);
  return push_fail(L, lua_tostring(L, -1), "CANCELLED");
}

void task_observe(struct task *t) {
  t->observed = true;
  if (t->counted) t->group->unobserved--;
  t->counted = false;
}

int task_push_results(lua_State *L, struct task *t) {
  assert(task_done(t));
  task_observe(t);
  if (t->state == TASK_CANCELLED) return push_cancelled(L, t);
  if (!t->co) return luaL_error(L, NO_MEMORY);
  int n = lua_gettop(t->co);
  luaL_checkstack(L, n + 1, "too many results");
  if (!lua_checkstack(t->co, n)) luaL_error(L, "not enough memory");
  if (t->state == TASK_FAILED) {
    lua_pushvalue(t->co, -1);
    lua_xmove(t->co, L, 1);
    return lua_error(L);
  }
  for (int i = 1; i <= n; i++) lua_pushvalue(t->co, i);
  lua_xmove(t->co, L, n);
  return n;
}

void task_cancel(struct task *t) {
  if (!task_done(t)) scope_cancel(&t->base);
}

/* -- awaiting a task -- */

static void describe_task(struct task *t, char *into, size_t len) {
  task_label(t->wait.subject, into, len);
}

static void whom_task(struct task *t, struct task_visitor *v) {
  v->visit(v, t->wait.subject);
}

static const struct wait_class waits_task = {
    .verb = "await task", .describe = describe_task, .whom = whom_task};

/* The task at idx has ended. Its error may end the one that awaits it: whose
 * it was is told then (lua_resume.c). */
static int await_results(lua_State *L, int idx, struct task *t) {
  struct task *me = t->rt->current;
  if (t->state == TASK_FAILED && me && me->co) {
    task_push(L, me);
    lua_pushvalue(L, idx);
    task_set_extra(L, -2, EXTRA_CAUSE);
    lua_pop(L, 1);
  }
  return task_push_results(L, t);
}

static int await_task_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  if (await_end(L) == WAIT_TIMEOUT) return push_fail(L, "timed out", "TIMEOUT");
  return await_results(L, 1, check_task(L, 1));
}

static int await_task(lua_State *L, struct task *t, uint64_t until,
                      lua_KFunction k) {
  struct task *me = await_begin(L);
  if (me == t) return luaL_error(L, "a task cannot await itself");
  list_push(&t->watchers, &me->wait.waiter.link);
  return await_yield(L, me, &waits_task, t, until, 0, k);
}

static int l_await(lua_State *L) {
  struct task *t = check_task(L, 1);
  uint64_t limit = opt_limit(L, 2);
  if (task_done(t)) return await_results(L, 1, t);
  return await_task(L, t, await_until(t->rt, limit), await_task_k);
}

/* Whether it failed, and its error, which is raised nowhere. */
static int push_failure(lua_State *L, struct task *t) {
  bool failed = t->state == TASK_FAILED;
  task_observe(t);
  lua_pushboolean(L, failed);
  if (!failed || !t->co || !lua_checkstack(t->co, 1)) return 1;
  lua_pushvalue(t->co, -1);
  lua_xmove(t->co, L, 1);
  return 2;
}

static int join_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  await_end(L);
  return push_failure(L, check_task(L, 1));
}

/* core.join(task): wait for its end and take nothing, so that it is no cause
 * of what is raised afterwards. */
static int l_join(lua_State *L) {
  struct task *t = check_task(L, 1);
  if (task_done(t)) return push_failure(L, t);
  return await_task(L, t, NEVER_NS, join_k);
}

/* -- as one of several -- */

static bool select_ready(lua_State *L, int idx) {
  return task_done(task_test(L, idx));
}

static void select_link(lua_State *L, int idx, struct looker *k) {
  struct task *t = task_test(L, idx);
  if (t == rt_get(L)->current) luaL_error(L, "a task cannot await itself");
  list_push(&t->watchers, &k->waiter.link);
}

/* A failure that only lookers have seen is told. */
static void select_leave_task(lua_State *L, int idx, struct looker *k) {
  struct task *t = task_test(L, idx);
  (void)k;
  lua_pushvalue(L, idx);
  if (t->state == TASK_FAILED && t->looked_at && !t->observed)
    task_report_failure(L, t);
  t->looked_at = false;
  lua_pop(L, 1);
}

static int select_take(lua_State *L, int idx, struct looker *k) {
  (void)k;
  return await_results(L, idx, task_test(L, idx));
}

static const struct select_class selects_task = {.ready = select_ready,
                                                 .link = select_link,
                                                 .leave = select_leave_task,
                                                 .take = select_take};

/* -- the rest -- */

const char *task_state_name(const struct task *t) {
  static const char *const names[] = {
      [TASK_READY] = "ready",     [TASK_RUNNING] = "running",
      [TASK_WAITING] = "waiting", [TASK_ENDED] = "ended",
      [TASK_FAILED] = "failed",   [TASK_CANCELLED] = "cancelled"};
  return names[t->state];
}

/* cancel([reason]): false when it has ended already. */
static int l_cancel(lua_State *L) {
  struct task *t = check_task(L, 1);
  bool live = !task_done(t);
  lua_settop(L, 2);
  if (live)
    scope_cancel_for(L, &t->base, 2);
  else
    luaL_optstring(L, 2, NULL);
  lua_pushboolean(L, live);
  return 1;
}

/* status() -> "waiting", "read" */
static int l_status(lua_State *L) {
  struct task *t = check_task(L, 1);
  lua_pushstring(L, task_state_name(t));
  if (t->state != TASK_WAITING) return 1;
  lua_pushstring(L, t->wait.class->verb);
  return 2;
}

static int l_name(lua_State *L) {
  struct task *t = check_task(L, 1);
  if (!lua_isnoneornil(L, 2)) {
    const char *name = luaL_checkstring(L, 2);
    lua_settop(L, 2);
    name = lua_pushlstring(L, name, strnlen(name, NAME_LENGTH));
    task_set_extra(L, 1, EXTRA_NAME);
    t->name = name; /* the string that the table keeps */
    lua_settop(L, 1);
    return 1;
  }
  lua_pushstring(L, t->name ? t->name : "");
  return 1;
}

static int l_id(lua_State *L) {
  lua_pushinteger(L, check_task(L, 1)->id);
  return 1;
}

static int l_background(lua_State *L) {
  struct task *t = check_task(L, 1);
  lua_settop(L, 1);
  if (t->background || task_done(t)) return 1;
  t->background = true;
  t->group->foreground--;
  group_check(t->group);
  return 1;
}

static int l_traceback(lua_State *L) {
  struct task *t = check_task(L, 1);
  if (task_done(t))
    task_get_extra(L, 1, EXTRA_TRACE);
  else
    task_push_traceback(L, t);
  return 1;
}

static int l_tostring(lua_State *L) {
  struct task *t = check_task(L, 1);
  char label[96];
  task_label(t, label, sizeof label);
  if (t->state == TASK_WAITING)
    lua_pushfstring(L, "proa.task %s waiting: %s", label, t->wait.class->verb);
  else
    lua_pushfstring(L, "proa.task %s %s", label, task_state_name(t));
  return 1;
}

/* current() -> the task that runs, or nil in the main chunk. */
static int l_current(lua_State *L) {
  struct runtime *rt = rt_get(L);
  if (rt->current && rt->current->co)
    task_push(L, rt->current);
  else
    lua_pushnil(L);
  return 1;
}

void open_task(lua_State *L) {
  static const luaL_Reg methods[] = {{"await", l_await},
                                     {"cancel", l_cancel},
                                     {"status", l_status},
                                     {"name", l_name},
                                     {"id", l_id},
                                     {"background", l_background},
                                     {"traceback", l_traceback},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__tostring", l_tostring}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"current", l_current}, {"join", l_join}, {NULL, NULL}};
  make_class(L, TASK_CLASS, methods, meta);
  select_register(L, TASK_CLASS, &selects_task);
  luaL_getmetatable(L, TASK_CLASS);
  rt_get(L)->class_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  add_functions(L, functions);
}
