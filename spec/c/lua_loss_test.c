/* lua_loss_test.c - no memory for a moment, while tasks hand each other values
 * and locks: what was told as sent arrives, what was locked is unlocked.
 *
 * The allocator fails once, or a few times in a row, at every allocation that
 * the script makes while it counts.
 *
 * SPDX-License-Identifier: MIT */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"

static bool counting;
static int before_gap, gap; /* allocations, while counting */

static void *allocate(void *ud, void *p, size_t old, size_t size) {
  (void)ud;
  if (size == 0) {
    free(p);
    return NULL;
  }
  if (counting && (!p || size > old) && --before_gap < 0 && --gap >= 0)
    return NULL;
  return realloc(p, size);
}

static int l_count(lua_State *L) {
  counting = lua_toboolean(L, 1);
  return 0;
}

static int run(const char *script) {
  counting = false;
  setenv("PROA_DRIVER", "sim", 1);
  lua_State *L = lua_newstate(allocate, NULL);
  luaL_openlibs(L);
  lua_register(L, "count", l_count);
  int r = luaL_dostring(L, script);
  counting = false;
  if (r != LUA_OK) fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_close(L);
  return r;
}

/* The gap is moved over everything that the script allocates. */
static void run_short_of_memory(const char *script) {
  for (int length = 1; length <= 4; length++) {
    bool reached = true;
    for (int at = 0; reached; at++) {
      before_gap = at;
      gap = length;
      CHECK_INT(run(script), ==, LUA_OK);
      reached = gap <= 0;
    }
  }
}

/* Who receives goes on when it is told that there is no memory. What it does
 * with a message allocates nothing (message 9 makes room on its stack, which
 * the collector must not take back), so that nothing is lost between the core
 * and `got`. */
#define PRELUDE                                          \
  "local proa = require 'proa'\n"                        \
  "collectgarbage 'stop'\n"                              \
  "proa.on_error(function() end)\n"                      \
  "local sent, got, never = {}, {}, proa.future()\n"     \
  "for i = 1, 9 do sent[i], got[i] = false, false end\n" \
  "local function mark(ok, v)\n"                         \
  "  if ok and v then got[v] = true end\n"               \
  "  return not ok or v\n"                               \
  "end\n"                                                \
  "local function send(fn, i, ...)\n"                    \
  "  local ok, result = pcall(fn, ...)\n"                \
  "  sent[i] = ok and result == true\n"                  \
  "end\n"                                                \
  "local function compare()\n"                           \
  "  for i = 1, 9 do\n"                                  \
  "    assert(sent[i] == got[i], 'message ' .. i)\n"     \
  "  end\n"                                              \
  "end\n"

TEST("channels lose and make up nothing when memory is short") {
  run_short_of_memory(
      PRELUDE
      "for capacity = 0, 2 do\n"
      "  for i = 1, 9 do sent[i], got[i] = false, false end\n"
      "  local ch = proa.channel(capacity)\n"
      "  local function receive() while mark(pcall(ch.recv, ch)) do end end\n"
      "  proa.run(function()\n"
      "    local receiver = proa.spawn(receive)\n"
      "    send(ch.send, 9, ch, 9, never, 'x')\n"
      "    proa.yield()\n"
      "    count(true)\n"
      "    send(ch.send, 1, ch, 1)\n"
      "    send(ch.send, 2, ch, 2, never, 'x')\n"
      "    send(ch.try_send, 3, ch, 3)\n"
      "    for i = 4, 6 do send(ch.send, i, ch, i) end\n"
      "    count(false)\n"
      "    ch:close()\n"
      "    receiver:await()\n"
      "  end)\n"
      "  compare()\n"
      "end\n");
}

TEST("select over channels loses nothing when memory is short") {
  run_short_of_memory(
      PRELUDE
      "local core = require 'proa.core'\n"
      "local ch = proa.channel()\n"
      "local entries = { never, ch }\n"
      "local function result(ok, i, v)\n"
      "  return mark(ok, i == 2 and v or nil)\n"
      "end\n"
      "local function receive()\n"
      "  while result(pcall(core.choose, entries)) do end\n"
      "end\n"
      "local function choose(...) return select(2, core.choose(...)) end\n"
      "local sendings = {}\n"
      "for i = 1, 6 do sendings[i] = { proa.sending(ch, i, 'x'), never } end\n"
      "proa.run(function()\n"
      "  local receiver = proa.spawn(receive)\n"
      "  send(choose, 9, { proa.sending(ch, 9, 'x'), never })\n"
      "  proa.yield()\n"
      "  count(true)\n"
      "  for i = 1, 6 do send(choose, i, sendings[i]) end\n"
      "  count(false)\n"
      "  ch:close()\n"
      "  receiver:await()\n"
      "end)\n"
      "compare()\n"
      "assert(tostring(ch) == 'proa.channel (0 of 0, closed)')\n");
}

TEST("locks are not held by nobody when memory is short") {
  run_short_of_memory(
      "local proa = require 'proa'\n"
      "proa.on_error(function() end)\n"
      "local sync = proa.sync\n"
      "local m, s, c = sync.mutex(), sync.semaphore(2), sync.cond()\n"
      "local l, e = sync.limiter(1000, 2), sync.event()\n"
      "local never = proa.future()\n"
      "local function locks()\n"
      "  local g <close> = m:lock()\n"
      "  local p <close> = s:acquire()\n"
      "  proa.yield()\n"
      "  c:wait(g, 0.001)\n"
      "  l:take()\n"
      "end\n"
      "local function chooses()\n"
      "  local _, g <close> = proa.select { m = m }\n"
      "  local _, p <close> = proa.select { s = s }\n"
      "  proa.yield()\n"
      "  proa.select { l = l, e = e }\n"
      "end\n"
      "pcall(proa.run, function()\n"
      "  count(true)\n"
      "  pcall(proa.all, { locks, chooses, locks, chooses, collect = true })\n"
      "  count(false)\n"
      "end)\n"
      "count(false)\n"
      "proa.run(function()\n"
      "  assert(not m:locked() and s:permits() == 2)\n"
      "  proa.all { locks, chooses }\n"
      "  assert(not m:locked() and s:permits() == 2)\n"
      "end)\n"
      "assert(#proa.tasks() == 0 and proa.stats().deadlines == 0)\n");
}
