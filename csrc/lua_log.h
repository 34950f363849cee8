/* lua_log.h - log entries on their way to proa.on_log's function.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_LOG_H
#define PROA_LUA_LOG_H

#include <lua.h>

#include "log.h"

enum { LOG_WAITING_MAX = 32 };

/* One in each runtime. */
struct lua_log {
  struct log log;
  int fn_ref;              /* registry; LUA_NOREF: nobody listens */
  struct log_entry *first; /* a ring, made when somebody listens */
  unsigned at, n, lost;
};

struct runtime;

void lua_log_init(struct runtime *rt);
void lua_log_deinit(struct runtime *rt);
/* Whom layers without Lua tell: NULL when nobody listens. */
struct log *lua_log_of(struct runtime *rt);
/* Hand out what has come; errors of the function are printed. */
void lua_log_flush(lua_State *L, struct runtime *rt);

#endif
