/* lua_udp_io.c - sending and receiving datagrams.
 *
 * A receive takes what is queued, or waits; giving up a wait loses nothing.
 * The values of a datagram are made before it is gone. A send is an op for
 * each datagram and its result is the op's; of a batch some are under way at
 * once, over Unix one, so that they stay in order.
 *
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua_buffer.h"
#include "lua_net.h"
#include "lua_op.h"
#include "lua_passed.h"
#include "lua_select.h"
#include "lua_udp.h"

enum {
  BATCH_MAX = 1024, /* datagrams of one call */
  BATCH_DEFAULT = 64,
  WINDOW = 64, /* of a batch, under way at once */
};

/* Absolute, of a call whose last argument may be a limit. */
static uint64_t until(lua_State *L, const struct lua_udp *o, int arg,
                      uint64_t otherwise_ns) {
  bool given = !lua_isnoneornil(L, arg);
  return await_until(o->rt, given ? opt_limit(L, arg) : otherwise_ns);
}

/* -- receiving -- */

enum taking { TAKE_DATA, TAKE_FROM, TAKE_BATCH, TAKE_FDS };

/* Text of the sender; the last one's is kept, as most come in a row. */
void push_datagram_from(lua_State *L, int idx, struct lua_udp *o,
                        const struct address *from) {
  char text[ADDRESS_TEXT_MAX];
  if (!from->len) {
    lua_pushnil(L);
  } else if (from->len == o->last.len &&
             memcmp(&from->at, &o->last.at, from->len) == 0) {
    lua_getiuservalue(L, idx, 1);
  } else {
    lua_pushlstring(L, text, address_format(from, text));
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, idx, 1);
    o->last = *from;
  }
}

void datagram_taken(struct lua_udp *o, struct datagram *d) {
  if (o->taking != d) return; /* a finaliser has taken it meanwhile */
  o->taking = NULL;
  datagram_free(proactor_sys(&o->rt->proactor), d);
}

static struct datagram *next_datagram(struct lua_udp *o) {
  if (!o->taking && o->u) o->taking = udp_take(o->u);
  return o->taking;
}

/* data[, from][, bytes of the whole]; the socket is at idx */
static int push_datagram(lua_State *L, int idx, struct datagram *d,
                         bool with_from) {
  struct lua_udp *o = lua_touserdata(L, idx);
  size_t len = d->len, full = d->full;
  struct address from = d->from;
  lua_pushlstring(L, (const char *)d->bytes, len);
  if (with_from) push_datagram_from(L, idx, o, &from);
  datagram_taken(o, d);
  if (full == len) return 1 + with_from;
  lua_pushinteger(L, (lua_Integer)full);
  return 2 + with_from;
}

/* { data =, from =, full = } on top of the stack. */
static void push_entry(lua_State *L, struct datagram *d) {
  lua_createtable(L, 0, 2);
  int entry = lua_gettop(L);
  int n = push_datagram(L, 1, d, true);
  if (n == 3) lua_setfield(L, entry, "full");
  lua_setfield(L, entry, "from");
  lua_setfield(L, entry, "data");
}

static int push_batch(lua_State *L, struct lua_udp *o) {
  lua_Integer max = lua_tointeger(L, 3);
  lua_createtable(L, 8, 0);
  for (lua_Integer i = 1; i <= max; i++) {
    struct datagram *d = next_datagram(o);
    if (!d) break;
    push_entry(L, d);
    lua_rawseti(L, -2, i);
  }
  return 1;
}

static struct handle *datagram_handle(struct task *t) {
  const struct lua_udp *o = t->wait.subject;
  return o->u ? o->u->handle : NULL;
}

static const struct wait_class waits_datagram = {
    .verb = "receive a datagram", .external = true, .handle = datagram_handle};

static int recv_go(lua_State *L, enum taking what);

/* Woken for a datagram that it will not take: another waiter may. */
static int recv_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  struct lua_udp *o = udp_check(L, 1);
  bool leaves = o->rt->current->wait.end != WAIT_READY;
  if (leaves && o->u) udp_pass_on(o->u);
  if (await_end(L) == WAIT_TIMEOUT)
    return push_fail(L, "receive: timed out", "TIMEOUT");
  return recv_go(L, (enum taking)ctx);
}

/* The stack: 1 the socket, 2 the absolute limit, 3 how many at most, 4 for
 * TAKE_FDS an owner of descriptors. */
static int recv_go(lua_State *L, enum taking what) {
  struct lua_udp *o = udp_check(L, 1);
  if (!o->u) return push_fail(L, "receive: the socket was closed", "CLOSED");
  struct datagram *d = next_datagram(o);
  struct task *me = o->rt->current;
  if (d && !await_budget(me)) return await_reschedule(L, me, what, recv_k);
  if (d && what == TAKE_BATCH) return push_batch(L, o);
  if (d && what == TAKE_FDS) return push_datagram_fds(L, o, d);
  if (d) return push_datagram(L, 1, d, what == TAKE_FROM);
  int err = udp_take_error(o->u);
  if (!err) err = udp_receive(o->u);
  if (err) return push_errno(L, "receive", err);
  struct task *t = await_begin(L);
  list_push(&o->u->waiters, &t->wait.waiter.link);
  return await_yield(L, t, &waits_datagram, o, (uint64_t)lua_tointeger(L, 2),
                     what, recv_k);
}

static int recv_begin(lua_State *L, enum taking what, int limit_arg,
                      lua_Integer max) {
  struct lua_udp *o = udp_check_open(L, 1);
  uint64_t until_ns = until(L, o, limit_arg, o->read_ns);
  await_begin(L);
  lua_settop(L, 1);
  lua_pushinteger(L, (lua_Integer)until_ns);
  lua_pushinteger(L, max);
  if (what == TAKE_FDS) push_passed_owner(L);
  return recv_go(L, what);
}

/* recv([timeout]) -> data[, bytes of the whole] */
static int l_recv(lua_State *L) {
  return recv_begin(L, TAKE_DATA, 2, 1);
}

/* recv_from([timeout]) -> data, from[, bytes of the whole] */
static int l_recv_from(lua_State *L) {
  return recv_begin(L, TAKE_FROM, 2, 1);
}

/* recv_batch([max[, timeout]]) -> { { data =, from =, full = }, ... } */
static int l_recv_batch(lua_State *L) {
  lua_Integer max = luaL_optinteger(L, 2, BATCH_DEFAULT);
  luaL_argcheck(L, max >= 1, 2, "at least 1");
  return recv_begin(L, TAKE_BATCH, 3, max);
}

/* recv_fds([timeout]) */
int udp_recv_fds_begin(lua_State *L) {
  return recv_begin(L, TAKE_FDS, 2, 1);
}

/* -- as an entry of select: recv_from -- */

static bool select_ready(lua_State *L, int idx) {
  struct lua_udp *o = udp_check(L, idx);
  return !o->u || o->taking || udp_ready(o->u);
}

static void select_link(lua_State *L, int idx, struct looker *k) {
  struct udp *u = udp_check(L, idx)->u;
  if (udp_receive(u) < 0) luaL_error(L, "not enough memory");
  list_push(&u->waiters, &k->waiter.link);
}

static bool is_external(lua_State *L, int idx) {
  (void)L;
  (void)idx;
  return true;
}

static void leave_select(lua_State *L, int idx, struct looker *k) {
  struct udp *u = udp_check(L, idx)->u;
  (void)k;
  if (u) udp_pass_on(u);
}

static int select_take(lua_State *L, int idx, struct looker *k) {
  struct lua_udp *o = udp_check(L, idx);
  (void)k;
  if (!o->u) return push_fail(L, "receive: the socket was closed", "CLOSED");
  struct datagram *d = next_datagram(o);
  if (d) return push_datagram(L, idx, d, true);
  int err = udp_take_error(o->u);
  return err ? push_errno(L, "receive", err) : -1;
}

static const struct select_class selects_datagram = {.ready = select_ready,
                                                     .link = select_link,
                                                     .external = is_external,
                                                     .leave = leave_select,
                                                     .take = select_take};

/* -- sending -- */

#define SENDS_CLASS "proa.sends"

/* The datagrams of one call: its ops, in order. */
struct sends {
  struct proactor *p;
  struct list waiters;
  unsigned n, started, ended, sent;
  unsigned window;
  int err; /* of the first that failed; no more are started */
  unsigned failed;
  bool closed; /* ... because the socket was */
  struct op *ops[];
};

static bool over(const struct sends *s) {
  return s->ended == s->started && (s->err || s->ended == s->n);
}

static void start_some(struct sends *s) {
  while (s->started < s->n && !s->err && s->started - s->ended < s->window)
    proactor_submit(s->p, s->ops[s->started++]);
}

/* op->io.off is its place in the batch. */
static void note(struct sends *s, struct op *op, int res) {
  unsigned i = (unsigned)op->io.off;
  s->ops[i] = NULL;
  s->ended++;
  if (res >= 0) {
    s->sent++;
    s->p->stats.bytes_out += op->io.len;
  } else if (!s->err || i < s->failed) {
    s->err = res;
    s->failed = i;
    s->closed = op->closed;
  }
}

static void send_sink(struct op *op, const struct op_result *r) {
  struct sends *s = op->owner;
  note(s, op, r->res);
  proactor_free(s->p, op);
  start_some(s);
  if (over(s)) waiter_wake_all(&s->waiters);
}

/* Nobody asks any more; what is under way is let go of. */
static void abandon(struct sends *s) {
  for (unsigned i = 0; i < s->n; i++) {
    struct op *op = s->ops[i];
    s->ops[i] = NULL;
    if (!op) continue;
    if (op->state == OP_IDLE) {
      proactor_free(s->p, op);
      continue;
    }
    proactor_cancel(s->p, op);
    proactor_orphan(s->p, op);
  }
}

static bool withdraw_sends(struct task *t) {
  abandon(t->wait.subject);
  return true;
}

/* Of its ops the first that is still there. */
static const struct op *sends_op(struct task *t) {
  const struct sends *s = t->wait.subject;
  for (unsigned i = 0; i < s->n; i++)
    if (s->ops[i]) return s->ops[i];
  return NULL;
}

static struct handle *sends_handle(struct task *t) {
  const struct op *op = sends_op(t);
  return op ? op->handle : NULL;
}

static void describe_sends(struct task *t, char *into, size_t len) {
  const struct sends *s = t->wait.subject;
  snprintf(into, len, "%u of %u are sent", s->sent, s->n);
}

static const struct wait_class waits_send = {.verb = "send a datagram",
                                             .external = true,
                                             .withdraw = withdraw_sends,
                                             .handle = sends_handle,
                                             .describe = describe_sends};

static int sends_gc(lua_State *L) {
  struct sends *s = lua_touserdata(L, 1);
  if (!rt_gone(rt_get(L))) abandon(s);
  return 0;
}

static struct sends *push_sends(lua_State *L, struct udp *u, unsigned n) {
  size_t size = sizeof(struct sends) + n * sizeof(struct op *);
  struct sends *s = new_object(L, size, SENDS_CLASS, 0);
  s->p = u->p;
  s->window = u->family == AF_UNIX ? 1 : WINDOW;
  list_init(&s->waiters);
  return s;
}

static void add_send(struct sends *s, struct op *op) {
  op->sink = send_sink;
  op->owner = s;
  op->io.off = s->n;
  s->ops[s->n++] = op;
}

/* The bytes at `data` to the address at `to` (nil there: the peer). */
static struct op *send_op(lua_State *L, struct lua_udp *o, int data, int to) {
  struct address a;
  size_t n;
  struct buf *b = test_buffer(L, data) ? check_buffer(L, data) : NULL;
  const char *bytes = b ? (char *)b->data : luaL_checklstring(L, data, &n);
  if (b) n = b->len;
  bool named = !lua_isnoneornil(L, to);
  if (named) check_address_in(L, to, ADDRESS_CONNECT, o->u->family, &a);
  struct op *op = udp_send_op(o->u, bytes, n, named ? &a : NULL);
  if (!op) luaL_error(L, "not enough memory");
  return op;
}

/* nil, "send 127.0.0.1:80: connection refused", code. The text of the address
 * that it was sent to at `to`, or nil there. */
static int push_send_error(lua_State *L, int err, bool closed, int to) {
  const char *what = "send";
  if (lua_type(L, to) == LUA_TSTRING)
    what = lua_pushfstring(L, "send %s", lua_tostring(L, to));
  if (!closed) return push_errno(L, what, err);
  return push_fail(L, lua_pushfstring(L, "%s: the socket was closed", what),
                   "CLOSED");
}

/* The stack: 1 the socket, 2 the bytes, 3 the address or nil. */
static int send_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  struct op *op = (struct op *)ctx;
  if (op_await_end(L, op) == WAIT_TIMEOUT)
    return push_fail(L, "send: timed out", "TIMEOUT");
  int32_t res = op->res;
  bool closed = op->closed;
  if (res >= 0) rt_get(L)->proactor.stats.bytes_out += (uint64_t)res;
  op_await_free(op);
  if (res < 0) return push_send_error(L, res, closed, 3);
  lua_pushinteger(L, res);
  return 1;
}

int udp_send_await(lua_State *L, struct task *t, struct lua_udp *o,
                   struct op *op, bool named) {
  lua_settop(L, named ? 3 : 2);
  lua_settop(L, 3);
  return op_await(L, t, op, await_until(o->rt, o->write_ns), send_k);
}

static int send_begin(lua_State *L, int to, int limit_arg) {
  struct lua_udp *o = udp_check_open(L, 1);
  uint64_t until_ns = until(L, o, limit_arg, o->write_ns);
  struct task *t = await_begin(L);
  lua_settop(L, 3);
  if (!to) {
    lua_pushnil(L);
    lua_replace(L, 3);
  }
  return op_await(L, t, send_op(L, o, 2, 3), until_ns, send_k);
}

/* send(data[, timeout]) -> bytes */
static int l_send(lua_State *L) {
  return send_begin(L, 0, 3);
}

/* send_to(data, address[, timeout]) -> bytes */
static int l_send_to(lua_State *L) {
  luaL_checkstring(L, 3);
  return send_begin(L, 3, 4);
}

/* entry[key] or entry[i] of the table on top; no metamethods. */
static void push_part(lua_State *L, const char *key, int i) {
  int entry = lua_gettop(L);
  lua_pushstring(L, key);
  if (lua_rawget(L, entry) != LUA_TNIL) return;
  lua_pop(L, 1);
  lua_rawgeti(L, entry, i);
}

/* The bytes of entry i of the list at 2, then its address or nil. */
static void push_parts(lua_State *L, lua_Integer i) {
  if (lua_rawgeti(L, 2, i) != LUA_TTABLE) {
    lua_pushnil(L);
    return;
  }
  push_part(L, "data", 1);
  lua_insert(L, -2);
  push_part(L, "to", 2);
  lua_remove(L, -2);
}

static void check_parts(lua_State *L, lua_Integer i) {
  bool bytes = lua_isstring(L, -2) || test_buffer(L, -2);
  if (!bytes || !(lua_isnil(L, -1) || lua_isstring(L, -1)))
    luaL_error(L, "send_batch: entry %d: a string, or {data, address} expected",
               (int)i);
}

/* The stack: 1 the socket, 2 the list, 3 the limit, 4 the sends. */
static int batch_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct sends *s = lua_touserdata(L, 4);
  bool timed_out = await_end(L) == WAIT_TIMEOUT;
  if (!timed_out && !s->err) {
    lua_pushinteger(L, s->sent);
    return 1;
  }
  if (timed_out) {
    push_fail(L, "send: timed out", "TIMEOUT");
  } else {
    push_parts(L, s->failed + 1);
    push_send_error(L, s->err, s->closed, lua_gettop(L));
  }
  lua_pushinteger(L, s->sent);
  return 4;
}

/* send_batch(list[, timeout]) -> how many | nil, message, code, how many */
static int l_send_batch(lua_State *L) {
  struct lua_udp *o = udp_check_open(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_Integer n = (lua_Integer)lua_rawlen(L, 2);
  luaL_argcheck(L, n >= 0 && n <= BATCH_MAX, 2, "at most 1024 datagrams");
  uint64_t until_ns = until(L, o, 3, o->write_ns);
  struct task *t = await_begin(L);
  lua_settop(L, 3);
  struct sends *s = push_sends(L, o->u, (unsigned)n);
  for (lua_Integer i = 1; i <= n; i++) {
    push_parts(L, i);
    check_parts(L, i);
    add_send(s, send_op(L, o, lua_gettop(L) - 1, lua_gettop(L)));
    lua_settop(L, 4);
  }
  if (n == 0) {
    lua_pushinteger(L, 0);
    return 1;
  }
  list_push(&s->waiters, &t->wait.waiter.link);
  start_some(s);
  return await_yield(L, t, &waits_send, s, until_ns, 0, batch_k);
}

const luaL_Reg udp_io_methods[] = {{"send", l_send},
                                   {"send_to", l_send_to},
                                   {"recv", l_recv},
                                   {"recv_from", l_recv_from},
                                   {"send_batch", l_send_batch},
                                   {"recv_batch", l_recv_batch},
                                   {NULL, NULL}};

void open_udp_io(lua_State *L) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", sends_gc}, {NULL, NULL}};
  make_class(L, SENDS_CLASS, none, meta);
  select_register(L, UDP_CLASS, &selects_datagram);
}
