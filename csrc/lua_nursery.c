/* lua_nursery.c - proa.scope: tasks that end before the block that made them.
 *
 * A nursery is a scope (the body, on its task's stack) and a group (the tasks
 * spawned in it). The body is left first; then its task waits, however that is
 * cancelled, until the group is empty: a cancellation only ends the members
 * sooner. A failed child cancels all, and its error is raised when the others
 * have ended. run(fn) inside a task is the same without the object.
 * Only s:spawn makes children; what proa.spawn starts inside is a member like
 * those of a run: waited for, its errors for whoever awaits it.
 *
 * SPDX-License-Identifier: MIT */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "lua_scope.h"

#define NURSERY_CLASS "proa.scope"

/* User value 1: the first child that failed, or with collect a list of all. */
struct nursery {
  struct scope_object object; /* the body */
  struct group group;         /* the members: children and others */
  struct list room;  /* struct task.wait.waiter: s:spawn until others end */
  unsigned limit;    /* of children that run at once; 0: none */
  unsigned running;  /* children */
  unsigned promised; /* places: their spawners were woken */
  unsigned failed;   /* children */
  bool collect;      /* failures, instead of cancelling */
  bool cut;          /* a cancellation from outside ended the members */
  bool ended;        /* takes no tasks any more */
};

/* How the body ended. */
enum ending { BODY_RETURNED, BODY_RAISED, BODY_CANCELLED };

static struct nursery *check_nursery(lua_State *L) {
  return luaL_checkudata(L, 1, NURSERY_CLASS);
}

static struct nursery *nursery_of(struct group *g) {
  return container_of(g, struct nursery, group);
}

struct group *nursery_group(struct scope *s) {
  return &container_of(s, struct nursery, object.scope)->group;
}

struct scope_object *nursery_scope(struct group *g) {
  return &nursery_of(g)->object;
}

/* -- members -- */

static void give_room(struct nursery *n) {
  while (!list_empty(&n->room) &&
         (n->ended || !n->limit || n->running + n->promised < n->limit)) {
    n->promised++;
    waiter_wake_first(&n->room);
  }
}

void nursery_left(struct task *t) {
  struct nursery *n = nursery_of(t->group);
  if (t->child) n->running--;
  give_room(n);
}

void nursery_cancel(struct group *g) {
  scope_cancel(&nursery_of(g)->object.scope);
  group_cancel(g);
}

static void end(struct nursery *n) {
  n->ended = true;
  give_room(n); /* who still waits for a place learns that there is none */
}

void nursery_abandon(struct scope *s, struct runtime *rt, struct group *heir) {
  struct nursery *n = container_of(s, struct nursery, object.scope);
  s->cancelled = true;
  group_disband(rt, &n->group, heir);
  if (rt->closed) return;
  end(n);
  waiter_wake_all(&n->group.waiters); /* who closes it by hand */
}

/* -- failures -- */

/* task: the nursery keeps it, and with it the error. */
static int keep_failed(lua_State *L) {
  struct task *t = lua_touserdata(L, 1);
  struct nursery *n = nursery_of(t->group);
  object_push(L, t->group);
  if (n->collect) {
    lua_getiuservalue(L, -1, 1);
    task_push(L, t);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  } else {
    task_push(L, t);
    lua_setiuservalue(L, -2, 1);
  }
  return 0;
}

static void push_value(lua_State *L, struct task *t) {
  if (t->co && lua_checkstack(t->co, 1)) {
    lua_pushvalue(t->co, -1);
    lua_xmove(t->co, L, 1);
  } else {
    lua_pushliteral(L, NO_MEMORY);
  }
}

/* It only passes on the error that is raised already. */
static bool same_failure(lua_State *L, struct task *t) {
  object_push(L, t->group);
  lua_getiuservalue(L, -1, 1);
  struct task *first = lua_touserdata(L, -1);
  bool same = false;
  if (first) {
    push_value(L, first);
    push_value(L, t);
    same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
  }
  lua_pop(L, 2);
  return same;
}

/* Of several failures the first is raised; what others raise while they are
 * cancelled is reported, and fails nothing more. */
static bool took_later(lua_State *L, struct task *t) {
  if (!t->observed) t->observed = same_failure(L, t);
  t->handler = true;
  return t->observed;
}

bool nursery_took_failure(lua_State *L, struct task *t) {
  struct nursery *n = nursery_of(t->group);
  if (!lua_checkstack(L, 8)) return false;
  if (n->failed++ && !n->collect) return took_later(L, t);
  lua_pushcfunction(L, keep_failed);
  lua_pushlightuserdata(L, t);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1); /* n->failed says so */
  t->observed = true;
  if (n->collect) return true;
  n->object.why = "another task of its scope failed";
  nursery_cancel(&n->group);
  return true;
}

/* Raise the error of the first child that failed. A string begins as it was,
 * and tells more; other values stay what they are. */
static int raise_failure(lua_State *L) {
  lua_getiuservalue(L, 1, 1);
  int idx = lua_gettop(L);
  struct task *t = task_test(L, idx);
  if (!t) return luaL_error(L, NO_MEMORY);
  push_value(L, t);
  if (lua_type(L, -1) != LUA_TSTRING) return lua_error(L);
  task_push_origin(L, idx, t);
  lua_concat(L, 2);
  return lua_error(L);
}

/* Push { error =, traceback =, task = } for the failed child at idx. */
static void push_failure(lua_State *L, int idx) {
  struct task *t = task_test(L, idx);
  lua_createtable(L, 0, 3);
  push_value(L, t);
  lua_setfield(L, -2, "error");
  task_get_extra(L, idx, EXTRA_TRACE);
  lua_setfield(L, -2, "traceback");
  lua_pushvalue(L, idx);
  lua_setfield(L, -2, "task");
}

/* Push the list of them, empty when none has failed. */
static void push_failures(lua_State *L, const struct nursery *n) {
  lua_newtable(L);
  int list = lua_gettop(L);
  lua_getiuservalue(L, 1, 1);
  if (!n->collect && lua_isnil(L, -1)) {
    lua_pop(L, 1);
    return;
  }
  if (!n->collect) {
    push_failure(L, list + 1);
    lua_rawseti(L, list, 1);
  }
  lua_Integer len = n->collect ? (lua_Integer)lua_rawlen(L, -1) : 0;
  for (lua_Integer i = 1; i <= len; i++) {
    lua_rawgeti(L, list + 1, i);
    push_failure(L, list + 2);
    lua_rawseti(L, list, i);
    lua_pop(L, 1);
  }
  lua_settop(L, list);
}

/* -- the end -- */

/* Cancelled from outside: the members end first, then the wait does. */
static bool withdraw_nursery(struct task *t) {
  struct nursery *n = nursery_of(t->wait.subject);
  n->cut = true;
  group_cancel(&n->group);
  return n->group.total == 0;
}

static const struct wait_class waits_nursery = {.verb = "scope",
                                                .withdraw = withdraw_nursery,
                                                .describe = group_describe,
                                                .whom = group_whom};

/* The body is left: it can't be cancelled any more, the members can. */
static void leave_body(lua_State *L, struct nursery *n, enum ending how) {
  scope_leave(rt_get(L), &n->object.scope);
  if (how == BODY_RAISED) {
    n->object.scope.cancelled = true; /* what is spawned yet is, too */
    if (!n->object.why) n->object.why = "its scope was left by an error";
  }
  if (n->object.scope.cancelled) group_cancel(&n->group);
}

static int join(lua_State *L, struct nursery *n, enum ending how,
                lua_KFunction k) {
  struct task *t = await_begin_anyway(L);
  if (n->group.total == 0) return k(L, LUA_OK, how);
  if (t->maybe_cancelled && task_cancelled_scope(t)) {
    n->cut = true;
    group_cancel(&n->group);
  }
  return group_wait(L, t, &waits_nursery, &n->group, how, k);
}

/* Has the last member ended? One may have come while its task was woken. */
static bool joined(lua_State *L, struct nursery *n, int status) {
  if (status == LUA_YIELD) await_end(L);
  if (n->group.total) return false;
  end(n);
  return true;
}

static int cancelled_results(lua_State *L, struct nursery *n) {
  scope_push_cancelled(L, &n->object.scope, "the scope was cancelled");
  return push_fail(L, lua_tostring(L, -1), "CANCELLED");
}

/* The stack: 1 the nursery, 2 the handler; results or an error above them. */
static int called_k(lua_State *L, int status, lua_KContext ctx) {
  struct nursery *n = check_nursery(L);
  enum ending how = (enum ending)ctx;
  if (!joined(L, n, status)) return join(L, n, how, called_k);
  bool stopped = group_stopped(rt_get(L), &n->group);
  if (n->failed && !n->collect) return raise_failure(L);
  if (how == BODY_RAISED) return scope_raise(L);
  if (stopped) return 0;
  group_check_unobserved(L, &n->group);
  if (n->cut) await_raise_cancelled(L);
  if (how == BODY_CANCELLED) return cancelled_results(L, n);
  if (!n->collect) return lua_gettop(L) - 2;
  push_failures(L, n);
  lua_insert(L, 3);
  return lua_gettop(L) - 2;
}

static int body_k(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  struct nursery *n = check_nursery(L);
  enum ending how = BODY_RETURNED;
  if (scope_call_failed(status))
    how =
        scope_is_error(L, -1, &n->object.scope) ? BODY_CANCELLED : BODY_RAISED;
  leave_body(L, n, how);
  return join(L, n, how, called_k);
}

/* -- as a <close> variable -- */

/* The stack: 1 the nursery, 2 the error that left the block, or nil. */
static int closed_k(lua_State *L, int status, lua_KContext ctx) {
  struct nursery *n = check_nursery(L);
  if (!joined(L, n, status)) return join(L, n, (enum ending)ctx, closed_k);
  if (n->failed && !n->collect) return raise_failure(L);
  if (ctx == BODY_RAISED) return 0; /* it goes on by itself */
  group_check_unobserved(L, &n->group);
  if (n->cut) await_raise_cancelled(L);
  if (ctx == BODY_RETURNED) return 0;
  raise_push_where(L);
  scope_push_cancelled(L, &n->object.scope, "the scope was cancelled");
  lua_concat(L, 2);
  return lua_error(L);
}

/* Where nothing may await (lua_close, coroutine.close) nobody waits. */
static int l_close(lua_State *L) {
  struct nursery *n = check_nursery(L);
  struct runtime *rt = rt_get(L);
  lua_settop(L, 2);
  if (n->ended) return 0;
  if (!await_possible(L)) {
    scope_leave(rt, &n->object.scope);
    nursery_abandon(&n->object.scope, rt, &rt->root_group);
    return 0;
  }
  if (rt->current->group == &n->group)
    return luaL_error(L, "a task of the scope cannot wait for its end");
  enum ending how = BODY_RETURNED;
  if (!lua_isnil(L, 2))
    how = scope_is_error(L, 2, &n->object.scope) ? BODY_CANCELLED : BODY_RAISED;
  leave_body(L, n, how);
  return join(L, n, how, closed_k);
}

/* -- spawning -- */

static void describe_room(struct task *t, char *into, size_t len) {
  const struct nursery *n = t->wait.subject;
  snprintf(into, len, "room: %u of %u run", n->running, n->limit);
}

/* Any child that ends makes room. */
static void whom_room(struct task *t, struct task_visitor *v) {
  const struct nursery *n = t->wait.subject;
  list_each(&n->group.members, k) {
    struct task *member = container_of(k, struct task, member);
    if (member->child) v->visit(v, member);
  }
}

static const struct wait_class waits_room = {
    .verb = "spawn", .describe = describe_room, .whom = whom_room};

/* The stack: 1 the nursery, then the function and its arguments. */
static int spawn_child(lua_State *L, struct nursery *n) {
  if (n->ended) return luaL_error(L, "spawn: the scope has ended");
  struct runtime *rt = rt_open(L);
  struct task *t = task_spawn(L, rt, lua_gettop(L) - 2, &n->group, 0);
  t->child = true;
  n->running++;
  if (n->group.cancelled) task_cancel(t);
  return 1;
}

static int spawn_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct nursery *n = check_nursery(L);
  await_end(L);
  n->promised--;
  return spawn_child(L, n);
}

/* s:spawn(fn, ...) -> task; waits while `limit` of them run */
static int l_spawn(lua_State *L) {
  struct nursery *n = check_nursery(L);
  if (!lua_isfunction(L, 2) && !luaL_getmetafield(L, 2, "__call"))
    return luaL_typeerror(L, 2, "function");
  if (!lua_isfunction(L, 2)) lua_pop(L, 1);
  if (n->ended || !n->limit || n->running + n->promised < n->limit)
    return spawn_child(L, n);
  struct task *t = await_begin(L);
  list_push(&n->room, &t->wait.waiter.link);
  return await_yield(L, t, &waits_room, n, NEVER_NS, 0, spawn_k);
}

/* -- the other methods -- */

/* s:cancel([reason]) -> false: it has ended */
static int l_cancel(lua_State *L) {
  struct nursery *n = check_nursery(L);
  scope_set_reason(L, &n->object.scope, 2);
  if (!n->ended) nursery_cancel(&n->group);
  lua_pushboolean(L, !n->ended);
  return 1;
}

/* s:errors() -> list of { error =, traceback =, task = } */
static int l_errors(lua_State *L) {
  struct nursery *n = check_nursery(L);
  lua_settop(L, 1);
  push_failures(L, n);
  return 1;
}

static int l_tostring(lua_State *L) {
  struct nursery *n = check_nursery(L);
  if (n->ended)
    lua_pushliteral(L, NURSERY_CLASS " (ended)");
  else
    lua_pushfstring(L, NURSERY_CLASS " (%d task%s%s)", (int)n->group.total,
                    n->group.total == 1 ? "" : "s",
                    n->object.scope.cancelled ? ", cancelled" : "");
  return 1;
}

static int l_gc(lua_State *L) {
  struct nursery *n = check_nursery(L);
  struct runtime *rt = rt_get(L);
  scope_forget(L, &n->object.scope);
  if (!n->ended) nursery_abandon(&n->object.scope, rt, &rt->root_group);
  return 0;
}

/* -- making -- */

static void take_option(lua_State *L, struct nursery *n, const char *key) {
  if (strcmp(key, "limit") == 0) {
    lua_Integer limit = luaL_checkinteger(L, -1);
    if (limit < 1 || limit > UINT_MAX)
      luaL_error(L, "scope: limit is a number of tasks, at least 1");
    n->limit = (unsigned)limit;
  } else if (strcmp(key, "on_error") == 0) {
    const char *what = luaL_checkstring(L, -1);
    n->collect = strcmp(what, "collect") == 0;
    if (!n->collect && strcmp(what, "cancel") != 0)
      luaL_error(L, "scope: on_error is \"cancel\" or \"collect\", not '%s'",
                 what);
  } else {
    luaL_error(L, "scope: unknown option '%s'", key);
  }
}

/* The nursery is on top. */
static void take_options(lua_State *L, int idx, struct nursery *n) {
  if (lua_isnoneornil(L, idx)) return;
  luaL_checktype(L, idx, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, idx); lua_pop(L, 1)) {
    bool named = lua_type(L, -2) == LUA_TSTRING;
    take_option(L, n, named ? lua_tostring(L, -2) : "?");
  }
}

/* Push one that is on no stack yet. */
static struct nursery *new_nursery(lua_State *L, int options) {
  struct nursery *n = scope_new(L, sizeof *n, NURSERY_CLASS, SCOPE_NURSERY, 1);
  group_init(&n->group);
  n->group.nursery = true;
  list_init(&n->room);
  if (options) take_options(L, options, n);
  if (n->collect) {
    lua_newtable(L);
    lua_setiuservalue(L, -2, 1);
  }
  object_register(L, &n->group);
  return n;
}

/* Inside a task run is a scope; the outermost is what stop ends. */
int nursery_run(lua_State *L, struct task *t) {
  struct nursery *n = new_nursery(L, 0);
  lua_insert(L, 1);
  if (!t->rt->run_group) t->rt->run_group = &n->group;
  scope_enter(t, &n->object.scope);
  return scope_call(L, body_k);
}

/* scope(fn[, options]) -> fn's results; scope([options]) -> one to close */
static int l_scope(lua_State *L) {
  bool call = lua_isfunction(L, 1);
  if (!call && lua_gettop(L) > 1)
    scope_check_function(L, 1, "proa.scope(function(s) ... end, options)");
  lua_settop(L, 2);
  struct task *t = await_begin(L);
  struct nursery *n = new_nursery(L, call ? 2 : 1);
  scope_enter(t, &n->object.scope);
  if (!call) return 1;
  lua_replace(L, 2); /* the function's argument, */
  lua_pushvalue(L, 2);
  lua_insert(L, 1); /* and what scope_call wants below it */
  return scope_call(L, body_k);
}

void open_nursery(lua_State *L) {
  static const luaL_Reg methods[] = {{"spawn", l_spawn},
                                     {"cancel", l_cancel},
                                     {"errors", l_errors},
                                     {"close", l_close},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__close", l_close},
                                  {"__gc", l_gc},
                                  {"__tostring", l_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg functions[] = {{"scope", l_scope}, {NULL, NULL}};
  make_class(L, NURSERY_CLASS, methods, meta);
  add_functions(L, functions);
}
