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

/* Push an object for descriptor fd. -errno: nothing pushed, fd untouched; so
 * it is when this raises. */
int push_fd(lua_State *L, struct proactor *p, int fd, bool owned);

/* The number of the descriptor that the value at arg has: an integer, an fd
 * object, a stream, listener or socket of datagrams, a file of io.open, or
 * whatever has a method fileno, getfd or pollfd. Raises; may run Lua code. */
int check_fileno(lua_State *L, int arg);

/* Push what a real descriptor is: a stream (a connected socket, a pipe), a
 * listener, a socket of datagrams, a file, else an fd object, which owns it.
 * -errno: nothing pushed; it is closed or the caller's, as *taken tells. */
int push_object(lua_State *L, struct proactor *p, int fd, bool *taken);

/* Push an object for each of n new descriptors; n, or nil, message, code. They
 * are owned whatever happens: closed, too, when this raises. */
int push_new_fds(lua_State *L, struct proactor *p, const char *what, int n,
                 const int *fds);

/* Take the handle out of the object at arg: it counts as closed. */
struct handle *take_fd(lua_State *L, int arg);

/* The proactor is about to end: its fd objects are closed ones. */
void forget_fds(lua_State *L, struct proactor *p);

#endif
