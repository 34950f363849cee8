/* lent.c - guard pages around what is lent, in debug builds. See lent.h.
 *
 *   | head page, read-only | the block | guard |
 *
 * Freed blocks stay as guards in a ring of KEPT. A mapping has a price (100 us
 * here) and a limit: of small blocks one in SMALL_EACH has guards, and no more
 * than GUARDED_MAX at once; the rest come from malloc, with the same layout and
 * canary but without guards. Owns all of that.
 *
 * SPDX-License-Identifier: MIT */
#include "lent.h"

#ifdef PROA_DEBUG
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "fault.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

enum {
  PAGE = 4096,
  ALIGN = 16,
  KEPT = 512,         /* freed blocks that are guards */
  GUARDED_MAX = 4096, /* live blocks with guards */
  LARGE = 8192,       /* from here on all have guards ... */
  SMALL_EACH = 16,    /* ... of the others one in so many */
  MAGIC = 0x1e47,
};

struct head {
  unsigned magic;
  bool guarded;
  size_t n;          /* bytes asked for */
  size_t span;       /* bytes of the middle pages */
  unsigned char *at; /* what was given out */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
  unsigned char *base;
  size_t len;
} kept[KEPT];
static unsigned kept_at;
static size_t live, guarded, small;

static struct head *head_of(const void *p) {
  return (struct head *)(((uintptr_t)p & ~(uintptr_t)(PAGE - 1)) - PAGE);
}

static size_t span_of(size_t n) {
  return (n + PAGE - 1) / PAGE * PAGE;
}

static void *map(size_t len) {
  void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                 -1, 0);
  if (p == MAP_FAILED) return NULL;
  /* where a thread's stack was, its poison may still be */
  ASAN_UNPOISON_MEMORY_REGION(p, len);
  return p;
}

/* Whether this one may have guards; counted. */
static bool count_block(size_t n) {
  pthread_mutex_lock(&lock);
  bool guard =
      guarded < GUARDED_MAX && (n >= LARGE || small++ % SMALL_EACH == 0);
  live++;
  guarded += guard;
  pthread_mutex_unlock(&lock);
  return guard;
}

static void uncount_block(bool guard) {
  pthread_mutex_lock(&lock);
  live--;
  guarded -= guard;
  pthread_mutex_unlock(&lock);
}

static unsigned char *pages(size_t len, bool guard) {
  void *p = NULL;
  if (guard) return map(len);
  return (posix_memalign)(&p, PAGE, len) == 0 ? p : NULL;
}

void *lent_alloc(size_t n) {
  if (n > SIZE_MAX / 2 || fault_point("alloc")) return NULL;
  if (n == 0) n = 1;
  bool guard = count_block(n);
  size_t span = span_of(n);
  unsigned char *base = pages(PAGE + span + PAGE, guard);
  if (!base) {
    uncount_block(guard);
    return NULL;
  }
  size_t skip = n < PAGE ? (span - n) / ALIGN * ALIGN : 0;
  struct head *h = (void *)base;
  memset(base + PAGE, LENT_POISON, span);
  *h = (struct head){MAGIC, guard, n, span, base + PAGE + skip};
  if (guard) {
    mprotect(base, PAGE, PROT_READ);
    mprotect(base + PAGE + span, PAGE, PROT_NONE);
  }
  lent_undefined(base + PAGE + skip, n);
  return base + PAGE + skip;
}

bool lent_is_poison(const void *bytes, size_t n) {
  const unsigned char *at = bytes;
  return n == 0 || (at[0] == LENT_POISON && memcmp(at, at + 1, n - 1) == 0);
}

/* What is left of the last page, and of the first, is as it was. */
static void check_canary(const struct head *h) {
  const unsigned char *from = (const unsigned char *)h + PAGE;
  size_t before = (size_t)(h->at - from), after = h->span - before - h->n;
  if (lent_is_poison(from, before) && lent_is_poison(h->at + h->n, after))
    return;
  fprintf(stderr, "proa: a write outside of a lent block of %zu bytes\n", h->n);
  assert(!"a write outside of a lent block");
}

/* The oldest guard makes room. */
static void keep_guard(unsigned char *base, size_t len) {
  mprotect(base, len, PROT_NONE);
  madvise(base, len, MADV_DONTNEED);
  pthread_mutex_lock(&lock);
  unsigned char *old = kept[kept_at].base;
  size_t old_len = kept[kept_at].len;
  kept[kept_at].base = base;
  kept[kept_at].len = len;
  kept_at = (kept_at + 1) % KEPT;
  pthread_mutex_unlock(&lock);
  if (old) munmap(old, old_len);
}

void lent_free(void *p) {
  if (!p) return;
  struct head *h = head_of(p);
  assert(h->magic == MAGIC && h->at == p && "not a lent block");
  check_canary(h);
  bool guard = h->guarded;
  size_t len = PAGE + h->span + PAGE;
  uncount_block(guard);
  if (guard)
    keep_guard((unsigned char *)h, len);
  else
    (free)(h);
}

bool lent_is_freed(const void *p) {
  const unsigned char *at = p;
  bool found = false;
  pthread_mutex_lock(&lock);
  for (unsigned i = 0; i < KEPT && !found; i++)
    found =
        kept[i].base && at >= kept[i].base && at < kept[i].base + kept[i].len;
  pthread_mutex_unlock(&lock);
  return found;
}

size_t lent_blocks(void) {
  pthread_mutex_lock(&lock);
  size_t n = live;
  pthread_mutex_unlock(&lock);
  return n;
}

uint64_t lent_sum(uint64_t sum, const void *bytes, size_t n) {
  const unsigned char *at = bytes;
  uint64_t word;
  for (; n >= sizeof word; at += sizeof word, n -= sizeof word) {
    memcpy(&word, at, sizeof word);
    sum = (sum ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    sum ^= sum >> 29;
  }
  for (; n; n--) sum = (sum ^ *at++) * UINT64_C(0x100000001b3);
  return sum;
}
#else
typedef int lent_is_empty;
#endif
