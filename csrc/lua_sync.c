/* lua_sync.c - proa.sync: events, wait groups, condition variables.
 *
 * An event and a wait group are gates: who waits goes on when it is open, and
 * all who wait go on when it opens, even if it is shut again before they run.
 * A condition variable belongs to no mutex: wait is given the guard, lets go
 * of its mutex and has it again when it returns, however it returns.
 * Gates are entries of select (lua_select.h).
 *
 * SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "lua_core.h"
#include "lua_lock.h"
#include "lua_select.h"

#define EVENT_CLASS "proa.event"
#define WAITGROUP_CLASS "proa.waitgroup"
#define COND_CLASS "proa.cond"

struct gate {
  bool open;
  lua_Integer count;   /* of a wait group; it is open while this is 0 */
  struct list waiters; /* struct waiter: of tasks, or lookers */
};

struct cond {
  struct list waiters; /* struct task.wait.waiter; the subject is the guard */
};

/* -- gates -- */

static void let_go_on(struct waiter *w) {
  if (w->looks && looker_waits(looker_of(w))) {
    looker_of(w)->claim(looker_of(w));
    return;
  }
  link_unlink(&w->link);
  w->wake(w);
}

/* Those that come back meanwhile wait for the next time. */
static void gate_open(struct gate *g) {
  struct list now = LIST_INIT(&now);
  struct link *k;
  g->open = true;
  list_splice(&now, &g->waiters);
  while ((k = list_first(&now)))
    let_go_on(container_of(k, struct waiter, link));
}

static void describe_gate(struct task *t, char *into, size_t len) {
  const struct gate *g = t->wait.subject;
  unsigned n = 0;
  list_each(&g->waiters, k) n++;
  snprintf(into, len, "one of %u that wait there", n);
}

static const struct wait_class waits_gate = {.verb = "wait",
                                             .describe = describe_gate};

static int went_on(lua_State *L) {
  lua_pushboolean(L, true);
  return 1;
}

static int gate_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  if (await_end(L) == WAIT_TIMEOUT)
    return push_fail(L, "wait: timed out", "TIMEOUT");
  return went_on(L);
}

static int gate_wait(lua_State *L, struct gate *g) {
  uint64_t limit = opt_limit(L, 2);
  struct task *t = await_begin(L);
  if (g->open && !await_budget(t)) return await_reschedule(L, t, 0, gate_k);
  if (g->open) return went_on(L);
  list_push(&g->waiters, &t->wait.waiter.link);
  return await_yield(L, t, &waits_gate, g, await_until(t->rt, limit), 0,
                     gate_k);
}

static bool gate_ready(lua_State *L, int idx) {
  const struct gate *g = lua_touserdata(L, idx);
  return g->open;
}

static void gate_link(lua_State *L, int idx, struct looker *k) {
  struct gate *g = lua_touserdata(L, idx);
  list_push(&g->waiters, &k->waiter.link);
}

static int gate_take(lua_State *L, int idx, struct looker *k) {
  const struct gate *g = lua_touserdata(L, idx);
  return (k && k->claimed) || g->open ? went_on(L) : -1;
}

static const struct select_class selects_gate = {
    .ready = gate_ready, .link = gate_link, .take = gate_take};

static struct gate *push_gate(lua_State *L, const char *class, bool open) {
  struct gate *g = new_object(L, sizeof *g, class, 0);
  list_init(&g->waiters);
  g->open = open;
  return g;
}

/* Only waits that were broken off by force are left. */
static int gate_gc(lua_State *L) {
  struct gate *g = lua_touserdata(L, 1);
  while (list_pop(&g->waiters)) continue;
  return 0;
}

/* -- events -- */

static struct gate *check_event(lua_State *L) {
  return luaL_checkudata(L, 1, EVENT_CLASS);
}

/* wait([timeout]) -> true | nil, message, "TIMEOUT" */
static int event_wait(lua_State *L) {
  return gate_wait(L, check_event(L));
}

static int event_set(lua_State *L) {
  gate_open(check_event(L));
  return 0;
}

static int event_clear(lua_State *L) {
  check_event(L)->open = false;
  return 0;
}

static int event_is_set(lua_State *L) {
  lua_pushboolean(L, check_event(L)->open);
  return 1;
}

static int event_tostring(lua_State *L) {
  lua_pushfstring(L, "proa.event (%s)",
                  check_event(L)->open ? "set" : "not set");
  return 1;
}

static int l_event(lua_State *L) {
  push_gate(L, EVENT_CLASS, false);
  return 1;
}

/* -- wait groups -- */

static struct gate *check_waitgroup(lua_State *L) {
  return luaL_checkudata(L, 1, WAITGROUP_CLASS);
}

static void waitgroup_count(lua_State *L, struct gate *g, lua_Integer n) {
  if (n > LUA_MAXINTEGER / 2 - g->count || n < -g->count)
    luaL_error(L, "waitgroup: more is done than was added");
  g->count += n;
  if (g->count)
    g->open = false;
  else
    gate_open(g);
}

/* add([n]) */
static int waitgroup_add(lua_State *L) {
  struct gate *g = check_waitgroup(L);
  lua_Integer n = luaL_optinteger(L, 2, 1);
  luaL_argcheck(L, n >= 0 && n < LUA_MAXINTEGER / 2, 2,
                "a number to wait for expected");
  waitgroup_count(L, g, n);
  return 0;
}

static int waitgroup_done(lua_State *L) {
  waitgroup_count(L, check_waitgroup(L), -1);
  return 0;
}

/* wait([timeout]) -> true | nil, message, "TIMEOUT" */
static int waitgroup_wait(lua_State *L) {
  return gate_wait(L, check_waitgroup(L));
}

static int waitgroup_len(lua_State *L) {
  lua_pushinteger(L, check_waitgroup(L)->count);
  return 1;
}

static int waitgroup_tostring(lua_State *L) {
  lua_pushfstring(L, "proa.waitgroup (%I to come)", check_waitgroup(L)->count);
  return 1;
}

static int l_waitgroup(lua_State *L) {
  push_gate(L, WAITGROUP_CLASS, true);
  return 1;
}

/* -- condition variables -- */

static struct cond *check_cond(lua_State *L) {
  return luaL_checkudata(L, 1, COND_CLASS);
}

static void describe_cond(struct task *t, char *into, size_t len) {
  const struct guard *g = t->wait.subject;
  snprintf(into, len, g->again ? "for its mutex" : "for notify");
}

/* It has to have its mutex first. */
static bool withdraw_cond(struct task *t) {
  struct guard *g = t->wait.subject;
  if (g->again) return false;
  link_unlink(&t->wait.waiter.link);
  guard_take_again(g, t);
  return false;
}

static const struct wait_class waits_cond = {
    .verb = "wait", .withdraw = withdraw_cond, .describe = describe_cond};

static int cond_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  const struct guard *g = luaL_checkudata(L, 2, GUARD_CLASS);
  if (await_end_op(L, g->notified ? 0 : -ECANCELED) == WAIT_TIMEOUT)
    return push_fail(L, "wait: timed out", "TIMEOUT");
  return went_on(L);
}

/* wait(guard[, timeout]) -> true | nil, message, "TIMEOUT" */
static int cond_wait(lua_State *L) {
  struct cond *c = check_cond(L);
  struct guard *g = luaL_checkudata(L, 2, GUARD_CLASS);
  uint64_t limit = opt_limit(L, 3);
  guard_check_mutex(L, g, "wait");
  struct task *t = await_begin(L);
  g->notified = g->again = false;
  guard_give_back(g);
  list_push(&c->waiters, &t->wait.waiter.link);
  return await_yield(L, t, &waits_cond, g, await_until(t->rt, limit), 0,
                     cond_k);
}

/* Who has waited longest; from now on it waits for its mutex alone. */
static bool notify_first(struct cond *c) {
  struct link *k = list_pop(&c->waiters);
  if (!k) return false;
  struct task *t = container_of(k, struct task, wait.waiter.link);
  struct guard *g = t->wait.subject;
  g->notified = true;
  guard_take_again(g, t);
  return true;
}

/* notify([n]) -> how many were */
static int cond_notify(lua_State *L) {
  struct cond *c = check_cond(L);
  lua_Integer n = luaL_optinteger(L, 2, 1), done = 0;
  luaL_argcheck(L, n >= 1, 2, "a number of waiters expected");
  while (done < n && notify_first(c)) done++;
  lua_pushinteger(L, done);
  return 1;
}

/* notify_all() -> how many were */
static int cond_notify_all(lua_State *L) {
  struct cond *c = check_cond(L);
  lua_Integer done = 0;
  while (notify_first(c)) done++;
  lua_pushinteger(L, done);
  return 1;
}

static int cond_tostring(lua_State *L) {
  const struct cond *c = check_cond(L);
  int n = 0;
  list_each(&c->waiters, k) n++;
  lua_pushfstring(L, "proa.cond (%d wait)", n);
  return 1;
}

static int cond_gc(lua_State *L) {
  struct cond *c = check_cond(L);
  while (list_pop(&c->waiters)) continue;
  return 0;
}

static int l_cond(lua_State *L) {
  struct cond *c = new_object(L, sizeof *c, COND_CLASS, 0);
  list_init(&c->waiters);
  return 1;
}

static void open_gates(lua_State *L) {
  static const luaL_Reg event[] = {{"wait", event_wait},
                                   {"set", event_set},
                                   {"clear", event_clear},
                                   {"is_set", event_is_set},
                                   {NULL, NULL}};
  static const luaL_Reg event_meta[] = {
      {"__gc", gate_gc}, {"__tostring", event_tostring}, {NULL, NULL}};
  static const luaL_Reg group[] = {{"add", waitgroup_add},
                                   {"done", waitgroup_done},
                                   {"wait", waitgroup_wait},
                                   {NULL, NULL}};
  static const luaL_Reg group_meta[] = {{"__gc", gate_gc},
                                        {"__len", waitgroup_len},
                                        {"__tostring", waitgroup_tostring},
                                        {NULL, NULL}};
  make_class(L, EVENT_CLASS, event, event_meta);
  make_class(L, WAITGROUP_CLASS, group, group_meta);
  select_register(L, EVENT_CLASS, &selects_gate);
  select_register(L, WAITGROUP_CLASS, &selects_gate);
}

void open_sync(lua_State *L) {
  static const luaL_Reg cond[] = {{"wait", cond_wait},
                                  {"notify", cond_notify},
                                  {"notify_all", cond_notify_all},
                                  {NULL, NULL}};
  static const luaL_Reg cond_meta[] = {
      {"__gc", cond_gc}, {"__tostring", cond_tostring}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"event", l_event},
                                       {"waitgroup", l_waitgroup},
                                       {"cond", l_cond},
                                       {NULL, NULL}};
  open_gates(L);
  make_class(L, COND_CLASS, cond, cond_meta);
  add_functions(L, functions);
}
