/* lua_served.c - a handler of serve, and the idle limit that serve set for it.
 *
 * Where that limit ends the handler, serve has done what it was told: nobody's
 * mistake, so it is counted and logged instead of reported. Any other error
 * goes on as it was raised. What a handler makes of the limit's message itself,
 * or a limit that it has set, is its own affair.
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

void open_served(lua_State *L) {
  static const luaL_Reg functions[] = {{"handle_served", l_handle_served},
                                       {NULL, NULL}};
  add_functions(L, functions);
}
