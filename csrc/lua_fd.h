/* lua_fd.h - proa.fd for the other bindings.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_FD_H
#define PROA_LUA_FD_H

#include <lua.h>

#include "proactor.h"

#define FD_CLASS "proa.fd"

struct lua_fd {
  struct proactor *p;
  struct handle *handle; /* NULL: closed */
  struct link link;      /* among its proactor's, to be told of its end */
};

/* The open fd object of p at arg; an integer stands for the object that was
 * attached for it (the main runtime attaches by itself). Raises. */
struct lua_fd *check_fd(lua_State *L, struct proactor *p, int arg);

/* Push an object for descriptor fd. -errno: nothing pushed, fd untouched. */
int push_fd(lua_State *L, struct proactor *p, int fd, bool owned);

/* Take the handle out of the object at arg: it counts as closed. */
struct handle *take_fd(lua_State *L, int arg);

/* The proactor is about to end: its fd objects are closed ones. */
void forget_fds(lua_State *L, struct proactor *p);

#endif
