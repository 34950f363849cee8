/* lua_watch.c - several things, taken one after another as they get ready.
 *
 * core.watch(list) joins the waiters of each entry once; next() gives the
 * index of one that is ready, of several the lowest, and never the same
 * twice. So all and any of n entries cost n steps, not n times n.
 * A watch is a userdata that keeps the list; close() leaves what was not
 * taken as it is.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_core.h"
#include "lua_select.h"

#define WATCH_CLASS "proa.watch"

struct watched {
  struct waiter waiter;
  struct watch *watch;
  bool external;
};

struct watch {
  struct task *task; /* waits in next */
  int n, ready_n, external_n;
  int *ready; /* indices of what was woken: a heap, the lowest first */
  struct watched entries[];
};

/* -- the heap of indices -- */

static void ready_push(struct watch *w, int index) {
  int i = w->ready_n++;
  for (; i > 0 && w->ready[(i - 1) / 2] > index; i = (i - 1) / 2)
    w->ready[i] = w->ready[(i - 1) / 2];
  w->ready[i] = index;
}

static int ready_pop(struct watch *w) {
  int first = w->ready[0], last = w->ready[--w->ready_n], i = 0;
  for (int child; (child = 2 * i + 1) < w->ready_n; i = child) {
    if (child + 1 < w->ready_n && w->ready[child + 1] < w->ready[child])
      child++;
    if (w->ready[child] >= last) break;
    w->ready[i] = w->ready[child];
  }
  w->ready[i] = last;
  return first;
}

/* -- entries -- */

static void entry_wake(struct waiter *waiter) {
  struct watched *e = container_of(waiter, struct watched, waiter);
  struct watch *w = e->watch;
  ready_push(w, (int)(e - w->entries));
  if (w->task && w->task->state == TASK_WAITING) task_wake(w->task, WAIT_READY);
}

/* The entry's value is on top. */
static void entry_join(lua_State *L, struct watched *e) {
  if (select_ready(L, -1))
    ready_push(e->watch, (int)(e - e->watch->entries));
  else
    select_link(L, -1, &e->waiter);
}

/* -- next -- */

static const struct wait_class waits_watch = {.verb = "select"};
static const struct wait_class waits_watch_io = {.verb = "select",
                                                 .external = true};

static struct watch *check_watch(lua_State *L) {
  return luaL_checkudata(L, 1, WATCH_CLASS);
}

/* The index of one that is ready; -1: none is. What a listener had may be
 * gone: it is joined again. */
static int take_ready(lua_State *L, struct watch *w) {
  lua_getiuservalue(L, 1, 1);
  int index = -1;
  while (index < 0 && w->ready_n) {
    struct watched *e = &w->entries[ready_pop(w)];
    lua_rawgeti(L, -1, e - w->entries + 1);
    if (select_ready(L, -1) == 1)
      index = (int)(e - w->entries);
    else
      entry_join(L, e);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  if (index < 0) return index;
  if (w->entries[index].external) w->external_n--;
  return index;
}

static int next_k(lua_State *L, int status, lua_KContext ctx);

static int next_go(lua_State *L, struct watch *w, struct task *t) {
  int index = take_ready(L, w);
  if (index >= 0) {
    lua_pushinteger(L, index + 1);
    return 1;
  }
  w->task = t;
  return await_yield(L, t, w->external_n ? &waits_watch_io : &waits_watch, w,
                     NEVER_NS, 0, next_k);
}

static int next_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct watch *w = check_watch(L);
  w->task = NULL;
  await_end(L);
  return next_go(L, w, await_begin(L));
}

/* next() -> index of one that is ready; each is given once */
static int l_next(lua_State *L) {
  struct watch *w = check_watch(L);
  return next_go(L, w, await_begin(L));
}

/* -- making and closing -- */

static int l_close(lua_State *L) {
  struct watch *w = check_watch(L);
  lua_settop(L, 1);
  lua_getiuservalue(L, 1, 1);
  w->task = NULL;
  for (int i = 0; i < w->n; i++) {
    link_unlink(&w->entries[i].waiter.link);
    lua_rawgeti(L, 2, i + 1);
    select_leave(L, 3);
    lua_settop(L, 2);
  }
  w->n = w->ready_n = 0;
  return 0;
}

/* It is collected with its coroutine, or with the state. */
static int watch_gc(lua_State *L) {
  struct watch *w = check_watch(L);
  for (int i = 0; i < w->n; i++) link_unlink(&w->entries[i].waiter.link);
  return 0;
}

static struct watch *push_watch(lua_State *L, int n) {
  size_t entries = (size_t)n * sizeof(struct watched);
  size_t size = sizeof(struct watch) + entries + (size_t)n * sizeof(int);
  struct watch *w = new_object(L, size, WATCH_CLASS, 1);
  w->n = n;
  w->ready = (int *)(void *)&w->entries[n];
  for (int i = 0; i < n; i++) {
    struct watched *e = &w->entries[i];
    link_init(&e->waiter.link);
    e->waiter.wake = entry_wake;
    e->waiter.looks = true;
    e->watch = w;
  }
  return w;
}

/* watch(list) -> watch; the list is not to be changed any more */
static int l_watch(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  int n = (int)luaL_len(L, 1);
  lua_settop(L, 1);
  select_check_list(L, 1, n);
  struct watch *w = push_watch(L, n);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 2, 1);
  for (int i = 0; i < n; i++) {
    lua_rawgeti(L, 1, i + 1);
    w->entries[i].external = select_external(L, -1);
    w->external_n += w->entries[i].external;
    entry_join(L, &w->entries[i]);
    lua_pop(L, 1);
  }
  return 1;
}

void open_watch(lua_State *L) {
  static const luaL_Reg methods[] = {{"next", l_next}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__close", l_close}, {"__gc", watch_gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"watch", l_watch}, {NULL, NULL}};
  make_class(L, WATCH_CLASS, methods, meta);
  add_functions(L, functions);
}
