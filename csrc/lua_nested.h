/* lua_nested.h - a runtime inside the runtime of a Lua state.
 *
 * For tests: what runs in it has a simulated world and a clock of its own,
 * while the outer runtime stands still. At most one at a time. Functions find
 * the one that is in charge by rt_get; objects belong to the one that made
 * them, and each runtime has metatables of its own to tell them apart.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_NESTED_H
#define PROA_LUA_NESTED_H

#include "lua_core.h"

/* Call the function below n arguments on top of L in a runtime of its own with
 * these options; -> what lua_pcall gives, results or the error in their place.
 * What was made inside is closed afterwards. Raises when it can't begin. */
int nested_call(lua_State *L, const struct proactor_options *o, int n);

/* A class was registered: its objects belong to a runtime. */
void nested_class(lua_State *L, const char *name);

/* An object of that class was made, and is on top. */
void nested_object(lua_State *L, const char *name);
extern atomic_uint nested_live; /* nested runtimes in this process */

/* lua_close has ended the runtime, which may be a nested one. */
void nested_gone(lua_State *L, struct runtime *rt);

#endif
