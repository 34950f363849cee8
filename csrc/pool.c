/* pool.c - the provided-buffer pool. See pool.h.
 *
 * SPDX-License-Identifier: MIT */
#include "pool.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fault.h"
#include "inq.h"
#include "lent.h"

#ifdef PROA_DEBUG
/* -- poison: what nobody received is as it was when it was given -- */

static int poison_init(struct pool *pool) {
  pool->used = calloc(pool->count, sizeof *pool->used);
  if (!pool->used) return -ENOMEM;
  memset(pool->base, LENT_POISON, (size_t)pool->count * pool->size);
  return 0;
}

static void poison_deinit(struct pool *pool) {
  free(pool->used);
}

static void check_poison(const struct pool *pool, uint16_t id) {
  size_t used = pool->used[id];
  assert(lent_is_poison(pool_at(pool, id) + used, pool->size - used) &&
         "a write to a pool buffer that is taken");
}

void pool_filled(struct pool *pool, uint16_t id, int32_t n) {
  assert(pool->taken[id] && n >= 0 && (uint32_t)n <= pool->size);
  pool->used[id] = (uint32_t)n;
  check_poison(pool, id);
}

static void poison_again(struct pool *pool, uint16_t id) {
  check_poison(pool, id);
  memset(pool_at(pool, id), LENT_POISON, pool->used[id]);
  pool->used[id] = 0;
}
#else
#define poison_init(pool) (0)
#define poison_deinit(pool) ((void)0)
#define poison_again(pool, id) ((void)0)
#endif

/* mmap: pages that no message has touched cost nothing. */
static int map(struct pool *pool) {
  size_t len = (size_t)pool->count * pool->size;
  if (fault_point("pool_init")) return -ENOMEM;
  void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                 -1, 0);
  if (p == MAP_FAILED) return -ENOMEM;
  pool->base = p;
  return 0;
}

int pool_init(struct pool *pool, uint32_t count, uint32_t size) {
  assert(count && count <= 32768 && !(count & (count - 1)));
  *pool = (struct pool){.size = size, .count = count, .free_n = count};
  pool->free = calloc(count, sizeof *pool->free);
  pool->taken = calloc(count, sizeof *pool->taken);
  pool->chunks = calloc(count, sizeof *pool->chunks);
  if (!pool->free || !pool->taken || !pool->chunks || map(pool) < 0 ||
      poison_init(pool) < 0) {
    pool_deinit(pool);
    return -ENOMEM;
  }
  for (uint32_t i = 0; i < count; i++)
    pool->free[i] = (uint16_t)(count - 1 - i);
  return 0;
}

void pool_deinit(struct pool *pool) {
  if (pool->base) munmap(pool->base, (size_t)pool->count * pool->size);
  while (pool->spare) {
    struct chunk *c = pool->spare;
    pool->spare = c->next;
    lent_free(c);
  }
  poison_deinit(pool);
  free(pool->chunks);
  free(pool->free);
  free(pool->taken);
  *pool = (struct pool){0};
}

void pool_took(struct pool *pool, uint16_t id) {
  assert(id < pool->count && !pool->taken[id] && pool->free_n);
  pool->taken[id] = true;
  pool->free_n--;
}

int pool_take(struct pool *pool) {
  assert(!pool->on_give);
  if (!pool->free_n || fault_point("pool_take")) return -ENOBUFS;
  uint16_t id = pool->free[pool->free_n - 1];
  pool_took(pool, id);
  return id;
}

void pool_give(struct pool *pool, uint16_t id) {
  assert(id < pool->count && pool->taken[id]);
  pool->taken[id] = false;
  poison_again(pool, id);
  if (pool->on_give)
    pool->on_give(pool, id);
  else
    pool->free[pool->free_n] = id;
  pool->free_n++;
}
