/* lua_raise.h - errors of whoever called proa, and the checks of lauxlib.
 *
 * lauxlib names the function that called the one that raises, which may be a
 * file of proa's own or nobody (pcall), and a name for which no program looks
 * ("proa.core.sleep", "?"). These name the line where proa was called, however
 * far inside the check is made, and the function by its public name. They have
 * lauxlib's names, so that no binding can miss them; `make lint` looks at what
 * their objects import. Included by lua_core.h, behind lauxlib.h. What replaces
 * a stock function (coroutine.wrap, require) defines RAISE_AS_STOCK first.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_RAISE_H
#define PROA_LUA_RAISE_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

/* Push "file:line: " of the nearest Lua function outside of proa; where there
 * is none, because a task runs proa's function itself, of the line that spawned
 * it; "" when neither is known. false: no such function called. */
bool raise_push_where(lua_State *L);

/* The position and the text, as lua_pushfstring makes it. */
int raise_text(lua_State *L, const char *format, ...);
/* "bad argument #1 to 'sleep' (text)". Where a function of proa in Lua is what
 * was called, the number would not be that of its argument: "sleep: text". */
int raise_argument(lua_State *L, int arg, const char *text);
/* The same: "number expected, got string". */
int raise_type(lua_State *L, int arg, const char *expected);

lua_Integer raise_no_integer(lua_State *L, int arg);
int raise_no_option(lua_State *L, int arg, const char *name);
void raise_no_room(lua_State *L, const char *text);

static inline lua_Integer arg_integer(lua_State *L, int arg) {
  int is;
  lua_Integer n = lua_tointegerx(L, arg, &is);
  return is ? n : raise_no_integer(L, arg);
}

static inline lua_Number arg_number(lua_State *L, int arg) {
  int is;
  lua_Number n = lua_tonumberx(L, arg, &is);
  if (!is) raise_type(L, arg, "number");
  return n;
}

static inline const char *arg_string(lua_State *L, int arg, size_t *len) {
  const char *s = lua_tolstring(L, arg, len);
  if (!s) raise_type(L, arg, "string");
  return s;
}

static inline const char *arg_string_or(lua_State *L, int arg,
                                        const char *otherwise) {
  return lua_isnoneornil(L, arg) ? otherwise : arg_string(L, arg, NULL);
}

static inline void arg_any(lua_State *L, int arg) {
  if (lua_isnone(L, arg)) raise_argument(L, arg, "value expected");
}

static inline void arg_type(lua_State *L, int arg, int type) {
  if (lua_type(L, arg) != type) raise_type(L, arg, lua_typename(L, type));
}

static inline void *arg_object(lua_State *L, int arg, const char *class) {
  void *object = luaL_testudata(L, arg, class);
  if (!object) raise_type(L, arg, class);
  return object;
}

/* The place of the word in the list, which NULL ends. */
int arg_option(lua_State *L, int arg, const char *otherwise,
               const char *const list[]);

static inline void stack_room(lua_State *L, int n, const char *text) {
  if (!lua_checkstack(L, n)) raise_no_room(L, text);
}

#ifndef RAISE_AS_STOCK
#undef luaL_checkstring
#undef luaL_optstring
#define luaL_error raise_text
#define luaL_argerror raise_argument
#define luaL_typeerror raise_type
#define luaL_checkinteger arg_integer
#define luaL_checknumber arg_number
#define luaL_checklstring arg_string
#define luaL_checkstring(L, arg) arg_string(L, arg, NULL)
#define luaL_optinteger(L, arg, otherwise) \
  luaL_opt(L, arg_integer, arg, otherwise)
#define luaL_optnumber(L, arg, otherwise) \
  luaL_opt(L, arg_number, arg, otherwise)
#define luaL_optstring arg_string_or
#define luaL_checkany arg_any
#define luaL_checktype arg_type
#define luaL_checkudata arg_object
#define luaL_checkoption arg_option
#define luaL_checkstack stack_room
#endif

#endif
