/* lua_cancel.c - the errors that cancellations raise, and their reasons.
 *
 * Each cancelled scope has one error object, made when it is first raised or
 * given a reason and anchored in the registry until the scope is left. Its
 * user value is the reason, a string or nil. Who raises it: lua_await.c.
 *
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "lua_scope.h"

#define CANCEL_CLASS "proa.cancelled"

/* -- reasons -- */

static void push_error_reason(lua_State *L, int error_ref) {
  lua_rawgeti(L, LUA_REGISTRYINDEX, error_ref);
  lua_getiuservalue(L, -1, 1);
  lua_remove(L, -2);
}

static void push_object_reason(lua_State *L, struct scope_object *o) {
  if (o->scope.error_ref)
    push_error_reason(L, o->scope.error_ref);
  else if (o->why)
    lua_pushstring(L, o->why);
  else
    lua_pushnil(L);
}

/* The reason of a scope that was given none: of a task, that of the nursery
 * that was cancelled around it. */
static void push_default_reason(lua_State *L, struct scope *s) {
  if (s->kind != SCOPE_TASK)
    push_object_reason(L, scope_object_of(s));
  else if (s->task->group && s->task->group->nursery)
    push_object_reason(L, nursery_scope(s->task->group));
  else
    lua_pushnil(L);
}

/* -- the error objects -- */

/* Anchor an object whose reason is on top, and taken; push it. */
static void new_error(lua_State *L, struct scope *s) {
  new_object(L, 1, CANCEL_CLASS, 1);
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, -1);
  s->error_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

void scope_push_error(lua_State *L, struct scope *s) {
  if (s->error_ref) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->error_ref);
    return;
  }
  push_default_reason(L, s);
  new_error(L, s);
}

void scope_drop_error(lua_State *L, struct scope *s) {
  if (s->error_ref) luaL_unref(L, LUA_REGISTRYINDEX, s->error_ref);
  s->error_ref = 0;
}

bool scope_is_error(lua_State *L, int idx, struct scope *s) {
  if (!s->error_ref || !is_cancel_error(L, idx)) return false;
  void *object = lua_touserdata(L, idx);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->error_ref);
  bool same = lua_touserdata(L, -1) == object;
  lua_pop(L, 1);
  return same;
}

bool is_cancel_error(lua_State *L, int idx) {
  return luaL_testudata(L, idx, CANCEL_CLASS) != NULL;
}

void scope_set_reason(lua_State *L, struct scope *s, int idx) {
  if (lua_isnoneornil(L, idx)) return;
  luaL_checkstring(L, idx);
  if (s->error_ref || s->cancelled) return; /* the first one counts */
  lua_pushvalue(L, idx);
  new_error(L, s);
  lua_pop(L, 1);
}

void scope_cancel_for(lua_State *L, struct scope *s, int idx) {
  scope_set_reason(L, s, idx);
  scope_cancel(s);
}

/* -- as text -- */

/* what, or "what: reason"; the reason is on top, and taken. */
static void push_text(lua_State *L, const char *what) {
  if (lua_isstring(L, -1))
    lua_pushfstring(L, "%s: %s", what, lua_tostring(L, -1));
  else
    lua_pushstring(L, what);
  lua_remove(L, -2);
}

void scope_push_cancelled(lua_State *L, struct scope *s, const char *what) {
  push_default_reason(L, s);
  push_text(L, what);
}

void cancel_push_text(lua_State *L, int idx, const char *what) {
  lua_getiuservalue(L, idx, 1);
  push_text(L, what);
}

/* -- what Lua sees -- */

static int l_is_cancelled(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, is_cancel_error(L, 1));
  return 1;
}

static int l_tostring(lua_State *L) {
  cancel_push_text(L, 1, "cancelled");
  return 1;
}

/* .reason; anything else is nil, so that an error may be asked anything */
static int l_field(lua_State *L) {
  luaL_checkudata(L, 1, CANCEL_CLASS);
  const char *key = lua_tostring(L, 2);
  if (!key || strcmp(key, "reason") != 0) return 0;
  lua_getiuservalue(L, 1, 1);
  return 1;
}

void open_cancel(lua_State *L) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg meta[] = {{"__tostring", l_tostring}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"is_cancelled", l_is_cancelled},
                                       {NULL, NULL}};
  make_field_class(L, CANCEL_CLASS, none, meta, l_field);
  add_functions(L, functions);
}
