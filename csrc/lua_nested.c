/* lua_nested.c - a runtime inside the runtime of a Lua state. See
 * lua_nested.h.
 *
 * The metatable of a class is found by its name in the registry, and that is
 * what tells objects apart: beginning puts copies there for the nested
 * runtime, so that an object of the outer one is of the wrong type inside. It
 * keeps nothing but its end: its finaliser, which goes back to the outer
 * runtime for as long as it runs. Afterwards the nested runtime is as after
 * lua_close: what is called on its objects runs in it, and finds it closed.
 * Values that belong to no runtime (buffers, task-locals) are left alone.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_nested.h"

#include <string.h>

/* Registry: the names of the classes, a list; the userdata of the nested
 * runtime while there is one. */
static const char names_key = 0, nested_key = 0;

/* The user values of a runtime's userdata. */
enum { USER_CLASSES = 1, USER_OBJECTS }; /* name -> metatable; object -> n */

/* The upvalues of what runs in another runtime; the first is every
 * function's. */
enum { UP_RUNTIME = 1, UP_WHAT, UP_TARGET };

atomic_uint nested_live;

/* -- classes -- */

/* Values that belong to no runtime. */
static bool is_nobodys(const char *name) {
  static const char *const names[] = {"proa.runtime", "proa.buffer",
                                      "proa.task_local"};
  for (size_t i = 0; i < countof(names); i++)
    if (strcmp(name, names[i]) == 0) return true;
  return false;
}

void nested_class(lua_State *L, const char *name) {
  if (is_nobodys(name)) return;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &names_key) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &names_key);
  }
  lua_pushstring(L, name);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 1);
}

static void copy_fields(lua_State *L, int from, int into) {
  from = lua_absindex(L, from);
  into = lua_absindex(L, into);
  for (lua_pushnil(L); lua_next(L, from);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, into);
  }
}

static void clear_fields(lua_State *L, int table) {
  table = lua_absindex(L, table);
  for (lua_pushnil(L); lua_next(L, table);) {
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_pushnil(L);
    lua_rawset(L, table);
  }
}

/* Push a table of this kind for each class: the metatable that is in use, or
 * a copy of it. */
static void push_classes(lua_State *L, bool copy) {
  lua_newtable(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &names_key);
  int names = lua_gettop(L), n = (int)lua_rawlen(L, names);
  for (int i = 1; i <= n; i++) {
    lua_rawgeti(L, names, i);
    lua_pushvalue(L, -1);
    lua_rawget(L, LUA_REGISTRYINDEX);
    if (copy) {
      lua_newtable(L);
      copy_fields(L, -2, -1);
      lua_remove(L, -2);
    }
    lua_rawset(L, names - 1);
  }
  lua_pop(L, 1);
}

/* Put those of the runtime at idx in charge, and it. Allocates nothing. */
static void become(lua_State *L, int idx) {
  struct runtime *rt = lua_touserdata(L, idx), *before = rt->main->active;
  lua_getiuservalue(L, idx, USER_CLASSES);
  for (lua_pushnil(L); lua_next(L, -2);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
  }
  lua_pop(L, 1);
  before->aside = true;
  rt->aside = false;
  rt->main->active = rt;
}

/* Push the userdata of whoever is in charge. */
static void push_active(lua_State *L, const struct runtime *main) {
  if (main->active == main)
    rt_push(L);
  else
    lua_rawgetp(L, LUA_REGISTRYINDEX, &nested_key);
}

/* -- in another runtime -- */

/* The function UP_WHAT, with UP_TARGET in charge. */
static int in_other(lua_State *L) {
  int n = lua_gettop(L);
  luaL_checkstack(L, 10, NULL);
  struct runtime *target = lua_touserdata(L, lua_upvalueindex(UP_TARGET));
  push_active(L, target->main);
  lua_insert(L, 1);
  lua_pushvalue(L, lua_upvalueindex(UP_WHAT));
  lua_insert(L, 2);
  become(L, lua_upvalueindex(UP_TARGET));
  int r = lua_pcall(L, n, LUA_MULTRET, 0);
  become(L, 1);
  return r == LUA_OK ? lua_gettop(L) - 1 : lua_error(L);
}

/* Take the function on top, push one that runs it in the runtime at idx. */
static void wrap(lua_State *L, int idx) {
  idx = lua_absindex(L, idx);
  rt_push(L);
  lua_insert(L, -2);
  lua_pushvalue(L, idx);
  lua_pushcclosure(L, in_other, 3);
}

/* object, key -> as UP_WHAT, the former __index, has it; a method is made to
 * run in UP_TARGET. */
static int index_other(lua_State *L) {
  lua_settop(L, 2);
  if (lua_isfunction(L, lua_upvalueindex(UP_WHAT))) {
    lua_pushvalue(L, lua_upvalueindex(UP_WHAT));
    wrap(L, lua_upvalueindex(UP_TARGET));
    lua_insert(L, 1);
    lua_call(L, 2, 1);
  } else {
    lua_gettable(L, lua_upvalueindex(UP_WHAT));
  }
  if (lua_isfunction(L, -1)) wrap(L, lua_upvalueindex(UP_TARGET));
  return 1;
}

/* -- the metatables of who is not in charge -- */

/* Wrapped, the function of that name in the metatable at `from` goes into the
 * one at `into`. */
static void keep_wrapped(lua_State *L, int from, int into, const char *name,
                         int runtime) {
  lua_pushstring(L, name);
  lua_rawget(L, from);
  if (!lua_isfunction(L, -1)) {
    lua_pop(L, 1);
    return;
  }
  wrap(L, runtime);
  lua_pushstring(L, name);
  lua_insert(L, -2);
  lua_rawset(L, into);
}

/* The metatable at `table`, whose content is kept in the one at `from`, is
 * left with its end alone. Methods stay, and refuse the object. */
static void set_aside(lua_State *L, int from, int table, int runtime) {
  static const char *const ends[] = {"__gc", "__close", "__tostring"};
  clear_fields(L, table);
  for (size_t i = 0; i < countof(ends); i++)
    keep_wrapped(L, from, table, ends[i], runtime);
  lua_pushliteral(L, "__index");
  lua_rawget(L, from);
  lua_setfield(L, table, "__index");
  lua_getfield(L, from, "__name");
  lua_pushliteral(L, " of another runtime");
  lua_concat(L, 2);
  lua_setfield(L, table, "__name");
  lua_pushboolean(L, 0);
  lua_setfield(L, table, "__metatable");
}

/* The runtime at `runtime` has ended: all that is called on its objects runs
 * in it. */
static void set_ended(lua_State *L, int table, int runtime) {
  lua_getfield(L, table, "__index");
  for (lua_pushnil(L); lua_next(L, table);) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    if (lua_isfunction(L, -1)) wrap(L, runtime);
    lua_rawset(L, table); /* a field that is there: the walk may go on */
  }
  rt_push(L);
  lua_insert(L, -2);
  lua_pushvalue(L, runtime);
  lua_pushcclosure(L, index_other, 3);
  lua_setfield(L, table, "__index");
}

/* Each class of the tables at `outer` and `inner`, both name -> metatable. */
static void each_class(lua_State *L, int outer, int inner,
                       void (*fn)(lua_State *L, int outer, int inner)) {
  int top = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, outer);) {
    lua_pushvalue(L, -2);
    lua_rawget(L, inner); /* name, the outer's, the inner's */
    fn(L, top + 2, top + 3);
    lua_settop(L, top + 1);
  }
}

/* The places on the stack of begin and end. */
enum { OUTER = 1, INNER, OUTER_CLASSES, INNER_CLASSES };

static void park(lua_State *L, int outer, int inner) {
  set_aside(L, inner, outer, OUTER);
}

static void restore(lua_State *L, int outer, int inner) {
  clear_fields(L, outer);
  copy_fields(L, inner, outer);
  set_ended(L, inner, INNER);
}

/* -- objects -- */

void nested_object(lua_State *L, const char *name) {
  if (is_nobodys(name) || !lua_checkstack(L, 6)) return;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &nested_key);
  struct runtime *rt = lua_touserdata(L, -1);
  if (!rt || rt->aside) {
    lua_pop(L, 1);
    return;
  }
  lua_getiuservalue(L, -1, USER_OBJECTS);
  lua_pushvalue(L, -3);
  lua_pushinteger(L, ++rt->objects);
  lua_rawset(L, -3);
  lua_pop(L, 2);
}

/* Push them as a list, the youngest at its end; it has holes. */
static void push_objects(lua_State *L, int runtime) {
  lua_newtable(L);
  lua_getiuservalue(L, runtime, USER_OBJECTS);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    lua_rawseti(L, -5, lua_tointeger(L, -2));
  }
  lua_pop(L, 1);
}

/* As lua_close does: the youngest first, and errors are nobody's. */
static void finalise_all(lua_State *L, int runtime) {
  struct runtime *rt = lua_touserdata(L, runtime);
  push_objects(L, runtime);
  int list = lua_gettop(L);
  for (lua_Integer i = rt->objects; i > 0; i--) {
    lua_rawgeti(L, list, i);
    if (lua_isuserdata(L, -1) && luaL_getmetafield(L, -1, "__gc")) {
      lua_insert(L, -2);
      (void)lua_pcall(L, 1, 0, 0);
    }
    lua_settop(L, list);
  }
  lua_pop(L, 1);
}

/* -- beginning and ending -- */

/* Until here nothing has changed for anybody. */
static void open_inner(lua_State *L, const struct proactor_options *o) {
  struct runtime *outer = rt_get(L);
  if (outer != outer->main)
    luaL_error(L, "testing.run inside testing.run: there is one simulated "
                  "world at a time");
  if (rt_gone(outer)) rt_open(L); /* raises */
  struct runtime *rt = runtime_new(L);
  rt->main = outer;
  rt->options = *o;
  rt->own_len = outer->own_len;
  memcpy(rt->own, outer->own, sizeof rt->own);
  runtime_open(L, rt);
}

/* outer, inner: the second comes in charge. Nothing has changed before it has
 * its classes. */
static int begin(lua_State *L) {
  struct runtime *inner = lua_touserdata(L, INNER);
  push_classes(L, false); /* OUTER_CLASSES */
  push_classes(L, true);  /* INNER_CLASSES */
  lua_getfield(L, INNER_CLASSES, TASK_CLASS);
  inner->class_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_newtable(L);
  lua_newtable(L);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_setiuservalue(L, INNER, USER_OBJECTS);
  lua_pushvalue(L, INNER);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &nested_key);
  lua_pushvalue(L, OUTER_CLASSES);
  lua_setiuservalue(L, OUTER, USER_CLASSES);
  lua_pushvalue(L, INNER_CLASSES);
  lua_setiuservalue(L, INNER, USER_CLASSES);
  atomic_fetch_add(&nested_live, 1);
  each_class(L, OUTER_CLASSES, INNER_CLASSES, park);
  become(L, INNER);
  return 0;
}

/* outer, inner: the first is in charge again, the second is closed. */
static int end(lua_State *L) {
  struct runtime *inner = lua_touserdata(L, INNER);
  lua_getiuservalue(L, OUTER, USER_CLASSES);
  if (lua_getiuservalue(L, INNER, USER_CLASSES) != LUA_TTABLE) return 0;
  finalise_all(L, INNER);
  runtime_end(L, inner);
  inner->L = inner->main->L;
  atomic_fetch_sub(&nested_live, 1);
  become(L, OUTER);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &nested_key);
  each_class(L, OUTER_CLASSES, INNER_CLASSES, restore);
  return 0;
}

/* outer and inner, on a stack of its own. false: the error is on top. */
static bool step(lua_State *L, lua_CFunction fn, int inner) {
  rt_push(L);
  lua_pushcclosure(L, fn, 1);
  rt_push(L);
  lua_pushvalue(L, inner);
  return lua_pcall(L, 2, 0, 0) == LUA_OK;
}

int nested_call(lua_State *L, const struct proactor_options *o, int n) {
  luaL_checkstack(L, 20, NULL);
  open_inner(L, o);
  int inner = lua_gettop(L) - n - 1;
  lua_insert(L, inner);         /* below the function and its arguments */
  if (!step(L, begin, inner)) { /* no memory: what was begun is ended */
    lua_replace(L, inner + 1);
    lua_settop(L, inner + 1);
    if (!step(L, end, inner)) lua_error(L);
    lua_remove(L, inner);
    return LUA_ERRMEM;
  }
  int r = lua_pcall(L, n, LUA_MULTRET, 0);
  luaL_checkstack(L, 20, NULL);
  if (!step(L, end, inner)) lua_error(L);
  lua_remove(L, inner);
  return r;
}

void nested_gone(lua_State *L, struct runtime *rt) {
  if (rt == rt->main || rt->main->active != rt) return;
  rt_push(L);
  become(L, lua_gettop(L));
  lua_pop(L, 1);
}
