/* lua_udp.h - what the files of proa.datagram share.
 *
 * lua_udp.c is the object, its names, options and end; lua_udp_io.c sends and
 * receives.
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

extern const luaL_Reg udp_io_methods[];
void open_udp_io(lua_State *L);

#endif
