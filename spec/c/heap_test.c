/* heap_test.c - the deadline heap against a reference that scans.
 *
 * SPDX-License-Identifier: MIT */
#include "heap.h"

#include "check.h"
#include "dies.h"
#include "fault.h"

enum { N = 300, STEPS = 20000 };

struct timer {
  struct deadline deadline;
  uint64_t at_ns, seq; /* what the reference knows */
};

static uint64_t dice = 12345;

static uint64_t roll(uint64_t n) {
  dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (dice >> 33) % n;
}

/* The one that must leave first, by looking at all. */
static struct timer *first_of(struct timer *t) {
  struct timer *best = NULL;
  for (int i = 0; i < N; i++) {
    if (!deadline_set(&t[i].deadline)) continue;
    bool earlier = !best || t[i].at_ns < best->at_ns ||
                   (t[i].at_ns == best->at_ns && t[i].seq < best->seq);
    if (earlier) best = &t[i];
  }
  return best;
}

static void set(struct heap *h, struct timer *t, uint64_t seq) {
  t->at_ns = roll(50); /* few times: many equals */
  t->seq = seq;
  CHECK_INT(heap_push(h, &t->deadline, t->at_ns), ==, 0);
}

static void pop(struct heap *h, struct timer *all) {
  struct timer *first = first_of(all);
  uint64_t now = roll(60);
  bool due = first && first->at_ns <= now;
  CHECK(heap_pop_due(h, now) == (due ? &first->deadline : NULL));
}

TEST("deadlines leave by time, equal ones as they were set, whatever was "
     "removed between") {
  static struct timer t[N];
  struct heap h = {0};
  for (uint64_t step = 0; step < STEPS && !check_misses; step++) {
    struct timer *one = &t[roll(N)];
    if (roll(3) == 0)
      pop(&h, t);
    else if (deadline_set(&one->deadline))
      heap_remove(&h, &one->deadline);
    else
      set(&h, one, step);
    struct timer *first = first_of(t);
    CHECK(heap_next_ns(&h) == (first ? first->at_ns : NEVER_NS));
  }
  while (first_of(t) && !check_misses) {
    struct timer *first = first_of(t);
    CHECK(heap_pop_due(&h, NEVER_NS) == &first->deadline);
  }
  CHECK_INT(h.len, ==, 0);
  heap_deinit(&h);
}

TEST("an empty heap is due never") {
  struct heap h = {0};
  CHECK(heap_next_ns(&h) == NEVER_NS);
  CHECK(heap_pop_due(&h, NEVER_NS) == NULL);
  heap_deinit(&h);
  heap_deinit(&h);
}

TEST("removing a deadline that is not set does nothing") {
  struct heap h = {0};
  struct deadline a = {0}, b = {0};
  CHECK_INT(heap_push(&h, &a, 5), ==, 0);
  heap_remove(&h, &b);
  CHECK_INT(h.len, ==, 1);
  heap_remove(&h, &a);
  heap_remove(&h, &a);
  CHECK(!deadline_set(&a));
  CHECK_INT(h.len, ==, 0);
  heap_deinit(&h);
}

static void push_again(void *heap) {
  struct deadline d = {0};
  heap_push(heap, &d, 1);
  heap_push(heap, &d, 2);
}

TEST("a deadline that is set cannot be set again") {
  struct heap h = {0};
  CHECK(dies(push_again, &h));
  heap_deinit(&h);
}

TEST("without memory nothing changes") {
#ifdef PROA_DEBUG
  struct heap h = {0};
  struct deadline d = {0};
  fault_arm("heap_grow", 1, false);
  CHECK_INT(heap_push(&h, &d, 1), ==, -ENOMEM);
  CHECK(!deadline_set(&d));
  CHECK_INT(h.len, ==, 0);
  CHECK_INT(heap_push(&h, &d, 1), ==, 0);
  CHECK(heap_pop_due(&h, 1) == &d);
  heap_deinit(&h);
#else
  SKIP("fault points are in debug builds");
#endif
}
