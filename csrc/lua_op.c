/* lua_op.c - proa.op: raw operations, as futures or awaited at once.
 *
 * proa.op.<name>(...) submits and returns a future. core.call(name, ...)
 * awaits: when the wait is given up, an op that holds the user's buffer is
 * cancelled and waited for (the buffer is always back), every other is
 * detached at once.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_args.h"
#include "lua_core.h"
#include "lua_future.h"

static int l_submit(lua_State *L) {
  const struct op_class *class = lua_touserdata(L, lua_upvalueindex(2));
  struct runtime *rt = rt_open(L);
  future_submit(L, rt, &rt->proactor, class, 1);
  return 1;
}

/* -- awaited at once -- */

static bool withdraw_call(struct task *t) {
  struct future *f = t->wait.subject;
  if (!f->op) return true; /* lua_close finalised it before the tasks end */
  proactor_cancel(f->p, f->op);
  return future_detach(f);
}

static const struct wait_class waits_call = {.verb = "op",
                                             .external = true,
                                             .withdraw = withdraw_call,
                                             .op = future_wait_op};

static int call_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct future *f = luaL_checkudata(L, 1, FUTURE_CLASS);
  if (await_end_op(L, f->op ? f->res : 0) == WAIT_TIMEOUT)
    return push_fail(L, "timed out", "TIMEOUT");
  return future_push_results(L, 1);
}

/* call(name, ...) -> the op's results */
static int l_call(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const struct op_class *class = op_class_find(name);
  luaL_argcheck(L, class, 1, "no such op");
  struct task *t = await_begin(L);
  lua_remove(L, 1);
  struct future *f = future_submit(L, t->rt, &t->rt->proactor, class, 1);
  list_push(&f->waiters, &t->wait.waiter.link);
  return await_yield(L, t, &waits_call, f, NEVER_NS, 0, call_k);
}

void open_op(lua_State *L) {
  static const luaL_Reg functions[] = {{"call", l_call}, {NULL, NULL}};
  lua_newtable(L);
  for (int i = 0; op_classes[i]; i++) {
    if (op_classes[i]->flags & OP_MULTISHOT) continue;
    rt_push(L);
    lua_pushlightuserdata(L, (void *)(uintptr_t)op_classes[i]);
    lua_pushcclosure(L, l_submit, 2);
    lua_setfield(L, -2, op_classes[i]->name);
  }
  lua_setfield(L, -2, "op");
  add_functions(L, functions);
}
