/* lua_stats.c - proa.stats: counters, and what there is at the moment.
 *
 * Everything is counted where it happens, whether or not anybody asks, or is
 * there to be counted when somebody does: the ops in flight by kind are, so
 * that an op pays nothing for it.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_core.h"

enum { KINDS_MAX = 128 };

static void set_integer(lua_State *L, const char *key, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, key);
}

static unsigned list_count(const struct list *l) {
  unsigned n = 0;
  list_each(l, k) n++;
  return n;
}

/* -- ops by kind -- */

struct kinds {
  unsigned n;
  const struct op_class *class[KINDS_MAX];
  unsigned count[KINDS_MAX];
};

/* Ops of one kind often lie together. */
static void count_op(struct kinds *k, const struct op_class *class,
                     unsigned *last) {
  unsigned i = *last;
  if (i >= k->n || k->class[i] != class)
    for (i = 0; i < k->n && k->class[i] != class;) i++;
  if (i == KINDS_MAX) return;
  if (i == k->n) {
    k->class[k->n] = class;
    k->count[k->n++] = 0;
  }
  k->count[i]++;
  *last = i;
}

static void push_kinds(lua_State *L, const struct op_table *t) {
  struct kinds k;
  unsigned last = 0;
  k.n = 0;
  for (uint32_t slot = 0; slot < t->slab_n * OP_SLAB; slot++) {
    const struct op *op = op_at(t, slot);
    if (op->class && op_in_flight(op)) count_op(&k, op->class, &last);
  }
  lua_createtable(L, 0, (int)k.n);
  for (unsigned i = 0; i < k.n; i++)
    set_integer(L, k.class[i] -> name, k.count[i]);
}

/* -- what Lua sees -- */

static void set_ops(lua_State *L, const struct proactor *p) {
  const struct proactor_stats *s = &p->stats;
  set_integer(L, "ops_submitted", s->submitted);
  set_integer(L, "ops_completed", s->completed);
  set_integer(L, "ops_cancelled", s->cancels);
  set_integer(L, "ops_in_flight", p->inflight);
  /* without the one that is kept for closing */
  set_integer(L, "ops_live", p->ops.live - (p->close_op != NULL));
  push_kinds(L, &p->ops);
  lua_setfield(L, -2, "ops");
  set_integer(L, "turns", s->turns);
  set_integer(L, "enters", p->driver->enters);
}

static void set_streams(lua_State *L, const struct proactor *p) {
  const struct proactor_stats *s = &p->stats;
  set_integer(L, "accepts_parked", s->accepts_parked);
  set_integer(L, "accepts_dropped", s->accepts_dropped);
  set_integer(L, "served_idle", s->served_idle);
  set_integer(L, "parked", p->parked);
  set_integer(L, "bytes_in", s->bytes_in);
  set_integer(L, "bytes_out", s->bytes_out);
  set_integer(L, "enobufs", s->enobufs);
  set_integer(L, "streams", p->streams);
  set_integer(L, "queued_bytes", p->queues.bytes);
  set_integer(L, "lingering", list_count(&p->lingering));
}

static void set_buffers(lua_State *L, const struct proactor *p) {
  const struct pool *pool = &p->driver->pool;
  set_integer(L, "buffers_taken", pool->count - pool->free_n);
  set_integer(L, "buffers_free", pool->free_n);
  set_integer(L, "buffers_lent", buf_count_lent());
  set_integer(L, "buffer_bytes", buf_bytes_live());
}

static void set_tasks(lua_State *L, const struct runtime *rt) {
  set_integer(L, "tasks", rt->live);
  set_integer(L, "tasks_ready", list_count(&rt->ready));
  set_integer(L, "tasks_ended", rt->tasks_ended);
  set_integer(L, "resumes", rt->resumes);
}

static int l_stats(lua_State *L) {
  struct runtime *rt = rt_open(L);
  struct proactor *p = &rt->proactor;
  lua_createtable(L, 0, 32);
  set_ops(L, p);
  set_streams(L, p);
  set_buffers(L, p);
  set_tasks(L, rt);
  set_integer(L, "handles", p->handles_n);
  set_integer(L, "deadlines", p->deadlines.len);
  return 1;
}

void open_stats(lua_State *L) {
  static const luaL_Reg functions[] = {{"stats", l_stats}, {NULL, NULL}};
  add_functions(L, functions);
}
