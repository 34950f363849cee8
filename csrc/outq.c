/* outq.c - the queue of bytes to send. See outq.h.
 *
 * SPDX-License-Identifier: MIT */
#include "outq.h"

#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "lent.h"

enum {
  BLOCK_CAP = 8192 - 64, /* where writes pile up */
  FIRST_CAP = 960,       /* a lone small write */
#ifdef PROA_DEBUG
  SPARE_MAX = 0, /* so that what is freed becomes a guard */
#else
  SPARE_MAX = 256, /* segments of that size kept for reuse */
#endif
};

struct segment {
  struct segment *next;
  unsigned char *data;
  size_t start, end, cap; /* cap 0: not ours to append to */
  int anchor;
};

void outq_init(struct outq *q, void (*release)(void *, int), void *arg,
               struct outq_shared *shared) {
  *q = (struct outq){.release = release, .arg = arg, .shared = shared};
}

void outq_shared_deinit(struct outq_shared *shared) {
  while (shared->spare) {
    struct segment *s = shared->spare;
    shared->spare = s->next;
    lent_free(s);
  }
  shared->spare_n = 0;
}

static void grow(struct outq *q, size_t n) {
  q->len += n;
  q->shared->bytes += n;
}

static void shrink(struct outq *q, size_t n) {
  q->len -= n;
  q->shared->bytes -= n;
}

/* A send of every connection under way at once is more than what malloc keeps
 * at hand of one size. */
static struct segment *segment_new(struct outq *q, size_t cap) {
  struct outq_shared *shared = q->shared;
  struct segment *s = cap == FIRST_CAP ? shared->spare : NULL;
  if (s) {
    shared->spare = s->next;
    shared->spare_n--;
  } else if (!fault_point("segment_new")) {
    s = lent_alloc(sizeof *s + cap);
  }
  if (!s) return NULL;
  *s = (struct segment){.data = (unsigned char *)(s + 1), .cap = cap};
  return s;
}

static void segment_free(struct outq *q, struct segment *s) {
  struct outq_shared *shared = q->shared;
  if (s->anchor) q->release(q->arg, s->anchor);
  if (s->cap == FIRST_CAP && shared->spare_n + 1 <= SPARE_MAX) {
    s->next = shared->spare;
    shared->spare = s;
    shared->spare_n++;
  } else {
    lent_free(s);
  }
}

static void drop_first(struct outq *q) {
  struct segment *s = q->first;
  q->first = s->next;
  if (!q->first) q->last = NULL;
  segment_free(q, s);
}

void outq_clear(struct outq *q) {
  assert(!q->lent);
  while (q->first) drop_first(q);
  shrink(q, q->len);
}

static void push(struct outq *q, struct segment *s) {
  if (q->last)
    q->last->next = s;
  else
    q->first = s;
  q->last = s;
}

/* The last segment may grow unless the send under way uses it. */
static size_t tail_room(const struct outq *q) {
  const struct segment *s = q->first;
  for (unsigned i = 0; s && i < q->lent; i++) s = s->next;
  return s && q->last->cap ? q->last->cap - q->last->end : 0;
}

static int add_copy(struct outq *q, const void *bytes, size_t n) {
  if (tail_room(q) < n) {
    size_t cap = !q->first && n <= FIRST_CAP ? FIRST_CAP : BLOCK_CAP;
    struct segment *s = segment_new(q, n > cap ? n : cap);
    if (!s) return -ENOMEM;
    push(q, s);
  }
  memcpy(q->last->data + q->last->end, bytes, n);
  q->last->end += n;
  grow(q, n);
  return 0;
}

static int add_anchored(struct outq *q, const void *bytes, size_t n,
                        int anchor) {
  struct segment *s = segment_new(q, 0);
  if (!s) {
    q->release(q->arg, anchor);
    return -ENOMEM;
  }
  s->data = (unsigned char *)(uintptr_t)bytes; /* only ever read */
  s->end = n;
  s->anchor = anchor;
  push(q, s);
  grow(q, n);
  return 0;
}

int outq_add(struct outq *q, const void *bytes, size_t n, int anchor) {
  if (anchor) return add_anchored(q, bytes, n, anchor);
  return n ? add_copy(q, bytes, n) : 0;
}

unsigned outq_lend(struct outq *q, struct iovec iov[OUTQ_IOV_MAX]) {
  assert(!q->lent);
  struct segment *s = q->first;
  size_t room = OUTQ_LEND_MAX;
  unsigned n = 0;
  for (; s && n < OUTQ_IOV_MAX && room; s = s->next, n++) {
    iov[n].iov_base = s->data + s->start;
    iov[n].iov_len = min_size(s->end - s->start, room);
    room -= iov[n].iov_len;
  }
  return q->lent = n;
}

void outq_return(struct outq *q, size_t n) {
  assert(n <= q->len);
  q->lent = 0;
  shrink(q, n);
  while (n > 0) {
    struct segment *s = q->first;
    size_t part = min_size(n, s->end - s->start);
    s->start += part;
    n -= part;
    if (s->start == s->end) drop_first(q);
  }
}
