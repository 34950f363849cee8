/* malloc_hint.c - hints about the heap. See malloc_hint.h.
 *
 * SPDX-License-Identifier: MIT */
#include "malloc_hint.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
  PAGE = 4096,
  REUSE_BLOCK = 4 << 20, /* twice that much is kept at the top */
  GROWTH_MAX = 1 << 20,  /* a heap that grows by more has other plans */
};

/* glibc gives memory at the top of its heap back to the kernel as soon as
 * 128 KiB of it are free, and takes the page faults again with the next
 * message: for 16 KiB messages an eighth of the whole cost. A mapped block
 * that is freed teaches it to keep twice that much (mallopt(3),
 * M_TRIM_THRESHOLD), unless the user has set these things. */
void malloc_hint_reuse(void) {
  void *volatile block = malloc(REUSE_BLOCK);
  free(block);
}

#if defined(__GLIBC__) && defined(MADV_POPULATE_WRITE)

/* Up to here the heap's end was looked at; 0: not yet. */
static atomic_uintptr_t seen;

/* The first touch of a page costs one to two microseconds on a virtual
 * machine, most of it for the exception and not for the page: a quarter of
 * what a task costs. What the heap has just grown by (132 KiB) is wanted
 * whole, so it is asked for at once (Linux 5.14). Huge pages would be cheaper
 * still where the machine's memory is at hand, and made a task half as dear
 * again where the host takes back what is free. */
void malloc_hint_growth(const void *block) {
  uintptr_t end = (uintptr_t)sbrk(0), at = (uintptr_t)block;
  if (atomic_load_explicit(&seen, memory_order_relaxed) == end) return;
  atomic_store_explicit(&seen, end, memory_order_relaxed);
  if (at >= end || end - at > GROWTH_MAX) return; /* not here, or not new */
  at = (at + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
  if (at < end) madvise((void *)at, end - at, MADV_POPULATE_WRITE);
}

#else

void malloc_hint_growth(const void *block) {
  (void)block;
}

#endif
