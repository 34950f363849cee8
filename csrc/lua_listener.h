/* lua_listener.h - the listener object, for select.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_LISTENER_H
#define PROA_LUA_LISTENER_H

#include "listener.h"
#include "lua_core.h"

#define LISTENER_CLASS "proa.listener"

struct lua_listener {
  struct runtime *rt;
  struct listener *l;    /* NULL: closed */
  struct listener *rest; /* closed, for serve to take the last of, or NULL */
  unsigned serving;      /* serve loops that run */
};

#endif
