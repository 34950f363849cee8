/* lua_args.h - arguments of ops from Lua, results of ops to Lua.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_ARGS_H
#define PROA_LUA_ARGS_H

#include <lua.h>

#include "proactor.h"

enum { ARGS_MAX = 10 }; /* stack places that the arguments of an op take */

/* An idle op of this class with the arguments from index `first` up; raises
 * on bad ones, with nothing held. What Lua must keep alive is anchored. */
struct op *args_op(lua_State *L, struct proactor *p,
                   const struct op_class *class, int first);

/* Push what the result means. Returns how many. The op is COMPLETED. */
int args_push_result(lua_State *L, struct proactor *p, struct op *op,
                     int32_t res);

#endif
