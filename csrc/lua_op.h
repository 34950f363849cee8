/* lua_op.h - awaiting an op that a binding has made, without a future.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_OP_H
#define PROA_LUA_OP_H

#include <lua.h>

#include "lua_task.h"
#include "proactor.h"

/* Submit op and wait, until_ns at the latest; then k, whose ctx is the op and
 * which calls op_await_end first. await_begin has been called. When the wait
 * is given up, an op that holds the user's buffer is cancelled and waited for,
 * every other detached at once. */
int op_await(lua_State *L, struct task *t, struct op *op, uint64_t until_ns,
             lua_KFunction k);

/* WAIT_READY: the op is COMPLETED, its result in op->res, and it is k's to
 * give to op_await_free, as soon as the values are made. WAIT_TIMEOUT: it is
 * gone. Raises a cancellation. */
enum wait_end op_await_end(lua_State *L, struct op *op);
void op_await_free(struct op *op);
/* Once no task runs: free one whose values could not be made, for lack of
 * memory. */
void op_await_drop(struct runtime *rt);
/* k awaits it once more: it was filled anew. */
int op_await_again(lua_State *L, struct op *op, uint64_t until_ns,
                   lua_KFunction k);

#endif
