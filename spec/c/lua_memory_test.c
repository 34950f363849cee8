/* lua_memory_test.c - no memory for a task's coroutine: that task alone fails.
 *
 * The allocator refuses coroutines while the script says so. A task without
 * arguments gets its coroutine when it first runs, one with arguments when it
 * is spawned. And when for a moment there is no memory at all, whatever it was
 * for, the runtime goes on afterwards.
 *
 * SPDX-License-Identifier: MIT */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"

static int refused; /* kind of object that is not allocated */
static bool counting;
static int before_gap, gap; /* allocations, while counting */

static void *allocate(void *ud, void *p, size_t old, size_t size) {
  (void)ud;
  if (size == 0) {
    free(p);
    return NULL;
  }
  if (!p && refused && old == (size_t)refused) return NULL;
  if (counting && (!p || size > old) && --before_gap < 0 && --gap >= 0)
    return NULL;
  return realloc(p, size);
}

static int l_refuse(lua_State *L) {
  refused = lua_toboolean(L, 1) ? LUA_TTHREAD : 0;
  return 0;
}

static int l_count(lua_State *L) {
  counting = lua_toboolean(L, 1);
  return 0;
}

static int run(const char *script) {
  refused = 0;
  counting = false;
  setenv("PROA_DRIVER", "sim", 1);
  lua_State *L = lua_newstate(allocate, NULL);
  luaL_openlibs(L);
  lua_register(L, "refuse", l_refuse);
  lua_register(L, "count", l_count);
  int r = luaL_dostring(L, script);
  if (r != LUA_OK) fprintf(stderr, "%s\n", lua_tostring(L, -1));
  refused = 0;
  counting = false;
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
              "  local b = proa.spawn(function(i) ran[i] = true end, 2)\n"
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

TEST("a task whose coroutine can't be made keeps nothing alive") {
  int r = run("local proa = require 'proa'\n"
              "proa.on_error(function() end)\n"
              "local alive = setmetatable({}, { __mode = 'k' })\n"
              "local function new() local t = {} alive[t] = true return t end\n"
              "local function spawn(...)\n"
              "  local up = new()\n"
              "  return proa.spawn(function() return up end, ...)\n"
              "end\n"
              "proa.run(function()\n"
              "  local a, b = spawn(), spawn(new(), new(), new())\n"
              "  local c = spawn(new()):name 'c'\n"
              "  refuse(true)\n"
              "  for _, t in ipairs { a, b, c } do pcall(t.await, t) end\n"
              "  refuse(false)\n"
              "  collectgarbage() collectgarbage()\n"
              "  assert(not next(alive))\n"
              "  assert(a:status() == 'failed' and b:status() == 'failed')\n"
              "  assert(c:status() == 'failed' and c:name() == 'c')\n"
              "  assert(not pcall(c.await, c))\n"
              "end)\n");
  CHECK_INT(r, ==, LUA_OK);
}

TEST("a spawn with many arguments fails at once, and leaves nothing") {
  int r = run("local proa = require 'proa'\n"
              "proa.run(function()\n"
              "  refuse(true)\n"
              "  local ok, message = pcall(proa.spawn, print, 1, 2, 3, 4)\n"
              "  refuse(false)\n"
              "  assert(not ok and message == 'not enough memory')\n"
              "  assert(#proa.tasks() == 1)\n"
              "end)\n");
  CHECK_INT(r, ==, LUA_OK);
}

/* The gap is moved over everything that the tasks and their ends allocate. */
TEST("when memory was short for a moment, tasks run afterwards") {
  const char *script =
      "local proa = require 'proa'\n"
      "proa.on_error(function() end)\n"
      "proa.yield()\n"
      "local function work() proa.yield() end\n"
      "pcall(proa.run, function()\n"
      "  count(true)\n"
      "  local a, b = proa.spawn(work), proa.spawn(work)\n"
      "  local c = proa.spawn(function() error {} end)\n"
      "  pcall(c.await, c)\n"
      "  proa.sleep(0.001)\n"
      "  pcall(proa.all, { a, b, work })\n"
      "end)\n"
      "count(false)\n"
      "local t = proa.spawn(function() work() return 'fine' end)\n"
      "assert(proa.run(function() return t:await() end) == 'fine')\n"
      "assert(#proa.tasks() == 0)\n";
  for (int length = 1; length <= 8; length++) {
    bool reached = true;
    for (int at = 0; reached; at++) {
      before_gap = at;
      gap = length;
      CHECK_INT(run(script), ==, LUA_OK);
      reached = gap <= 0;
    }
  }
}
