/* lua_file.h - files for the other bindings.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_FILE_H
#define PROA_LUA_FILE_H

#include <lua.h>
#include <stddef.h>

struct statx;

/* Push a table of what the kernel tells of a file. Returns 1. */
int push_stat(lua_State *L, const struct statx *s);
/* Push a list of names and types, one after the other, of directory entries
 * as getdents64(2) gives them; nil when there are none. Returns 1. */
int push_names(lua_State *L, const void *entries, size_t len);

#endif
