/* ptrmap_test.c - the pointer map against an array.
 *
 * SPDX-License-Identifier: MIT */
#include "ptrmap.h"

#include "check.h"
#include "dies.h"
#include "fault.h"

enum { N = 500, STEPS = 50000 };

static uint64_t dice = 99;

static uint64_t roll(uint64_t n) {
  dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (dice >> 33) % n;
}

/* Addresses as malloc gives them: 16 apart. */
static const void *key(size_t i) {
  static const char base[N * 16];
  return base + i * 16;
}

static void compare(const struct ptrmap *m, void *const *values) {
  size_t len = 0;
  for (size_t i = 0; i < N; i++) {
    CHECK(ptrmap_get(m, key(i)) == values[i]);
    if (values[i]) len++;
  }
  CHECK_INT(m->len, ==, len);
}

TEST("what is set is found, what is removed is not, in any order") {
  static int things[8];
  static void *values[N];
  struct ptrmap m = {0};
  for (int step = 0; step < STEPS && !check_misses; step++) {
    size_t i = roll(N);
    if (roll(2)) {
      values[i] = &things[roll(8)];
      CHECK_INT(ptrmap_set(&m, key(i), values[i]), ==, 0);
    } else {
      values[i] = NULL;
      ptrmap_remove(&m, key(i));
    }
    if (step % 100 == 0) compare(&m, values);
  }
  for (size_t i = 0; i < N; i++) ptrmap_remove(&m, key(i));
  CHECK_INT(m.len, ==, 0);
  ptrmap_deinit(&m);
}

TEST("entries behind a removed one are still found") {
  struct ptrmap m = {0};
  int thing;
  for (size_t i = 0; i < 24; i++) ptrmap_set(&m, key(i), &thing);
  for (size_t gone = 0; gone < 24; gone++) {
    ptrmap_remove(&m, key(gone));
    for (size_t i = 0; i < 24; i++)
      CHECK(ptrmap_get(&m, key(i)) == (i > gone ? &thing : NULL));
  }
  ptrmap_deinit(&m);
}

TEST("setting a key again replaces its value") {
  struct ptrmap m = {0};
  int a, b;
  ptrmap_set(&m, key(1), &a);
  ptrmap_set(&m, key(1), &b);
  CHECK(ptrmap_get(&m, key(1)) == &b);
  CHECK_INT(m.len, ==, 1);
  ptrmap_deinit(&m);
}

TEST("an empty map has nothing to give or to remove") {
  struct ptrmap m = {0};
  CHECK(ptrmap_get(&m, key(1)) == NULL);
  ptrmap_remove(&m, key(1));
  ptrmap_deinit(&m);
  ptrmap_deinit(&m);
}

static void set_null(void *map) {
  ptrmap_set(map, NULL, map);
}

TEST("NULL is no key") {
  struct ptrmap m = {0};
  CHECK(dies(set_null, &m));
}

TEST("without memory nothing changes") {
#ifdef PROA_DEBUG
  struct ptrmap m = {0};
  int thing;
  fault_arm("ptrmap_grow", 1, false);
  CHECK_INT(ptrmap_set(&m, key(1), &thing), ==, -ENOMEM);
  CHECK(ptrmap_get(&m, key(1)) == NULL);
  for (size_t i = 0; i < 24; i++) ptrmap_set(&m, key(i), &thing);
  fault_arm("ptrmap_grow", 1, true);
  CHECK_INT(ptrmap_set(&m, key(24), &thing), ==, -ENOMEM);
  CHECK_INT(ptrmap_reserve(&m, 1), ==, -ENOMEM);
  fault_arm(NULL, 0, false);
  CHECK_INT(ptrmap_reserve(&m, 100), ==, 0);
  fault_arm("ptrmap_grow", 1, true);
  for (size_t i = 24; i < 124; i++)
    CHECK_INT(ptrmap_set(&m, key(i), &thing), ==, 0);
  fault_arm(NULL, 0, false);
  for (size_t i = 24; i < 124; i++) ptrmap_remove(&m, key(i));
  CHECK_INT(m.len, ==, 24);
  CHECK(ptrmap_get(&m, key(23)) == &thing);
  ptrmap_deinit(&m);
#else
  SKIP("fault points are in debug builds");
#endif
}
