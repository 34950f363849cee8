/* malloc_hint.h - what glibc's allocator and the kernel are told of our use.
 *
 * Lua's memory comes from malloc, whoever embeds Lua; these are hints about
 * the main heap of the process, given where measuring showed what they are
 * worth. Without glibc, or with another allocator, they do nothing.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_MALLOC_HINT_H
#define PROA_MALLOC_HINT_H

/* Memory that is freed at the top of the heap is wanted again soon. */
void malloc_hint_reuse(void);

/* The heap grows by many small blocks that live together; `block` is one of
 * the newest. Cheap: it may be called for each of them. */
void malloc_hint_growth(const void *block);

#endif
