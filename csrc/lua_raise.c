/* lua_raise.c - where a mistake was made, and in which function. See
 * lua_raise.h.
 *
 * Only looks at stacks: who is proa's own, and what functions are called, is
 * known by lua_traceback.c.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_raise.h"

#include <stdarg.h>
#include <string.h>

#include "lua_core.h"

enum { LEVELS_MAX = 100 /* looked at for who called */ };

/* The function of proa that was called, and who called it. */
struct call {
  int entry;        /* its level: 0, or that of proa's outermost Lua function */
  bool found;       /* a Lua function outside has called it, */
  lua_Debug caller; /* this one */
};

static void find_call(lua_State *L, const struct runtime *rt, struct call *c) {
  c->entry = 0;
  c->found = false;
  for (int i = 1; i <= LEVELS_MAX && lua_getstack(L, i, &c->caller); i++) {
    lua_getinfo(L, "Sl", &c->caller);
    if (c->caller.what[0] == 'C') continue;
    c->found = !traceback_is_own(rt, &c->caller);
    if (c->found) return;
    c->entry = i;
  }
}

/* The position, with a colon and a space, or "". */
static void push_where(lua_State *L, struct runtime *rt, const struct call *c) {
  const struct task *t = rt->current;
  if (c->found && c->caller.currentline > 0) {
    lua_pushfstring(L, "%s:%d: ", c->caller.short_src, c->caller.currentline);
  } else if (!c->found && t && t->co == L && t->place != PLACE_UNKNOWN) {
    const struct place *at = task_place(t);
    lua_pushfstring(L, "%s:%d: ", at->file, at->line);
  } else {
    lua_pushliteral(L, "");
  }
}

bool raise_push_where(lua_State *L) {
  struct runtime *rt = rt_find(L);
  struct call c;
  find_call(L, rt, &c);
  push_where(L, rt, &c);
  return c.found;
}

/* The text is on top. */
static int raise_here(lua_State *L, struct runtime *rt, const struct call *c) {
  push_where(L, rt, c);
  lua_insert(L, -2);
  lua_concat(L, 2);
  return lua_error(L);
}

/* A lack of memory is nobody's mistake: as Lua's own, it has no position. */
int raise_text(lua_State *L, const char *format, ...) {
  if (strcmp(format, NO_MEMORY) == 0) {
    lua_pushliteral(L, NO_MEMORY);
    return lua_error(L);
  }
  struct runtime *rt = rt_find(L);
  struct call c;
  va_list args;
  find_call(L, rt, &c);
  push_where(L, rt, &c);
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  lua_concat(L, 2);
  return lua_error(L);
}

/* -- the function -- */

/* The name of the function of that level, as its caller wrote it, or its public
 * one: pushed. "?": it has none. true: it was called as a method. */
static bool push_name(lua_State *L, int level) {
  lua_Debug ar;
  lua_getstack(L, level, &ar);
  lua_getinfo(L, "nf", &ar);
  if (ar.name) {
    lua_pop(L, 1);
    lua_pushstring(L, ar.name);
  } else if (!traceback_push_name(L)) {
    lua_pushliteral(L, "?");
  }
  return strcmp(ar.namewhat, "method") == 0;
}

/* The level whose function is named. What has no upvalues was not registered
 * (rt_get): a part of the function that runs it under a pcall. */
static int named_level(lua_State *L, const struct call *c) {
  lua_Debug ar;
  if (c->entry || !lua_getstack(L, 0, &ar)) return c->entry;
  lua_getinfo(L, "uf", &ar);
  bool part = lua_iscfunction(L, -1) && !ar.nups && lua_getstack(L, 1, &ar);
  lua_pop(L, 1);
  return part;
}

int raise_argument(lua_State *L, int arg, const char *text) {
  struct runtime *rt = rt_find(L);
  struct call c;
  find_call(L, rt, &c);
  stack_room(L, 16, NULL);
  bool method = push_name(L, named_level(L, &c));
  const char *name = lua_tostring(L, -1);
  if (c.entry)
    lua_pushfstring(L, "%s: %s", name, text);
  else if (method && arg == 1)
    lua_pushfstring(L, "calling '%s' on bad self (%s)", name, text);
  else
    lua_pushfstring(L, "bad argument #%d to '%s' (%s)", arg - method, name,
                    text);
  return raise_here(L, rt, &c);
}

/* -- the checks -- */

int raise_type(lua_State *L, int arg, const char *expected) {
  const char *got = luaL_typename(L, arg);
  if (luaL_getmetafield(L, arg, "__name") == LUA_TSTRING)
    got = lua_tostring(L, -1);
  else if (lua_islightuserdata(L, arg))
    got = "light userdata";
  lua_pushfstring(L, "%s expected, got %s", expected, got);
  return raise_argument(L, arg, lua_tostring(L, -1));
}

lua_Integer raise_no_integer(lua_State *L, int arg) {
  if (!lua_isnumber(L, arg)) return raise_type(L, arg, "number");
  return raise_argument(L, arg, "number has no integer representation");
}

int raise_no_option(lua_State *L, int arg, const char *name) {
  lua_pushfstring(L, "invalid option '%s'", name);
  return raise_argument(L, arg, lua_tostring(L, -1));
}

void raise_no_room(lua_State *L, const char *text) {
  raise_text(L, "stack overflow%s%s", text ? ": " : "", text ? text : "");
}

int arg_option(lua_State *L, int arg, const char *otherwise,
               const char *const list[]) {
  const char *name =
      otherwise ? arg_string_or(L, arg, otherwise) : arg_string(L, arg, NULL);
  for (int i = 0; list[i]; i++)
    if (strcmp(list[i], name) == 0) return i;
  return raise_no_option(L, arg, name);
}

/* -- for Lua -- */

/* core.where() -> "file:line: " or "", and whether a function outside of proa
 * has called: not when a task runs proa's function itself */
static int l_where(lua_State *L) {
  lua_pushboolean(L, raise_push_where(L));
  return 2;
}

void open_raise(lua_State *L) {
  static const luaL_Reg functions[] = {{"where", l_where}, {NULL, NULL}};
  add_functions(L, functions);
}
