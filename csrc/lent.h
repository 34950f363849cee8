/* lent.h - memory that the kernel may be given.
 *
 * The kernel writes behind the back of every tool, so in a debug build such a
 * block lies between guard pages, and when it is freed it becomes a guard page
 * for a while: what the kernel writes late is the error EFAULT of an op, and
 * ledger.c says whose. In a release build these are malloc and free.
 * Layer 0. Used for buffers, received chunks and segments to send.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LENT_H
#define PROA_LENT_H

#include <stdlib.h>

#include "base.h"

#ifdef PROA_DEBUG
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
/* What the kernel wrote, for memcheck, which saw nobody write. */
#define lent_defined(p, n) ((void)VALGRIND_MAKE_MEM_DEFINED(p, (size_t)(n)))
#define lent_undefined(p, n) ((void)VALGRIND_MAKE_MEM_UNDEFINED(p, n))
#else
#define lent_defined(p, n) ((void)(p))
#define lent_undefined(p, n) ((void)(p))
#endif

enum { LENT_POISON = 0xa5 };

/* Poisoned. From a page up on a page boundary; below that it ends where a
 * guard page begins. NULL: no memory. */
void *lent_alloc(size_t n);
void lent_free(void *p); /* NULL is fine */

/* Was it freed, and is a guard now? */
bool lent_is_freed(const void *p);
size_t lent_blocks(void);
bool lent_is_poison(const void *bytes, size_t n);

/* Of bytes that must not change meanwhile. */
uint64_t lent_sum(uint64_t sum, const void *bytes, size_t n);
#else
#define lent_alloc(n) malloc(n)
#define lent_free(p) free(p)
#define lent_defined(p, n) ((void)(p))
#endif

#endif
