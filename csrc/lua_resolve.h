/* lua_resolve.h - errors of name look-ups, for the other bindings.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_RESOLVE_H
#define PROA_LUA_RESOLVE_H

#include <lua.h>

/* nil, "what: name or service not known", "EAI_NONAME"; or as push_errno does,
 * for a result of op_resolve that is one. Returns 3. */
int push_resolve_error(lua_State *L, const char *what, int res);

#endif
