/* fault_alloc.h - in a debug build, the allocations of csrc/ are ours.
 *
 * The compiler includes this before every file of csrc/ (see the Makefile),
 * so that each malloc is a fault point ("alloc") and is counted where it was
 * made: what is left at the end names its file and line. Nobody includes it,
 * and a release build has never heard of it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_FAULT_ALLOC_H
#define PROA_FAULT_ALLOC_H

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

void *fault_malloc(size_t n, const char *file, int line);
void *fault_calloc(size_t n, size_t size, const char *file, int line);
void *fault_realloc(void *p, size_t n, const char *file, int line);
int fault_memalign(void **out, size_t align, size_t n, const char *file,
                   int line);
char *fault_strdup(const char *text, size_t max, const char *file, int line);
void fault_free(void *p);

/* Blocks that are allocated now. */
size_t fault_blocks(void);
/* Prints where they were made, at most 20 places, to stderr. */
void fault_print_blocks(void);

#define malloc(n) fault_malloc(n, __FILE__, __LINE__)
#define calloc(n, size) fault_calloc(n, size, __FILE__, __LINE__)
#define realloc(p, n) fault_realloc(p, n, __FILE__, __LINE__)
#define posix_memalign(out, align, n) \
  fault_memalign(out, align, n, __FILE__, __LINE__)
#define strdup(text) fault_strdup(text, SIZE_MAX, __FILE__, __LINE__)
#define strndup(text, max) fault_strdup(text, max, __FILE__, __LINE__)
#define free fault_free /* members of that name too: no harm */

#endif
