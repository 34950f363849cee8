/* histogram.h - latencies in bounded memory, about 3 % exact.
 *
 * Thirty-two equal slots for each power of two of nanoseconds. See load.c.
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

enum { SLOT_BITS = 5, SLOTS = 1 << SLOT_BITS };

struct histogram {
  uint64_t slot[64 * SLOTS];
  uint64_t count, max;
};

/* The highest bit says the power of two, those below it the slot. */
static inline unsigned histogram_slot(uint64_t ns) {
  if (ns < SLOTS) return (unsigned)ns;
  unsigned shift = 63U - (unsigned)__builtin_clzll(ns) - SLOT_BITS;
  return shift * SLOTS + (unsigned)(ns >> shift);
}

/* The middle of a slot. */
static inline uint64_t histogram_ns(unsigned slot) {
  if (slot < 2 * SLOTS) return slot;
  unsigned shift = slot / SLOTS - 1;
  return ((uint64_t)(slot % SLOTS + SLOTS) << shift) + (1ULL << shift) / 2;
}

static inline void histogram_add(struct histogram *h, uint64_t ns) {
  h->slot[histogram_slot(ns)]++;
  h->count++;
  if (ns > h->max) h->max = ns;
}

/* Below which this part (0.5, 0.99) of all lies; 0 when there is nothing. */
static inline uint64_t histogram_part(const struct histogram *h, double part) {
  uint64_t wanted = (uint64_t)((double)h->count * part), seen = 0;
  for (unsigned i = 0; i < 64 * SLOTS; i++) {
    seen += h->slot[i];
    if (seen > wanted) return histogram_ns(i);
  }
  return h->max;
}

#endif
