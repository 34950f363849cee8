/* op.c - op records: slabs, generations, legal states. See op.h.
 *
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include <stdlib.h>
#include <string.h>

#include "fault.h"

static const bool legal[4][4] = {
    [OP_IDLE] = {[OP_QUEUED] = true},
    [OP_QUEUED] = {[OP_SUBMITTED] = true, [OP_COMPLETED] = true},
    [OP_SUBMITTED] = {[OP_COMPLETED] = true},
    [OP_COMPLETED] = {[OP_IDLE] = true},
};

void op_step(struct op *op, enum op_state to) {
  assert(legal[op->state][to]);
  op->state = (uint8_t)to;
}

void op_table_init(struct op_table *t) {
  *t = (struct op_table){0};
  list_init(&t->free);
}

void op_table_deinit(struct op_table *t) {
  for (uint32_t i = 0; i < t->slab_n; i++) {
    for (uint32_t k = 0; k < OP_SLAB; k++) free(t->slabs[i][k].memory);
    free(t->slabs[i]);
  }
  free(t->slabs);
  op_table_init(t);
}

static int grow_index(struct op_table *t) {
  uint32_t cap = t->slab_cap ? t->slab_cap * 2 : 16;
  void *p = realloc(t->slabs, cap * sizeof *t->slabs);
  if (!p) return -ENOMEM;
  t->slabs = p;
  t->slab_cap = cap;
  return 0;
}

static int grow(struct op_table *t) {
  if (fault_point("op_table_grow")) return -ENOMEM;
  if (t->slab_n == t->slab_cap && grow_index(t) < 0) return -ENOMEM;
  struct op *slab = calloc(OP_SLAB, sizeof *slab);
  if (!slab) return -ENOMEM;
  for (uint32_t i = 0; i < OP_SLAB; i++) {
    slab[i].slot = t->slab_n * OP_SLAB + i;
    link_init(&slab[i].queue);
    list_push(&t->free, &slab[i].queue);
  }
  t->slabs[t->slab_n++] = slab;
  return 0;
}

struct op *op_new(struct op_table *t, const struct op_class *class) {
  if (list_empty(&t->free) && grow(t) < 0) return NULL;
  struct op *op = container_of(list_pop(&t->free), struct op, queue);
  uint32_t slot = op->slot, gen = op->gen;
  *op = (struct op){.class = class, .slot = slot, .gen = gen};
  op->io.off = -1;
  list_init(&op->waiters);
  link_init(&op->link);
  link_init(&op->queue);
  t->live++;
  return op;
}

void op_free(struct op_table *t, struct op *op) {
  assert(op->state == OP_IDLE || op->state == OP_COMPLETED);
  assert(!link_listed(&op->link) && !deadline_set(&op->deadline));
  assert(!link_listed(&op->queue) && !op->job);
  op_give_back(op);
  free(op->memory);
  op->memory = NULL;
  op->class = NULL;
  op->gen++;
  t->live--;
  list_push_front(&t->free, &op->queue);
}

struct op *op_find(const struct op_table *t, uint64_t user_data) {
  uint32_t slot = (uint32_t)user_data, gen = (uint32_t)(user_data >> 32);
  if (slot / OP_SLAB >= t->slab_n) return NULL;
  struct op *op = op_at(t, slot);
  return op->gen == gen && op->class ? op : NULL;
}

void op_borrow(struct op *op, struct buf *b) {
  assert(!op->buf);
  buf_lend(b, op->class->name);
  op->buf = buf_ref(b);
}

static void give_back(struct buf *b) {
  buf_return(b);
  buf_unref(b);
}

void op_give_back(struct op *op) {
  if (op->buf) give_back(op->buf);
  op->buf = NULL;
  while (op->bufs_n) give_back(op->bufs[--op->bufs_n]);
}

void op_let_go(struct op *op) {
  if (!op->on_worker) return; /* what it still uses is its own */
  op->io.ptr = NULL;
  if (op->class->flags & OP_PARTS) op->arg.msg = NULL;
  op_give_back(op);
}

void op_gather(const struct op *op, unsigned char *into) {
  if (op->io.ptr) memcpy(into, op->io.ptr, op->io.len);
  if (op->io.ptr || !(op->class->flags & OP_PARTS)) return;
  const struct msghdr *m = op->arg.msg;
  for (size_t i = 0; i < m->msg_iovlen; into += m->msg_iov[i++].iov_len)
    memcpy(into, m->msg_iov[i].iov_base, m->msg_iov[i].iov_len);
}

void op_scatter(struct op *op, const unsigned char *from, size_t n) {
  if (op->io.ptr) memcpy(op->io.ptr, from, n);
  if (op->io.ptr || !(op->class->flags & OP_PARTS)) return;
  const struct msghdr *m = op->arg.msg;
  for (size_t i = 0; m && i < m->msg_iovlen && n; i++) {
    size_t part = min_size(n, m->msg_iov[i].iov_len);
    memcpy(m->msg_iov[i].iov_base, from, part);
    from += part;
    n -= part;
  }
}
