/* lua_memory_test.c - no memory for a task's coroutine: that task alone fails.
 *
 * The allocator refuses coroutines while the script says so. A task without
 * arguments gets its coroutine when it first runs, one with arguments when it
 * is spawned.
 *
 * SPDX-License-Identifier: MIT */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"

static int refused; /* kind of object that is not allocated */

static void *allocate(void *ud, void *p, size_t old, size_t size) {
  (void)ud;
  if (size == 0) {
    free(p);
    return NULL;
  }
  if (!p && refused && old == (size_t)refused) return NULL;
  return realloc(p, size);
}

static int l_refuse(lua_State *L) {
  refused = lua_toboolean(L, 1) ? LUA_TTHREAD : 0;
  return 0;
}

static int run(const char *script) {
  refused = 0;
  setenv("PROA_DRIVER", "sim", 1);
  lua_State *L = lua_newstate(allocate, NULL);
  luaL_openlibs(L);
  lua_register(L, "refuse", l_refuse);
  int r = luaL_dostring(L, script);
  if (r != LUA_OK) fprintf(stderr, "%s\n", lua_tostring(L, -1));
  refused = 0;
  lua_close(L);
  return r;
}

TEST("a task whose coroutine can't be made fails, the others go on") {
  int r = run("local proa = require 'proa'\n"
              "local told = {}\n"
              "proa.on_error(function(e) told[#told + 1] = e end)\n"
              "local ran = {}\n"
              "proa.run(function()\n"
              "  local a = proa.spawn(function() ran[1] = true end)\n"
              "  local b = proa.spawn(function() ran[2] = true end)\n"
              "  refuse(true)\n"
              "  local ok, message = pcall(a.await, a)\n"
              "  refuse(false)\n"
              "  assert(not ok and message == 'not enough memory', message)\n"
              "  assert(a:status() == 'failed' and b:status() == 'failed')\n"
              "  assert(a:traceback() == nil)\n"
              "  local c = proa.spawn(function() ran[3] = true end)\n"
              "  c:await()\n"
              "end)\n"
              "assert(not ran[1] and not ran[2] and ran[3])\n"
              "assert(#told == 1 and told[1] == 'not enough memory')\n"
              "assert(#proa.tasks() == 0)\n");
  CHECK_INT(r, ==, LUA_OK);
}

TEST("a spawn with arguments fails at once, and leaves nothing") {
  int r = run("local proa = require 'proa'\n"
              "proa.run(function()\n"
              "  refuse(true)\n"
              "  local ok, message = pcall(proa.spawn, print, 1)\n"
              "  refuse(false)\n"
              "  assert(not ok and message == 'not enough memory')\n"
              "  assert(#proa.tasks() == 1)\n"
              "end)\n");
  CHECK_INT(r, ==, LUA_OK);
}
