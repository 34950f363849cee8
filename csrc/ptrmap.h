/* ptrmap.h - a map from pointer to pointer.
 *
 * Open addressing, linear probing, no tombstones (deletion shifts back). The
 * map owns its array, neither keys nor values. The executor keeps here which
 * coroutine inside a task awaits, because Lua offers no field for it that
 * another library could not use as well.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_PTRMAP_H
#define PROA_PTRMAP_H

#include "base.h"

struct ptrmap_entry {
  const void *key;
  void *value;
};

struct ptrmap {
  struct ptrmap_entry *entries;
  size_t len, cap; /* cap is 0 or a power of two */
};

void ptrmap_deinit(struct ptrmap *m);

/* Room for n more keys, so that setting them can't fail; -ENOMEM. */
int ptrmap_reserve(struct ptrmap *m, size_t n);

/* Set key (not NULL) to value, replacing. -ENOMEM leaves all as it was. */
int ptrmap_set(struct ptrmap *m, const void *key, void *value);

/* The value, or NULL. */
void *ptrmap_get(const struct ptrmap *m, const void *key);

/* Some key that has this value, or NULL. Walks the map. */
const void *ptrmap_find(const struct ptrmap *m, const void *value);

/* Take key out; nothing happens when it is not there. */
void ptrmap_remove(struct ptrmap *m, const void *key);

#endif
