/* buf.c - counted byte blocks, lent and returned. See buf.h.
 *
 * SPDX-License-Identifier: MIT */
#include "buf.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "lent.h"

enum { PAGE = 4096 };

static atomic_size_t bytes_live;
static atomic_uint lent;

unsigned buf_count_lent(void) {
  return atomic_load_explicit(&lent, memory_order_relaxed);
}

size_t buf_bytes_live(void) {
  return atomic_load_explicit(&bytes_live, memory_order_relaxed);
}

static void account(size_t add, size_t sub) {
  atomic_fetch_add_explicit(&bytes_live, add, memory_order_relaxed);
  atomic_fetch_sub_explicit(&bytes_live, sub, memory_order_relaxed);
}

#ifdef PROA_DEBUG
static unsigned char *bytes_new(size_t cap) {
  void *p = lent_alloc(cap);
  return p ? memset(p, 0, cap) : NULL;
}
#else
/* Zeroed. From a page up on page boundaries, which direct I/O asks for. */
static unsigned char *bytes_new(size_t cap) {
  if (cap < PAGE) return calloc(1, cap ? cap : 1);
  void *p = NULL;
  if (posix_memalign(&p, PAGE, cap) != 0) return NULL;
  return memset(p, 0, cap);
}
#endif

struct buf *buf_new(size_t len) {
  struct buf *b = fault_point("buf_new") ? NULL : calloc(1, sizeof *b);
  if (!b) return NULL;
  b->data = bytes_new(len);
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
  lent_free(b->data);
  free(b);
}

int buf_reserve(struct buf *b, size_t cap) {
  assert(!b->lent);
  if (cap <= b->cap) return 0;
  if (cap < b->cap + b->cap / 2) cap = b->cap + b->cap / 2;
  unsigned char *bigger = fault_point("buf_reserve") ? NULL : bytes_new(cap);
  if (!bigger) return -ENOMEM;
  memcpy(bigger, b->data, b->len);
  lent_free(b->data);
  account(cap, b->cap);
  b->data = bigger;
  b->cap = cap;
  return 0;
}

void buf_lend(struct buf *b, const char *to) {
  assert(!b->lent && to);
  b->lent = to;
  atomic_fetch_add_explicit(&lent, 1, memory_order_relaxed);
}

void buf_return(struct buf *b) {
  assert(b->lent);
  b->lent = NULL;
  atomic_fetch_sub_explicit(&lent, 1, memory_order_relaxed);
}
