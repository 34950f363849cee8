/* lua_coroutine.c - coroutine.resume, wrap and close inside a task.
 *
 * Equal to the stock functions, but when the resumed coroutine awaits, its
 * yield is passed outward to the executor, and when the executor resumes the
 * task, inward again: so a generator may await. The runtime's yield is known
 * by the task's record (task.awaiting), never by a value. A coroutine that
 * awaits can't be resumed or closed by anyone else.
 * Scopes (timeouts) that a coroutine has entered when it yields to its
 * resumer leave the task's stack with it and come back with it.
 *
 * SPDX-License-Identifier: MIT */
#define RAISE_AS_STOCK /* in the words of the functions they replace */
#include <string.h>

#include "lua_core.h"

/* -- resuming -- */

static int resume_in(lua_State *L, lua_State *co, int nargs,
                     struct scope *below);

/* The executor resumed the task: on with the coroutine that awaited. The
 * context is the task's innermost scope from before the resume. */
static int resume_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  lua_State *co = lua_tothread(L, 1);
  ptrmap_remove(&rt_get(L)->inner, co);
  return resume_in(L, co, 0, (struct scope *)ctx);
}

/* The wait has begun, so nothing here may fail: room was made before. */
static int pass_outward(lua_State *L, lua_State *co, struct task *t,
                        struct scope *below) {
  int r = ptrmap_set(&t->rt->inner, co, t);
  assert(r == 0);
  (void)r;
  return lua_yieldk(L, 0, (lua_KContext)below, resume_k);
}

static bool is_wrap(lua_State *L) {
  return lua_toboolean(L, lua_upvalueindex(2));
}

static int return_values(lua_State *L, lua_State *co, int n) {
  if (!lua_checkstack(L, n + 1)) {
    lua_pop(co, n);
    return luaL_error(L, "too many results to resume");
  }
  if (!is_wrap(L)) lua_pushboolean(L, 1);
  lua_xmove(co, L, n);
  return n + (is_wrap(L) ? 0 : 1);
}

static int raise_with_place(lua_State *L) {
  if (lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

/* As the stock wrap: the dead coroutine's <close> variables run, and may
 * replace the error. */
static int raise_from(lua_State *L, lua_State *co) {
  int status = lua_status(co);
  if (status != LUA_OK && status != LUA_YIELD) {
    status = close_thread(co, L);
    if (status != LUA_OK) lua_xmove(co, L, 1);
  }
  return status == LUA_ERRMEM ? lua_error(L) : raise_with_place(L);
}

static int return_error(lua_State *L, lua_State *co) {
  lua_xmove(co, L, 1);
  if (is_wrap(L)) return raise_from(L, co);
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

static int resume_in(lua_State *L, lua_State *co, int nargs,
                     struct scope *below) {
  struct runtime *rt = rt_get(L);
  struct task *t = rt->current;
  lua_State *saved = rt->top;
  int nres = 0;
  /* Awaiting in co works only if its yield can pass through here. */
  if (t && t->co) rt->top = saved == L && lua_isyieldable(L) ? co : NULL;
  rt->inner_wanted++;
  int status = lua_resume(co, L, nargs, &nres);
  rt->inner_wanted--;
  rt->top = saved;
  if (status == LUA_YIELD && t && t->co && t->awaiting)
    return pass_outward(L, co, t, below);
  if (t) scope_detach(t, below, status == LUA_YIELD ? co : NULL);
  if (status == LUA_OK || status == LUA_YIELD)
    return return_values(L, co, nres);
  return return_error(L, co);
}

/* A coroutine that awaits is its task's; the message is left on top. */
static bool refused(lua_State *L, lua_State *co, const char *verb) {
  if (lua_status(co) != LUA_YIELD) return false;
  struct task *t = ptrmap_get(&rt_get(L)->inner, co);
  if (!t) t = executor_task_of(L, co);
  if (!t) return false;
  char label[96];
  task_label(t, label, sizeof label);
  lua_pushfstring(L, "cannot %s a coroutine that awaits in task %s", verb,
                  label);
  return true;
}

static int refuse_resume(lua_State *L) {
  if (is_wrap(L)) return raise_with_place(L);
  lua_pushboolean(L, 0);
  lua_insert(L, -2);
  return 2;
}

/* The stack: 1 the coroutine, arguments above it. What else can't be resumed
 * (dead, running) lua_resume says itself. */
static int resume_thread(lua_State *L, lua_State *co) {
  int nargs = lua_gettop(L) - 1;
  if (refused(L, co, "resume")) return refuse_resume(L);
  if (!lua_checkstack(co, nargs)) {
    lua_pushliteral(L, "too many arguments to resume");
    return refuse_resume(L);
  }
  struct runtime *rt = rt_get(L);
  struct task *t = rt->current;
  struct scope *below = t ? t->scope : NULL;
  if (ptrmap_reserve(&rt->inner, rt->inner_wanted + 1) < 0) {
    lua_pushliteral(L, "not enough memory");
    return refuse_resume(L);
  }
  if (t && lua_status(co) == LUA_YIELD) scope_attach(t, co);
  lua_xmove(L, co, nargs);
  return resume_in(L, co, nargs, below);
}

/* -- hooks of the debug library, which are kept by thread -- */

/* Push what the library keeps for that thread. */
static void push_hook(lua_State *L, lua_State *of) {
  lua_getfield(L, LUA_REGISTRYINDEX, "_HOOKKEY");
  if (!lua_istable(L, -1) || !lua_checkstack(of, 1)) return;
  lua_pushthread(of);
  lua_xmove(of, L, 1);
  lua_rawget(L, -2);
}

void task_inherit_hook(lua_State *L, lua_State *co, lua_State *from) {
  lua_Hook hook = lua_gethook(from);
  int top = lua_gettop(L);
  luaL_checkstack(L, 6, NO_MEMORY);
  push_hook(L, from);
  if (lua_isfunction(L, -1)) {
    lua_pushthread(co);
    lua_xmove(co, L, 1);
    lua_insert(L, -2);
    lua_rawset(L, top + 1);
    lua_sethook(co, hook, lua_gethookmask(from), lua_gethookcount(from));
  }
  lua_settop(L, top);
}

/* Releases of 5.4 differ in what the stock functions say they expect. */
static bool says_thread;

static void ask_stock(lua_State *L) {
  lua_getfield(L, -1, "resume");
  lua_pushinteger(L, 1);
  bool ok = lua_pcall(L, 1, 0, 0) == LUA_OK;
  says_thread = !ok && strstr(luaL_tolstring(L, -1, NULL), "thread expected");
  lua_pop(L, ok ? 0 : 2);
}

static lua_State *check_thread(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  if (!co) luaL_typeerror(L, 1, says_thread ? "thread" : "coroutine");
  return co;
}

static int l_resume(lua_State *L) {
  return resume_thread(L, check_thread(L));
}

static int l_wrap_call(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(3));
  lua_insert(L, 1);
  return resume_thread(L, lua_tothread(L, 1));
}

static int l_wrap(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  rt_push(L);
  lua_pushboolean(L, 1);
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, l_wrap_call, 3);
  return 1;
}

/* close(co): the stock function unless co awaits. */
static int l_close(lua_State *L) {
  lua_State *co = check_thread(L);
  if (refused(L, co, "close")) return raise_with_place(L);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* patch_coroutines(): once; the module is loaded once in a state */
static int l_patch(lua_State *L) {
  lua_getglobal(L, "coroutine");
  if (!lua_istable(L, -1)) return 0;
  ask_stock(L);
  rt_push(L);
  lua_pushboolean(L, 0);
  lua_pushcclosure(L, l_resume, 2);
  lua_setfield(L, -2, "resume");
  /* a tool's own makes its coroutines, and looks resume up when it needs it */
  if (lua_getfield(L, -1, "wrap"), lua_iscfunction(L, -1)) {
    lua_pushcfunction(L, l_wrap);
    lua_setfield(L, -3, "wrap");
  }
  lua_pop(L, 1);
  rt_push(L);
  lua_getfield(L, -2, "close");
  lua_pushcclosure(L, l_close, 2);
  lua_setfield(L, -2, "close");
  return 0;
}

void open_coroutine(lua_State *L) {
  static const luaL_Reg functions[] = {{"patch_coroutines", l_patch},
                                       {NULL, NULL}};
  add_functions(L, functions);
}
