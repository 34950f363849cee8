/* inq.h - bytes that have arrived and were not read yet.
 *
 * A list of chunks: pool buffers that are kept where the driver put them, and
 * heap chunks into which small payloads are copied so that their pool buffer
 * can go back at once (O9: a peer that drips single bytes would else hold
 * every buffer). Owns its chunks. Does no I/O and knows no descriptor.
 * Used by stream.c; codecs look at it in place.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_INQ_H
#define PROA_INQ_H

#include <sys/types.h>

#include "pool.h"

struct chunk {
  struct chunk *next;
  unsigned char *data;
  uint32_t start, end, cap; /* unread bytes are data[start, end) */
  int32_t bid;              /* the pool buffer; -1: heap */
};

struct inq {
  struct pool *pool;
  struct chunk *first, *last;
  size_t len;     /* unread bytes */
  size_t scanned; /* of them, known not to begin what inq_find looks for */
  size_t *total;  /* unread bytes of many queues: one budget */
};

static inline void inq_init(struct inq *q, struct pool *pool, size_t *total) {
  *q = (struct inq){.pool = pool, .total = total};
}
void inq_clear(struct inq *q);

/* Take over a taken pool buffer that holds n > 0 bytes. Never fails: what
 * can't be copied stays where it is. */
void inq_add_buffer(struct inq *q, uint16_t bid, size_t n);
/* Copy n bytes behind the rest. -ENOMEM. */
int inq_append(struct inq *q, const void *bytes, size_t n);
/* Copy n bytes before the rest. -ENOMEM. */
int inq_unread(struct inq *q, const void *bytes, size_t n);

/* A heap chunk with room for cap bytes, to be filled and then added. */
struct chunk *chunk_new(struct pool *pool, size_t cap);
void chunk_free(struct pool *pool, struct chunk *c);
void inq_add_chunk(struct inq *q, struct chunk *c);
/* The same; but few bytes are copied, and the chunk goes back. */
void inq_add_private(struct inq *q, struct chunk *c);

/* The first bytes that lie together; *n 0 and NULL when empty. */
const unsigned char *inq_peek(const struct inq *q, size_t *n);
/* Make the first n <= len bytes lie together. NULL: no memory. */
const unsigned char *inq_gather(struct inq *q, size_t n);
void inq_consume(struct inq *q, size_t n);
/* Copy out and consume n <= len bytes. */
void inq_take(struct inq *q, void *into, size_t n);
/* Copy out n <= len bytes from the front. */
void inq_copy(const struct inq *q, void *into, size_t n);

/* Bytes up to and including the first `text` of n > 0 bytes, or -1. Goes on
 * where it stopped the last time, until inq_rewind. */
ssize_t inq_find(struct inq *q, const char *text, size_t n);
static inline void inq_rewind(struct inq *q) {
  q->scanned = 0;
}

#endif
