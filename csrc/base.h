/* base.h - what every other file needs: asserts, time units, container_of.
 *
 * Owns nothing. Layer 0: includes only the C library. Asserts stay on in every
 * build and are for our own bugs; errors of the world are negative errnos.
 * Next: list.h, heap.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_BASE_H
#define PROA_BASE_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)
#define NEVER_NS UINT64_MAX /* a deadline that does not come */

#define container_of(ptr, type, member) \
  ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define countof(array) (sizeof(array) / sizeof((array)[0]))

static inline size_t min_size(size_t a, size_t b) {
  return a < b ? a : b;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

/* CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t clock_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* Seconds as Lua counts them to nanoseconds, saturating: below zero is now,
 * beyond 100 years is never. */
static inline uint64_t ns_from_seconds(double seconds) {
  if (!(seconds > 0)) return 0;
  if (seconds > 3.2e9) return NEVER_NS;
  return (uint64_t)(seconds * 1e9);
}

/* now + delta without wrapping. */
static inline uint64_t ns_after(uint64_t now, uint64_t delta) {
  return delta >= NEVER_NS - now ? NEVER_NS : now + delta;
}

#endif
