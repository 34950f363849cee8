/* lua_passed.h - descriptors that pass through Unix sockets, as Lua has them.
 *
 * What streams and sockets of datagrams share: values become duplicates that
 * are sent, and received descriptors become objects.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_PASSED_H
#define PROA_LUA_PASSED_H

#include "lua_core.h"
#include "passing.h"

enum { FDS_DEFAULT = 64 }; /* kept, unless it is said */

/* Duplicates, so that the originals may be closed at once. */
struct copies {
  struct sys *sys;
  int first; /* argument */
  unsigned n;
  int fds[MESSAGE_FDS_MAX];
};

/* Of the arguments from `first` to the top; 0, or nil, message, code are pushed
 * and their number is returned, or it raises: then there are none. May run Lua
 * code. */
int copies_make(lua_State *L, struct copies *c, struct sys *sys, int first);
void copies_close(const struct copies *c);

/* Push a list of objects. Each is noted as taken when there is one: the rest is
 * x's also when this raises. True: not all could be made. */
bool push_passed(lua_State *L, struct proactor *p, struct passed *x);

/* Push an empty owner of a struct passed, which its collector closes. */
struct passed **push_passed_owner(lua_State *L);

/* The optional argument of take_fds. */
unsigned opt_fds_max(lua_State *L, int arg);

#endif
