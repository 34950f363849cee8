/* lua_net.h - sockets and addresses for the bindings.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_NET_H
#define PROA_LUA_NET_H

#include <lua.h>

#include "address.h"
#include "proactor.h"
#include "unix_path.h"

/* The address at arg; raises when it is none, or a name to be resolved, or
 * names an interface that is not there. */
void check_address(lua_State *L, int arg, enum address_use use,
                   struct address *into);

struct lua_listener;
struct lua_stream;

struct listen_options {
  int backlog;
  bool reuse_port;
  int mode; /* of a Unix path; -1: by the umask */
};

/* A listening socket or -errno; `made` says which path is to be removed with
 * it. Without `made` a path is bound as bind(2) does, and left. */
int net_listen(struct proactor *p, const struct address *a,
               const struct listen_options *o, struct unix_path *made);

/* The local or the peer's address. -errno: it has none. */
int handle_name(struct proactor *p, const struct handle *h, bool peer,
                struct address *a);

/* Push the local or the peer's address; or nil, message, code. */
int push_handle_name(lua_State *L, struct proactor *p, struct handle *h,
                     bool peer);

/* Of an interface by its name, one of its addresses, or its number as text; 0:
 * there is none. */
unsigned interface_index(const char *name);

/* Push the local address for people to read. */
void push_shown_name(lua_State *L, struct proactor *p, struct handle *h);

/* The arguments of option(name[, value]) are at 2: push the value or the
 * object at 1; or nil, message, code. No handle: ENOTSOCK. */
int push_option(lua_State *L, struct proactor *p, const struct handle *h);

/* The address at arg as a socket of that family has it: IPv4 is mapped into
 * IPv6. Raises as check_address does. */
void check_address_in(lua_State *L, int arg, enum address_use use, int family,
                      struct address *into);

/* Objects are pushed empty, as if closed, before there is anything to lose:
 * that may raise. Filling them does not. */

struct lua_stream *push_stream_object(lua_State *L);
/* The stream owns h from now on; on failure, -errno, h is closed. */
int stream_object_open(struct lua_stream *o, struct proactor *p,
                       struct handle *h);

struct lua_listener *push_listener_object(lua_State *L);
/* The same; the listener removes the path that was made for it. On failure that
 * is left to the caller. */
int listener_object_open(struct lua_listener *o, struct proactor *p,
                         struct handle *h, const struct unix_path *made);

#endif
