/* heap.h - deadlines ordered by time.
 *
 * A 4-ary heap whose entries carry their key, so that a sift touches one
 * array and not the deadlines themselves. A struct deadline is a member of
 * what waits; the heap owns only its array. Equal times leave in the order in
 * which they were set, which the simulation relies on.
 * Used by proactor.c, which fires what is due.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_HEAP_H
#define PROA_HEAP_H

#include "base.h"

struct deadline {
  size_t at; /* place in the heap + 1; 0: not set */
  void (*fire)(struct deadline *);
};

struct heap_entry {
  uint64_t at_ns;
  uint64_t seq; /* order among equals */
  struct deadline *deadline;
};

struct heap {
  struct heap_entry *entries;
  size_t len, cap;
  uint64_t seq;
};

void heap_deinit(struct heap *h);

/* Set d to fire at at_ns; d must not be set. -ENOMEM leaves all as it was. */
int heap_push(struct heap *h, struct deadline *d, uint64_t at_ns);

/* Take d out; nothing happens when it is not set. */
void heap_remove(struct heap *h, struct deadline *d);

/* The earliest time, or NEVER_NS. */
static inline uint64_t heap_next_ns(const struct heap *h) {
  return h->len ? h->entries[0].at_ns : NEVER_NS;
}

/* Take the first that is due at now_ns, or NULL. */
struct deadline *heap_pop_due(struct heap *h, uint64_t now_ns);

static inline bool deadline_set(const struct deadline *d) {
  return d->at != 0;
}

#endif
