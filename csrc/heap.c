/* heap.c - the deadline heap: 4-ary, array of keyed entries.
 *
 * Owns the array of a struct heap and nothing else. See heap.h.
 *
 * SPDX-License-Identifier: MIT */
#include "heap.h"

#include <stdlib.h>

#include "fault.h"

enum { ARITY = 4, CAP_MIN = 64 };

static bool before(const struct heap_entry *a, const struct heap_entry *b) {
  return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->seq < b->seq;
}

static void put(struct heap *h, size_t i, struct heap_entry e) {
  h->entries[i] = e;
  e.deadline->at = i + 1;
}

static void sift_up(struct heap *h, size_t i, struct heap_entry e) {
  while (i > 0) {
    size_t parent = (i - 1) / ARITY;
    if (!before(&e, &h->entries[parent])) break;
    put(h, i, h->entries[parent]);
    i = parent;
  }
  put(h, i, e);
}

static size_t least_child(const struct heap *h, size_t i) {
  size_t first = i * ARITY + 1, best = first;
  for (size_t c = first + 1; c < first + ARITY && c < h->len; c++)
    if (before(&h->entries[c], &h->entries[best])) best = c;
  return best;
}

static void sift_down(struct heap *h, size_t i, struct heap_entry e) {
  while (i * ARITY + 1 < h->len) {
    size_t child = least_child(h, i);
    if (!before(&h->entries[child], &e)) break;
    put(h, i, h->entries[child]);
    i = child;
  }
  put(h, i, e);
}

static int grow(struct heap *h) {
  size_t cap = h->cap ? h->cap * 2 : CAP_MIN;
  if (fault_point("heap_grow")) return -ENOMEM;
  void *p = realloc(h->entries, cap * sizeof *h->entries);
  if (!p) return -ENOMEM;
  h->entries = p;
  h->cap = cap;
  return 0;
}

void heap_deinit(struct heap *h) {
  free(h->entries);
  *h = (struct heap){0};
}

int heap_push(struct heap *h, struct deadline *d, uint64_t at_ns) {
  assert(!deadline_set(d));
  if (h->len == h->cap && grow(h) < 0) return -ENOMEM;
  struct heap_entry e = {.at_ns = at_ns, .seq = h->seq++, .deadline = d};
  sift_up(h, h->len++, e);
  return 0;
}

void heap_remove(struct heap *h, struct deadline *d) {
  if (!deadline_set(d)) return;
  size_t i = d->at - 1;
  assert(i < h->len && h->entries[i].deadline == d);
  d->at = 0;
  struct heap_entry last = h->entries[--h->len];
  if (i == h->len) return;
  if (i > 0 && before(&last, &h->entries[(i - 1) / ARITY]))
    sift_up(h, i, last);
  else
    sift_down(h, i, last);
}

struct deadline *heap_pop_due(struct heap *h, uint64_t now_ns) {
  if (!h->len || h->entries[0].at_ns > now_ns) return NULL;
  struct deadline *d = h->entries[0].deadline;
  heap_remove(h, d);
  return d;
}
