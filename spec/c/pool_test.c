/* pool_test.c - the pool of equal buffers: taken once, given once.
 *
 * SPDX-License-Identifier: MIT */
#include "pool.h"

#include "check.h"
#include "dies.h"
#include "fault.h"

TEST("every buffer can be taken once, then there are none") {
  struct pool p;
  bool seen[8] = {false};
  REQUIRE(pool_init(&p, 8, 100) == 0);
  for (int i = 0; i < 8; i++) {
    int id = pool_take(&p);
    REQUIRE(id >= 0 && id < 8);
    CHECK(!seen[id]);
    seen[id] = true;
  }
  CHECK_INT(p.free_n, ==, 0);
  CHECK_INT(pool_take(&p), ==, -ENOBUFS);
  pool_give(&p, 3);
  CHECK_INT(p.free_n, ==, 1);
  CHECK_INT(pool_take(&p), ==, 3);
  pool_deinit(&p);
}

TEST("buffers do not overlap and can be written to their ends") {
  struct pool p;
  REQUIRE(pool_init(&p, 4, 100) == 0);
  for (int i = 0; i < 4; i++) {
    int id = pool_take(&p);
    memset(pool_at(&p, (uint16_t)id), 'a' + id, p.size);
  }
  for (int id = 0; id < 4; id++)
    for (uint32_t at = 0; at < p.size; at++)
      CHECK_INT(pool_at(&p, (uint16_t)id)[at], ==, 'a' + id);
  pool_deinit(&p);
}

static int given;

static void on_give(struct pool *p, uint16_t id) {
  CHECK(p->driver == &given);
  given = id;
}

TEST("a pool that its driver picks from tells it what comes back") {
  struct pool p;
  REQUIRE(pool_init(&p, 4, 64) == 0);
  p.on_give = on_give;
  p.driver = &given;
  pool_took(&p, 2);
  CHECK_INT(p.free_n, ==, 3);
  pool_give(&p, 2);
  CHECK_INT(given, ==, 2);
  CHECK_INT(p.free_n, ==, 4);
  pool_deinit(&p);
}

static void give_zero(void *pool) {
  pool_give(pool, 0);
}
static void give_beyond(void *pool) {
  pool_give(pool, 4);
}
static void take_zero(void *pool) {
  pool_took(pool, 0);
}
static void init_three(void *pool) {
  pool_init(pool, 3, 64);
}

TEST("giving or taking twice, or what is not there, is our bug") {
  struct pool p;
  REQUIRE(pool_init(&p, 4, 64) == 0);
  CHECK(dies(give_zero, &p));
  CHECK(dies(give_beyond, &p));
  pool_took(&p, 0);
  CHECK(dies(take_zero, &p));
  pool_give(&p, 0);
  CHECK(dies(give_zero, &p));
  CHECK(dies(init_three, &p));
  pool_deinit(&p);
  pool_deinit(&p); /* a closed pool may be closed again */
}

TEST("without memory there is no pool, and nothing is left of it") {
#ifdef PROA_DEBUG
  struct pool p;
  fault_arm("pool_init", 1, false);
  CHECK_INT(pool_init(&p, 4, 64), ==, -ENOMEM);
  CHECK(!p.base && !p.free && !p.taken);
  REQUIRE(pool_init(&p, 4, 64) == 0);
  fault_arm("pool_take", 1, false);
  CHECK_INT(pool_take(&p), ==, -ENOBUFS);
  CHECK_INT(p.free_n, ==, 4);
  pool_deinit(&p);
#else
  SKIP("fault points are in debug builds");
#endif
}
