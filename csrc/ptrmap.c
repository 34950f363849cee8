/* ptrmap.c - pointer map, open addressing. See ptrmap.h.
 *
 * Owns the array of entries.
 *
 * SPDX-License-Identifier: MIT */
#include "ptrmap.h"

#include <stdlib.h>

#include "fault.h"

enum { CAP_MIN = 32 };

static size_t home(const struct ptrmap *m, const void *key) {
  uint64_t x = (uint64_t)(uintptr_t)key >> 4;
  return (size_t)((x * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (m->cap - 1);
}

/* Where key is, or the free place where it would go. */
static size_t find(const struct ptrmap *m, const void *key) {
  size_t i = home(m, key);
  while (m->entries[i].key && m->entries[i].key != key)
    i = (i + 1) & (m->cap - 1);
  return i;
}

static int grow(struct ptrmap *m) {
  struct ptrmap bigger = {.cap = m->cap ? m->cap * 2 : CAP_MIN};
  if (fault_point("ptrmap_grow")) return -ENOMEM;
  bigger.entries = calloc(bigger.cap, sizeof *bigger.entries);
  if (!bigger.entries) return -ENOMEM;
  for (size_t i = 0; i < m->cap; i++)
    if (m->entries[i].key)
      bigger.entries[find(&bigger, m->entries[i].key)] = m->entries[i];
  bigger.len = m->len;
  free(m->entries);
  *m = bigger;
  return 0;
}

void ptrmap_deinit(struct ptrmap *m) {
  free(m->entries);
  *m = (struct ptrmap){0};
}

int ptrmap_reserve(struct ptrmap *m, size_t n) {
  while ((m->len + n - 1) * 4 >= m->cap * 3)
    if (grow(m) < 0) return -ENOMEM;
  return 0;
}

int ptrmap_set(struct ptrmap *m, const void *key, void *value) {
  assert(key);
  if (m->len * 4 >= m->cap * 3 && grow(m) < 0) return -ENOMEM;
  size_t i = find(m, key);
  if (!m->entries[i].key) m->len++;
  m->entries[i] = (struct ptrmap_entry){key, value};
  return 0;
}

void *ptrmap_get(const struct ptrmap *m, const void *key) {
  if (!m->len) return NULL;
  const struct ptrmap_entry *e = &m->entries[find(m, key)];
  return e->key ? e->value : NULL;
}

const void *ptrmap_find(const struct ptrmap *m, const void *value) {
  for (size_t i = 0; i < m->cap; i++) {
    const struct ptrmap_entry *e = &m->entries[i];
    if (e->key && e->value == value) return e->key;
  }
  return NULL;
}

void ptrmap_remove(struct ptrmap *m, const void *key) {
  if (!m->len) return;
  size_t mask = m->cap - 1, hole = find(m, key);
  if (!m->entries[hole].key) return;
  m->len--;
  for (size_t i = (hole + 1) & mask; m->entries[i].key; i = (i + 1) & mask) {
    /* The entry may move back when its home is not between hole and it. */
    size_t from_home = (i - home(m, m->entries[i].key)) & mask;
    if (from_home < ((i - hole) & mask)) continue;
    m->entries[hole] = m->entries[i];
    hole = i;
  }
  m->entries[hole] = (struct ptrmap_entry){0};
}
