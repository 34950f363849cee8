/* inq.c - the queue of received bytes. See inq.h.
 *
 * SPDX-License-Identifier: MIT */
#include "inq.h"

#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "lent.h"

enum {
  COPY_MAX = 2048,  /* payloads up to this are copied out */
  CHUNK_CAP = 4032, /* with its header a 4 KiB block */
#ifdef PROA_DEBUG
  SPARE_MAX = 0, /* so that what is freed becomes a guard */
#else
  SPARE_MAX = 64, /* heap chunks kept for reuse */
#endif
};

struct chunk *chunk_new(struct pool *pool, size_t cap) {
  struct chunk *c = pool->spare;
  if (cap <= CHUNK_CAP && c) {
    pool->spare = c->next;
    pool->spare_n--;
  } else {
    size_t room = cap <= CHUNK_CAP ? CHUNK_CAP : cap;
    if (room > UINT32_MAX || fault_point("chunk_new")) return NULL;
    c = lent_alloc(sizeof *c + room);
    if (!c) return NULL;
    c->cap = (uint32_t)room;
  }
  c->next = NULL;
  c->data = (unsigned char *)(c + 1);
  c->start = c->end = 0;
  c->bid = -1;
  return c;
}

void chunk_free(struct pool *pool, struct chunk *c) {
  if (c->bid >= 0) {
    pool_give(pool, (uint16_t)c->bid);
  } else if (c->cap == CHUNK_CAP && pool->spare_n + 1 <= SPARE_MAX) {
    c->next = pool->spare;
    pool->spare = c;
    pool->spare_n++;
  } else {
    lent_free(c);
  }
}

static void grow(struct inq *q, size_t n) {
  q->len += n;
  *q->total += n;
}

static void shrink(struct inq *q, size_t n) {
  q->len -= n;
  *q->total -= n;
}

void inq_clear(struct inq *q) {
  while (q->first) {
    struct chunk *c = q->first;
    q->first = c->next;
    chunk_free(q->pool, c);
  }
  q->last = NULL;
  q->scanned = 0;
  shrink(q, q->len);
}

void inq_add_chunk(struct inq *q, struct chunk *c) {
  c->next = NULL;
  if (q->last)
    q->last->next = c;
  else
    q->first = c;
  q->last = c;
  grow(q, c->end - c->start);
}

void inq_add_private(struct inq *q, struct chunk *c) {
  size_t n = c->end - c->start;
  if (n <= COPY_MAX && inq_append(q, c->data + c->start, n) == 0)
    chunk_free(q->pool, c);
  else
    inq_add_chunk(q, c);
}

static size_t tail_room(const struct inq *q) {
  struct chunk *c = q->last;
  return c && c->bid < 0 ? c->cap - c->end : 0;
}

static void tail_put(struct inq *q, const void *bytes, size_t n) {
  struct chunk *c = q->last;
  memcpy(c->data + c->end, bytes, n);
  c->end += (uint32_t)n;
  grow(q, n);
}

int inq_append(struct inq *q, const void *bytes, size_t n) {
  if (n == 0) return 0;
  if (tail_room(q) < n) {
    struct chunk *c = chunk_new(q->pool, n);
    if (!c) return -ENOMEM;
    inq_add_chunk(q, c);
  }
  tail_put(q, bytes, n);
  return 0;
}

/* A chunk before the rest, with room for n bytes at its end: what is put back
 * in small pieces, the last first, shares it. */
static struct chunk *room_before(struct inq *q, size_t n) {
  struct chunk *c = q->first;
  if (c && c->start >= n) return c;
  c = chunk_new(q->pool, n);
  if (!c) return NULL;
  c->start = c->end = c->cap;
  c->next = q->first;
  q->first = c;
  if (!q->last) q->last = c;
  return c;
}

int inq_unread(struct inq *q, const void *bytes, size_t n) {
  if (n == 0) return 0;
  struct chunk *c = room_before(q, n);
  if (!c) return -ENOMEM;
  c->start -= (uint32_t)n;
  memcpy(c->data + c->start, bytes, n);
  grow(q, n);
  q->scanned = 0;
  return 0;
}

/* Large payloads stay in their buffer while the pool has enough of them. */
static bool worth_copying(const struct pool *pool, size_t n) {
  return n <= COPY_MAX || pool->free_n < pool->count / 4;
}

void inq_add_buffer(struct inq *q, uint16_t bid, size_t n) {
  unsigned char *data = pool_at(q->pool, bid);
  if (worth_copying(q->pool, n) && inq_append(q, data, n) == 0) {
    pool_give(q->pool, bid);
    return;
  }
  struct chunk *c = &q->pool->chunks[bid];
  *c = (struct chunk){.data = data, .end = (uint32_t)n, .bid = bid};
  inq_add_chunk(q, c);
}

const unsigned char *inq_peek(const struct inq *q, size_t *n) {
  const struct chunk *c = q->first;
  *n = c ? c->end - c->start : 0;
  return c ? c->data + c->start : NULL;
}

static void drop_first(struct inq *q) {
  struct chunk *c = q->first;
  q->first = c->next;
  if (!q->first) q->last = NULL;
  chunk_free(q->pool, c);
}

void inq_consume(struct inq *q, size_t n) {
  assert(n <= q->len);
  shrink(q, n);
  q->scanned = n < q->scanned ? q->scanned - n : 0;
  while (n > 0) {
    struct chunk *c = q->first;
    size_t part = min_size(n, c->end - c->start);
    c->start += (uint32_t)part;
    n -= part;
    if (c->start == c->end) drop_first(q);
  }
}

void inq_copy(const struct inq *q, void *into, size_t n) {
  unsigned char *to = into;
  assert(n <= q->len);
  for (const struct chunk *c = q->first; n > 0; c = c->next) {
    size_t part = min_size(n, c->end - c->start);
    memcpy(to, c->data + c->start, part);
    to += part;
    n -= part;
  }
}

void inq_take(struct inq *q, void *into, size_t n) {
  inq_copy(q, into, n);
  inq_consume(q, n);
}

const unsigned char *inq_gather(struct inq *q, size_t n) {
  size_t have;
  const unsigned char *at = inq_peek(q, &have);
  if (have >= n) return at;
  struct chunk *c = chunk_new(q->pool, n);
  if (!c) return NULL;
  size_t scanned = q->scanned;
  inq_take(q, c->data, n);
  c->end = (uint32_t)n;
  c->next = q->first;
  q->first = c;
  if (!q->last) q->last = c;
  grow(q, n);
  q->scanned = scanned;
  return c->data;
}

/* Does the text go on at byte `at` of c, and in the chunks behind it? */
static bool matches(const struct chunk *c, size_t at, const char *text,
                    size_t n) {
  while (c) {
    size_t part = min_size(n, c->end - at);
    if (memcmp(c->data + at, text, part) != 0) return false;
    if (part == n) return true;
    text += part;
    n -= part;
    c = c->next;
    at = c ? c->start : 0;
  }
  return false;
}

/* In one chunk: the place where text begins, or where the chunk ends. */
static size_t find_in(const struct chunk *c, size_t at, const char *text,
                      size_t n) {
  while (at < c->end) {
    const unsigned char *hit = memchr(c->data + at, text[0], c->end - at);
    if (!hit) return c->end;
    at = (size_t)(hit - c->data);
    if (n == 1 || matches(c, at, text, n)) return at;
    at++;
  }
  return c->end;
}

ssize_t inq_find(struct inq *q, const char *text, size_t n) {
  size_t before = 0;
  for (const struct chunk *c = q->first; c; c = c->next) {
    size_t len = c->end - c->start;
    size_t skip = q->scanned > before ? min_size(q->scanned - before, len) : 0;
    size_t at = find_in(c, c->start + skip, text, n);
    if (at < c->end) return (ssize_t)(before + (at - c->start) + n);
    before += len;
  }
  q->scanned = q->len >= n ? q->len - n + 1 : 0;
  return -1;
}
