/* lua_interrupt_test.c - a SIGINT that comes just before the loop sleeps.
 *
 * The stock interpreter's handler resets itself and leaves a hook for the next
 * instruction of Lua. Here it runs when the await is a C function already, so
 * that there is none: the loop has to see it. Before, it slept on.
 *
 * SPDX-License-Identifier: MIT */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

static lua_State *main_state;

static void stop(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  luaL_error(L, "interrupted!");
}

/* As lua.c has it. */
static void on_interrupt(int signal_number) {
  int all = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT;
  signal(signal_number, SIG_DFL);
  lua_sethook(main_state, stop, all, 1);
}

/* late(await, ...): no instruction of Lua between the signal and the await */
static int l_late(lua_State *L) {
  lua_CFunction await = lua_tocfunction(L, 1);
  lua_remove(L, 1);
  raise(SIGINT);
  return await(L);
}

static int run(const char *script) {
  signal(SIGINT, on_interrupt);
  lua_State *L = main_state = luaL_newstate();
  luaL_openlibs(L);
  lua_register(L, "late", l_late);
  int r = luaL_dostring(L, script);
  if (r != LUA_OK) printf("%s\n", lua_tostring(L, -1));
  lua_close(L);
  signal(SIGINT, SIG_DFL);
  return r;
}

TEST("an interrupt just before the loop ends the await") {
  const char *script =
      "local proa = require 'proa'\n"
      "local ok, message = pcall(late, proa.sleep, 3600)\n"
      "assert(not ok and tostring(message):find 'interrupted!', message)\n"
      "proa.sleep(0.001)\n"
      "assert(proa.run(function() proa.sleep(0.001) return 7 end) == 7)\n";
  CHECK(run(script) == LUA_OK);
}

TEST("a hook of the program is no interrupt") {
  const char *script = "local proa = require 'proa'\n"
                       "local n = 0\n"
                       "debug.sethook(function() n = n + 1 end, 'crl', 1)\n"
                       "proa.sleep(0.001)\n"
                       "debug.sethook()\n"
                       "assert(n > 0)\n";
  CHECK(run(script) == LUA_OK);
}
