/* lua_udp.h - what the files of proa.datagram share.
 *
 * lua_udp.c is the object, its names, options and end; lua_udp_io.c sends and
 * receives; lua_udp_fds.c does so with descriptors.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_UDP_H
#define PROA_LUA_UDP_H

#include "lua_core.h"
#include "udp.h"

#define UDP_CLASS "proa.datagram"

struct lua_udp {
  struct runtime *rt;
  struct udp *u;              /* NULL: closed */
  struct datagram *taking;    /* taken from u while its values are made */
  struct address last;        /* whose text is the user value */
  uint64_t read_ns, write_ns; /* limits of each call; NEVER_NS */
};

struct lua_udp *udp_check(lua_State *L, int arg);
/* Raises when it was closed. */
struct lua_udp *udp_check_open(lua_State *L, int arg);

/* Push an empty object; then it owns h, a socket of datagrams of that family.
 * size and quota: see udp.h. -errno: h is closed. */
struct lua_udp *push_udp_object(lua_State *L);
int udp_object_open(struct lua_udp *o, struct proactor *p, struct handle *h,
                    int family, size_t size, size_t quota);

extern const luaL_Reg udp_io_methods[], udp_fds_methods[];
void open_udp_io(lua_State *L);

/* Of lua_udp_io.c. The socket is at 1, for udp_send_await its address at 3 if
 * it is `named`. */
int udp_send_await(lua_State *L, struct task *t, struct lua_udp *o,
                   struct op *op, bool named);
int udp_recv_fds_begin(lua_State *L);
/* Push the text of a sender; the socket is at idx. */
void push_datagram_from(lua_State *L, int idx, struct lua_udp *o,
                        const struct address *from);
/* Its values are made. */
void datagram_taken(struct lua_udp *o, struct datagram *d);

/* Of lua_udp_fds.c: the values of recv_fds. */
int push_datagram_fds(lua_State *L, struct lua_udp *o, struct datagram *d);

#endif
