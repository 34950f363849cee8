/* buf.c - counted byte blocks, lent and returned. See buf.h.
 *
 * SPDX-License-Identifier: MIT */
#include "buf.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"

static atomic_size_t bytes_live;

size_t buf_bytes_live(void) {
  return atomic_load_explicit(&bytes_live, memory_order_relaxed);
}

static void account(size_t add, size_t sub) {
  atomic_fetch_add_explicit(&bytes_live, add, memory_order_relaxed);
  atomic_fetch_sub_explicit(&bytes_live, sub, memory_order_relaxed);
}

struct buf *buf_new(size_t len) {
  struct buf *b = fault_point("buf_new") ? NULL : calloc(1, sizeof *b);
  if (!b) return NULL;
  b->data = calloc(1, len ? len : 1);
  if (!b->data) {
    free(b);
    return NULL;
  }
  b->refs = 1;
  b->len = b->cap = len;
  account(len, 0);
  return b;
}

struct buf *buf_ref(struct buf *b) {
  b->refs++;
  return b;
}

void buf_unref(struct buf *b) {
  if (!b || --b->refs) return;
  assert(!b->lent);
  account(0, b->cap);
  free(b->data);
  free(b);
}

int buf_reserve(struct buf *b, size_t cap) {
  assert(!b->lent);
  if (cap <= b->cap) return 0;
  if (cap < b->cap + b->cap / 2) cap = b->cap + b->cap / 2;
  void *p = fault_point("buf_reserve") ? NULL : realloc(b->data, cap);
  if (!p) return -ENOMEM;
  account(cap, b->cap);
  b->data = p;
  b->cap = cap;
  return 0;
}

void buf_lend(struct buf *b, const char *to) {
  assert(!b->lent && to);
  b->lent = to;
}

void buf_return(struct buf *b) {
  assert(b->lent);
  b->lent = NULL;
}
