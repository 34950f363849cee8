/* lua_life_test.c - Lua states that are born and die, with proa in them.
 *
 * A host makes states, leaves in them whatever there is in every condition,
 * and closes them: many times (PROA_LIFE=1000), two at once, by os.exit, out of
 * an error. Memory and descriptors have to stay as they were, on each driver,
 * and with the collector in both of its modes. Deaths with reads in flight that
 * the kernel may finish late are in lua_close_test.c, fork is in
 * lua_fork_test.c.
 *
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { BIRTHS = 60, WARM_UP = 20, GROWTH_KIB = 2048 };

/* One of everything, in flight or waiting when the chunk ends. KEEP holds half
 * of it, so that some is collected before the runtime and some after it. */
static const char everything[] =
    "local proa = require 'proa'\n"
    "proa.setup { entries = 8, cq_entries = 32, buffers = 4,\n"
    "  buffer_size = 4096, workers = 1 }\n"
    "KEEP = setmetatable({ proa = proa }, { __gc = function(k)\n"
    "  pcall(function() k.stream:close() k.listener:close() end)\n"
    "end })\n"
    "local op, fd = proa.op, proa.fd\n"
    "local listener = proa.net.listen '127.0.0.1:0'\n"
    "local client = proa.net.connect(listener:address())\n"
    "local served = listener:accept()\n"
    "proa.net.connect(listener:address())\n" /* parked, or in the backlog */
    "local a, b = proa.net.pair()\n"
    "local m, n = proa.net.pair { memory = true }\n"
    "local r, w = fd.pipe()\n"
    "local x, y = fd.pair()\n"
    "local buffer, other = proa.buffer(100), proa.buffer(10000)\n"
    "KEEP.listener, KEEP.stream, KEEP.r, KEEP.other = listener, a, r, other\n"
    "KEEP.future = op.read(r, buffer)\n"
    "op.recv(x, other)\n"
    "op.send(y, ('s'):rep(1 << 20))\n"
    "op.ready(r, 'r')\n"
    "op.timer(100)\n"
    "op.nop()\n"
    "op.open('/dev/null', 'r')\n"
    "op.resolve('127.0.0.1', '1')\n"
    "local spawn = proa.spawn\n"
    "KEEP.task = spawn(proa.sleep, 100)\n"
    "spawn(function() a:read 'l' end)\n"
    "spawn(function() a:write(('w'):rep(1 << 20)) end)\n"
    "spawn(function() m:read 'a' end)\n"
    "spawn(function() listener:serve(function(c) c:read 'a' end) end)\n"
    "spawn(function() listener:accept() end)\n"
    "spawn(function() KEEP.future:await() end)\n"
    "spawn(function() KEEP.task:await() end)\n"
    "spawn(function() proa.signal.wait 'USR1' end)\n"
    "spawn(function() proa.timeout(50, proa.sleep, 100) end)\n"
    "spawn(function() proa.select { t = KEEP.task, timeout = 100 } end)\n"
    "spawn(function() proa.all { KEEP.task, function() proa.sleep(9) end } "
    "end)\n"
    "spawn(function() n:copy_to(b) end)\n"
    "spawn(function()\n"
    "  local c <close> = setmetatable({}, { __close = function()\n"
    "    pcall(proa.shield, proa.sleep, 1) end })\n"
    "  coroutine.wrap(function() proa.sleep(100) end)()\n"
    "end)\n"
    "spawn(function() KEEP.channel:recv() end)\n"
    "KEEP.channel = proa.channel and proa.channel(1) or nil\n"
    "client:write(('c'):rep(20000))\n"
    "local turns = ...\n"
    "for i = 1, turns do proa.yield() proa.sleep(0) end\n"
    "served, w, collectgarbage = nil, nil, collectgarbage\n"
    "collectgarbage 'step'\n"
    "return proa.stats().ops_in_flight\n";

static int traceback(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

static lua_State *state_new(const char *driver) {
  setenv("PROA_DRIVER", driver, 1);
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  return L;
}

/* LUA_OK, or prints the error. */
static int run(lua_State *L, const char *source, int arg) {
  lua_settop(L, 0);
  lua_pushcfunction(L, traceback);
  int r = luaL_loadstring(L, source);
  lua_pushinteger(L, arg);
  if (r == LUA_OK) r = lua_pcall(L, 1, 1, 1);
  if (r != LUA_OK) fprintf(stderr, "%s\n", lua_tostring(L, -1));
  return r;
}

static bool works(const char *driver) {
  lua_State *L = state_new(driver);
  bool ok = luaL_dostring(L, "require('proa').info()") == LUA_OK;
  lua_close(L);
  return ok;
}

static long resident_kib(void) {
  long pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f && fscanf(f, "%*d %ld", &pages) != 1) pages = 0;
  if (f) fclose(f);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int open_fds(void) {
  int n = 0;
  DIR *d = opendir("/proc/self/fd");
  while (d && readdir(d)) n++;
  if (d) closedir(d);
  return n;
}

/* -- a thousand states -- */

static void live_and_die(const char *driver, int i) {
  lua_State *L = state_new(driver);
  if (i % 2) lua_gc(L, LUA_GCGEN, 0, 0);
  CHECK_INT(run(L, everything, i % 4), ==, LUA_OK);
  lua_close(L);
}

/* PROA_LIFE=1000 makes it a thousand, as it is named. */
static void thousand(const char *driver) {
  const char *life = getenv("PROA_LIFE");
  int births = life ? atoi(life) : BIRTHS;
  long kib = 0, fds = 0;
  if (!works(driver)) SKIP("this driver is refused here");
  for (int i = 0; i < births && !check_misses; i++) {
    live_and_die(driver, i);
    if (i == WARM_UP) {
      kib = resident_kib();
      fds = open_fds();
    }
  }
  printf("# %s: %ld KiB after %d states, %ld after %d; fds %ld, %d\n", driver,
         kib, WARM_UP, resident_kib(), births, fds, open_fds());
#if !defined(__SANITIZE_ADDRESS__)
  CHECK_INT(resident_kib(), <=, kib + GROWTH_KIB);
#endif
  CHECK_INT(open_fds(), ==, fds);
}

TEST("sim: many states die with everything in flight") {
  thousand("sim");
}

TEST("poll: many states die with everything in flight") {
  thousand("poll");
}

TEST("uring: many states die with everything in flight") {
  thousand("uring");
}

/* -- two at once -- */

static void two(const char *driver) {
  if (!works(driver)) SKIP("this driver is refused here");
  lua_State *A = state_new(driver), *B = state_new(driver);
  lua_State *both[] = {A, B};
  for (int i = 0; i < 2; i++)
    CHECK_INT(run(both[i], everything, i), ==, LUA_OK);
  const char *speak =
      "local proa = KEEP.proa\n"
      "local a, b = proa.net.pair()\n"
      "proa.run(function()\n"
      "  assert(a:write 'hello' and b:read_exact(5) == 'hello')\n"
      "  proa.stop()\n"
      "end)\n";
  for (int i = 0; i < 4; i++) CHECK_INT(run(both[i % 2], speak, 0), ==, LUA_OK);
  lua_close(A);
  CHECK_INT(run(B, speak, 0), ==, LUA_OK);
  lua_close(B);
}

TEST("two states in one process do not know of each other") {
  two("sim");
  two("poll");
}

TEST("two states in one process do not know of each other: uring") {
  two("uring");
}

/* -- ends by os.exit and by errors, each in a child -- */

static int status_of(const char *driver, const char *source) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    alarm(20);
    lua_State *L = state_new(driver);
    int r = run(L, everything, 2);
    if (r == LUA_OK) r = luaL_dostring(L, source);
    lua_close(L);
    _exit(r == LUA_OK ? 0 : 77);
  }
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void exits(const char *driver) {
  CHECK_INT(status_of(driver, "os.exit(3)"), ==, 3);
  CHECK_INT(status_of(driver, "os.exit(4, true)"), ==, 4);
  CHECK_INT(status_of(driver, "os.exit(false)"), ==, 1);
  CHECK_INT(status_of(driver, "KEEP.proa.run(function()\n"
                              "  os.exit(5, false) end)"),
            ==, 5);
  CHECK_INT(status_of(driver, "KEEP.proa.run(function()\n"
                              "  KEEP.proa.sleep(0) os.exit(6, true) end)"),
            ==, 6);
  CHECK_INT(status_of(driver, "error 'end'"), ==, 77);
  CHECK_INT(status_of(driver, "KEEP.proa.run(function() error 'end' end)"), ==,
            77);
  CHECK_INT(status_of(driver, "pcall(KEEP.proa.run, error, 'end')\n"
                              "KEEP.proa.sleep(0)"),
            ==, 0);
}

TEST("a process ends by os.exit and by errors with everything in flight") {
  exits("sim");
  exits("poll");
  if (works("uring")) exits("uring");
}

/* How often the file says `what`. */
static int count_in(const char *path, const char *what) {
  static char text[1 << 16];
  FILE *f = fopen(path, "r");
  size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
  if (f) fclose(f);
  text[n] = '\0';
  int count = 0;
  for (const char *at = text; (at = strstr(at, what)); at++) count++;
  return count;
}

static void trace_forked(const char *driver) {
  char path[] = "/tmp/proa-trace-XXXXXX", source[256];
  int fd = mkstemp(path);
  CHECK(fd >= 0);
  lua_State *L = state_new(driver);
  snprintf(source, sizeof source,
           "local core = require 'proa.core' T = core.trace '%s'\n"
           "core.spawn(function() end) core.run()",
           path);
  CHECK_INT(luaL_dostring(L, source), ==, LUA_OK);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    alarm(20);
    (void)luaL_dostring(L, "T:close()");
    lua_close(L);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  CHECK_INT(count_in(path, "]"), ==, 0);
  lua_close(L);
  CHECK_INT(count_in(path, "process_name"), ==, 1);
  CHECK_INT(count_in(path, "\n]\n"), ==, 1);
  close(fd);
  unlink(path);
}

TEST("a trace is the parent's after a fork") {
  trace_forked("sim");
  trace_forked("poll");
}

/* -- what is left is finalised after the runtime -- */

TEST("objects that are finalised after the runtime do no harm") {
  static const char *const drivers[] = {"sim", "poll", "uring"};
  /* older than proa, so finalised later */
  const char *source =
      "LATE = setmetatable({}, { __gc = function(l)\n"
      "  for _, name in ipairs { 'stream', 'listener', 'task', 'future',\n"
      "      'other', 'r', 'channel' } do\n"
      "    local o = KEEP and KEEP[name]\n"
      "    if o then\n"
      "      tostring(o)\n"
      "      pcall(function() o:close() end)\n"
      "      pcall(function() o:await() end)\n"
      "      pcall(function() o:read 'l' end)\n"
      "      pcall(function() o:string() end)\n"
      "    end\n"
      "  end\n"
      "  REACHED()\n"
      "end })\n";
  for (size_t i = 0; i < 3; i++) {
    if (!works(drivers[i])) continue;
    lua_State *L = state_new(drivers[i]);
    CHECK_INT(luaL_dostring(L, "function REACHED() end"), ==, LUA_OK);
    CHECK_INT(luaL_dostring(L, source), ==, LUA_OK);
    CHECK_INT(run(L, everything, 1), ==, LUA_OK);
    lua_close(L);
  }
}
