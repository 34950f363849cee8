/* lua_channel.c - channels between tasks.
 *
 * A bounded queue of messages; with room for none a send and a recv meet (a
 * rendezvous). What is sent goes straight to who has waited longest, so nobody
 * is overtaken, and a task that was handed a message returns it even when it
 * is cancelled in the same turn. Messages wait in a table of the channel: those
 * in the queue by place, an offer of a sender that waits under the address of
 * its waiter, what was handed to a receiver under the one beside it.
 * Both ends are entries of select (lua_select.h): the channel to receive,
 * sending(ch, ...) to send.
 *
 * SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "lua_core.h"
#include "lua_message.h"
#include "lua_select.h"

#define CHANNEL_CLASS "proa.channel"
#define SENDING_CLASS "proa.sending"

enum { CAPACITY_MAX = 1 << 30 };

struct channel {
  unsigned capacity, head, count; /* places from 1 in the table: a ring */
  bool closed;
  /* struct waiter: a task that waits in here, or a looker; the longest first.
   * Receivers wait only while the queue is empty, senders while it is full. */
  struct list receivers, senders;
};

/* The user value of a channel is its table; those of a sending: the channel
 * and the message. */
enum { SENDING_CHANNEL = 1, SENDING_MESSAGE };

static struct channel *check_channel(lua_State *L, int idx) {
  return luaL_checkudata(L, idx, CHANNEL_CLASS);
}

static struct waiter *first_waiter(const struct list *l) {
  struct link *k = list_first(l);
  return k ? container_of(k, struct waiter, link) : NULL;
}

/* -- the table; it is at index `t` -- */

static void offer_put(lua_State *L, int t, const struct waiter *w) {
  lua_rawsetp(L, t, w);
}

static void offer_push(lua_State *L, int t, const struct waiter *w) {
  lua_rawgetp(L, t, w);
}

/* false: it has been taken. */
static bool offer_drop(lua_State *L, int t, const struct waiter *w) {
  bool there = lua_rawgetp(L, t, w) != LUA_TNIL;
  lua_pop(L, 1);
  lua_pushnil(L);
  lua_rawsetp(L, t, w);
  return there;
}

static const void *handed_key(const struct waiter *w) {
  return (const char *)w + 1;
}

/* Pushes what it was handed; false: nothing. */
static bool handed_take(lua_State *L, int t, const struct waiter *w) {
  if (lua_rawgetp(L, t, handed_key(w)) == LUA_TNIL) {
    lua_pop(L, 1);
    return false;
  }
  lua_pushnil(L);
  lua_rawsetp(L, t, handed_key(w));
  return true;
}

/* -- the other side -- */

static bool would_meet(struct waiter *w) {
  return !w->looks || looker_waits(looker_of(w));
}

/* Is there one with whom to do business? */
static bool somebody_waits(const struct list *side) {
  list_each(side, k) {
    if (would_meet(container_of(k, struct waiter, link))) return true;
  }
  return false;
}

static void wake(struct waiter *w) {
  link_unlink(&w->link);
  w->wake(w);
}

/* It is decided for this one: off its list, and woken. */
static void meet(struct waiter *w) {
  if (w->looks)
    looker_of(w)->claim(looker_of(w));
  else
    wake(w);
}

/* Who has waited longest. Those before, who look but do not wait at the
 * moment, are woken to look again. */
static struct waiter *next_to_meet(const struct list *side) {
  for (struct waiter *w; (w = first_waiter(side)); wake(w))
    if (would_meet(w)) return w;
  return NULL;
}

/* A new one stands in the other list: whoever only looks, looks again, but
 * not its own wait. */
static void wake_lookers(const struct list *side, const struct looker *mine) {
  struct link *next, *k = side->head.next;
  for (; k != &side->head; k = next) {
    struct waiter *w = container_of(k, struct waiter, link);
    next = k->next;
    if (w->looks && looker_of(w)->wait != mine->wait) wake(w);
  }
}

/* -- receiving and sending without waiting -- */

static bool can_receive(const struct channel *c) {
  return c->count || c->closed || somebody_waits(&c->senders);
}

static bool can_send(const struct channel *c) {
  return c->count < c->capacity || c->closed || somebody_waits(&c->receivers);
}

/* Pushes the message of the sender that has waited longest; false: none. */
static bool take_offer(lua_State *L, int t, struct channel *c) {
  struct waiter *w = next_to_meet(&c->senders);
  if (!w) return false;
  offer_push(L, t, w);
  offer_drop(L, t, w);
  meet(w);
  return true;
}

/* Pushes the first of the queue; the sender that waits for its place puts
 * its own there. The queue was full then, so that it is the last place too. */
static void take_first(lua_State *L, int t, struct channel *c) {
  unsigned place = c->head + 1;
  lua_rawgeti(L, t, place);
  c->head = (c->head + 1) % c->capacity;
  if (c->count < c->capacity || !take_offer(L, t, c)) {
    lua_pushnil(L);
    c->count--;
  }
  lua_rawseti(L, t, place);
  if (!c->count) c->head = 0; /* a short queue stays in few places */
}

/* Pushes what recv gives now: how many values. 0: it has to wait. */
static int receive_now(lua_State *L, int t, struct channel *c) {
  message_room(L);
  if (c->count)
    take_first(L, t, c);
  else if (!take_offer(L, t, c)) {
    if (!c->closed) return 0;
    lua_pushnil(L);
    return 1;
  }
  return message_open(L);
}

/* Takes the message on top if somebody waits for it or there is room; false:
 * it is still there. */
static bool send_now(lua_State *L, int t, struct channel *c) {
  struct waiter *w = next_to_meet(&c->receivers);
  if (!w && c->count == c->capacity) return false;
  if (w) {
    lua_rawsetp(L, t, handed_key(w));
    meet(w);
  } else {
    lua_rawseti(L, t, (c->head + c->count) % c->capacity + 1);
    c->count++;
  }
  return true;
}

static int send_closed(lua_State *L) {
  return push_fail(L, "send: the channel is closed", "CLOSED");
}

static int sent(lua_State *L) {
  lua_pushboolean(L, true);
  return 1;
}

/* -- recv -- */

/* The stack of who waits: the channel, its table, the absolute limit, and of
 * a sender the message. */
enum { CHANNEL = 1, TABLE, LIMIT, MESSAGE };

static void describe_channel(struct task *t, char *into, size_t len) {
  const struct channel *c = t->wait.subject;
  snprintf(into, len, "channel %u/%u", c->count, c->capacity);
}

static const struct wait_class waits_recv = {.verb = "recv",
                                             .describe = describe_channel};
static const struct wait_class waits_send = {.verb = "send",
                                             .describe = describe_channel};

static uint64_t limit_at(lua_State *L) {
  return (uint64_t)lua_tointeger(L, LIMIT);
}

static int recv_go(lua_State *L, struct task *t);

static int recv_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct waiter *mine = &rt_get(L)->current->wait.waiter;
  lua_settop(L, LIMIT);
  if (await_end(L) == WAIT_TIMEOUT)
    return push_fail(L, "recv: timed out", "TIMEOUT");
  if (handed_take(L, TABLE, mine)) return message_open(L);
  return recv_go(L, await_begin(L)); /* closed, or its turn has come again */
}

static int recv_go(lua_State *L, struct task *t) {
  struct channel *c = check_channel(L, CHANNEL);
  if (can_receive(c) && !await_budget(t))
    return await_reschedule(L, t, 0, recv_k);
  int n = receive_now(L, TABLE, c);
  if (n) return n;
  list_push(&c->receivers, &t->wait.waiter.link);
  return await_yield(L, t, &waits_recv, c, limit_at(L), 0, recv_k);
}

/* Room for the table and the limit below what else is on the stack. */
static struct task *begin(lua_State *L, uint64_t limit) {
  struct task *t = await_begin(L);
  lua_getiuservalue(L, CHANNEL, 1);
  lua_insert(L, TABLE);
  lua_pushinteger(L, (lua_Integer)await_until(t->rt, limit));
  lua_insert(L, LIMIT);
  return t;
}

/* recv([timeout]) -> values... | nil: closed and empty */
static int l_recv(lua_State *L) {
  check_channel(L, CHANNEL);
  uint64_t limit = opt_limit(L, 2);
  lua_settop(L, CHANNEL);
  return recv_go(L, begin(L, limit));
}

/* for v in ch do: ch(nil, the value before) */
static int l_call(lua_State *L) {
  lua_settop(L, 1);
  return l_recv(L);
}

/* try_recv() -> values... | nil: closed and empty | nil, message, "EAGAIN" */
static int l_try_recv(lua_State *L) {
  struct channel *c = check_channel(L, CHANNEL);
  lua_settop(L, CHANNEL);
  lua_getiuservalue(L, CHANNEL, 1);
  int n = receive_now(L, TABLE, c);
  return n ? n : push_fail(L, "recv: nothing has been sent", "EAGAIN");
}

/* -- send -- */

static int send_go(lua_State *L, struct task *t);

static int send_turn_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  await_end(L);
  return send_go(L, await_begin(L));
}

/* What nobody took goes with whom it belongs to. */
static int send_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  bool taken = !offer_drop(L, TABLE, &rt_get(L)->current->wait.waiter);
  if (await_end(L) == WAIT_TIMEOUT)
    return push_fail(L, "send: timed out", "TIMEOUT");
  return taken ? sent(L) : send_closed(L);
}

static int send_go(lua_State *L, struct task *t) {
  struct channel *c = check_channel(L, CHANNEL);
  if (can_send(c) && !await_budget(t))
    return await_reschedule(L, t, 0, send_turn_k);
  if (c->closed) return send_closed(L);
  if (send_now(L, TABLE, c)) return sent(L);
  lua_pushvalue(L, MESSAGE);
  offer_put(L, TABLE, &t->wait.waiter);
  list_push(&c->senders, &t->wait.waiter.link);
  return await_yield(L, t, &waits_send, c, limit_at(L), 0, send_k);
}

/* send(...) -> true | nil, message, "CLOSED" */
static int l_send(lua_State *L) {
  check_channel(L, CHANNEL);
  message_make(L, 2, "send");
  return send_go(L, begin(L, NEVER_NS));
}

/* send_within(seconds, ...) -> as send, or nil, message, "TIMEOUT" */
static int l_send_within(lua_State *L) {
  check_channel(L, CHANNEL);
  uint64_t limit = ns_from_seconds(luaL_checknumber(L, 2));
  lua_remove(L, 2);
  message_make(L, 2, "send_within");
  return send_go(L, begin(L, limit));
}

/* try_send(...) -> true | nil, message, "EAGAIN" or "CLOSED" */
static int l_try_send(lua_State *L) {
  struct channel *c = check_channel(L, CHANNEL);
  message_make(L, 2, "try_send");
  lua_getiuservalue(L, CHANNEL, 1);
  lua_insert(L, TABLE);
  if (c->closed) return send_closed(L);
  if (send_now(L, TABLE, c)) return sent(L);
  return push_fail(L, "send: the channel is full", "EAGAIN");
}

/* -- as one of several: the channel, to receive -- */

static bool recv_ready(lua_State *L, int idx) {
  return can_receive(lua_touserdata(L, idx));
}

static void recv_link(lua_State *L, int idx, struct looker *k) {
  struct channel *c = lua_touserdata(L, idx);
  list_push(&c->receivers, &k->waiter.link);
  wake_lookers(&c->senders, k);
}

static int recv_take(lua_State *L, int idx, struct looker *k) {
  struct channel *c = lua_touserdata(L, idx);
  lua_getiuservalue(L, idx, 1);
  int t = lua_gettop(L), n;
  if (k && k->claimed && handed_take(L, t, &k->waiter))
    n = message_open(L);
  else
    n = receive_now(L, t, c);
  lua_remove(L, t);
  return n ? n : -1;
}

static const struct select_class selects_recv = {
    .ready = recv_ready, .link = recv_link, .take = recv_take};

/* -- and sending(ch, ...), to send -- */

static struct channel *channel_of(lua_State *L, int idx) {
  lua_getiuservalue(L, idx, SENDING_CHANNEL);
  struct channel *c = lua_touserdata(L, -1);
  lua_pop(L, 1); /* the sending keeps it */
  return c;
}

static void push_table_of(lua_State *L, int idx) {
  lua_getiuservalue(L, idx, SENDING_CHANNEL);
  lua_getiuservalue(L, -1, 1);
  lua_remove(L, -2);
}

static bool send_ready(lua_State *L, int idx) {
  return can_send(channel_of(L, idx));
}

static void send_link(lua_State *L, int idx, struct looker *k) {
  struct channel *c = channel_of(L, idx);
  push_table_of(L, idx);
  lua_getiuservalue(L, idx, SENDING_MESSAGE);
  offer_put(L, lua_gettop(L) - 1, &k->waiter);
  lua_pop(L, 1);
  list_push(&c->senders, &k->waiter.link);
  wake_lookers(&c->receivers, k);
}

static void send_leave(lua_State *L, int idx, struct looker *k) {
  push_table_of(L, idx);
  offer_drop(L, lua_gettop(L), &k->waiter);
  lua_pop(L, 1);
}

static int send_take(lua_State *L, int idx, struct looker *k) {
  struct channel *c = channel_of(L, idx);
  if (k && k->claimed) return sent(L);
  push_table_of(L, idx);
  int t = lua_gettop(L);
  if (k) offer_drop(L, t, &k->waiter);
  lua_getiuservalue(L, idx, SENDING_MESSAGE);
  bool now = !c->closed && send_now(L, t, c);
  lua_settop(L, t - 1);
  if (c->closed) return send_closed(L);
  return now ? sent(L) : -1;
}

static const struct select_class selects_send = {.ready = send_ready,
                                                 .link = send_link,
                                                 .leave = send_leave,
                                                 .take = send_take};

/* sending(ch, ...) -> an entry of select that sends these values */
static int l_sending(lua_State *L) {
  check_channel(L, 1);
  message_make(L, 2, "sending");
  new_object(L, 1, SENDING_CLASS, 2);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 3, SENDING_CHANNEL);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 3, SENDING_MESSAGE);
  return 1;
}

/* -- the rest -- */

/* close(): who receives gets what is queued and then nil, who sends CLOSED */
static int l_close(lua_State *L) {
  struct channel *c = check_channel(L, 1);
  c->closed = true;
  waiter_wake_all(&c->receivers);
  waiter_wake_all(&c->senders);
  return 0;
}

/* Nobody waits in it, or it would be kept: only waits that were broken off
 * by force are left. */
static int l_gc(lua_State *L) {
  struct channel *c = check_channel(L, 1);
  while (list_pop(&c->receivers)) continue;
  while (list_pop(&c->senders)) continue;
  return 0;
}

static int l_closed(lua_State *L) {
  lua_pushboolean(L, check_channel(L, 1)->closed);
  return 1;
}

static int l_capacity(lua_State *L) {
  lua_pushinteger(L, check_channel(L, 1)->capacity);
  return 1;
}

static int l_len(lua_State *L) {
  lua_pushinteger(L, check_channel(L, 1)->count);
  return 1;
}

static int l_tostring(lua_State *L) {
  const struct channel *c = check_channel(L, 1);
  lua_pushfstring(L, "proa.channel (%d of %d%s%s%s)", (int)c->count,
                  (int)c->capacity, c->closed ? ", closed" : "",
                  list_empty(&c->receivers) ? "" : ", receivers wait",
                  list_empty(&c->senders) ? "" : ", senders wait");
  return 1;
}

static int sending_tostring(lua_State *L) {
  lua_getiuservalue(L, 1, SENDING_CHANNEL);
  lua_pushfstring(L, "proa.sending to %s", luaL_tolstring(L, -1, NULL));
  return 1;
}

/* channel([capacity]) */
static int l_channel(lua_State *L) {
  lua_Integer n = luaL_optinteger(L, 1, 0);
  luaL_argcheck(L, n >= 0 && n <= CAPACITY_MAX, 1,
                "a number of messages expected");
  struct channel *c = new_object(L, sizeof *c, CHANNEL_CLASS, 1);
  list_init(&c->receivers);
  list_init(&c->senders);
  c->capacity = (unsigned)n;
  lua_newtable(L);
  lua_setiuservalue(L, -2, 1);
  return 1;
}

void open_channel(lua_State *L) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg methods[] = {{"send", l_send},
                                     {"send_within", l_send_within},
                                     {"try_send", l_try_send},
                                     {"recv", l_recv},
                                     {"try_recv", l_try_recv},
                                     {"close", l_close},
                                     {"closed", l_closed},
                                     {"capacity", l_capacity},
                                     {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__call", l_call}, {"__close", l_close},       {"__gc", l_gc},
      {"__len", l_len},   {"__tostring", l_tostring}, {NULL, NULL}};
  static const luaL_Reg sending_meta[] = {{"__tostring", sending_tostring},
                                          {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"channel", l_channel}, {"sending", l_sending}, {NULL, NULL}};
  make_class(L, CHANNEL_CLASS, methods, meta);
  select_register(L, CHANNEL_CLASS, &selects_recv);
  make_class(L, SENDING_CLASS, none, sending_meta);
  select_register(L, SENDING_CLASS, &selects_send);
  add_functions(L, functions);
}
