/* lua_rate.c - proa.sync.limiter: so many in a second, and a burst of them.
 *
 * A bucket of tokens that fills at a steady rate up to `burst`. Who takes more
 * than there is waits in line; only the first of the line has a deadline. Who
 * gives up leaves the line, and nothing of the bucket is gone. An entry of
 * select takes one token (lua_select.h).
 *
 * SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "lua_core.h"
#include "lua_select.h"

#define LIMITER_CLASS "proa.limiter"
#define WISH_CLASS "proa.wish"

#define ROUNDING 1e-6 /* tokens: what adding up fractions may cost */

struct limiter {
  struct runtime *rt;
  double rate, burst; /* tokens in a second, and at most */
  double tokens;      /* at: */
  uint64_t at_ns;
  struct list waiters;      /* struct waiter: of tasks, or lookers (for one) */
  struct deadline deadline; /* when there is enough for the first */
};

/* The subject of a wait. */
struct wish {
  struct limiter *limiter;
  double n;
  bool granted;
};

static struct limiter *check_limiter(lua_State *L) {
  return luaL_checkudata(L, 1, LIMITER_CLASS);
}

/* -- the bucket -- */

static void refill(struct limiter *l) {
  uint64_t now = proactor_now(&l->rt->proactor);
  double more = (double)(now - l->at_ns) / NS_PER_S * l->rate;
  l->at_ns = now;
  l->tokens = l->tokens + more < l->burst ? l->tokens + more : l->burst;
}

static bool has(const struct limiter *l, double n) {
  return l->tokens + ROUNDING >= n;
}

static void spend(struct limiter *l, double n) {
  l->tokens = l->tokens > n ? l->tokens - n : 0;
}

static struct waiter *first_waiter(struct limiter *l) {
  struct link *k = list_first(&l->waiters);
  return k ? container_of(k, struct waiter, link) : NULL;
}

static struct wish *wish_of(struct waiter *w) {
  return container_of(w, struct task, wait.waiter)->wait.subject;
}

static void wake(struct waiter *w) {
  link_unlink(&w->link);
  w->wake(w);
}

static void grant(struct limiter *l, struct waiter *w, double n) {
  if (w->looks && !looker_waits(looker_of(w))) {
    wake(w); /* to look again */
    return;
  }
  spend(l, n);
  if (w->looks) {
    looker_of(w)->claim(looker_of(w));
  } else {
    wish_of(w)->granted = true;
    wake(w);
  }
}

/* When there will be n tokens. */
static int arm(struct limiter *l, double n) {
  double seconds = (n - l->tokens) / l->rate;
  uint64_t until = ns_after(l->at_ns, ns_from_seconds(seconds) + 1);
  return deadline_at(&l->rt->proactor, &l->deadline, until);
}

/* Give to those for whom there is enough; see to the next. Without memory for
 * the deadline everybody is woken, and finds that out. */
static void serve(struct limiter *l) {
  deadline_clear(&l->rt->proactor, &l->deadline);
  refill(l);
  for (struct waiter *w; (w = first_waiter(l));) {
    double n = w->looks ? 1 : wish_of(w)->n;
    if (has(l, n)) {
      grant(l, w, n);
      continue;
    }
    if (arm(l, n) < 0) waiter_wake_all(&l->waiters);
    return;
  }
}

/* There is not enough for w, which wants n and waits from now on. */
static void join(lua_State *L, struct limiter *l, struct waiter *w, double n) {
  if (list_empty(&l->waiters) && arm(l, n) < 0) luaL_error(L, NO_MEMORY);
  list_push(&l->waiters, &w->link);
}

static void deadline_over(struct deadline *d) {
  serve(container_of(d, struct limiter, deadline));
}

/* -- taking -- */

static void describe_wish(struct task *t, char *into, size_t len) {
  const struct wish *w = t->wait.subject;
  snprintf(into, len, "%g of %g/s", w->n, w->limiter->rate);
}

static bool withdraw_wish(struct task *t) {
  const struct wish *w = t->wait.subject;
  link_unlink(&t->wait.waiter.link);
  serve(w->limiter);
  return true;
}

static const struct wait_class waits_take = {
    .verb = "take", .withdraw = withdraw_wish, .describe = describe_wish};

static double opt_tokens(lua_State *L, const struct limiter *l) {
  lua_Number n = luaL_optnumber(L, 2, 1);
  if (!(n > 0 && n <= l->burst))
    luaL_error(L, "take: a number of tokens expected (at most the burst, %f)",
               l->burst);
  return n;
}

static bool can_take(struct limiter *l, double n) {
  refill(l);
  return list_empty(&l->waiters) && has(l, n);
}

static int took(lua_State *L) {
  lua_pushboolean(L, true);
  return 1;
}

static int take_go(lua_State *L, struct task *t);

static int take_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  const struct wish *w = lua_touserdata(L, 3);
  if (await_end(L) == WAIT_TIMEOUT)
    return push_fail(L, "take: timed out", "TIMEOUT");
  return w->granted ? took(L) : take_go(L, await_begin(L));
}

/* The stack: the limiter, the absolute limit, the wish. */
static int take_go(lua_State *L, struct task *t) {
  struct limiter *l = check_limiter(L);
  struct wish *w = lua_touserdata(L, 3);
  if (can_take(l, w->n)) {
    if (!await_budget(t)) return await_reschedule(L, t, 0, take_k);
    spend(l, w->n);
    return took(L);
  }
  join(L, l, &t->wait.waiter, w->n);
  return await_yield(L, t, &waits_take, w, (uint64_t)lua_tointeger(L, 2), 0,
                     take_k);
}

/* take([n[, timeout]]) -> true | nil, message, "TIMEOUT" */
static int l_take(lua_State *L) {
  struct limiter *l = check_limiter(L);
  double n = opt_tokens(L, l);
  uint64_t limit = opt_limit(L, 3);
  struct task *t = await_begin(L);
  lua_settop(L, 1);
  lua_pushinteger(L, (lua_Integer)await_until(t->rt, limit));
  struct wish *w = new_object(L, sizeof *w, WISH_CLASS, 0);
  w->limiter = l;
  w->n = n;
  return take_go(L, t);
}

/* try_take([n]) -> true | nil, message, "EAGAIN" */
static int l_try_take(lua_State *L) {
  struct limiter *l = check_limiter(L);
  double n = opt_tokens(L, l);
  if (!can_take(l, n))
    return push_fail(L, "take: not enough tokens yet", "EAGAIN");
  spend(l, n);
  return took(L);
}

/* -- as one of several -- */

static bool rate_ready(lua_State *L, int idx) {
  return can_take(lua_touserdata(L, idx), 1);
}

static void rate_link(lua_State *L, int idx, struct looker *k) {
  join(L, lua_touserdata(L, idx), &k->waiter, 1);
}

static void rate_leave(lua_State *L, int idx, struct looker *k) {
  (void)k;
  serve(lua_touserdata(L, idx));
}

static int rate_take(lua_State *L, int idx, struct looker *k) {
  struct limiter *l = lua_touserdata(L, idx);
  if (k && k->claimed) return took(L);
  if (!can_take(l, 1)) return -1;
  spend(l, 1);
  return took(L);
}

static const struct select_class selects_rate = {.ready = rate_ready,
                                                 .link = rate_link,
                                                 .leave = rate_leave,
                                                 .take = rate_take};

/* -- the rest -- */

static int l_tostring(lua_State *L) {
  const struct limiter *l = check_limiter(L);
  lua_pushfstring(L, "proa.limiter (%f/s, burst %f)", l->rate, l->burst);
  return 1;
}

static int l_gc(lua_State *L) {
  struct limiter *l = check_limiter(L);
  while (list_pop(&l->waiters)) continue;
  if (!rt_gone(l->rt)) deadline_clear(&l->rt->proactor, &l->deadline);
  return 0;
}

/* limiter(rate[, burst]); full at first */
static int l_limiter(lua_State *L) {
  lua_Number rate = luaL_checknumber(L, 1), burst = luaL_optnumber(L, 2, 1);
  luaL_argcheck(L, rate > 0 && rate <= 1e9, 1, "tokens in a second expected");
  luaL_argcheck(L, burst >= 1 && burst <= 1e9, 2, "at least 1 expected");
  struct runtime *rt = rt_open(L);
  struct limiter *l = new_object(L, sizeof *l, LIMITER_CLASS, 0);
  l->rt = rt;
  l->rate = rate;
  l->burst = l->tokens = burst;
  l->at_ns = proactor_now(&rt->proactor);
  list_init(&l->waiters);
  l->deadline.fire = deadline_over;
  return 1;
}

void open_rate(lua_State *L) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"take", l_take}, {"try_take", l_try_take}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", l_gc}, {"__tostring", l_tostring}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"limiter", l_limiter}, {NULL, NULL}};
  make_class(L, LIMITER_CLASS, methods, meta);
  make_class(L, WISH_CLASS, none, none);
  select_register(L, LIMITER_CLASS, &selects_rate);
  add_functions(L, functions);
}
