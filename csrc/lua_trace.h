/* lua_trace.h - where the executor tells of its tasks, while that is traced.
 *
 * rt->trace is NULL otherwise, and each of these is behind a look at that.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_TRACE_H
#define PROA_LUA_TRACE_H

#include "lua_task.h"

struct trace;

#define TRACED(rt) __builtin_expect((rt)->trace != NULL, 0)

void trace_task_born(struct task *t);   /* ready */
void trace_task_resume(struct task *t); /* it runs from here on */
void trace_task_pause(struct task *t);  /* it waits, or is ready again */
void trace_task_wake(struct task *t);   /* what it waited for has come */
void trace_task_end(struct task *t);
/* The loop was in the driver from then on. */
void trace_turn(struct runtime *rt, uint64_t from_ns);
uint64_t trace_now(const struct runtime *rt);
/* Ends it; the file is whole. */
void trace_close(struct runtime *rt);

#endif
