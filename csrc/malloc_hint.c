/* malloc_hint.c - hints about the heap. See malloc_hint.h.
 *
 * SPDX-License-Identifier: MIT */
#include "malloc_hint.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((uintptr_t)2 << 20)

enum {
  REUSE_BLOCK = 4 << 20,  /* twice that much is kept at the top */
  GROWTH_STEP = 16 << 20, /* bytes that the heap grows by from then on */
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

#ifdef __GLIBC__

/* Up to here the heap's end was looked at; 0: not yet. */
static atomic_uintptr_t seen;

/* A first touch of a page was half a microsecond of a task's two and a half:
 * where the kernel gives huge pages to who asks (transparent_hugepage is
 * `madvise`), it is asked, for what the heap has not touched yet. So that
 * there is such memory the heap must grow in larger steps than 128 KiB. */
void malloc_hint_growth(const void *block) {
  uintptr_t end = (uintptr_t)sbrk(0), at = (uintptr_t)block;
  uintptr_t from = atomic_exchange_explicit(&seen, end, memory_order_relaxed);
  if (from == end) return;
  if (!from) mallopt(M_TOP_PAD, GROWTH_STEP);
  if (!from) from = at;
  if (at >= end || from > end) return; /* not this heap; or it has shrunk */
  from &= ~(HUGE_PAGE - 1);
  end &= ~(HUGE_PAGE - 1);
  if (from < end) madvise((void *)from, end - from, MADV_HUGEPAGE);
}

#else

void malloc_hint_growth(const void *block) {
  (void)block;
}

#endif
