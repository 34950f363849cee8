/* lua_watch.c - several things, taken one after another as they get ready.
 *
 * core.watch() makes a watch; add(entry) joins the waiters of an entry once and
 * gives its number; next() takes from one that is ready, of several the one
 * with the lowest number, which is free again afterwards. So all and any of n
 * entries cost n steps, not n times n, and map with a limit has so many
 * numbers. close() leaves what was not taken as it is.
 * What an entry can be: lua_select.h.
 *
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "lua_core.h"
#include "lua_select.h"

#define WATCH_CLASS "proa.watch"

enum {
  FIRST_CHUNK = 8, /* entries; each chunk has twice as many as the last */
  CHUNKS_MAX = 24,
};

struct watched {
  struct looker looker;
  struct watch *watch;
  int index;
  int next_free; /* while it is free: another, or -1 */
  bool used, external;
};

/* Its user values: the entries by number, and a table of the chunks and the
 * heap, which are userdata of their own: lookers never move. */
struct watch {
  struct task *task; /* that waits in next, or NULL */
  int n, free;       /* numbers that were ever used; the first free, or -1 */
  int external_n;
  int claimed; /* number of the entry that next was decided for, or 0 */
  int ready_n;
  int *ready; /* indices of what was woken: a heap, the lowest first */
  struct watched *chunks[CHUNKS_MAX];
};

enum { UV_VALUES = 1, UV_MEMORY };

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

static int chunk_start(int k) {
  return FIRST_CHUNK * ((1 << k) - 1);
}

static struct watched *entry_at(struct watch *w, int index) {
  int k = 31 - __builtin_clz((unsigned)index / FIRST_CHUNK + 1);
  return &w->chunks[k][index - chunk_start(k)];
}

static void entry_wake(struct waiter *waiter) {
  struct looker *k = looker_of(waiter);
  struct watched *e = container_of(k, struct watched, looker);
  ready_push(e->watch, e->index);
  if (looker_waits(k)) task_wake(*k->task, WAIT_READY);
}

static void entry_claim(struct looker *k) {
  struct watched *e = container_of(k, struct watched, looker);
  struct watch *w = e->watch;
  link_unlink(&k->waiter.link);
  k->claimed = true;
  w->claimed = e->index + 1;
  task_wake(w->task, WAIT_READY);
}

static void entry_init(struct watch *w, struct watched *e, int index) {
  link_init(&e->looker.waiter.link);
  e->looker.waiter.wake = entry_wake;
  e->looker.waiter.looks = true;
  e->looker.claim = entry_claim;
  e->looker.wait = w;
  e->looker.task = &w->task;
  e->watch = w;
  e->index = index;
}

/* A userdata without a metatable, kept under this key. The watch is at 1. */
static void *new_memory(lua_State *L, size_t size, int key) {
  lua_getiuservalue(L, 1, UV_MEMORY);
  void *memory = lua_newuserdatauv(L, size, 0);
  lua_rawseti(L, -2, key);
  lua_pop(L, 1);
  return memory;
}

/* The heap has room for all entries there are. */
static void grow(lua_State *L, struct watch *w, int k) {
  int start = chunk_start(k), n = FIRST_CHUNK << k;
  if (k >= CHUNKS_MAX) luaL_error(L, "too many entries to wait for");
  struct watched *chunk = new_memory(L, (size_t)n * sizeof *chunk, k + 1);
  memset(chunk, 0, (size_t)n * sizeof *chunk);
  int *ready = new_memory(L, (size_t)(start + n) * sizeof *ready, 0);
  if (w->ready_n) memcpy(ready, w->ready, (size_t)w->ready_n * sizeof *ready);
  w->ready = ready;
  w->chunks[k] = chunk;
  for (int i = 0; i < n; i++) entry_init(w, &chunk[i], start + i);
}

static struct watched *entry_new(lua_State *L, struct watch *w) {
  struct watched *e;
  if (w->free >= 0) {
    e = entry_at(w, w->free);
    w->free = e->next_free;
  } else {
    int k = 31 - __builtin_clz((unsigned)w->n / FIRST_CHUNK + 1);
    if (w->n == chunk_start(k)) grow(L, w, k);
    e = entry_at(w, w->n++);
  }
  return e;
}

static void entry_free(struct watch *w, struct watched *e) {
  if (e->external) w->external_n--;
  e->used = e->external = false;
  e->next_free = w->free;
  w->free = e->index;
}

/* The entry's value is on top. */
static void entry_join(lua_State *L, struct watched *e) {
  const struct select_class *class = select_class_of(L, -1);
  if (class->ready(L, lua_gettop(L)))
    ready_push(e->watch, e->index);
  else
    class->link(L, lua_gettop(L), &e->looker);
}

/* -- next -- */

static void describe_watch(struct task *t, char *into, size_t len) {
  struct watch *w = t->wait.subject;
  int used = 0;
  for (int i = 0; i < w->n; i++) used += entry_at(w, i)->used;
  snprintf(into, len, "the next of %d", used);
}

static void whom_watch(struct task *t, struct task_visitor *v) {
  struct watch *w = t->wait.subject;
  lua_State *co = task_argument(t, 1);
  if (!co) return;
  if (lua_touserdata(co, -1) == w) {
    lua_getiuservalue(co, -1, UV_VALUES);
    select_visit(co, w->n, v);
  }
  lua_pop(co, 1);
}

#define WATCH_WAIT \
  .verb = "select", .describe = describe_watch, .whom = whom_watch
static const struct wait_class waits_watch = {WATCH_WAIT};
static const struct wait_class waits_watch_io = {.external = true, WATCH_WAIT};

static struct watch *check_watch(lua_State *L) {
  return luaL_checkudata(L, 1, WATCH_CLASS);
}

/* entry, looker -> what it gave; nothing at all: others were quicker */
static int take_entry(lua_State *L) {
  struct looker *k = lua_touserdata(L, 2);
  lua_settop(L, 1);
  lua_pushboolean(L, true); /* tells nothing from no values */
  int n = select_class_of(L, 1)->take(L, 1, k);
  assert(n < 0 || lua_gettop(L) == 2 + n);
  return n < 0 ? 0 : n + 1;
}

/* Pushes its number, and what pcall(take) would return. 0: it had nothing
 * any more. The stack: 1 the watch, 2 the values. */
static int take_pushing(lua_State *L, struct watch *w, struct watched *e) {
  lua_pushinteger(L, e->index + 1);
  lua_pushcfunction(L, take_entry);
  lua_rawgeti(L, 2, e->index + 1);
  lua_pushlightuserdata(L, &e->looker);
  bool ok = lua_pcall(L, 2, LUA_MULTRET, 0) == LUA_OK;
  e->looker.claimed = false;
  if (!ok) {
    lua_pushboolean(L, false);
    lua_insert(L, -2);
  } else if (lua_gettop(L) == 3) {
    return 0;
  }
  lua_pushnil(L);
  lua_rawseti(L, 2, e->index + 1);
  entry_free(w, e);
  return lua_gettop(L) - 2;
}

/* Of what was woken the first that is ready still; the others are joined
 * again. The same stack. 0: none. */
static int take_ready(lua_State *L, struct watch *w) {
  while (w->ready_n) {
    struct watched *e = entry_at(w, ready_pop(w));
    lua_rawgeti(L, 2, e->index + 1);
    bool ready = select_class_of(L, 3)->ready(L, 3);
    if (!ready) entry_join(L, e);
    lua_settop(L, 2);
    int n = ready ? take_pushing(L, w, e) : 0;
    if (n) return n;
    if (ready) ready_push(w, e->index); /* to look once more */
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
  w->task = NULL;
  await_end(L);
  int n = claimed ? take_pushing(L, w, entry_at(w, claimed - 1)) : 0;
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

/* next() -> number, true, results... | number, false, error: of one that is
 * ready; each is given once */
static int l_next(lua_State *L) {
  struct watch *w = check_watch(L);
  lua_settop(L, 1);
  lua_getiuservalue(L, 1, UV_VALUES);
  return next_go(L, w, await_begin(L));
}

/* -- making and closing -- */

static int l_close(lua_State *L) {
  struct watch *w = check_watch(L);
  int n = w->n;
  w->task = NULL;
  w->n = w->ready_n = 0;
  lua_settop(L, 1);
  lua_getiuservalue(L, 1, UV_VALUES);
  for (int i = 0; i < n; i++) link_unlink(&entry_at(w, i)->looker.waiter.link);
  for (int i = 0; i < n; i++) {
    struct watched *e = entry_at(w, i);
    if (!e->used) continue;
    e->used = false;
    /* nil: there was no memory to add it */
    if (lua_rawgeti(L, 2, i + 1) == LUA_TUSERDATA)
      select_leave(L, -1, &e->looker);
    lua_pop(L, 1);
  }
  return 0;
}

/* It is collected with its coroutine, or with the state. */
static int watch_gc(lua_State *L) {
  struct watch *w = check_watch(L);
  for (int i = 0; i < w->n; i++)
    link_unlink(&entry_at(w, i)->looker.waiter.link);
  return 0;
}

/* add(entry) -> its number */
static int l_add(lua_State *L) {
  struct watch *w = check_watch(L);
  lua_settop(L, 2);
  select_check(L, 2);
  struct watched *e = entry_new(L, w);
  lua_getiuservalue(L, 1, UV_VALUES);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, e->index + 1);
  e->used = true; /* close looks at the value from here on */
  e->external = select_external(L, 2);
  w->external_n += e->external;
  lua_settop(L, 2);
  entry_join(L, e);
  lua_pushinteger(L, e->index + 1);
  return 1;
}

static int l_watch(lua_State *L) {
  struct watch *w = new_object(L, sizeof *w, WATCH_CLASS, UV_MEMORY);
  w->free = -1;
  lua_newtable(L);
  lua_setiuservalue(L, -2, UV_VALUES);
  lua_newtable(L);
  lua_setiuservalue(L, -2, UV_MEMORY);
  return 1;
}

void open_watch(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"add", l_add}, {"next", l_next}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__close", l_close}, {"__gc", watch_gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"watch", l_watch}, {NULL, NULL}};
  make_class(L, WATCH_CLASS, methods, meta);
  add_functions(L, functions);
}
