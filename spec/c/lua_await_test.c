/* lua_await_test.c - an await on the hot path allocates nothing in Lua.
 *
 * A host with an allocator that counts, and rounds that are run often: after
 * some to warm up, ten thousand must make no allocation at all. What is read is
 * the same short string each time, which Lua has already. Each driver.
 *
 * SPDX-License-Identifier: MIT */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"

#if defined(__SANITIZE_ADDRESS__)
#define ROUNDS "500"
#else
#define ROUNDS "10000"
#endif

static long allocations;

static void *allocate(void *ud, void *p, size_t old, size_t size) {
  (void)ud;
  if (size == 0) {
    free(p);
    return NULL;
  }
  if (!p || size > old) allocations++;
  return realloc(p, size);
}

static int l_allocations(lua_State *L) {
  lua_pushinteger(L, allocations);
  return 1;
}

/* `rounds(n)` is what the script has to define. */
static const char before[] =
    "local proa = require 'proa'\n"
    "local WARM, ROUNDS = 200, " ROUNDS "\n"
    "local function count(round)\n"
    "  for _ = 1, WARM do round() end\n"
    "  local before = allocations()\n"
    "  for _ = 1, ROUNDS do round() end\n"
    "  local made = allocations() - before\n"
    "  assert(made == 0, made .. ' allocations in ' .. ROUNDS .. ' rounds')\n"
    "end\n"
    "local function tcp()\n"
    "  local listener <close> = assert(proa.net.listen '127.0.0.1:0')\n"
    "  local a = assert(proa.net.connect(listener:address()))\n"
    "  return a, assert(listener:accept())\n"
    "end\n"
    "local function echo(conn)\n"
    "  return proa.spawn(function()\n"
    "    for data in function() return conn:read_exact(5) end do\n"
    "      conn:write(data)\n"
    "    end\n"
    "    conn:close()\n"
    "  end)\n"
    "end\n";

static int run(const char *driver, const char *script) {
  setenv("PROA_DRIVER", driver, 1);
  lua_State *L = lua_newstate(allocate, NULL);
  luaL_openlibs(L);
  lua_register(L, "allocations", l_allocations);
  lua_pushstring(L, before);
  lua_pushstring(L, script);
  lua_concat(L, 2);
  int r = luaL_dostring(L, lua_tostring(L, -1));
  if (r != LUA_OK) printf("%s: %s\n", driver, lua_tostring(L, -1));
  lua_close(L);
  return r;
}

static void run_all(const char *script) {
  CHECK_INT(run("auto", script), ==, LUA_OK);
  CHECK_INT(run("poll", script), ==, LUA_OK);
  CHECK_INT(run("sim", script), ==, LUA_OK);
}

TEST("the allocator counts what a round allocates") {
  int r = run("sim",
              "local made = select(2, pcall(count, function()\n"
              "  return {}\n"
              "end))\n"
              "assert(made:find('" ROUNDS " allocations', 1, true), made)\n");
  CHECK_INT(r, ==, LUA_OK);
}

TEST("an echo allocates nothing") {
  run_all("proa.run(function()\n"
          "  local a, b = tcp()\n"
          "  local server = echo(b)\n"
          "  count(function()\n"
          "    a:write 'ping\\n'\n"
          "    assert(a:read_exact(5) == 'ping\\n')\n"
          "  end)\n"
          "  a:close()\n"
          "  server:await()\n"
          "end)\n");
}

TEST("an echo of lines, each with a limit, allocates nothing") {
  run_all("proa.run(function()\n"
          "  local a, b = tcp()\n"
          "  local server = echo(b)\n"
          "  a:timeout { write = 60, idle = 60 }\n"
          "  count(function()\n"
          "    a:write('pi', 'ng\\n')\n"
          "    assert(a:read('l', 60) == 'ping')\n"
          "  end)\n"
          "  a:close()\n"
          "  server:await()\n"
          "end)\n");
}

TEST("an echo in the main chunk allocates nothing") {
  run_all("local a, b = tcp()\n"
          "local server = echo(b)\n"
          "count(function()\n"
          "  a:write 'ping\\n'\n"
          "  assert(a:read_exact(5) == 'ping\\n')\n"
          "end)\n"
          "a:close()\n"
          "server:await()\n");
}

TEST("an echo inside a scope, a timeout, a shield allocates nothing") {
  run_all(
      "local name = proa.task_local()\n"
      "proa.run(function()\n"
      "  name:set 'x'\n"
      "  local a, b = tcp()\n"
      "  proa.scope(function()\n"
      "    echo(b)\n"
      "    local limit <close> = proa.timeout(600)\n"
      "    proa.timeout(600, proa.shield, name.with, name, 'y', function()\n"
      "      count(function()\n"
      "        a:write 'ping\\n'\n"
      "        assert(a:read_exact(5) == 'ping\\n' and name:get() == 'y')\n"
      "      end)\n"
      "      a:close()\n"
      "    end)\n"
      "  end)\n"
      "end)\n");
}

TEST("an echo through a generator that awaits allocates nothing") {
  run_all("proa.run(function()\n"
          "  local a, b = tcp()\n"
          "  local server = echo(b)\n"
          "  local replies = coroutine.wrap(function()\n"
          "    while true do coroutine.yield(a:read_exact(5)) end\n"
          "  end)\n"
          "  count(function()\n"
          "    a:write 'ping\\n'\n"
          "    assert(replies() == 'ping\\n')\n"
          "  end)\n"
          "  a:close()\n"
          "  server:await()\n"
          "end)\n");
}

TEST("a sleep and a yield allocate nothing") {
  run_all("proa.run(function()\n"
          "  local over = false\n"
          "  local other = proa.spawn(function()\n"
          "    while not over do proa.yield() end\n"
          "  end)\n"
          "  count(function()\n"
          "    proa.sleep(0)\n"
          "    proa.yield()\n"
          "  end)\n"
          "  over = true\n"
          "  other:await()\n"
          "end)\n");
}

TEST("a message through a channel, an event, a token allocate nothing") {
  run_all("local sync = proa.sync\n"
          "proa.run(function()\n"
          "  local there, back = proa.channel(), proa.channel(1)\n"
          "  local e, l = sync.event(), sync.limiter(1e9, 1e9)\n"
          "  local echo = proa.spawn(function()\n"
          "    for v in there do back:send(v) end\n"
          "  end)\n"
          "  e:set()\n"
          "  count(function()\n"
          "    there:send 'ping'\n"
          "    assert(back:recv(60) == 'ping')\n"
          "    assert(e:wait() and l:try_take())\n"
          "  end)\n"
          "  there:close()\n"
          "  echo:await()\n"
          "end)\n");
}
