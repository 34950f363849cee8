/* lua_report.c - what people are told of errors that nobody awaits.
 *
 * An error goes to the handler that on_error set, or to stderr with both
 * tracebacks. Decides nothing: who is told and when is in lua_executor.c.
 *
 * SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "lua_core.h"

/* -- errors -- */

static void default_report(lua_State *L, struct task *t) {
  char label[96];
  task_label(t, label, sizeof label);
  const char *text = luaL_tolstring(L, -2, NULL);
  lua_writestringerror("proa: task %s failed: ", label);
  lua_writestringerror("%s\n", text);
  if (lua_isstring(L, -2)) lua_writestringerror("%s\n", lua_tostring(L, -2));
  lua_pop(L, 1);
}

struct report {
  struct runtime *rt;
  struct task *task;
};

/* error, traceback, report */
static int report_protected(lua_State *L) {
  struct report *r = lua_touserdata(L, 3);
  lua_settop(L, 2);
  if (r->rt->on_error_ref == LUA_NOREF) {
    default_report(L, r->task);
    return 0;
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, r->rt->on_error_ref);
  lua_insert(L, 1);
  char label[96];
  task_label(r->task, label, sizeof label);
  lua_pushstring(L, label);
  lua_call(L, 3, 0);
  return 0;
}

/* An error in the handler is printed; there is nowhere else to take it. */
void executor_report(lua_State *L, struct task *t) {
  struct report r = {t->rt, t};
  lua_pushcfunction(L, report_protected);
  lua_insert(L, -3);
  lua_pushlightuserdata(L, &r);
  if (lua_pcall(L, 3, 0, 0) == LUA_OK) return;
  const char *text = lua_tostring(L, -1);
  lua_writestringerror("proa: error in on_error: %s\n", text ? text : "?");
  lua_pop(L, 1);
}

/* -- what Lua sees -- */

/* on_error(fn | nil) -> what was set before */
static int l_on_error(lua_State *L) {
  struct runtime *rt = rt_get(L);
  if (!lua_isnoneornil(L, 1)) luaL_checktype(L, 1, LUA_TFUNCTION);
  if (rt->on_error_ref == LUA_NOREF)
    lua_pushnil(L);
  else
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->on_error_ref);
  luaL_unref(L, LUA_REGISTRYINDEX, rt->on_error_ref);
  rt->on_error_ref = LUA_NOREF;
  if (lua_isnoneornil(L, 1)) return 1;
  lua_pushvalue(L, 1);
  rt->on_error_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  return 1;
}

void open_report(lua_State *L) {
  static const luaL_Reg functions[] = {{"on_error", l_on_error}, {NULL, NULL}};
  add_functions(L, functions);
}
