/* floor.c - the least that a task can cost on the stock interpreter.
 *
 * A Lua module with spawn, yield, sleep and run: coroutines resumed one after
 * another from C, deadlines in a binary heap. No I/O, no handles, no results,
 * no cancelling, no limits: a yardstick for executors, no executor. Its state
 * is the process's. Used by floor_tasks.lua.
 * SPDX-License-Identifier: MIT
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

struct task {
  lua_State *co;
  int anchor; /* keeps co alive */
  uint64_t due_ns;
};

struct tasks {
  struct task *at;
  size_t n, room;
};

/* `ready` runs now, what becomes ready meanwhile is collected in `next` */
static struct tasks ready, next, asleep;

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void append(lua_State *L, struct tasks *list, struct task t) {
  if (list->n == list->room) {
    size_t room = list->room ? 2 * list->room : 1024;
    void *at = realloc(list->at, room * sizeof *list->at);
    if (!at) luaL_error(L, "not enough memory");
    list->at = at;
    list->room = room;
  }
  list->at[list->n++] = t;
}

static void heap_push(lua_State *L, struct task t) {
  append(L, &asleep, t);
  size_t i = asleep.n - 1;
  for (; i > 0 && asleep.at[(i - 1) / 2].due_ns > t.due_ns; i = (i - 1) / 2)
    asleep.at[i] = asleep.at[(i - 1) / 2];
  asleep.at[i] = t;
}

static struct task heap_pop(void) {
  struct task least = asleep.at[0], last = asleep.at[--asleep.n];
  size_t i = 0, child;
  while ((child = 2 * i + 1) < asleep.n) {
    struct task *c = &asleep.at[child];
    if (child + 1 < asleep.n && c[1].due_ns < c->due_ns) child++, c++;
    if (c->due_ns >= last.due_ns) break;
    asleep.at[i] = *c;
    i = child;
  }
  asleep.at[i] = last;
  return least;
}

/* One turn of one task; it yields nothing, or for how many seconds. */
static void resume(lua_State *L, struct task t) {
  int first = lua_status(t.co) == LUA_OK, n;
  int status = lua_resume(t.co, L, first ? lua_gettop(t.co) - 1 : 0, &n);
  if (status == LUA_YIELD && n == 0) {
    append(L, &next, t);
  } else if (status == LUA_YIELD) {
    t.due_ns = now_ns() + (uint64_t)(lua_tonumber(t.co, -1) * 1e9);
    lua_pop(t.co, n);
    heap_push(L, t);
  } else if (status == LUA_OK) {
    luaL_unref(L, LUA_REGISTRYINDEX, t.anchor);
  } else {
    lua_xmove(t.co, L, 1);
    lua_error(L);
  }
}

static void wake_sleepers(lua_State *L) {
  uint64_t now = now_ns();
  if (next.n == 0 && asleep.at[0].due_ns > now) {
    uint64_t wait = asleep.at[0].due_ns - now;
    nanosleep(&(struct timespec){.tv_sec = (time_t)(wait / 1000000000U),
                                 .tv_nsec = (long)(wait % 1000000000U)},
              NULL);
    now = now_ns();
  }
  while (asleep.n > 0 && asleep.at[0].due_ns <= now)
    append(L, &next, heap_pop());
}

static void empty(struct tasks *list) {
  free(list->at);
  *list = (struct tasks){NULL, 0, 0};
}

/* spawn(fn, ...) */
static int floor_spawn(lua_State *L) {
  int n = lua_gettop(L);
  struct task t = {.co = lua_newthread(L)};
  t.anchor = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_xmove(L, t.co, n);
  append(L, &next, t);
  return 0;
}

static int floor_yield(lua_State *L) {
  return lua_yield(L, 0);
}

/* sleep(seconds) */
static int floor_sleep(lua_State *L) {
  luaL_checknumber(L, 1);
  lua_settop(L, 1);
  return lua_yield(L, 1);
}

/* run(fn): until every task has ended */
static int floor_run(lua_State *L) {
  floor_spawn(L);
  while (next.n > 0 || asleep.n > 0) {
    struct tasks ran = ready;
    ready = next;
    next = ran;
    next.n = 0;
    for (size_t i = 0; i < ready.n; i++) resume(L, ready.at[i]);
    if (asleep.n > 0) wake_sleepers(L);
  }
  empty(&ready);
  empty(&next);
  empty(&asleep);
  return 0;
}

__attribute__((visibility("default"))) int luaopen_floor(lua_State *L);

int luaopen_floor(lua_State *L) {
  static const luaL_Reg functions[] = {{"spawn", floor_spawn},
                                       {"yield", floor_yield},
                                       {"sleep", floor_sleep},
                                       {"run", floor_run},
                                       {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
