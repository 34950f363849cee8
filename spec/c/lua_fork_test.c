/* lua_fork_test.c - proa after fork (O8): the child is told, the parent goes
 * on.
 *
 * A host gives Lua a fork of its own; a script uses proa, forks with a task
 * and a receive in flight, and both sides say what they see. Each driver.
 *
 * SPDX-License-Identifier: MIT */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static const char script[] =
    "local proa = require 'proa'\n"
    "local a, b = proa.net.pair()\n"
    "local reader = proa.spawn(function() return a:read(5) end)\n"
    "proa.yield()\n"
    "if fork() == 0 then\n"
    "  local ok, message = pcall(proa.sleep, 0)\n"
    "  assert(not ok and message:find('forked', 1, true), message)\n"
    "  assert(not pcall(a.write, a, 'x'))\n"
    "  assert(tostring(a):find('closed', 1, true))\n"
    "  a:close() b:close()\n"
    "  return\n"
    "end\n"
    "assert(wait() == 0)\n"
    "b:write('hello')\n"
    "assert(reader:await() == 'hello')\n"
    "a:close() b:close()\n";

static int l_fork(lua_State *L) {
  fflush(stdout);
  lua_pushinteger(L, fork());
  return 1;
}

static int l_wait(lua_State *L) {
  int status = -1;
  wait(&status);
  lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  return 1;
}

/* 0 as it should be; the child does not come back. */
static int run(const char *driver) {
  pid_t parent = getpid();
  setenv("PROA_DRIVER", driver, 1);
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  lua_register(L, "fork", l_fork);
  lua_register(L, "wait", l_wait);
  int r = luaL_dostring(L, script);
  if (r != LUA_OK) fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_close(L);
  if (getpid() != parent) _exit(r);
  return r;
}

TEST("poll: the child of a fork is told, the parent goes on") {
  CHECK_INT(run("poll"), ==, 0);
}

TEST("sim: the child of a fork is told, the parent goes on") {
  CHECK_INT(run("sim"), ==, 0);
}

TEST("uring: the child of a fork is told, the parent goes on") {
  setenv("PROA_DRIVER", "uring", 1);
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  int works = luaL_dostring(L, "require('proa').info()") == LUA_OK;
  lua_close(L);
  if (!works) SKIP("io_uring is refused here");
  CHECK_INT(run("uring"), ==, 0);
}
