/* lua_watchdog.h - reports a task that does not let go of the loop.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_WATCHDOG_H
#define PROA_LUA_WATCHDOG_H

#include <lua.h>
#include <stdatomic.h>
#include <stdint.h>

struct runtime;
struct watchdog;

/* One more, where another thread looks on. */
static inline void beat(_Atomic(uint64_t) *b) {
  uint64_t now = atomic_load_explicit(b, memory_order_relaxed);
  atomic_store_explicit(b, now + 1, memory_order_relaxed);
}

/* What was asked for with PEEK_HOG: L is the coroutine that hogs, or, too late,
 * the loop's. Errors of the function are printed. */
void watchdog_answer(lua_State *L, struct runtime *rt);
/* Its thread ends. */
void watchdog_close(struct runtime *rt);

#endif
