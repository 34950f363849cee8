/* lua_signal.h - signals by name and number, for the other bindings.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_SIGNAL_H
#define PROA_LUA_SIGNAL_H

#include <lua.h>

/* The signal at arg: "TERM", "SIGTERM" or a number; raises. */
int signal_check(lua_State *L, int arg);
/* Push "TERM", or the number of one without a name. */
void signal_push_name(lua_State *L, int signal);

#endif
