/* lua_loop.c - proa inside a loop that is not its own: step, pollfd, timeout.
 *
 * A foreign loop waits for pollfd to be readable, at most timeout_hint, and
 * calls step; between, whatever it does with proa only queues. Nothing here
 * owns anything; the driver says what it needs (driver.h).
 *
 * SPDX-License-Identifier: MIT */
#include "lua_core.h"

static void check_outside(lua_State *L, struct runtime *rt) {
  if (rt->current != &rt->root || rt->pumping)
    luaL_error(L, "step is for the loop around proa: a task awaits instead");
}

/* step([timeout]) -> tasks that live. Runs what is ready, once, and waits for
 * more at most that long (0). */
static int l_step(lua_State *L) {
  struct runtime *rt = rt_open(L);
  uint64_t limit = lua_isnoneornil(L, 1) ? 0 : opt_limit(L, 1);
  check_outside(L, rt);
  luaL_checkstack(L, 16, "no room to run the loop");
  if (limit) signals_pump_begin(rt);
  int r = executor_step(L, rt, limit ? await_until(rt, limit) : 0);
  bool interrupted = rt->interrupted;
  rt->interrupted = 0;
  if (limit) signals_pump_end(rt);
  if (r == TURN_RAISED) return lua_error(L);
  if (r < 0) return luaL_error(L, "the I/O driver failed (%d)", -r);
  if (interrupted) return luaL_error(L, "interrupted!");
  lua_pushinteger(L, rt->live);
  return 1;
}

/* pollfd() -> a descriptor that is readable when there is something to do */
static int l_pollfd(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  int fd = p->driver->class->pollfd(p->driver);
  if (fd < 0)
    return push_fail(L, "pollfd: the simulation has no descriptor", "ENOTSUP");
  lua_pushinteger(L, fd);
  return 1;
}

/* timeout_hint() -> seconds until step has something to do even if pollfd says
 * nothing; 0: now; nil: never */
static int l_timeout_hint(lua_State *L) {
  struct runtime *rt = rt_open(L);
  uint64_t left = proactor_patience(&rt->proactor);
  if (!list_empty(&rt->ready) || rt->signalled) left = 0;
  if (left == NEVER_NS)
    lua_pushnil(L);
  else
    lua_pushnumber(L, (lua_Number)left / 1e9);
  return 1;
}

void open_loop(lua_State *L) {
  static const luaL_Reg functions[] = {{"step", l_step},
                                       {"pollfd", l_pollfd},
                                       {"timeout_hint", l_timeout_hint},
                                       {NULL, NULL}};
  add_functions(L, functions);
}
