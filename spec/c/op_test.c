/* op_test.c - op records: their table, their names, their states.
 *
 * SPDX-License-Identifier: MIT */
#include "op.h"

#include <stdlib.h>

#include "check.h"
#include "dies.h"
#include "fault.h"
#include "ops.h"

static const enum op_state steps[][2] = {
    {OP_IDLE, OP_QUEUED},      {OP_QUEUED, OP_SUBMITTED},
    {OP_QUEUED, OP_COMPLETED}, {OP_SUBMITTED, OP_COMPLETED},
    {OP_COMPLETED, OP_IDLE},
};

static bool is_legal(enum op_state from, enum op_state to) {
  for (size_t i = 0; i < countof(steps); i++)
    if (steps[i][0] == from && steps[i][1] == to) return true;
  return false;
}

struct attempt {
  struct op op;
  enum op_state to;
};

static void step(void *arg) {
  struct attempt *a = arg;
  op_step(&a->op, a->to);
}

TEST("an op changes state by the legal steps and by no others") {
  for (int from = OP_IDLE; from <= OP_COMPLETED; from++) {
    for (int to = OP_IDLE; to <= OP_COMPLETED; to++) {
      struct attempt a = {.op.state = (uint8_t)from, .to = (enum op_state)to};
      bool legal = is_legal((enum op_state)from, a.to);
      if (dies(step, &a) == legal) CHECK_INT(from * 10 + to, ==, -1);
      if (!legal) continue;
      op_step(&a.op, a.to);
      CHECK_INT(a.op.state, ==, to);
    }
  }
}

TEST("a new op is idle, and nothing of its record's last use is left") {
  struct op_table t;
  op_table_init(&t);
  struct op *op = op_new(&t, &op_recv);
  REQUIRE(op);
  op->io.len = 5;
  op->cancelled = true;
  op->memory = malloc(10); /* freed with the op */
  op_free(&t, op);
  struct op *again = op_new(&t, &op_nop);
  CHECK(again == op); /* the record used last is warm */
  CHECK_INT(op->state, ==, OP_IDLE);
  CHECK(op->class == &op_nop && !op->memory && !op->cancelled);
  CHECK_INT(op->io.len, ==, 0);
  CHECK_INT(op->io.off, ==, -1);
  op_free(&t, op);
  CHECK_INT(t.live, ==, 0);
  op_table_deinit(&t);
}

TEST("the name of an op that was freed finds nothing") {
  struct op_table t;
  op_table_init(&t);
  CHECK(!op_find(&t, 0));
  struct op *op = op_new(&t, &op_nop);
  REQUIRE(op);
  uint64_t name = op_user_data(op);
  CHECK(op_find(&t, name) == op);
  op_free(&t, op);
  CHECK(!op_find(&t, name));
  REQUIRE(op_new(&t, &op_nop) == op);
  CHECK(!op_find(&t, name)); /* the record lives again, under another */
  CHECK(op_find(&t, op_user_data(op)) == op);
  op_free(&t, op);
  op_table_deinit(&t);
}

TEST("a name that was never given finds nothing") {
  struct op_table t;
  op_table_init(&t);
  struct op *op = op_new(&t, &op_nop);
  REQUIRE(op);
  CHECK(!op_find(&t, op_user_data(op) + 1));            /* a free record */
  CHECK(!op_find(&t, UINT64_MAX));                      /* no record */
  CHECK(!op_find(&t, op_user_data(op) + (1ull << 32))); /* a later one */
  op_free(&t, op);
  op_table_deinit(&t);
}

TEST("records stay where they are while the table grows") {
  enum { N = 10000 };
  static struct op *ops[N];
  struct op_table t;
  op_table_init(&t);
  for (size_t i = 0; i < N; i++) {
    ops[i] = op_new(&t, &op_nop);
    REQUIRE(ops[i]);
    ops[i]->io.len = i;
  }
  CHECK_INT(t.live, ==, N);
  for (size_t i = 0; i < N; i++) {
    CHECK(op_find(&t, op_user_data(ops[i])) == ops[i]);
    CHECK_INT(ops[i]->io.len, ==, i);
    op_free(&t, ops[i]);
  }
  CHECK_INT(t.live, ==, 0);
  op_table_deinit(&t);
}

TEST("a borrowed buffer is lent until the op is freed") {
  struct op_table t;
  op_table_init(&t);
  struct op *op = op_new(&t, &op_recv);
  struct buf *b = buf_new(10);
  REQUIRE(op && b);
  op_borrow(op, b);
  CHECK_STRING(b->lent, "recv");
  buf_unref(b); /* Lua forgot it; the op has a reference of its own */
  CHECK_INT(b->refs, ==, 1);
  buf_ref(b);
  op_free(&t, op);
  CHECK(!b->lent);
  CHECK_INT(b->refs, ==, 1);
  buf_unref(b);
  op_table_deinit(&t);
}

static struct op_table freed_from;

static void free_op(void *op) {
  op_free(&freed_from, op);
}

TEST("an op in flight, listed or waiting cannot be freed") {
  op_table_init(&freed_from);
  struct op *op = op_new(&freed_from, &op_nop);
  struct list l = LIST_INIT(&l);
  REQUIRE(op);
  op_step(op, OP_QUEUED);
  CHECK(op_in_flight(op) && dies(free_op, op));
  op_step(op, OP_SUBMITTED);
  CHECK(op_in_flight(op) && dies(free_op, op));
  op_step(op, OP_COMPLETED);
  CHECK(!op_in_flight(op));
  list_push(&l, &op->queue);
  CHECK(dies(free_op, op));
  link_unlink(&op->queue);
  list_push(&l, &op->link);
  CHECK(dies(free_op, op));
  link_unlink(&op->link);
  op->job = op;
  CHECK(dies(free_op, op));
  op->job = NULL;
  op_free(&freed_from, op);
  op_table_deinit(&freed_from);
}

TEST("every operation is found by its name, and has a way to be done") {
  for (size_t i = 0; op_classes[i]; i++) {
    const struct op_class *c = op_classes[i];
    CHECK(op_class_find(c->name) == c);
    if (c->flags & OP_TIMER) continue;
    CHECK(c->perform);
    CHECK(c->prep || c->flags & OP_WORKER);
    CHECK(!(c->flags & OP_FILLS) || !(c->flags & OP_EMPTIES));
    CHECK(c->value != VALUE_FD || c->dispose);
  }
  CHECK(!op_class_find("no such operation"));
}

static int finish(struct op *op, size_t len, size_t done, int res) {
  *op = (struct op){.io = {.len = len, .done = done}};
  return op_finish_all(op, res);
}

TEST("moving all bytes takes as many tries as it needs") {
  struct op op;
  CHECK_INT(finish(&op, 10, 0, 10), ==, 10);
  CHECK_INT(finish(&op, 10, 0, 4), ==, OP_AGAIN);
  CHECK_INT(op.io.done, ==, 4);
  CHECK_INT(op_finish_all(&op, 6), ==, 10);
  CHECK_INT(finish(&op, 10, 0, -EINTR), ==, OP_AGAIN);
  CHECK_INT(finish(&op, 0, 0, 0), ==, 0);
}

TEST("an error after some bytes reports the bytes") {
  struct op op;
  CHECK_INT(finish(&op, 10, 0, -EPIPE), ==, -EPIPE);
  CHECK_INT(finish(&op, 10, 4, -EPIPE), ==, 4);
  CHECK_INT(finish(&op, 10, 4, -ECANCELED), ==, 4);
}

TEST("a cancelled op does not try again") {
  struct op op = {.cancelled = true, .io = {.len = 10}};
  CHECK_INT(op_finish_all(&op, 3), ==, 3);
  op = (struct op){.cancelled = true, .io = {.len = 10}};
  CHECK_INT(op_finish_all(&op, -EINTR), ==, -EINTR);
}

TEST("without memory there is no op, and the table is as before") {
#ifdef PROA_DEBUG
  struct op_table t;
  op_table_init(&t);
  fault_arm("op_table_grow", 1, false);
  CHECK(!op_new(&t, &op_nop));
  CHECK_INT(t.live, ==, 0);
  struct op *op = op_new(&t, &op_nop);
  REQUIRE(op);
  op_free(&t, op);
  op_table_deinit(&t);
#else
  SKIP("fault points are in debug builds");
#endif
}
