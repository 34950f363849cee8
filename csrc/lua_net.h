/* lua_net.h - sockets and addresses for the bindings.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_NET_H
#define PROA_LUA_NET_H

#include <lua.h>

#include "address.h"
#include "proactor.h"

/* The address at arg; raises when it is none, or a name to be resolved. */
void check_address(lua_State *L, int arg, enum address_use use,
                   struct address *into);

/* A listening socket or -errno. */
int net_listen(struct proactor *p, const struct address *a, int backlog,
               bool reuse_port);

/* Push the local or the peer's address; or nil, message, code. */
int push_handle_name(lua_State *L, struct proactor *p, struct handle *h,
                     bool peer);

/* Push a stream object that owns h; NULL handle failures: -errno, and h is
 * closed. */
int push_stream(lua_State *L, struct proactor *p, struct handle *h);

/* Push a listener object that owns h; as push_stream. */
int push_listener(lua_State *L, struct proactor *p, struct handle *h);

#endif
