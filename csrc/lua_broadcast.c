/* lua_broadcast.c - one message for many: broadcasts and subscriptions.
 *
 * The last n messages are kept once, whoever has read them; a subscription is
 * only a place in their order. A sender never waits: who falls behind by more
 * than n is told how many it missed, and goes on with the oldest that is
 * there. Reading changes only one's own place, so a reader that is cancelled
 * has lost nothing. A subscription is an entry of select (lua_select.h).
 *
 * SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "lua_core.h"
#include "lua_message.h"
#include "lua_select.h"

#define BROADCAST_CLASS "proa.broadcast"
#define SUBSCRIPTION_CLASS "proa.subscription"

enum { KEPT_MAX = 1 << 24 };

/* Its user value is the table of messages: number n at place n % kept. */
struct broadcast {
  lua_Integer sent; /* the number of the next */
  lua_Integer kept;
  unsigned subscribers; /* open ones; without any nothing is kept */
  bool closed;
  struct list readers; /* struct waiter */
};

/* Its user value is the broadcast, so that b stays. */
struct subscription {
  struct broadcast *b;
  lua_Integer next; /* the number of what it reads next */
  bool closed;
};

static struct broadcast *check_broadcast(lua_State *L) {
  return luaL_checkudata(L, 1, BROADCAST_CLASS);
}

static struct subscription *check_subscription(lua_State *L, int idx) {
  return luaL_checkudata(L, idx, SUBSCRIPTION_CLASS);
}

/* -- sending -- */

/* send(...) -> to how many subscriptions | nil, message, "CLOSED" */
static int l_send(lua_State *L) {
  struct broadcast *b = check_broadcast(L);
  message_make(L, 2, "send");
  if (b->closed) return push_fail(L, "send: the broadcast is closed", "CLOSED");
  lua_pushinteger(L, b->subscribers);
  if (!b->subscribers) return 1;
  lua_insert(L, 2);
  lua_getiuservalue(L, 1, 1);
  lua_insert(L, 3);
  lua_rawseti(L, 3, b->sent % b->kept + 1);
  b->sent++;
  waiter_wake_all(&b->readers);
  lua_settop(L, 2);
  return 1;
}

static int l_close(lua_State *L) {
  struct broadcast *b = check_broadcast(L);
  b->closed = true;
  waiter_wake_all(&b->readers);
  return 0;
}

/* Only waits that were broken off by force are left. */
static int l_gc(lua_State *L) {
  struct broadcast *b = check_broadcast(L);
  while (list_pop(&b->readers)) continue;
  return 0;
}

static int l_tostring(lua_State *L) {
  const struct broadcast *b = check_broadcast(L);
  lua_pushfstring(L, "proa.broadcast (%d subscribed%s)", (int)b->subscribers,
                  b->closed ? ", closed" : "");
  return 1;
}

/* -- receiving -- */

static bool can_read(const struct subscription *s) {
  return s->closed || s->b->closed || s->next < s->b->sent;
}

static int push_lagged(lua_State *L, struct subscription *s) {
  lua_Integer oldest = s->b->sent - s->b->kept, missed = oldest - s->next;
  s->next = oldest;
  char text[80];
  snprintf(text, sizeof text, "recv: too slow, %lld messages missed",
           (long long)missed);
  push_fail(L, text, "LAGGED");
  lua_pushinteger(L, missed);
  return 4;
}

/* Pushes what recv gives now: how many values; 0: it has to wait. */
static int read_now(lua_State *L, int idx, struct subscription *s) {
  struct broadcast *b = s->b;
  message_room(L);
  if (s->closed || s->next == b->sent) {
    if (!can_read(s)) return 0;
    lua_pushnil(L);
    return 1;
  }
  if (s->next < b->sent - b->kept) return push_lagged(L, s);
  lua_getiuservalue(L, idx, 1);
  lua_getiuservalue(L, -1, 1);
  lua_rawgeti(L, -1, s->next % b->kept + 1);
  s->next++;
  lua_replace(L, -3);
  lua_pop(L, 1);
  return message_open(L);
}

static void describe_broadcast(struct task *t, char *into, size_t len) {
  const struct broadcast *b = t->wait.subject;
  snprintf(into, len, "the next message of a broadcast, after %lld",
           (long long)b->sent);
}

static const struct wait_class waits_recv = {.verb = "recv",
                                             .describe = describe_broadcast};

static int recv_go(lua_State *L, struct task *t);

static int recv_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  if (await_end(L) == WAIT_TIMEOUT)
    return push_fail(L, "recv: timed out", "TIMEOUT");
  return recv_go(L, await_begin(L));
}

/* The stack: the subscription, the absolute limit. */
static int recv_go(lua_State *L, struct task *t) {
  struct subscription *s = check_subscription(L, 1);
  if (can_read(s) && !await_budget(t)) return await_reschedule(L, t, 0, recv_k);
  int n = read_now(L, 1, s);
  if (n) return n;
  list_push(&s->b->readers, &t->wait.waiter.link);
  return await_yield(L, t, &waits_recv, s->b, (uint64_t)lua_tointeger(L, 2), 0,
                     recv_k);
}

/* recv([timeout]) -> values... | nil: closed | nil, message, code[, missed] */
static int l_recv(lua_State *L) {
  check_subscription(L, 1);
  uint64_t limit = opt_limit(L, 2);
  struct task *t = await_begin(L);
  lua_settop(L, 1);
  lua_pushinteger(L, (lua_Integer)await_until(t->rt, limit));
  return recv_go(L, t);
}

/* try_recv() -> the same, or nil, message, "EAGAIN" */
static int l_try_recv(lua_State *L) {
  int n = read_now(L, 1, check_subscription(L, 1));
  return n ? n : push_fail(L, "recv: nothing has been sent", "EAGAIN");
}

static int iterate_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  int n = lua_gettop(L) - 1;
  if (n < 2 || !lua_isnil(L, 2)) return n;
  lua_pushvalue(L, 3);
  return lua_error(L); /* an iterator raises */
}

/* for v in subscription do */
static int l_call(lua_State *L) {
  check_subscription(L, 1);
  lua_settop(L, 1);
  rt_push(L);
  lua_pushcclosure(L, l_recv, 1);
  lua_pushvalue(L, 1);
  lua_callk(L, 1, LUA_MULTRET, 0, iterate_k);
  return iterate_k(L, LUA_OK, 0);
}

static int sub_close(lua_State *L) {
  struct subscription *s = check_subscription(L, 1);
  if (s->closed) return 0;
  s->closed = true;
  s->b->subscribers--;
  waiter_wake_all(&s->b->readers);
  return 0;
}

/* The broadcast may be collected with it, but not before: its memory stays
 * until its own finaliser has run. */
static int sub_gc(lua_State *L) {
  struct subscription *s = check_subscription(L, 1);
  if (s->b && !s->closed) s->b->subscribers--;
  s->closed = true;
  return 0;
}

static int sub_tostring(lua_State *L) {
  const struct subscription *s = check_subscription(L, 1);
  if (s->closed)
    lua_pushliteral(L, "proa.subscription (closed)");
  else
    lua_pushfstring(L, "proa.subscription (%d to read)",
                    (int)(s->b->sent - s->next));
  return 1;
}

/* -- as one of several -- */

static bool sub_ready(lua_State *L, int idx) {
  return can_read(lua_touserdata(L, idx));
}

static void sub_link(lua_State *L, int idx, struct looker *k) {
  const struct subscription *s = lua_touserdata(L, idx);
  list_push(&s->b->readers, &k->waiter.link);
}

static int sub_take(lua_State *L, int idx, struct looker *k) {
  (void)k;
  int n = read_now(L, idx, lua_touserdata(L, idx));
  return n ? n : -1;
}

static const struct select_class selects_subscription = {
    .ready = sub_ready, .link = sub_link, .take = sub_take};

/* -- making -- */

/* subscribe() -> what is sent from now on */
static int l_subscribe(lua_State *L) {
  struct broadcast *b = check_broadcast(L);
  struct subscription *s = new_object(L, sizeof *s, SUBSCRIPTION_CLASS, 1);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  s->b = b;
  s->next = b->sent;
  b->subscribers++;
  return 1;
}

/* broadcast(kept) */
static int l_broadcast(lua_State *L) {
  lua_Integer kept = luaL_checkinteger(L, 1);
  luaL_argcheck(L, kept >= 1 && kept <= KEPT_MAX, 1,
                "a number of messages to keep expected");
  struct broadcast *b = new_object(L, sizeof *b, BROADCAST_CLASS, 1);
  list_init(&b->readers);
  b->kept = kept;
  lua_newtable(L);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

void open_broadcast(lua_State *L) {
  static const luaL_Reg methods[] = {{"send", l_send},
                                     {"subscribe", l_subscribe},
                                     {"close", l_close},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__close", l_close},
                                  {"__gc", l_gc},
                                  {"__tostring", l_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg sub_methods[] = {{"recv", l_recv},
                                         {"try_recv", l_try_recv},
                                         {"close", sub_close},
                                         {NULL, NULL}};
  static const luaL_Reg sub_meta[] = {{"__call", l_call},
                                      {"__close", sub_close},
                                      {"__gc", sub_gc},
                                      {"__tostring", sub_tostring},
                                      {NULL, NULL}};
  static const luaL_Reg functions[] = {{"broadcast", l_broadcast},
                                       {NULL, NULL}};
  make_class(L, BROADCAST_CLASS, methods, meta);
  make_class(L, SUBSCRIPTION_CLASS, sub_methods, sub_meta);
  select_register(L, SUBSCRIPTION_CLASS, &selects_subscription);
  add_functions(L, functions);
}
