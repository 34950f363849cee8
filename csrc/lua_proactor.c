/* lua_proactor.c - the low-level loop: a proactor by hand.
 *
 * A proactor of its own, without tasks: push an op, poll, pop its result. For
 * experiments and for learning; it blocks the thread while it polls. A key is
 * the op's slot and generation, so a stale one is told apart (O7).
 *
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "lua_args.h"
#include "lua_core.h"
#include "lua_fd.h"

#define PROACTOR_CLASS "proa.proactor"
#define CLOSE_NS (2 * NS_PER_S)

struct lua_proactor {
  struct runtime *rt;
  struct proactor p;
  bool open;
  char driver[16];
  struct list ready; /* struct op.queue: completed since the last poll */
};

static struct lua_proactor *check_open(lua_State *L) {
  struct lua_proactor *o = luaL_checkudata(L, 1, PROACTOR_CLASS);
  if (!o->open || rt_gone(o->rt)) luaL_error(L, "proactor is closed");
  return o;
}

static void read_options(lua_State *L, struct lua_proactor *o,
                         struct proactor_options *options) {
  if (lua_isnoneornil(L, 1)) return;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushnil(L);
  while (lua_next(L, 1)) {
    const char *key =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    if (!setup_option(L, key, options, o->driver))
      luaL_error(L, "proactor.new: unknown option '%s'", key);
    lua_pop(L, 1);
  }
}

/* new{driver=, entries=, ...} -> proactor | nil, message, code */
static int l_new(lua_State *L) {
  struct runtime *rt = rt_open(L);
  struct proactor_options options = {.driver =
                                         rt->proactor.driver->class->name};
  lua_settop(L, 1);
  struct lua_proactor *o = new_object(L, sizeof *o, PROACTOR_CLASS, 0);
  o->rt = rt;
  list_init(&o->ready);
  read_options(L, o, &options);
  int r = proactor_open(&o->p, &options);
  if (r < 0) return push_errno(L, o->p.refused, r);
  o->open = true;
  return 1;
}

/* attach(n) -> fd object of this proactor for descriptor n, borrowed */
static int l_attach(lua_State *L) {
  struct lua_proactor *o = check_open(L);
  lua_Integer n = luaL_checkinteger(L, 2);
  luaL_argcheck(L, n >= 0 && n <= INT32_MAX, 2, "not a descriptor");
  int r = push_fd(L, &o->p, (int)n, false);
  return r < 0 ? push_errno(L, "attach", r) : 1;
}

/* -- push, poll, pop -- */

static void push_sink(struct op *op, const struct op_result *r) {
  struct lua_proactor *o = op->owner;
  op->res = r->res;
  op_give_back(op);
  release_anchor(o->rt, op->anchor);
  op->anchor = 0;
  list_push(&o->ready, &op->queue);
}

static void free_op(struct lua_proactor *o, struct op *op) {
  link_unlink(&op->queue);
  proactor_free(&o->p, op);
}

/* "ready" and what the op gave; the op is gone afterwards. */
static int push_ready(lua_State *L, struct lua_proactor *o, struct op *op) {
  lua_pushliteral(L, "ready");
  int n = args_push_result(L, &o->p, op, op->res);
  free_op(o, op);
  return n + 1;
}

static int push_pending(lua_State *L, const struct op *op) {
  lua_pushliteral(L, "pending");
  lua_pushinteger(L, (lua_Integer)op_user_data(op));
  return 2;
}

/* push(name, ...) -> "ready", results... | "pending", key */
static int l_push(lua_State *L) {
  struct lua_proactor *o = check_open(L);
  const struct op_class *class = op_class_find(luaL_checkstring(L, 2));
  struct op_result r;
  luaL_argcheck(L, class, 2, "no such op");
  luaL_argcheck(L, !(class->flags & OP_LAST), 2,
                "close a descriptor by its fd object");
  struct op *op = args_op(L, &o->p, class, 3);
  op->sink = push_sink;
  op->owner = o;
  proactor_submit(&o->p, op);
  if (!proactor_take_finished(&o->p, op, &r)) return push_pending(L, op);
  push_sink(op, &r);
  return push_ready(L, o, op);
}

/* poll([timeout]) -> keys that are ready now, a list. Waits for the first. */
static int l_poll(lua_State *L) {
  struct lua_proactor *o = check_open(L);
  uint64_t limit = opt_limit(L, 2);
  if (!o->p.inflight && list_empty(&o->ready) && limit == NEVER_NS)
    return luaL_error(L, "nothing is in flight: poll would wait forever");
  uint64_t now = proactor_now(&o->p), until = ns_after(now, limit);
  do {
    int r = proactor_turn(&o->p, list_empty(&o->ready) ? until : 0);
    if (r < 0) return push_errno(L, "poll", r);
  } while (list_empty(&o->ready) && o->p.inflight &&
           proactor_now(&o->p) < until);
  lua_newtable(L);
  struct link *k;
  for (lua_Integer i = 1; (k = list_pop(&o->ready)); i++) {
    struct op *op = container_of(k, struct op, queue);
    lua_pushinteger(L, (lua_Integer)op_user_data(op));
    lua_rawseti(L, -2, i);
  }
  return 1;
}

static struct op *check_key(lua_State *L, struct lua_proactor *o) {
  uint64_t key = (uint64_t)luaL_checkinteger(L, 2);
  struct op *op = op_find(&o->p.ops, key);
  luaL_argcheck(L, op && op->sink == push_sink, 2,
                "no such key, or its result was popped already");
  return op;
}

/* pop(key) -> "ready", results... (once) | "pending", key */
static int l_pop(lua_State *L) {
  struct lua_proactor *o = check_open(L);
  struct op *op = check_key(L, o);
  if (op->state != OP_COMPLETED) return push_pending(L, op);
  return push_ready(L, o, op);
}

/* cancel(key): a request; the answer is what pop gives */
static int l_cancel(lua_State *L) {
  struct lua_proactor *o = check_open(L);
  proactor_cancel(&o->p, check_key(L, o));
  return 0;
}

/* -- ending -- */

static void drop_results(struct lua_proactor *o) {
  struct op_table *t = &o->p.ops;
  for (uint32_t slot = 0; slot < t->slab_n * OP_SLAB; slot++) {
    struct op *op = op_at(t, slot);
    if (!op->class || op->sink != push_sink) continue;
    if (op->state != OP_COMPLETED) continue;
    struct op_result r = {.res = op->res};
    proactor_discard(&o->p, op, &r);
    free_op(o, op);
  }
}

/* close(): cancel, drain, free. Pending buffers are back afterwards. */
static int l_close(lua_State *L) {
  struct lua_proactor *o = luaL_checkudata(L, 1, PROACTOR_CLASS);
  if (!o->open || rt_gone(o->rt)) return 0;
  o->open = false;
  forget_fds(L, &o->p);
  proactor_end(&o->p, CLOSE_NS);
  drop_results(o);
  proactor_close(&o->p, CLOSE_NS);
  return 0;
}

static int l_driver(lua_State *L) {
  struct lua_proactor *o = check_open(L);
  lua_pushstring(L, o->p.driver->class->name);
  return 1;
}

static int l_tostring(lua_State *L) {
  struct lua_proactor *o = luaL_checkudata(L, 1, PROACTOR_CLASS);
  if (o->open)
    lua_pushfstring(L, "proa.proactor (%s, %d in flight)",
                    o->p.driver->class->name, (int)o->p.inflight);
  else
    lua_pushliteral(L, "proa.proactor (closed)");
  return 1;
}

void open_proactor(lua_State *L) {
  static const luaL_Reg methods[] = {{"attach", l_attach}, {"push", l_push},
                                     {"poll", l_poll},     {"pop", l_pop},
                                     {"cancel", l_cancel}, {"close", l_close},
                                     {"driver", l_driver}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", l_close},
                                  {"__close", l_close},
                                  {"__tostring", l_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg functions[] = {{"new", l_new}, {NULL, NULL}};
  make_class(L, PROACTOR_CLASS, methods, meta);
  lua_newtable(L);
  add_functions(L, functions);
  lua_setfield(L, -2, "proactor");
}
