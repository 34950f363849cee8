/* lua_future.c - futures: of submitted ops, and hand-made ones.
 *
 * A future of an op owns the op until its result has been collected; dropping
 * it detaches (O1): the op goes on, its result is put away. Results are made
 * when first asked for and kept, so every await gets the same.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_future.h"

#include "lua_args.h"
#include "lua_core.h"
#include "lua_fd.h"
#include "lua_select.h"

enum { RESULTS_MAX = 4 }; /* values that an op's result may have */

static struct future *check_future(lua_State *L, int arg) {
  return luaL_checkudata(L, arg, FUTURE_CLASS);
}

static struct future *push_future(lua_State *L, struct runtime *rt) {
  struct future *f = new_object(L, sizeof *f, FUTURE_CLASS, 1);
  f->rt = rt;
  list_init(&f->waiters);
  return f;
}

/* -- of an op -- */

static void drop_anchor(struct runtime *rt, struct op *op) {
  release_anchor(rt, op->anchor);
  op->anchor = 0;
}

/* The buffer is back with the result, whether or not anybody asks for it. */
static void future_sink(struct op *op, const struct op_result *r) {
  struct future *f = op->owner;
  f->res = r->res;
  f->state = FUTURE_DONE;
  op_give_back(op);
  drop_anchor(f->rt, op);
  waiter_wake_all(&f->waiters);
}

/* The handle closes by an op of its own; this one only carries the answer. It
 * counts as cancelled, so that nobody tries to. */
static void closed(struct op *close_op, const struct op_result *r) {
  struct op *op = close_op->owner;
  op_step(op, OP_COMPLETED);
  op->sink(op, r);
}

static void close_through_handle(struct proactor *p, struct op *op) {
  struct handle *h = op->handle;
  op->handle = NULL;
  op_step(op, OP_QUEUED);
  op->cancelled = true;
  handle_close(p, h, closed, op);
}

struct future *future_submit(lua_State *L, struct runtime *rt,
                             struct proactor *p, const struct op_class *class,
                             int first) {
  lua_settop(L, first - 1 + ARGS_MAX); /* the future behind all arguments */
  struct future *f = push_future(L, rt);
  struct op *op = args_op(L, p, class, first);
  if (class->flags & OP_LAST) take_fd(L, first);
  f->p = p;
  f->op = op;
  op->sink = future_sink;
  op->owner = f;
  lua_replace(L, first);
  lua_settop(L, first);
  if (class->flags & OP_LAST)
    close_through_handle(p, op);
  else
    proactor_submit(p, op);
  return f;
}

/* Nobody can ask for the result any more; it is put away when it comes. */
static void orphan_sink(struct op *op, const struct op_result *r) {
  struct runtime *rt = op->owner;
  drop_anchor(rt, op);
  proactor_orphan(&rt->proactor, op);
  op->sink(op, r);
}

/* A worker has a copy of the buffer's bytes, so that one is free at once. */
bool future_detach(struct future *f) {
  struct op *op = f->op;
  if (f->state != FUTURE_PENDING || ((op->buf || op->bufs_n) && !op->on_worker))
    return false;
  op_let_go(op);
  op->sink = orphan_sink;
  op->owner = f->rt;
  f->op = NULL;
  f->state = FUTURE_CANCELLED;
  return true;
}

static void discard(struct future *f) {
  struct op_result r = {.res = f->res};
  proactor_discard(f->p, f->op, &r);
  proactor_free(f->p, f->op);
}

static int future_gc(lua_State *L) {
  struct future *f = check_future(L, 1);
  struct op *op = f->op;
  f->op = NULL;
  if (!op || rt_gone(f->rt)) return 0;
  if (op->state == OP_COMPLETED || op->state == OP_IDLE) {
    f->op = op;
    discard(f);
    f->op = NULL;
  } else {
    op->sink = orphan_sink;
    op->owner = f->rt;
  }
  return 0;
}

/* -- results -- */

/* A table with room for n values and how many they are. */
static void push_room(lua_State *L, int n) {
  lua_createtable(L, n, 1);
  lua_pushinteger(L, 0);
  lua_setfield(L, -2, "n");
}

/* The n values on top go into the room, and that to the future at idx. Without
 * allocating, when the room is large enough. */
static void keep_values(lua_State *L, int idx, int room, int n) {
  for (int i = n; i >= 1; i--) lua_rawseti(L, room, i);
  lua_settop(L, room);
  lua_pushinteger(L, n);
  lua_setfield(L, -2, "n");
  lua_setiuservalue(L, idx, 1);
}

/* The values of a completed op; when making them fails, the op still has
 * them for the next try. */
static void collect(lua_State *L, struct future *f, int idx) {
  push_room(L, RESULTS_MAX);
  int room = lua_gettop(L);
  int n = args_push_result(L, f->p, f->op, f->res);
  assert(n <= RESULTS_MAX);
  f->state = FUTURE_SET;
  struct op *op = f->op;
  f->op = NULL;
  proactor_free(f->p, op);
  keep_values(L, idx, room, n);
}

int future_push_results(lua_State *L, int idx) {
  struct future *f = check_future(L, idx);
  idx = lua_absindex(L, idx);
  luaL_checkstack(L, 8, NULL);
  if (f->state == FUTURE_DONE) collect(L, f, idx);
  if (f->state == FUTURE_CANCELLED)
    return push_fail(L, "the future was cancelled", "CANCELLED");
  lua_getiuservalue(L, idx, 1);
  if (f->state == FUTURE_FAILED) return lua_error(L);
  if (lua_isnil(L, -1)) { /* set to nothing */
    lua_pop(L, 1);
    return 0;
  }
  lua_getfield(L, -1, "n");
  int n = (int)lua_tointeger(L, -1), values = lua_gettop(L) - 1;
  lua_pop(L, 1);
  luaL_checkstack(L, n + 1, "too many results");
  for (int i = 1; i <= n; i++) lua_rawgeti(L, values, i);
  lua_remove(L, values);
  return n;
}

/* -- awaiting -- */

const struct op *future_wait_op(struct task *t) {
  const struct future *f = t->wait.subject;
  return f->op;
}

static const struct wait_class waits_op = {
    .verb = "await op", .external = true, .op = future_wait_op};
static const struct wait_class waits_future = {.verb = "await future"};

static int await_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  if (await_end(L) == WAIT_TIMEOUT) return push_fail(L, "timed out", "TIMEOUT");
  return future_push_results(L, 1);
}

/* await([timeout]): a limit or a cancellation ends the wait, not the op. */
static int l_await(lua_State *L) {
  struct future *f = check_future(L, 1);
  uint64_t limit = opt_limit(L, 2);
  if (future_done(f)) return future_push_results(L, 1);
  struct task *t = await_begin(L);
  list_push(&f->waiters, &t->wait.waiter.link);
  return await_yield(L, t, f->op ? &waits_op : &waits_future, f,
                     await_until(t->rt, limit), 0, await_k);
}

/* poll() -> false | true, results... */
static int l_poll(lua_State *L) {
  struct future *f = check_future(L, 1);
  bool done = future_done(f);
  lua_settop(L, 1);
  lua_pushboolean(L, done);
  return done ? 1 + future_push_results(L, 1) : 1;
}

/* cancel(): a request to an op, whose own result is still the answer; a
 * hand-made future is cancelled at once. */
static int l_cancel(lua_State *L) {
  struct future *f = check_future(L, 1);
  bool pending = f->state == FUTURE_PENDING;
  if (pending && f->op && !rt_gone(f->rt)) {
    proactor_cancel(f->p, f->op);
  } else if (pending && !f->op) {
    f->state = FUTURE_CANCELLED;
    waiter_wake_all(&f->waiters);
  }
  lua_pushboolean(L, pending);
  return 1;
}

/* give_up(future): of an op; nobody wants its result, whenever it comes */
static int l_give_up(lua_State *L) {
  struct future *f = check_future(L, 1);
  if (!f->op || rt_gone(f->rt)) return 0;
  if (f->state == FUTURE_PENDING) {
    proactor_cancel(f->p, f->op);
    future_detach(f);
  } else {
    discard(f);
    f->op = NULL;
    f->state = FUTURE_CANCELLED;
  }
  return 0;
}

/* -- as one of several -- */

static bool future_ready(lua_State *L, int idx) {
  return future_done(check_future(L, idx));
}

static void future_link(lua_State *L, int idx, struct looker *k) {
  list_push(&check_future(L, idx)->waiters, &k->waiter.link);
}

static bool future_external(lua_State *L, int idx) {
  return check_future(L, idx)->op != NULL;
}

static int future_take(lua_State *L, int idx, struct looker *k) {
  (void)k;
  return future_push_results(L, idx);
}

static const struct select_class selects_future = {.ready = future_ready,
                                                   .link = future_link,
                                                   .external = future_external,
                                                   .take = future_take};

/* -- hand-made -- */

static int l_future(lua_State *L) {
  push_future(L, rt_open(L));
  return 1;
}

static struct future *check_settable(lua_State *L, const char *verb) {
  struct future *f = check_future(L, 1);
  if (f->op || f->p) luaL_error(L, "the future of an op cannot be %s", verb);
  if (f->state == FUTURE_SET || f->state == FUTURE_FAILED)
    luaL_error(L, "the future is %s already",
               f->state == FUTURE_SET ? "set" : "failed");
  return f;
}

/* set(...): false when it was cancelled meanwhile. Without values it needs no
 * memory. */
static int l_set(lua_State *L) {
  struct future *f = check_settable(L, "set");
  bool pending = f->state == FUTURE_PENDING;
  if (pending) {
    int n = lua_gettop(L) - 1;
    if (n) {
      push_room(L, n);
      lua_insert(L, 2);
      keep_values(L, 1, 2, n);
    }
    f->state = FUTURE_SET;
    waiter_wake_all(&f->waiters);
  }
  lua_pushboolean(L, pending);
  return 1;
}

/* fail(error): await raises it */
static int l_fail(lua_State *L) {
  struct future *f = check_settable(L, "failed");
  bool pending = f->state == FUTURE_PENDING;
  if (pending) {
    lua_settop(L, 2);
    lua_setiuservalue(L, 1, 1);
    f->state = FUTURE_FAILED;
    waiter_wake_all(&f->waiters);
  }
  lua_pushboolean(L, pending);
  return 1;
}

static int l_tostring(lua_State *L) {
  static const char *const names[] = {"pending", "done", "set", "failed",
                                      "cancelled"};
  struct future *f = check_future(L, 1);
  lua_pushfstring(L, "proa.future (%s%s)", f->op ? f->op->class->name : "",
                  f->op ? " op" : names[f->state]);
  return 1;
}

void open_future(lua_State *L) {
  static const luaL_Reg methods[] = {{"await", l_await},   {"poll", l_poll},
                                     {"cancel", l_cancel}, {"set", l_set},
                                     {"fail", l_fail},     {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__tostring", l_tostring}, {"__gc", future_gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"future", l_future}, {"give_up", l_give_up}, {NULL, NULL}};
  make_class(L, FUTURE_CLASS, methods, meta);
  select_register(L, FUTURE_CLASS, &selects_future);
  add_functions(L, functions);
}
