/* lua_udp_fds.c - descriptors with Unix datagrams.
 *
 * As lua_stream_fds.c has it for streams. A datagram that is sent has
 * duplicates, which its op closes when it is over, given up or not; one that is
 * received with recv_fds has objects, by any other call its descriptors are
 * closed with it. A limit bounds those that wait with what is queued (udp.c).
 *
 * SPDX-License-Identifier: MIT */
#include "lua_buffer.h"
#include "lua_net.h"
#include "lua_op.h"
#include "lua_passed.h"
#include "lua_udp.h"

/* The open Unix socket at 1; NULL: what is pushed says why not. */
static struct lua_udp *check_unix(lua_State *L, const char *what) {
  struct lua_udp *o = udp_check_open(L, 1);
  if (o->u->family == AF_UNIX) return o;
  push_fail(L, lua_pushfstring(L, "%s: not a Unix socket", what), "EOPNOTSUPP");
  return NULL;
}

/* -- sending -- */

/* The bytes at 2 with these to the address, or NULL, and then they are closed.
 */
static struct op *make_op(lua_State *L, struct udp *u, struct copies *c,
                          const struct address *to) {
  size_t n;
  const char *bytes = lua_tolstring(L, 2, &n);
  struct passed *with = passed_new(c->fds, c->n);
  if (!with) {
    copies_close(c);
    return NULL;
  }
  struct op *op = udp_send_fds_op(u, bytes, n, to, with);
  if (!op) passed_free(c->sys, with);
  return op;
}

/* The bytes at 2 as a string. */
static void check_bytes(lua_State *L) {
  if (test_buffer(L, 2)) {
    const struct buf *b = check_buffer(L, 2);
    lua_pushlstring(L, (const char *)b->data, b->len);
    lua_replace(L, 2);
  }
  luaL_checkstring(L, 2);
}

/* Arguments from `first` on are descriptors, the one before is the address
 * where there is one. */
static int send_begin(lua_State *L, int first) {
  struct lua_udp *o = check_unix(L, "send_fds");
  struct address a;
  struct copies c;
  if (!o) return 3;
  check_bytes(L);
  bool named = first > 3;
  if (named) check_address_in(L, 3, ADDRESS_CONNECT, AF_UNIX, &a);
  struct task *t = await_begin(L);
  int failed = copies_make(L, &c, proactor_sys(o->u->p), first);
  if (failed) return failed;
  if (!o->u) { /* by a method that told a descriptor */
    copies_close(&c);
    return luaL_error(L, "datagram socket is closed");
  }
  struct op *op = make_op(L, o->u, &c, named ? &a : NULL);
  if (!op) return luaL_error(L, "not enough memory");
  return udp_send_await(L, t, o, op, named);
}

/* send_fds(data, value...) -> bytes */
static int l_send_fds(lua_State *L) {
  return send_begin(L, 3);
}

/* send_fds_to(data, address, value...) -> bytes */
static int l_send_fds_to(lua_State *L) {
  luaL_checkstring(L, 3);
  return send_begin(L, 4);
}

/* -- receiving -- */

/* take_fds([max]) -> the socket: from now on descriptors that come are kept */
static int l_take_fds(lua_State *L) {
  unsigned max = opt_fds_max(L, 2);
  struct lua_udp *o = check_unix(L, "take_fds");
  if (!o) return 3;
  udp_take_fds(o->u, max);
  lua_settop(L, 1);
  return 1;
}

/* recv_fds([timeout]) -> data, objects, from[, some were closed[, bytes of the
 * whole]] */
static int l_recv_fds(lua_State *L) {
  struct lua_udp *o = check_unix(L, "recv_fds");
  if (!o) return 3;
  if (!o->u->wants_fds) udp_take_fds(o->u, FDS_DEFAULT);
  return udp_recv_fds_begin(L);
}

/* The owner at 4 has them from here on, also when this raises. */
int push_datagram_fds(lua_State *L, struct lua_udp *o, struct datagram *d) {
  struct passed **owner = lua_touserdata(L, 4);
  size_t len = d->len, full = d->full;
  struct address from = d->from;
  bool cut = d->cut;
  *owner = d->with;
  d->cut |= d->with != NULL;
  d->with = NULL;
  lua_pushlstring(L, (const char *)d->bytes, len);
  cut |= push_passed(L, &o->rt->proactor, *owner);
  push_datagram_from(L, 1, o, &from);
  passed_free(proactor_sys(&o->rt->proactor), *owner);
  *owner = NULL;
  datagram_taken(o, d);
  if (!cut && full == len) return 3;
  lua_pushboolean(L, cut);
  if (full == len) return 4;
  lua_pushinteger(L, (lua_Integer)full);
  return 5;
}

const luaL_Reg udp_fds_methods[] = {{"send_fds", l_send_fds},
                                    {"send_fds_to", l_send_fds_to},
                                    {"take_fds", l_take_fds},
                                    {"recv_fds", l_recv_fds},
                                    {NULL, NULL}};
