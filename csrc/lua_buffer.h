/* lua_buffer.h - proa.buffer for the other bindings.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_BUFFER_H
#define PROA_LUA_BUFFER_H

#include <lua.h>

#include "buf.h"

/* The block of the buffer at arg; raises when it is none or is lent (O3). */
struct buf *check_buffer(lua_State *L, int arg);
/* The same or NULL when arg is no buffer. */
struct buf *test_buffer(lua_State *L, int arg);
/* The same, and NULL when it is lent; never raises. */
struct buf *free_buffer(lua_State *L, int arg);
/* [i, j] at arg and arg + 1 as string.sub reads them, default all; as an
 * offset and a length. */
void opt_range(lua_State *L, int arg, size_t len, size_t *at, size_t *n);

#endif
