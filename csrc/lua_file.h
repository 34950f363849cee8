/* lua_file.h - files for the other bindings.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_FILE_H
#define PROA_LUA_FILE_H

#include <lua.h>
#include <stddef.h>

#include "lua_stream.h"
#include "stream_file.h"

struct statx;

/* Push a file object that is still closed; then open it over h, a regular file,
 * which it owns from then on. -errno: h is closed. */
struct lua_stream *push_file_object(lua_State *L);
int file_object_open(struct lua_stream *o, struct proactor *p, struct handle *h,
                     const struct file_options *with);

/* Was a FIFO opened to be read alone, perhaps without a writer? Not in the
 * simulation: what reads it waits for one there. */
bool is_fifo_to_read(const struct proactor *p, const struct handle *h);

/* Push a table of what the kernel tells of a file. Returns 1. */
int push_stat(lua_State *L, const struct statx *s);
/* Push a list of names and types, one after the other, of directory entries
 * as getdents64(2) gives them; nil when there are none. Returns 1. */
int push_names(lua_State *L, const void *entries, size_t len);

#endif
