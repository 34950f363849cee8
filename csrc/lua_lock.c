/* lua_lock.c - proa.sync: mutexes and semaphores.
 *
 * Both are permits that are lent: a mutex has one, and knows who has it. What
 * is given back goes straight to who has waited longest; a big wish is not
 * overtaken by small ones. lock and acquire give a guard, whose `<close>` gives
 * back; a task that was cancelled just when it got its permit gets the guard,
 * and learns of the cancellation at its next await. A guard that is collected
 * gives nothing back: when that happens is nobody's choice, and the lock may
 * be held by a call of its own (unlock, release).
 * Both are entries of select (lua_select.h).
 *
 * SPDX-License-Identifier: MIT */
#include "lua_lock.h"

#include <stdio.h>

#include "lua_core.h"
#include "lua_select.h"

#define MUTEX_CLASS "proa.mutex"
#define SEMAPHORE_CLASS "proa.semaphore"

enum { PERMITS_MAX = 1 << 30 };

static struct lock *check_lock(lua_State *L, const char *class) {
  return luaL_checkudata(L, 1, class);
}

static struct guard *push_guard(lua_State *L, int lock, unsigned n) {
  struct guard *g = new_object(L, sizeof *g, GUARD_CLASS, 1);
  g->lock = lua_touserdata(L, lock);
  g->n = n;
  lua_pushvalue(L, lock);
  lua_setiuservalue(L, -2, 1);
  return g;
}

/* -- giving and taking back -- */

static void take_permits(struct lock *l, unsigned n, const struct task *t) {
  assert(n <= l->permits);
  l->permits -= n;
  l->owner = t->id;
}

static void hold(struct guard *g) {
  g->held = true;
  g->lock->holder = g;
}

static struct waiter *first_waiter(const struct list *l) {
  struct link *k = list_first(l);
  return k ? container_of(k, struct waiter, link) : NULL;
}

static void wake(struct waiter *w) {
  link_unlink(&w->link);
  w->wake(w);
}

/* A looker takes one, if it still waits; else it looks again. */
static void give_looker(struct lock *l, struct looker *k) {
  if (looker_waits(k)) {
    take_permits(l, 1, *k->task);
    k->claim(k);
  } else {
    wake(&k->waiter);
  }
}

static void give_task(struct lock *l, struct task *t) {
  struct guard *g = t->wait.subject;
  take_permits(l, g->n, t);
  hold(g);
  wake(&t->wait.waiter);
}

static unsigned wish(struct waiter *w) {
  if (w->looks) return 1;
  const struct guard *g =
      container_of(w, struct task, wait.waiter)->wait.subject;
  return g->n;
}

static void give(struct lock *l) {
  for (struct waiter *w; (w = first_waiter(&l->waiters));) {
    if (wish(w) > l->permits) return;
    if (w->looks)
      give_looker(l, looker_of(w));
    else
      give_task(l, container_of(w, struct task, wait.waiter));
  }
}

static void take_back(struct lock *l, unsigned n) {
  assert(n <= l->max - l->permits);
  l->permits += n;
  l->holder = NULL;
  give(l);
}

/* -- who holds a mutex -- */

static const char *owner_name(const struct lock *l, char text[32]) {
  if (l->owner)
    snprintf(text, 32, "task #%u", l->owner);
  else
    snprintf(text, 32, "the main chunk");
  return text;
}

static bool locked(const struct lock *l) {
  return l->exclusive && !l->permits;
}

/* Between tasks (a state that ends, a task that is closed by force) anybody
 * may. */
static void check_owner(lua_State *L, const struct lock *l, const char *verb) {
  char text[32];
  const struct task *t = rt_get(L)->current;
  if (!l->exclusive) return;
  if (!locked(l)) luaL_error(L, "%s: the mutex is not locked", verb);
  if (t && t->id != l->owner)
    luaL_error(L, "%s: the mutex is held by %s, not by this task", verb,
               owner_name(l, text));
}

static void check_not_mine(lua_State *L, const struct lock *l,
                           const struct task *t) {
  if (locked(l) && t->id == l->owner)
    luaL_error(L, "lock: this task holds the mutex already");
}

/* -- waiting -- */

static void describe_lock(struct task *t, char *into, size_t len) {
  char text[32];
  const struct guard *g = t->wait.subject;
  if (g->lock->exclusive)
    snprintf(into, len, "held by %s", owner_name(g->lock, text));
  else
    snprintf(into, len, "%u of %u permits", g->n, g->lock->permits);
}

static void whom_lock(struct task *t, struct task_visitor *v) {
  const struct guard *g = t->wait.subject;
  struct task *owner =
      locked(g->lock) ? task_find(t->rt, g->lock->owner) : NULL;
  if (owner) v->visit(v, owner);
}

/* A big wish that is withdrawn was in the way of small ones. */
static bool withdraw_wish(struct task *t) {
  const struct guard *g = t->wait.subject;
  link_unlink(&t->wait.waiter.link);
  give(g->lock);
  return true;
}

static const struct wait_class waits_lock = {.verb = "lock",
                                             .withdraw = withdraw_wish,
                                             .describe = describe_lock,
                                             .whom = whom_lock};
static const struct wait_class waits_acquire = {
    .verb = "acquire", .withdraw = withdraw_wish, .describe = describe_lock};

static bool can_take(const struct lock *l, unsigned n) {
  return list_empty(&l->waiters) && n <= l->permits;
}

static int take_go(lua_State *L, struct task *t);

/* It has been given to, or it is its turn again. */
static int take_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  const struct guard *g = lua_touserdata(L, 3);
  const char *verb = g->lock->exclusive ? "lock" : "acquire";
  if (await_end(L) == WAIT_TIMEOUT) {
    lua_pushfstring(L, "%s: timed out", verb);
    return push_fail(L, lua_tostring(L, -1), "TIMEOUT");
  }
  lua_settop(L, 3);
  return g->held ? 1 : take_go(L, await_begin(L));
}

/* The stack: the lock, the absolute limit, the guard. */
static int take_go(lua_State *L, struct task *t) {
  struct guard *g = lua_touserdata(L, 3);
  struct lock *l = g->lock;
  if (can_take(l, g->n)) {
    if (!await_budget(t)) return await_reschedule(L, t, 0, take_k);
    take_permits(l, g->n, t);
    hold(g);
    return 1;
  }
  list_push(&l->waiters, &t->wait.waiter.link);
  return await_yield(L, t, l->exclusive ? &waits_lock : &waits_acquire, g,
                     (uint64_t)lua_tointeger(L, 2), 0, take_k);
}

static int take_within(lua_State *L, unsigned n, uint64_t limit) {
  struct task *t = await_begin(L);
  check_not_mine(L, lua_touserdata(L, 1), t);
  lua_settop(L, 1);
  lua_pushinteger(L, (lua_Integer)await_until(t->rt, limit));
  push_guard(L, 1, n);
  return take_go(L, t);
}

/* Pushes the guard, if it can be had now. */
static bool try_take(lua_State *L, struct lock *l, unsigned n) {
  struct runtime *rt = rt_get(L);
  if (!can_take(l, n)) return false;
  struct guard *g = push_guard(L, 1, n);
  take_permits(l, n, rt->current ? rt->current : &rt->root);
  hold(g);
  return true;
}

/* -- mutexes -- */

/* lock([timeout]) -> guard | nil, message, "TIMEOUT" */
static int l_lock(lua_State *L) {
  check_lock(L, MUTEX_CLASS);
  return take_within(L, 1, opt_limit(L, 2));
}

/* try_lock() -> guard | nil, message, "EAGAIN" */
static int l_try_lock(lua_State *L) {
  char text[32];
  struct lock *l = check_lock(L, MUTEX_CLASS);
  if (try_take(L, l, 1)) return 1;
  lua_pushfstring(L, "lock: the mutex is held by %s", owner_name(l, text));
  return push_fail(L, lua_tostring(L, -1), "EAGAIN");
}

static int l_unlock(lua_State *L) {
  struct lock *l = check_lock(L, MUTEX_CLASS);
  check_owner(L, l, "unlock");
  if (l->holder) l->holder->held = false;
  take_back(l, 1);
  return 0;
}

static int l_locked(lua_State *L) {
  lua_pushboolean(L, locked(check_lock(L, MUTEX_CLASS)));
  return 1;
}

static int mutex_tostring(lua_State *L) {
  char text[32];
  const struct lock *l = check_lock(L, MUTEX_CLASS);
  if (locked(l))
    lua_pushfstring(L, "proa.mutex (held by %s)", owner_name(l, text));
  else
    lua_pushliteral(L, "proa.mutex (free)");
  return 1;
}

/* -- semaphores -- */

static unsigned opt_permits(lua_State *L, const struct lock *l) {
  lua_Integer n = luaL_optinteger(L, 2, 1);
  if (n < 1 || n > (lua_Integer)l->max)
    luaL_error(L, "a number of permits expected (1 to %d)", (int)l->max);
  return (unsigned)n;
}

/* acquire([n[, timeout]]) -> guard | nil, message, "TIMEOUT" */
static int l_acquire(lua_State *L) {
  struct lock *l = check_lock(L, SEMAPHORE_CLASS);
  unsigned n = opt_permits(L, l);
  return take_within(L, n, opt_limit(L, 3));
}

/* try_acquire([n]) -> guard | nil, message, "EAGAIN" */
static int l_try_acquire(lua_State *L) {
  struct lock *l = check_lock(L, SEMAPHORE_CLASS);
  if (try_take(L, l, opt_permits(L, l))) return 1;
  return push_fail(L, "acquire: not enough permits are free", "EAGAIN");
}

/* release([n]): what was acquired, here or elsewhere */
static int l_release(lua_State *L) {
  struct lock *l = check_lock(L, SEMAPHORE_CLASS);
  unsigned n = opt_permits(L, l);
  if (n > l->max - l->permits)
    return luaL_error(L, "release: %d permits are free already, of at most %d",
                      (int)l->permits, (int)l->max);
  take_back(l, n);
  return 0;
}

static int l_permits(lua_State *L) {
  lua_pushinteger(L, check_lock(L, SEMAPHORE_CLASS)->permits);
  return 1;
}

static int semaphore_tostring(lua_State *L) {
  const struct lock *l = check_lock(L, SEMAPHORE_CLASS);
  lua_pushfstring(L, "proa.semaphore (%d of %d free)", (int)l->permits,
                  (int)l->max);
  return 1;
}

/* -- for cond -- */

void guard_check_mutex(lua_State *L, const struct guard *g, const char *verb) {
  if (!g->lock->exclusive)
    luaL_error(L, "%s: the guard of a mutex expected", verb);
  if (!g->held) luaL_error(L, "%s: the mutex is not locked any more", verb);
  check_owner(L, g->lock, verb);
}

void guard_give_back(struct guard *g) {
  g->held = false;
  take_back(g->lock, g->n);
}

void guard_take_again(struct guard *g, struct task *t) {
  g->again = true;
  list_push(&g->lock->waiters, &t->wait.waiter.link);
  give(g->lock);
}

/* -- guards -- */

static struct guard *check_guard(lua_State *L) {
  return luaL_checkudata(L, 1, GUARD_CLASS);
}

/* close(): gives back, once */
static int guard_close(lua_State *L) {
  struct guard *g = check_guard(L);
  if (!g->held) return 0;
  check_owner(L, g->lock, "unlock");
  if (g->n <= g->lock->max - g->lock->permits) {
    guard_give_back(g);
    return 0;
  }
  g->held = false;
  return luaL_error(L, "close: its permits were released already");
}

/* A mutex stays locked: see above. */
static int guard_gc(lua_State *L) {
  struct guard *g = check_guard(L);
  if (g->held && g->lock->holder == g) g->lock->holder = NULL;
  g->held = false;
  return 0;
}

static int guard_held(lua_State *L) {
  lua_pushboolean(L, check_guard(L)->held);
  return 1;
}

static int guard_tostring(lua_State *L) {
  const struct guard *g = check_guard(L);
  lua_pushfstring(L, "proa.guard (%s of a %s)",
                  g->held ? "holder" : "given back",
                  g->lock->exclusive ? "mutex" : "semaphore");
  return 1;
}

/* -- as one of several -- */

static bool lock_ready(lua_State *L, int idx) {
  return can_take(lua_touserdata(L, idx), 1);
}

/* Pushes the table of guards. */
static void push_guards(lua_State *L, int idx) {
  if (lua_getiuservalue(L, idx, 1) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, idx, 1);
}

/* The guard is made before there is a permit for it to lose. */
static void lock_link(lua_State *L, int idx, struct looker *k) {
  struct lock *l = lua_touserdata(L, idx);
  check_not_mine(L, l, rt_get(L)->current);
  push_guards(L, idx);
  push_guard(L, idx, 1);
  lua_rawsetp(L, -2, k);
  lua_pop(L, 1);
  list_push(&l->waiters, &k->waiter.link);
}

/* Its wish was the smallest: it was in nobody's way. */
static void drop_guard(lua_State *L, int idx, struct looker *k) {
  if (lua_getiuservalue(L, idx, 1) == LUA_TTABLE) {
    lua_pushnil(L);
    lua_rawsetp(L, -2, k);
  }
  lua_pop(L, 1);
}

static int lock_take(lua_State *L, int idx, struct looker *k) {
  struct lock *l = lua_touserdata(L, idx);
  bool claimed = k && k->claimed;
  if (!claimed && !can_take(l, 1)) return -1;
  if (k) {
    lua_getiuservalue(L, idx, 1);
    lua_rawgetp(L, -1, k);
    lua_replace(L, -2);
    drop_guard(L, idx, k);
  } else {
    push_guard(L, idx, 1);
  }
  if (!claimed) take_permits(l, 1, rt_get(L)->current);
  hold(lua_touserdata(L, -1));
  return 1;
}

static const struct select_class selects_lock = {.ready = lock_ready,
                                                 .link = lock_link,
                                                 .leave = drop_guard,
                                                 .take = lock_take};

/* -- making -- */

static struct lock *push_lock(lua_State *L, const char *class) {
  struct lock *l = new_object(L, sizeof *l, class, 1);
  list_init(&l->waiters);
  return l;
}

static int l_mutex(lua_State *L) {
  struct lock *l = push_lock(L, MUTEX_CLASS);
  l->exclusive = true;
  l->permits = l->max = 1;
  return 1;
}

/* semaphore(n[, max]) */
static int l_semaphore(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1), max = luaL_optinteger(L, 2, n);
  luaL_argcheck(L, n >= 0 && n <= PERMITS_MAX, 1,
                "a number of permits expected");
  luaL_argcheck(L, max >= 1 && max >= n && max <= PERMITS_MAX, 2,
                "the most permits there may be: at least 1, and the first");
  struct lock *l = push_lock(L, SEMAPHORE_CLASS);
  l->permits = (unsigned)n;
  l->max = (unsigned)max;
  return 1;
}

/* Only waits that were broken off by force are left. */
static int lock_gc(lua_State *L) {
  struct lock *l = lua_touserdata(L, 1);
  while (list_pop(&l->waiters)) continue;
  return 0;
}

void open_lock(lua_State *L) {
  static const luaL_Reg mutex[] = {{"lock", l_lock},
                                   {"try_lock", l_try_lock},
                                   {"unlock", l_unlock},
                                   {"locked", l_locked},
                                   {NULL, NULL}};
  static const luaL_Reg mutex_meta[] = {
      {"__gc", lock_gc}, {"__tostring", mutex_tostring}, {NULL, NULL}};
  static const luaL_Reg semaphore[] = {{"acquire", l_acquire},
                                       {"try_acquire", l_try_acquire},
                                       {"release", l_release},
                                       {"permits", l_permits},
                                       {NULL, NULL}};
  static const luaL_Reg semaphore_meta[] = {
      {"__gc", lock_gc}, {"__tostring", semaphore_tostring}, {NULL, NULL}};
  static const luaL_Reg guard[] = {
      {"close", guard_close}, {"held", guard_held}, {NULL, NULL}};
  static const luaL_Reg guard_meta[] = {{"__close", guard_close},
                                        {"__gc", guard_gc},
                                        {"__tostring", guard_tostring},
                                        {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"mutex", l_mutex}, {"semaphore", l_semaphore}, {NULL, NULL}};
  make_class(L, MUTEX_CLASS, mutex, mutex_meta);
  make_class(L, SEMAPHORE_CLASS, semaphore, semaphore_meta);
  make_class(L, GUARD_CLASS, guard, guard_meta);
  select_register(L, MUTEX_CLASS, &selects_lock);
  select_register(L, SEMAPHORE_CLASS, &selects_lock);
  add_functions(L, functions);
}
