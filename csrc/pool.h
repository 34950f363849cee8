/* pool.h - equal-size buffers for the ops that let the driver choose one.
 *
 * Every buffer is either free (the driver may fill it; with io_uring the
 * kernel holds it) or taken: it holds received bytes and has exactly one
 * holder, who gives it back once. The pool owns the memory. Taking and giving
 * twice is asserted. Does not know the kernel: a driver that provides the
 * buffers to it learns of returns by `on_give`.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_POOL_H
#define PROA_POOL_H

#include "base.h"

struct chunk;

struct pool {
  unsigned char *base;
  uint32_t size;   /* bytes in a buffer */
  uint32_t count;  /* buffers; a power of two, at most 32768 */
  uint32_t free_n; /* how many are free */
  uint16_t *free;  /* stack of free ids, where the driver picks from it */
  bool *taken;
#ifdef PROA_DEBUG
  uint32_t *used; /* bytes that came into a taken one; behind them: poison */
#endif
  struct chunk *chunks; /* one for each buffer: inq.h lists it without malloc */
  struct chunk *spare;  /* heap chunks kept for reuse, likewise */
  unsigned spare_n;
  void (*on_give)(struct pool *pool, uint16_t id); /* NULL: the stack */
  void *driver;
};

int pool_init(struct pool *pool, uint32_t count, uint32_t size);
void pool_deinit(struct pool *pool);

/* Take any free buffer: its id, or -ENOBUFS. Only without on_give. */
int pool_take(struct pool *pool);
/* The kernel picked this one. */
void pool_took(struct pool *pool, uint16_t id);
void pool_give(struct pool *pool, uint16_t id);

#ifdef PROA_DEBUG
/* n bytes came into a taken one; the rest of it must be as it was given. */
void pool_filled(struct pool *pool, uint16_t id, int32_t n);
#else
#define pool_filled(pool, id, n) ((void)(id))
#endif

static inline unsigned char *pool_at(const struct pool *pool, uint16_t id) {
  return pool->base + (size_t)id * pool->size;
}

#endif
