/* ledger.c - ops in flight and the bytes they were lent. See ledger.h.
 *
 * The entry is a part of struct op. Owns nothing.
 *
 * SPDX-License-Identifier: MIT */
#include "ledger.h"

#ifdef PROA_DEBUG
#include <stdio.h>
#include <string.h>

#include "lent.h"

/* -- sums -- */

/* Outside of what it may fill; or all of what it sends. */
static uint64_t sum_buffer(const struct op *op) {
  const unsigned char *data = op->buf->data, *from = op->io.ptr;
  if (!(op->class->flags & OP_FILLS)) return lent_sum(1, from, op->io.len);
  size_t before = (size_t)(from - data), after = before + op->io.len;
  uint64_t sum = lent_sum(1, data, before);
  return after < op->buf->len
             ? lent_sum(sum, data + after, op->buf->len - after)
             : sum;
}

static uint64_t sum_parts(const struct msghdr *m) {
  uint64_t sum = 1;
  for (size_t i = 0; i < m->msg_iovlen; i++)
    sum = lent_sum(sum, m->msg_iov[i].iov_base, m->msg_iov[i].iov_len);
  return sum;
}

/* 0: nothing to look after. */
static uint64_t sum_of(const struct op *op) {
  if (op->buf && op->io.ptr) return sum_buffer(op);
  if (op->class == &op_send && op->io.ptr)
    return lent_sum(1, op->io.ptr, op->io.len);
  if (op->class == &op_sendmsg && op->io.done == 0)
    return sum_parts(op->arg.msg);
  return 0;
}

/* -- entries -- */

/* The sendmsg that goes on has moved its parts, so that only a first try can be
 * compared. */
void ledger_enter(struct proactor *p, struct op *op) {
  op->ledger.since_ns = clock_ns();
  op->ledger.where[0] = 0;
  op->ledger.lent = op->buf ? op->buf->data : NULL;
  op->ledger.sum = sum_of(op);
  if (p->where) p->where(p->where_arg, op->ledger.where, LEDGER_WHERE);
}

static void print_op(const struct op *op) {
  static const char *const states[] = {"idle", "queued", "submitted",
                                       "completed"};
  fprintf(stderr, "proa: op %s (fd %d, %s%s), %.3f s old, submitted at %s\n",
          op->class->name, op_fd(op), states[op->state],
          op->cancelled ? ", cancelled" : "",
          (double)(clock_ns() - op->ledger.since_ns) / 1e9,
          op->ledger.where[0] ? op->ledger.where : "?");
}

static void accuse(const struct op *op, const char *what) {
  fprintf(stderr, "proa: %s\n", what);
  print_op(op);
  assert(!"memory that was lent to an op");
}

/* A bad address is never the world's doing: it is memory that we gave. */
static void check_fault(const struct op *op) {
  if (op->io.ptr && lent_is_freed(op->io.ptr))
    accuse(op, "the kernel met memory that was freed while it was lent");
}

/* What was let go of has nothing to compare; a worker has its own copy. */
static bool sum_changed(const struct op *op) {
  uint64_t now = op->ledger.sum && !op->on_worker ? sum_of(op) : 0;
  return now && now != op->ledger.sum;
}

void ledger_leave(struct proactor *p, struct op *op, int32_t res) {
  (void)p;
  if (res == -EFAULT) check_fault(op);
  bool lent = op->ledger.lent && op->io.ptr;
  if (lent && (!op->buf || op->buf->data != op->ledger.lent))
    accuse(op, "a buffer was given back while an op still had it");
  if (sum_changed(op)) accuse(op, "bytes changed while they were lent");
}

void ledger_close(struct proactor *p, bool drained) {
  struct op_table *t = &p->ops;
  unsigned n = 0;
  for (uint32_t slot = 0; slot < t->slab_n * OP_SLAB; slot++) {
    const struct op *op = op_at(t, slot);
    if (!op->class) continue;
    if (op_in_flight(op) || drained) print_op(op);
    n++;
  }
  assert((n == 0 || !drained) && "an op was never given back");
}
#else
typedef int ledger_is_empty;
#endif
