/* host.c - one scenario, over and over, with something failing each time.
 *
 *   host SCENARIO DRIVER MODE [cold] [small] [step N] [from N]
 *
 * MODE once: allocation n fails (Lua's, and its retry, or the core's own), n =
 * 1, 2, ... until the scenario succeeds without having met it. gc: instead a
 * full collection runs at allocation n of Lua. outage: n and all later ones
 * fail. points: each other fault point fails, at its first visits, with each
 * errno where it tells one.
 * calm: nothing fails; CALM_TRIES times, for tools that watch.
 * After each try memory is there again: everything must be drained, the same
 * descriptors open, and the scenario must succeed. cold: a new state for each
 * try, so that first uses fail too, and nothing may stay allocated. An alarm
 * tells which try hangs. small: queues of 4 and 8, four buffers.
 * Prints one line and ends with 0 if all was well. Read next: kit.lua.
 *
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lua_fault.h"

enum {
  LIMIT_S = 20, /* for one try, and what follows it */
  TRIES_MAX = 20000,
  CALM_TRIES = 20,
  VISITS_MAX = 3,   /* of one point and errno */
  CORE_BLOCKS = 64, /* the ledger's tables may stay */
};

static const int errnos[] = {
    EPERM,     ENOENT,       EINTR,        EIO,        EBADF,      ENOMEM,
    EACCES,    EBUSY,        EINVAL,       ENFILE,     EMFILE,     ENOSPC,
    EPIPE,     ENOSYS,       ECONNABORTED, ECONNRESET, ENOBUFS,    ENOTCONN,
    ETIMEDOUT, ECONNREFUSED, EADDRINUSE,   EOPNOTSUPP, ENETUNREACH};

enum mode { ONCE, GC, OUTAGE, POINTS, CALM };

static const struct fault_api *api;
static const char *scenario, *driver, *mode_name;
static enum mode mode;
static bool cold, small, armed, retry;
static lua_State *victim; /* while armed */
static unsigned first = 1, step = 1, tries;
static char now[160]; /* what is tried: for the alarm */

/* -- the allocator of the states -- */

static bool refuse(void) {
  if (retry) {
    retry = false;
    return mode != GC;
  }
  if (!api->point("alloc")) return false;
  retry = mode != OUTAGE;
  return true;
}

/* Lua loses a finaliser that it has no memory to call: its record of a call is
 * exempt while one is to be run (every lua_gc is refused then). */
static bool calls_finaliser(void *p, size_t old) {
  return !p && old == 0 && victim && lua_gc(victim, LUA_GCCOUNT) == -1;
}

static void *allocate(void *ud, void *p, size_t old, size_t size) {
  (void)ud;
  if (size == 0) {
    free(p);
    return NULL;
  }
  bool grows = armed && (!p || size > old);
  if (grows && !calls_finaliser(p, old) && refuse()) return NULL;
  return realloc(p, size);
}

/* -- a state -- */

static int traceback(lua_State *L) {
  const char *message = lua_tostring(L, 1);
  if (message && strstr(message, "memory")) return 1;
  luaL_traceback(L, L, message ? message : luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

static void die(const char *what, const char *detail) {
  printf("not ok - %s on %s: %s: %s: %s\n", scenario, driver, now, what,
         detail ? detail : "");
  exit(1);
}

/* Calls kit[name](...); what it gives is on top, as many as `results`. */
static int call(lua_State *L, const char *name, int results) {
  lua_settop(L, 3);
  lua_getfield(L, 2, name);
  int r = lua_pcall(L, 0, results, 1);
  return r;
}

static lua_State *state_new(void) {
  lua_State *L = lua_newstate(allocate, NULL);
  if (!L) die("no state", NULL);
  luaL_openlibs(L);
  lua_pushcfunction(L, traceback);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "spec.fault.kit");
  if (lua_pcall(L, 1, 1, 1) != LUA_OK) die("kit", lua_tostring(L, -1));
  lua_getfield(L, 2, "load");
  lua_pushstring(L, scenario);
  lua_pushboolean(L, small);
  if (lua_pcall(L, 2, 1, 1) != LUA_OK) die("load", lua_tostring(L, -1));
  lua_checkstack(L, 20);
  return L;
}

static void plain(lua_State *L) {
  if (call(L, "attempt", 0) != LUA_OK)
    die("without a fault it fails", lua_tostring(L, -1));
}

static void settle(lua_State *L) {
  if (call(L, "settle", 1) != LUA_OK) die("settle", lua_tostring(L, -1));
  if (lua_toboolean(L, -1)) die("left behind", lua_tostring(L, -1));
}

/* -- one try -- */

static void on_alarm(int sig) {
  (void)sig;
  dprintf(STDOUT_FILENO, "not ok - %s on %s: %s: hangs\n", scenario, driver,
          now);
  abort();
}

/* Nothing that could repair a driver whose wait says such things. */
static bool breaks_driver(const char *point, int err) {
  return (strcmp(point, "uring_enter") == 0 && err != EINTR && err != EBUSY &&
          err != EAGAIN && err != ENOMEM && err != ETIME) ||
         (strcmp(point, "epoll_wait") == 0 && err != EINTR);
}

static void judge(lua_State *L, int r, unsigned failed, bool memory) {
  if (r == LUA_OK) return;
  if (!failed)
    die("it fails without having met the fault", lua_tostring(L, -1));
  if (!memory) return;
  lua_pushvalue(L, -1);
  lua_insert(L, 4);
  lua_getfield(L, 2, "blames_memory");
  lua_pushvalue(L, 4);
  if (lua_pcall(L, 1, 2, 1) == LUA_OK && lua_toboolean(L, -2)) return;
  printf("%s\n", lua_tostring(L, -1));
  die("it does not say that memory was short", lua_tostring(L, 4));
}

/* The scenario with this plan; whether it met it. */
static bool attempt(lua_State *L, const char *point, unsigned nth,
                    unsigned count, int err) {
  bool memory = strcmp(point, "alloc") == 0;
  snprintf(now, sizeof now, "%s %s %u%s%s%s", mode_name, point, nth,
           err ? " " : "", err ? strerror(err) : "",
           count > 1 ? " and later" : "");
  alarm(LIMIT_S);
  tries++;
  lua_settop(L, 3);
  lua_getfield(L, 2, "attempt");
  retry = false;
  armed = memory;
  victim = L;
  api->arm(point, nth, count, err);
  int r = lua_pcall(L, 0, 0, 1);
  unsigned failed = api->disarm();
  armed = false;
  judge(L, r, failed, memory);
  return failed > 0;
}

static void again(lua_State *L) {
  settle(L);
  plain(L);
  settle(L);
}

static unsigned open_fds(void) {
  unsigned n = 0;
  DIR *d = opendir("/proc/self/fd");
  while (d && readdir(d)) n++;
  if (d) closedir(d);
  return n;
}

/* In a state of its own, after which nothing may be left. */
static bool attempt_cold(const char *point, unsigned nth, unsigned count,
                         int err) {
  size_t blocks = api->blocks();
  unsigned fds = open_fds();
  lua_State *L = state_new();
  bool met = attempt(L, point, nth, count, err);
  bool broken = met && breaks_driver(point, err);
  if (!broken) again(L);
  lua_close(L);
  if (broken) return met;
  for (int i = 0; i < 100 && api->blocks() > blocks; i++) usleep(10000);
  if (api->blocks() > blocks) {
    api->print_blocks();
    die("memory is left behind", NULL);
  }
  if (open_fds() != fds) die("descriptors are left behind", NULL);
  return met;
}

static bool try_it(lua_State *L, const char *point, unsigned nth,
                   unsigned count, int err) {
  if (cold || breaks_driver(point, err))
    return attempt_cold(point, nth, count, err);
  unsigned fds = open_fds();
  bool met = attempt(L, point, nth, count, err);
  again(L);
  if (open_fds() != fds) die("descriptors are left behind", NULL);
  return met;
}

/* -- the modes -- */

static void try_allocations(lua_State *L) {
  unsigned count = mode == OUTAGE ? UINT32_MAX : 1;
  for (unsigned n = first; n < TRIES_MAX; n += step)
    if (!try_it(L, "alloc", n, count, 0)) return;
  if (step == 1) die("it never succeeds", NULL);
}

/* A broken driver takes its time to give up, so one scenario shows it. And
 * ENOTCONN of a shutdown says that nobody is there to be told, which in a world
 * where somebody is leaves them waiting. */
static bool worth_it(const struct fault_seen *s, int err) {
  if (err == ENOTCONN && strcmp(s->name, "shutdown") == 0) return false;
  if (!breaks_driver(s->name, err)) return true;
  return err == EBADF && strcmp(scenario, "serve") == 0;
}

static void try_point(lua_State *L, const struct fault_seen *s) {
  unsigned visits = s->visits < VISITS_MAX ? s->visits : VISITS_MAX;
  for (unsigned nth = 1; nth <= visits; nth += step) {
    if (!s->has_error) try_it(L, s->name, nth, 1, 0);
    for (size_t i = 0; s->has_error && i < countof(errnos); i += step)
      if (worth_it(s, errnos[i])) try_it(L, s->name, nth, 1, errnos[i]);
  }
  if (strcmp(s->name, "uring_enter") == 0 || strcmp(s->name, "epoll_wait") == 0)
    try_it(L, s->name, 1, UINT32_MAX, EINTR);
}

static void try_points(lua_State *L) {
  static struct fault_seen seen[FAULTS_MAX];
  unsigned n = 0;
  api->note(true);
  lua_State *other = cold ? state_new() : L;
  plain(other);
  settle(other);
  if (cold) lua_close(other);
  api->note(false);
  while (n < FAULTS_MAX && api->seen(n)) {
    seen[n] = *api->seen(n);
    n++;
  }
  for (unsigned i = 0; i < n; i++)
    if (strcmp(seen[i].name, "alloc") != 0) try_point(L, &seen[i]);
}

static void try_calm(lua_State *L) {
  for (int i = 0; i < CALM_TRIES; i++) {
    snprintf(now, sizeof now, "try %d", i);
    alarm(LIMIT_S);
    tries++;
    plain(L);
    settle(L);
  }
}

/* -- start -- */

static void find_api(void) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  int r = luaL_dostring(L, "local path = package.searchpath('proa.core', "
                           "package.cpath)\n"
                           "return assert(package.loadlib(path, "
                           "'luaopen_proa_core_fault'))().api");
  if (r != LUA_OK) die("not a debug build", lua_tostring(L, -1));
  api = lua_touserdata(L, -1);
  lua_close(L);
}

static void read_options(int argc, char **argv) {
  static const char *const names[] = {"once", "gc", "outage", "points", "calm"};
  scenario = argv[1];
  driver = argv[2];
  mode_name = argv[3];
  for (size_t i = 0; i < countof(names); i++)
    if (strcmp(mode_name, names[i]) == 0) mode = (enum mode)i;
  for (int i = 4; i < argc; i++) {
    if (strcmp(argv[i], "cold") == 0) cold = true;
    if (strcmp(argv[i], "small") == 0) small = true;
    if (strcmp(argv[i], "step") == 0) step = (unsigned)atoi(argv[++i]);
    if (strcmp(argv[i], "from") == 0) first = (unsigned)atoi(argv[++i]);
  }
  setenv("PROA_DRIVER", driver, 1);
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  read_options(argc, argv);
  find_api();
  signal(SIGALRM, on_alarm);
  signal(SIGPIPE, SIG_DFL);
  lua_State *L = state_new();
  snprintf(now, sizeof now, "the first time");
  alarm(LIMIT_S);
  plain(L);
  settle(L);
  plain(L); /* what is kept for reuse is there now */
  settle(L);
  if (mode == CALM)
    try_calm(L);
  else if (mode == POINTS)
    try_points(L);
  else
    try_allocations(L);
  lua_close(L);
  printf("ok - %s on %s: %s%s%s: %u tries\n", scenario, driver, mode_name,
         cold ? " cold" : "", small ? " small" : "", tries);
  return 0;
}
