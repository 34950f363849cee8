/* lua_op.c - proa.op: raw operations, as futures or awaited at once.
 *
 * proa.op.<name>(...) submits and returns a future. core.call(name, ...)
 * awaits: when the wait is given up, an op that holds the user's buffer is
 * cancelled and waited for (the buffer is always back), every other is
 * detached at once.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_op.h"

#include <stdio.h>

#include "lua_args.h"
#include "lua_core.h"
#include "lua_future.h"

/* -- awaited without a future -- */

static void drop_anchor(struct runtime *rt, struct op *op) {
  release_anchor(rt, op->anchor);
  op->anchor = 0;
}

static void orphan_sink(struct op *op, const struct op_result *r) {
  struct runtime *rt = op->owner;
  drop_anchor(rt, op);
  proactor_orphan(&rt->proactor, op);
  op->sink(op, r);
}

/* Its task has been ended by force when nobody waits. */
static void await_sink(struct op *op, const struct op_result *r) {
  struct runtime *rt = op->owner;
  op_give_back(op);
  if (list_empty(&op->waiters)) {
    orphan_sink(op, r);
    return;
  }
  drop_anchor(rt, op);
  op->res = r->res;
  waiter_wake_first(&op->waiters);
}

static bool withdraw_op(struct task *t) {
  struct op *op = t->wait.subject;
  proactor_cancel(&t->rt->proactor, op);
  if ((op->buf || op->bufs_n) && !op->on_worker) return false;
  op_let_go(op);
  op->sink = orphan_sink;
  link_unlink(&t->wait.waiter.link);
  return true;
}

static void describe_op(struct task *t, char *into, size_t len) {
  const struct op *op = t->wait.subject;
  snprintf(into, len, "%s", op->class->name);
}

static const struct wait_class waits_awaited = {.verb = "op",
                                                .external = true,
                                                .withdraw = withdraw_op,
                                                .describe = describe_op};

int op_await(lua_State *L, struct task *t, struct op *op, uint64_t until_ns,
             lua_KFunction k) {
  op->sink = await_sink;
  op->owner = t->rt;
  list_push(&op->waiters, &t->wait.waiter.link);
  proactor_submit(&t->rt->proactor, op);
  return await_yield(L, t, &waits_awaited, op, until_ns, (lua_KContext)op, k);
}

void op_await_drop(struct runtime *rt) {
  struct op *op = rt->unmade;
  rt->unmade = NULL;
  if (op) proactor_free(&rt->proactor, op);
}

enum wait_end op_await_end(lua_State *L, struct op *op) {
  struct runtime *rt = rt_get(L);
  struct task *t = rt->current;
  bool came = t && t->wait.end == WAIT_READY;
  int32_t res = came ? op->res : 0;
  op_await_drop(rt);
  if (came) rt->unmade = op; /* until it is freed or awaited again */
  if (came && res == -ECANCELED && t->wait.asked) op_await_drop(rt);
  enum wait_end end = await_end_op(L, res);
  if (end == WAIT_TIMEOUT) op_await_drop(rt);
  return end;
}

void op_await_free(struct op *op) {
  struct runtime *rt = op->owner;
  assert(rt->unmade == op);
  op_await_drop(rt);
}

int op_await_again(lua_State *L, struct op *op, uint64_t until_ns,
                   lua_KFunction k) {
  struct task *t = await_begin(L);
  t->rt->unmade = NULL;
  return op_await(L, t, op, until_ns, k);
}

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
