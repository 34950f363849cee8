/* fault_alloc.c - the allocations of a debug build, counted and refused.
 *
 * Blocks come from libc and carry no header, so that other tools see them as
 * they are; a table beside them knows where each was made. What it does not
 * know (another library's) passes through. Owns that table.
 *
 * SPDX-License-Identifier: MIT */
#include "fault.h"

#ifdef PROA_DEBUG
#include <pthread.h>
#include <stdio.h>

#include "fault_alloc.h"

#undef free /* libc's, as (malloc) is */

struct place {
  void *p; /* NULL: free */
  const char *file;
  int line;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct place *table;
static size_t cap, len;

/* -- the table: open addressing, removal moves back what follows -- */

static size_t home(const void *p) {
  uint64_t x = (uint64_t)(uintptr_t)p >> 4;
  return (size_t)((x * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (cap - 1);
}

static struct place *find(const void *p) {
  size_t i = home(p);
  while (table[i].p && table[i].p != p) i = (i + 1) & (cap - 1);
  return &table[i];
}

static void grow(void) {
  struct place *old = table;
  size_t n = cap;
  cap = cap ? cap * 2 : 1024;
  table = (calloc)(cap, sizeof *table);
  assert(table && "no memory for the table of allocations");
  for (size_t i = 0; i < n; i++)
    if (old[i].p) *find(old[i].p) = old[i];
  free(old);
}

static void remember(void *p, const char *file, int line) {
  if (!p) return;
  pthread_mutex_lock(&lock);
  if (len * 2 >= cap) grow();
  struct place *at = find(p);
  if (!at->p) len++;
  *at = (struct place){p, file, line};
  pthread_mutex_unlock(&lock);
}

static void close_gap(size_t hole) {
  for (size_t i = (hole + 1) & (cap - 1); table[i].p; i = (i + 1) & (cap - 1)) {
    size_t from_home = (i - home(table[i].p)) & (cap - 1);
    if (from_home < ((i - hole) & (cap - 1))) continue;
    table[hole] = table[i];
    hole = i;
  }
  table[hole].p = NULL;
}

static void forget(void *p) {
  if (!p) return;
  pthread_mutex_lock(&lock);
  struct place *at = cap ? find(p) : NULL;
  if (at && at->p) {
    len--;
    close_gap((size_t)(at - table));
  }
  pthread_mutex_unlock(&lock);
}

size_t fault_blocks(void) {
  pthread_mutex_lock(&lock);
  size_t n = len;
  pthread_mutex_unlock(&lock);
  return n;
}

void fault_print_blocks(void) {
  pthread_mutex_lock(&lock);
  for (size_t i = 0, n = 0; i < cap && n < 20; i++) {
    if (!table[i].p) continue;
    fprintf(stderr, "proa: still allocated: %s:%d\n", table[i].file,
            table[i].line);
    n++;
  }
  pthread_mutex_unlock(&lock);
}

/* -- what csrc/ calls -- */

/* The simulated network is the world, whose memory is not ours: without it
 * connections get lost, as they do. */
static bool refused(const char *file) {
  return fault_point(strstr(file, "/sim_") ? "world" : "alloc");
}

static void *known(void *p, const char *file, int line) {
  remember(p, file, line);
  return p;
}

void *fault_malloc(size_t n, const char *file, int line) {
  return refused(file) ? NULL : known((malloc)(n), file, line);
}

void *fault_calloc(size_t n, size_t size, const char *file, int line) {
  return refused(file) ? NULL : known((calloc)(n, size), file, line);
}

/* Forgotten first: the old address may be another's the moment it is free. */
void *fault_realloc(void *p, size_t n, const char *file, int line) {
  if (refused(file)) return NULL;
  forget(p);
  void *bigger = (realloc)(p, n);
  remember(bigger ? bigger : p, file, line);
  return bigger;
}

int fault_memalign(void **out, size_t align, size_t n, const char *file,
                   int line) {
  if (refused(file)) return ENOMEM;
  int r = (posix_memalign)(out, align, n);
  if (r == 0) remember(*out, file, line);
  return r;
}

char *fault_strdup(const char *text, size_t max, const char *file, int line) {
  size_t n = strnlen(text, max);
  char *copy = fault_malloc(n + 1, file, line);
  if (!copy) return NULL;
  memcpy(copy, text, n);
  copy[n] = 0;
  return copy;
}

void fault_free(void *p) {
  forget(p);
  free(p);
}
#else
typedef int fault_alloc_is_empty;
#endif
