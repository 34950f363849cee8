/* lua_select.h - what can be waited for together with others.
 *
 * Tasks, futures and listeners, seen alike: is it ready, wake me when it is.
 * Used by lua_select.c (the first of several) and lua_watch.c (one after
 * another).
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_SELECT_H
#define PROA_LUA_SELECT_H

#include <lua.h>

#include "listener.h"

/* Is the value at idx ready now? -1: it can't be waited for. */
int select_ready(lua_State *L, int idx);
/* Raises unless all n of the list can be waited for. */
void select_check_list(lua_State *L, int idx, int n);
/* Have w woken when it may be ready. The listener, when it is one: to be
 * passed on when what came is not taken. */
struct listener *select_link(lua_State *L, int idx, struct waiter *w);
/* May something outside this Lua state make it ready? */
bool select_external(lua_State *L, int idx);
/* It was looked at and will not be taken: a failure that only lookers have
 * seen is told, and another waiter may take what a listener has. */
void select_leave(lua_State *L, int idx);

#endif
