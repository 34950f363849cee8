/* outq.h - bytes that were accepted and the kernel has not taken yet.
 *
 * A list of segments in order: small writes are copied together into blocks,
 * large ones stay where they are, anchored (O2), until they are gone. The
 * first `lent` segments belong to the send under way and do not move. Owns
 * its blocks; anchors go back through `release`. Does no I/O.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_OUTQ_H
#define PROA_OUTQ_H

#include <sys/uio.h>

#include "base.h"

enum {
  OUTQ_COPY_MAX = 4096,
  OUTQ_IOV_MAX = 16,
  OUTQ_LEND_MAX = 1 << 30, /* bytes of one send: results are 32 bits */
};

struct segment;

/* What the queues of one proactor share. */
struct outq_shared {
  size_t bytes; /* in all of them, and in all receive queues (inq.h) */
  struct segment *spare;
  unsigned spare_n;
};

struct outq {
  struct segment *first, *last;
  size_t len;    /* bytes */
  unsigned lent; /* segments at the front that a send uses */
  void (*release)(void *arg, int anchor);
  void *arg;
  struct outq_shared *shared;
};

void outq_init(struct outq *q, void (*release)(void *, int), void *arg,
               struct outq_shared *shared);
void outq_shared_deinit(struct outq_shared *shared);
void outq_clear(struct outq *q);

/* All n bytes or -ENOMEM. anchor 0: they are copied; else they stay valid
 * until the anchor is released, which happens in any case. */
int outq_add(struct outq *q, const void *bytes, size_t n, int anchor);

/* Lend the first segments to a send: fills iov, returns how many. */
unsigned outq_lend(struct outq *q, struct iovec iov[OUTQ_IOV_MAX]);
/* The send has ended; n bytes are gone. */
void outq_return(struct outq *q, size_t n);

#endif
