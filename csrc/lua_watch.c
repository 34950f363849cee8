/* lua_watch.c - several things, taken one after another as they get ready.
 *
 * core.watch(list) joins the waiters of each entry once; next() takes from one
 * that is ready, of several the lowest, and from each only once. So all and
 * any of n entries cost n steps, not n times n.
 * A watch is a userdata that keeps the list; close() leaves what was not
 * taken as it is. What an entry can be: lua_select.h.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_core.h"
#include "lua_select.h"

#define WATCH_CLASS "proa.watch"

struct watched {
  struct looker looker;
  struct watch *watch;
  bool external;
};

struct watch {
  struct task *task; /* that waits in next, or did */
  int n, ready_n, external_n;
  int claimed; /* number of the entry that next was decided for, or 0 */
  int *ready;  /* indices of what was woken: a heap, the lowest first */
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

static bool waits_in(const struct watch *w) {
  return w->task && w->task->state == TASK_WAITING &&
         w->task->wait.subject == w;
}

static struct watched *watched_of(struct looker *k) {
  return container_of(k, struct watched, looker);
}

static void entry_wake(struct waiter *waiter) {
  struct watched *e = watched_of(looker_of(waiter));
  struct watch *w = e->watch;
  ready_push(w, (int)(e - w->entries));
  if (waits_in(w)) task_wake(w->task, WAIT_READY);
}

static bool entry_claim(struct looker *k) {
  struct watched *e = watched_of(k);
  struct watch *w = e->watch;
  if (!waits_in(w)) return false;
  link_unlink(&k->waiter.link);
  k->claimed = true;
  w->claimed = (int)(e - w->entries) + 1;
  task_wake(w->task, WAIT_READY);
  return true;
}

/* The entry's value is on top. */
static void entry_join(lua_State *L, struct watched *e) {
  const struct select_class *class = select_class_of(L, -1);
  if (class->ready(L, lua_gettop(L)))
    ready_push(e->watch, (int)(e - e->watch->entries));
  else
    class->link(L, lua_gettop(L), &e->looker);
}

/* -- next -- */

static const struct wait_class waits_watch = {.verb = "select"};
static const struct wait_class waits_watch_io = {.verb = "select",
                                                 .external = true};

static struct watch *check_watch(lua_State *L) {
  return luaL_checkudata(L, 1, WATCH_CLASS);
}

/* entry, looker -> what it gave; nothing at all: others were quicker */
static int take_entry(lua_State *L) {
  struct looker *k = lua_touserdata(L, 2);
  lua_settop(L, 1);
  lua_pushboolean(L, true); /* tells nothing from no values */
  int n = select_class_of(L, 1)->take(L, 1, k);
  return n < 0 ? 0 : n + 1;
}

/* Pushes its number, and what pcall(take) would return. 0: it had nothing
 * any more. The stack: 1 the watch, 2 the list. */
static int take_pushing(lua_State *L, struct watched *e) {
  lua_pushinteger(L, e - e->watch->entries + 1);
  lua_pushcfunction(L, take_entry);
  lua_rawgeti(L, 2, e - e->watch->entries + 1);
  lua_pushlightuserdata(L, &e->looker);
  bool ok = lua_pcall(L, 2, LUA_MULTRET, 0) == LUA_OK;
  e->looker.claimed = false;
  if (!ok) {
    lua_pushboolean(L, false);
    lua_insert(L, -2);
  } else if (lua_gettop(L) == 3) {
    return 0;
  }
  if (e->external) e->watch->external_n--;
  return lua_gettop(L) - 2;
}

/* Of what was woken the first that is ready still; the others are joined
 * again. The same stack. 0: none. */
static int take_ready(lua_State *L, struct watch *w) {
  while (w->ready_n) {
    struct watched *e = &w->entries[ready_pop(w)];
    lua_rawgeti(L, 2, e - w->entries + 1);
    bool ready = select_class_of(L, 3)->ready(L, 3);
    if (!ready) entry_join(L, e);
    lua_settop(L, 2);
    int n = ready ? take_pushing(L, e) : 0;
    if (n) return n;
    if (ready) ready_push(w, (int)(e - w->entries)); /* to look once more */
    lua_settop(L, 2);
  }
  return 0;
}

static int next_go(lua_State *L, struct watch *w, struct task *t);

static int next_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct watch *w = check_watch(L);
  int claimed = w->claimed;
  w->claimed = 0;
  await_end(L);
  int n = claimed ? take_pushing(L, &w->entries[claimed - 1]) : 0;
  if (n) return n;
  lua_settop(L, 2);
  return next_go(L, w, await_begin(L));
}

static int next_go(lua_State *L, struct watch *w, struct task *t) {
  if (w->ready_n && !await_budget(t)) return await_reschedule(L, t, 0, next_k);
  int n = take_ready(L, w);
  if (n) return n;
  w->task = t;
  return await_yield(L, t, w->external_n ? &waits_watch_io : &waits_watch, w,
                     NEVER_NS, 0, next_k);
}

/* next() -> index, true, results... | index, false, error: of one that is
 * ready; each is given once */
static int l_next(lua_State *L) {
  struct watch *w = check_watch(L);
  lua_settop(L, 1);
  lua_getiuservalue(L, 1, 1);
  return next_go(L, w, await_begin(L));
}

/* -- making and closing -- */

static void unlink_all(struct watch *w) {
  for (int i = 0; i < w->n; i++) link_unlink(&w->entries[i].looker.waiter.link);
}

/* The list is on top. */
static void leave_all(lua_State *L, struct watch *w) {
  w->task = NULL;
  unlink_all(w);
  for (int i = 0; i < w->n; i++) {
    lua_rawgeti(L, -1, i + 1);
    select_leave(L, -1, &w->entries[i].looker);
    lua_pop(L, 1);
  }
  w->n = w->ready_n = 0;
}

static int l_close(lua_State *L) {
  struct watch *w = check_watch(L);
  lua_getiuservalue(L, 1, 1);
  leave_all(L, w);
  return 0;
}

/* It is collected with its coroutine, or with the state. */
static int watch_gc(lua_State *L) {
  unlink_all(check_watch(L));
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
    link_init(&e->looker.waiter.link);
    e->looker.waiter.wake = entry_wake;
    e->looker.waiter.looks = true;
    e->looker.claim = entry_claim;
    e->looker.wait = w;
    e->watch = w;
  }
  return w;
}

/* watch, list */
static int join_all(lua_State *L) {
  struct watch *w = check_watch(L);
  for (int i = 0; i < w->n; i++) {
    lua_rawgeti(L, 2, i + 1);
    w->entries[i].external = select_external(L, 3);
    w->external_n += w->entries[i].external;
    entry_join(L, &w->entries[i]);
    lua_settop(L, 2);
  }
  return 0;
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
  lua_pushcfunction(L, join_all);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 1);
  if (lua_pcall(L, 2, 0, 0) == LUA_OK) return 1;
  lua_pushvalue(L, 1); /* one that can't be joined takes back the others */
  leave_all(L, w);
  lua_pop(L, 1);
  return lua_error(L);
}

void open_watch(lua_State *L) {
  static const luaL_Reg methods[] = {{"next", l_next}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__close", l_close}, {"__gc", watch_gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"watch", l_watch}, {NULL, NULL}};
  make_class(L, WATCH_CLASS, methods, meta);
  add_functions(L, functions);
}
