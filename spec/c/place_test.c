/* place_test.c - where tasks are spawned: shared, bounded, never failing.
 *
 * SPDX-License-Identifier: MIT */
#include "place.h"

#include <stdio.h>

#include "check.h"
#include "fault.h"

TEST("one line under one spawner is one place, another is another") {
  struct places p = {0};
  uint32_t a = place_find(&p, PLACE_MAIN, "a.lua", 1);
  uint32_t b = place_find(&p, a, "a.lua", 2);
  CHECK(a > PLACE_UNKNOWN && b > PLACE_UNKNOWN && a != b);
  CHECK_INT(place_find(&p, PLACE_MAIN, "a.lua", 1), ==, a);
  CHECK_INT(place_find(&p, a, "a.lua", 2), ==, b);
  CHECK(place_find(&p, PLACE_MAIN, "a.lua", 2) != b);
  CHECK(place_find(&p, PLACE_MAIN, "b.lua", 1) != a);
  CHECK_INT(place_at(&p, b)->parent, ==, a);
  CHECK_INT(place_at(&p, b)->line, ==, 2);
  places_deinit(&p);
}

TEST("of a long name the end is kept") {
  struct places p = {0};
  const char *name = "/a/directory/with/a/rather/long/name/file.lua";
  uint32_t a = place_find(&p, PLACE_MAIN, name, 1);
  CHECK_STRING(place_at(&p, a)->file, strrchr(name, '/') - 26);
  CHECK_INT(place_find(&p, PLACE_MAIN, name, 1), ==, a);
  places_deinit(&p);
}

TEST("a chain of tasks, each spawned by the last, has few places") {
  struct places p = {0};
  uint32_t at = PLACE_MAIN, other = PLACE_MAIN;
  for (int i = 0; i < 100000; i++) at = place_find(&p, at, "chain.lua", 1);
  CHECK(place_at(&p, at)->again);
  for (int i = 0; i < 100000; i++)
    other = place_find(&p, other, "pair.lua", 1 + i % 2);
  CHECK_INT(p.n, <, 4 * PLACE_DEPTH_MAX);
  places_deinit(&p);
}

TEST("beyond the most there may be, a place has no name") {
  struct places p = {0};
  char name[32];
  uint32_t first = place_find(&p, PLACE_MAIN, "0", 0), last = first;
  for (int i = 1; i < 2 * PLACES_MAX; i++) {
    snprintf(name, sizeof name, "%d", i);
    last = place_find(&p, PLACE_MAIN, name, i);
  }
  CHECK_INT(last, ==, PLACE_UNKNOWN);
  CHECK_STRING(place_at(&p, last)->file, "?");
  CHECK_INT(place_find(&p, PLACE_MAIN, "0", 0), ==, first);
  CHECK_INT(p.n, ==, PLACES_MAX);
  places_deinit(&p);
  CHECK_STRING(place_at(&p, first)->file, "?");
}

TEST("without memory a place has no name, and the next may have one") {
#ifdef PROA_DEBUG
  struct places p = {0};
  fault_arm("places_grow", 1, true);
  CHECK_INT(place_find(&p, PLACE_MAIN, "a.lua", 1), ==, PLACE_UNKNOWN);
  fault_arm(NULL, 0, false);
  CHECK(place_find(&p, PLACE_MAIN, "a.lua", 1) > PLACE_UNKNOWN);
  places_deinit(&p);
#else
  SKIP("fault points are in debug builds");
#endif
}
