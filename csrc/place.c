/* place.c - where tasks were spawned. See place.h.
 *
 * SPDX-License-Identifier: MIT */
#include "place.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "fault.h"

enum { CAP_MIN = 32 };

static const struct place main_place = {.file = "main chunk"},
                          unknown = {.file = "?"};

void places_deinit(struct places *p) {
  free(p->all);
  free(p->slots);
  *p = (struct places){0};
}

const struct place *place_at(const struct places *p, uint32_t number) {
  if (number == PLACE_MAIN) return &main_place;
  return number < p->n && number != PLACE_UNKNOWN ? &p->all[number] : &unknown;
}

static uint32_t place_hash(const struct place *k, size_t len) {
  uint32_t h = k->parent * 0x9e3779b1u ^ (uint32_t)k->line * 0x85ebca6bu;
  return (h ^ (uint32_t)len * 0xc2b2ae35u ^ k->again) * 0x27d4eb2fu >> 8;
}

static bool same_line(const struct place *a, const struct place *b) {
  return a->line == b->line && strcmp(a->file, b->file) == 0;
}

static bool place_equal(const struct place *a, const struct place *b) {
  return a->parent == b->parent && a->again == b->again && a->cut == b->cut &&
         same_line(a, b);
}

/* Its slot, or the free one where it belongs. */
static uint32_t *find_slot(const struct places *p, const struct place *k,
                           size_t len) {
  uint32_t mask = p->slot_n - 1, i = place_hash(k, len) & mask;
  while (p->slots[i] && !place_equal(&p->all[p->slots[i]], k))
    i = (i + 1) & mask;
  return &p->slots[i];
}

/* Twice as many slots as places, so that there is always a free one. */
static bool grow(struct places *p) {
  uint32_t cap = p->cap ? p->cap * 2 : CAP_MIN;
  if (fault_point("places_grow")) return false;
  struct place *all = calloc(cap, sizeof *all), *before = p->all;
  uint32_t *slots = calloc(cap * 2, sizeof *slots);
  if (!all || !slots) {
    free(all);
    free(slots);
    return false;
  }
  if (before) memcpy(all, before, p->n * sizeof *all);
  p->all = all;
  atomic_signal_fence(memory_order_seq_cst); /* a handler may read them */
  free(before);
  free(p->slots);
  p->slots = slots;
  p->slot_n = cap * 2;
  p->cap = cap;
  if (!p->n) p->n = PLACE_UNKNOWN + 1;
  for (uint32_t i = PLACE_UNKNOWN + 1; i < p->n; i++)
    *find_slot(p, &p->all[i], strlen(p->all[i].file)) = i;
  return true;
}

static uint32_t place_add(struct places *p, const struct place *k, size_t len) {
  if (p->n == PLACES_MAX || (p->n == p->cap && !grow(p))) return PLACE_UNKNOWN;
  p->all[p->n] = *k;
  *find_slot(p, k, len) = p->n;
  return p->n++;
}

/* Below whom. From the third on a task that was spawned where its spawner was
 * adds no generation, so that a chain of them, each born of the last, comes to
 * an end. */
static void place_under(const struct places *p, struct place *k) {
  const struct place *parent = place_at(p, k->parent),
                     *other = place_at(p, parent->parent);
  k->again = same_line(parent, k) && (parent->again || same_line(other, k));
  if (k->again) k->parent = parent->again ? parent->parent : other->parent;
  k->cut = k->again ? parent->cut : parent->depth >= PLACE_DEPTH_MAX;
  if (k->cut) k->parent = PLACE_UNKNOWN;
  k->depth = k->again ? parent->depth : k->cut ? 1 : parent->depth + 1;
}

static uint32_t find(struct places *p, struct place *k, size_t len) {
  place_under(p, k);
  if (!p->cap && !grow(p)) return PLACE_UNKNOWN;
  uint32_t found = *find_slot(p, k, len);
  return found ? found : place_add(p, k, len);
}

uint32_t place_search(struct places *p, uint32_t parent, const char *file,
                      int line) {
  struct place k = {.parent = parent, .line = line};
  size_t len = strlen(file);
  assert(len < sizeof k.file);
  memcpy(k.file, file, len);
  uint32_t found = find(p, &k, len);
  p->last = found == PLACE_UNKNOWN ? 0 : found;
  p->last_parent = parent;
  return found;
}
