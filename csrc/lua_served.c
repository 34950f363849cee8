/* lua_served.c - a handler of serve: its idle limit, and what becomes of its
 * place when there was no memory for it.
 *
 * Where that limit ends the handler, serve has done what it was told: nobody's
 * mistake, so it is counted and logged instead of reported. Any other error
 * goes on as it was raised. What a handler makes of the limit's message itself,
 * or a limit that it has set, is its own affair.
 *
 * A task that cannot even begin runs none of its <close> variables, and one
 * without memory to call them neither: listener.lua is told, and looks which
 * of its handlers have ended so. Each turn tries that again until it could.
 *
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "lua_scope.h"
#include "lua_stream.h"

/* Is the error on top what the stream gave for serve's limit, with the position
 * before it? Not when the handler was told the same of another limit since. */
static bool is_idle_error(lua_State *L, const struct lua_stream *o) {
  const struct task *t = o->rt->current;
  if (!o->idle_served || !o->idled || lua_type(L, -1) != LUA_TSTRING ||
      (t && t->wait.other_limit))
    return false;
  size_t len, n = strlen(o->idled);
  const char *text = lua_tolstring(L, -1, &len);
  return len >= n && memcmp(text + len - n, o->idled, n) == 0;
}

static void say_idle(struct runtime *rt) {
  rt->proactor.stats.served_idle++;
  log_say(rt->proactor.log,
          LOG_ENTRY(.level = LOG_LEVEL_DEBUG, .event = "idle",
                    .task = rt->current ? rt->current->id : 0),
          "serve: a connection was idle for too long");
}

/* The stack: 1 the stream, 2 the handler of errors. */
static int handled_k(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  if (!scope_call_failed(status)) return 0;
  struct lua_stream *o = stream_check(L, 1);
  if (!is_idle_error(L, o)) return scope_raise(L);
  say_idle(o->rt);
  return 0;
}

/* handle_served(stream, handler, idle): call it, within the limit */
static int l_handle_served(lua_State *L) {
  struct lua_stream *o = stream_check_open(L, 1);
  o->idle_ns = opt_limit(L, 3);
  o->idle_served = true;
  o->s->timed = true; /* for copies, too */
  lua_pushvalue(L, 1);
  lua_replace(L, 3);
  return scope_call(L, handled_k);
}

/* -- those that memory was short for -- */

static const char heal_key; /* registry: what listener.lua is told by */

/* on_lost(fn) */
static int l_on_lost(lua_State *L) {
  lua_settop(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &heal_key);
  return 0;
}

static int heal(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &heal_key);
  lua_call(L, 0, 0);
  return 0;
}

void served_heal(lua_State *L, struct runtime *rt) {
  if (!lua_checkstack(L, 4)) return;
  lua_pushcfunction(L, heal);
  rt->lost = lua_pcall(L, 0, 0, 0) != LUA_OK;
  if (rt->lost) lua_pop(L, 1);
}

/* task_ended(task) -> whether it has begun; nil: it lives, or it is another
 * runtime's */
static int l_task_ended(lua_State *L) {
  struct task *t = task_test(L, 1);
  if (!t || !task_done(t)) return 0;
  lua_pushboolean(L, t->started);
  return 1;
}

void open_served(lua_State *L) {
  static const luaL_Reg functions[] = {{"handle_served", l_handle_served},
                                       {"on_lost", l_on_lost},
                                       {"task_ended", l_task_ended},
                                       {NULL, NULL}};
  add_functions(L, functions);
}
