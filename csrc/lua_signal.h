/* lua_signal.h - signals for the other bindings: names, and who wants which.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_SIGNAL_H
#define PROA_LUA_SIGNAL_H

#include <lua.h>
#include <stdbool.h>

struct runtime;

/* The signal at arg: "TERM", "SIGTERM" or a number; raises. */
int signal_check(lua_State *L, int arg);
/* The same, and raises for what can't be caught, or not in this way. */
int signal_check_wanted(lua_State *L, int arg);
/* Push "TERM", or the number of one without a name. */
void signal_push_name(lua_State *L, int signal);

/* From now on the signal has no effect of its own: it is dispatched by the
 * loop. Counted; the last to unwant it puts back what was there. */
void signal_want(struct runtime *rt, int signal);
void signal_unwant(struct runtime *rt, int signal);
/* Somebody took it; a SIGINT before that interrupts all the same. */
void signal_seen(struct runtime *rt, int signal);

/* Signals that would kill put every raw terminal back first. */
void signals_guard(bool on);

/* -- lua_signal_each.c, called by lua_signal.c -- */

/* One came: for every iterator that wants it. */
void signals_came(struct runtime *rt, int signal);
/* The runtime ends. */
void signals_forget(struct runtime *rt);

#endif
