/* lua_local.c - task-locals: values that a task has, and what it spawns.
 *
 * A task keeps its values in a table among its extras, which nobody changes:
 * setting one makes another table, so a task that is spawned shares the one
 * its spawner has. `with` is a scope (lua_scope.h) that holds one value: it
 * leaves its task with a generator that yields inside it, and comes back with
 * it. Tasks that have none cost nothing.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_scope.h"

#define LOCAL_CLASS "proa.task_local"
#define BINDING_CLASS "proa.binding"

/* User values: 1 the local, 2 the value. */
struct binding {
  struct scope_object object;
  const void *local;
};

/* In tables: nil. In the registry: the table of the main chunk. */
static const char nil_key = 0, root_key = 0;

/* -- the values of a task -- */

static void push_value(lua_State *L) {
  if (lua_touserdata(L, -1) == &nil_key) {
    lua_pop(L, 1);
    lua_pushnil(L);
  }
}

/* Push its table, or nil. */
static void push_table(lua_State *L, struct task *t) {
  if (!t->locals) {
    lua_pushnil(L);
  } else if (task_is_root(t)) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &root_key);
  } else {
    task_push(L, t);
    task_get_extra(L, -1, EXTRA_LOCALS);
    lua_remove(L, -2);
  }
}

/* The table on top, taken, is the task's from now on. */
static void set_table(lua_State *L, struct task *t) {
  if (task_is_root(t)) {
    lua_rawsetp(L, LUA_REGISTRYINDEX, &root_key);
  } else {
    task_push(L, t);
    lua_insert(L, -2);
    task_set_extra(L, -2, EXTRA_LOCALS);
    lua_pop(L, 1);
  }
  t->locals = true;
}

/* Push a table with what the one on top, taken, has; that may be nil. */
static void copy_table(lua_State *L) {
  lua_newtable(L);
  lua_insert(L, -2);
  if (lua_istable(L, -1)) {
    for (lua_pushnil(L); lua_next(L, -2);) {
      lua_pushvalue(L, -2);
      lua_insert(L, -2);
      lua_rawset(L, -5);
    }
  }
  lua_pop(L, 1);
}

/* table[local at key] = value on top, taken. */
static void put(lua_State *L, int table, int key) {
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    lua_pushlightuserdata(L, (void *)&nil_key);
  }
  lua_pushvalue(L, key);
  lua_insert(L, -2);
  lua_rawset(L, table);
}

/* -- bindings -- */

static struct binding *binding_of(struct scope *s) {
  return container_of(s, struct binding, object.scope);
}

/* The innermost of this local around the running code, or NULL. */
static struct binding *find_binding(struct task *t, const void *local) {
  for (struct scope *s = t->scope; s != &t->base; s = s->outer)
    if (s->kind == SCOPE_BINDING && binding_of(s)->local == local)
      return binding_of(s);
  return NULL;
}

/* Put what is bound from s outward, the outermost first, into the table on
 * top. */
static void put_bound(lua_State *L, struct task *t, struct scope *s) {
  if (s == &t->base) return;
  put_bound(L, t, s->outer);
  if (s->kind != SCOPE_BINDING) return;
  int table = lua_gettop(L);
  luaL_checkstack(L, 6, "too many values of task-locals");
  object_push(L, binding_of(s));
  lua_getiuservalue(L, -1, 1);
  lua_getiuservalue(L, -2, 2);
  put(L, table, table + 2);
  lua_settop(L, table);
}

static bool has_bound(struct task *t) {
  for (struct scope *s = t->scope; s != &t->base; s = s->outer)
    if (s->kind == SCOPE_BINDING) return true;
  return false;
}

void locals_inherit(lua_State *L, struct task *t) {
  struct task *from = t->rt->current;
  if (!from) return;
  bool bound = has_bound(from);
  if (!bound && !from->locals) return;
  luaL_checkstack(L, 8, NO_MEMORY);
  push_table(L, from);
  if (bound) {
    copy_table(L);
    put_bound(L, from, from->scope);
  }
  task_set_extra(L, -2, EXTRA_LOCALS);
  t->locals = true;
}

/* -- what Lua sees -- */

/* task_local([default]) -> a task-local */
static int l_task_local(lua_State *L) {
  rt_get(L)->locals = true;
  lua_settop(L, 1);
  new_object(L, 1, LOCAL_CLASS, 1);
  lua_insert(L, 1);
  lua_setiuservalue(L, 1, 1);
  return 1;
}

/* Whose values are asked for: between tasks, the main chunk's. */
static struct task *current_task(lua_State *L) {
  struct runtime *rt = rt_get(L);
  return rt->current ? rt->current : &rt->root;
}

/* get() -> what the running task has, or the default */
static int l_get(lua_State *L) {
  const void *local = luaL_checkudata(L, 1, LOCAL_CLASS);
  lua_settop(L, 1);
  struct task *t = current_task(L);
  struct binding *b = find_binding(t, local);
  if (b) {
    object_push(L, b);
    lua_getiuservalue(L, -1, 2);
    return 1;
  }
  push_table(L, t);
  if (lua_istable(L, -1)) {
    lua_pushvalue(L, 1);
    if (lua_rawget(L, -2) != LUA_TNIL) {
      push_value(L);
      return 1;
    }
  }
  lua_getiuservalue(L, 1, 1);
  return 1;
}

/* set(value): for the running task, and what it spawns from now on */
static int l_set(lua_State *L) {
  const void *local = luaL_checkudata(L, 1, LOCAL_CLASS);
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  struct task *t = current_task(L);
  struct binding *b = find_binding(t, local);
  if (b) {
    object_push(L, b);
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, 2);
    return 0;
  }
  push_table(L, t);
  copy_table(L);
  lua_pushvalue(L, 2);
  put(L, 3, 1);
  set_table(L, t);
  return 0;
}

/* The stack: 1 the binding, 2 the handler; results or an error above them. */
static int with_k(lua_State *L, int status, lua_KContext ctx) {
  struct binding *b = luaL_checkudata(L, 1, BINDING_CLASS);
  (void)ctx;
  scope_leave(rt_get(L), &b->object.scope);
  return scope_call_failed(status) ? scope_raise(L) : lua_gettop(L) - 2;
}

/* with(value, fn, ...) -> fn's results */
static int l_with(lua_State *L) {
  const void *local = luaL_checkudata(L, 1, LOCAL_CLASS);
  scope_check_function(L, 3, "name:with(value, fn, ...)");
  struct task *t = await_allowed(L);
  struct binding *b = scope_new(L, sizeof *b, BINDING_CLASS, SCOPE_BINDING, 2);
  b->local = local;
  object_register(L, b);
  lua_insert(L, 1);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 1, 1);
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, 1, 2);
  lua_remove(L, 2);
  lua_remove(L, 2);
  scope_enter(t, &b->object.scope);
  return scope_call(L, with_k);
}

static int l_binding_gc(lua_State *L) {
  struct binding *b = luaL_checkudata(L, 1, BINDING_CLASS);
  scope_forget(L, &b->object.scope);
  return 0;
}

void open_local(lua_State *L) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"get", l_get}, {"set", l_set}, {"with", l_with}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", l_binding_gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"task_local", l_task_local},
                                       {NULL, NULL}};
  make_class(L, LOCAL_CLASS, methods, none);
  make_class(L, BINDING_CLASS, none, meta);
  add_functions(L, functions);
}
