/* sim_test.c - the simulated driver: its clock, its chaos, what it keeps.
 *
 * Most tests run over many seeds; a failure prints the seed. The network
 * itself is tested in sim_net_test.c, cancels in sim_cancel_test.c, what is
 * not simulated in sim_outside_test.c.
 *
 * SPDX-License-Identifier: MIT */
#include <pthread.h>

#include "fault.h"
#include "sim_reader.h"

/* -- the clock -- */

TEST("the clock starts at one second and jumps to the time that is waited "
     "for") {
  rig_open(1, 1);
  uint64_t now = driver_sim.now(rig.driver);
  CHECK_INT(now, ==, NS_PER_S);
  rig_turn(now + 3600 * NS_PER_S);
  CHECK_INT(driver_sim.now(rig.driver) - now, ==, 3600 * NS_PER_S);
  rig_close();
}

TEST("a turn that may not wait takes a little time, so loops end") {
  rig_open(1, 1);
  uint64_t before = driver_sim.now(rig.driver);
  rig_turn(0);
  uint64_t took = driver_sim.now(rig.driver) - before;
  CHECK(took > 0 && took < NS_PER_MS);
  struct op *op = rig_op(&op_nop, NULL, NULL, NULL);
  rig_submit(op);
  int turns = 0;
  for (; op_in_flight(op) && turns < 1000; turns++) rig_turn(0);
  CHECK_INT(turns, <, 200);
  op_free(&rig.ops, op);
  rig_close();
}

TEST("a result comes before the time that is waited for") {
  SEEDS(50) {
    rig_open(seed, 1);
    uint64_t before = driver_sim.now(rig.driver);
    CHECK_INT(rig_do(rig_op(&op_nop, NULL, NULL, NULL)), ==, 0);
    CHECK_INT(driver_sim.now(rig.driver) - before, <, NS_PER_MS);
    rig_close();
  }
}

static void *wake_soon(void *driver) {
  driver_sim.wake(driver);
  return NULL;
}

TEST("with nothing to come a wait blocks until it is woken") {
  rig_open(1, 1);
  pthread_t other;
  CHECK_INT(pthread_create(&other, NULL, wake_soon, rig.driver), ==, 0);
  rig_turn(NEVER_NS);
  pthread_join(other, NULL);
  CHECK_INT(driver_sim.now(rig.driver), <, 2 * NS_PER_S);
  driver_sim.wake(rig.driver); /* before the wait is as good */
  rig_turn(NEVER_NS);
  rig_close();
}

/* -- order and chaos -- */

static int order[8], order_n;
static uint64_t order_turn[8];

static void note_order(struct op *op, const struct op_result *r) {
  (void)r;
  order_turn[order_n] = rig.turns;
  order[order_n++] = (int)(intptr_t)op->owner;
}

static void run_nops(void) {
  struct op *ops[8];
  order_n = 0;
  for (int i = 0; i < 8; i++) {
    ops[i] = rig_op(&op_nop, NULL, note_order, (void *)(intptr_t)i);
    rig_submit(ops[i]);
  }
  rig_drain();
  for (int i = 0; i < 8; i++) op_free(&rig.ops, ops[i]);
}

TEST("without chaos all is done at once and in order") {
  rig_open(7, 0);
  run_nops();
  for (int i = 0; i < 8; i++) CHECK_INT(order[i], ==, i);
  CHECK_INT(driver_sim.now(rig.driver) - NS_PER_S, <, 10000);
  rig_close();
}

TEST("with chaos ops end in any order") {
  int changed = 0;
  SEEDS(20) {
    rig_open(seed, 1);
    run_nops();
    for (int i = 0; i < 8; i++)
      if (order[i] != i) changed++;
    rig_close();
  }
  CHECK_INT(changed, >, 20);
}

TEST("results that are due together change places") {
  int changed = 0;
  SEEDS(20) {
    rig_open(seed, 1);
    rig.net->knobs.delay_max_ns = 0;
    for (int i = 0; i < 50; i++) {
      run_nops();
      for (int n = 1; n < 8; n++)
        if (order_turn[n] == order_turn[n - 1] && order[n] < order[n - 1])
          changed++;
    }
    rig_close();
  }
  CHECK_INT(changed, >, 100);
}

TEST("now and then a driver has no room for an op, until it has waited") {
  rig_open(1, 1);
  for (int i = 0; i < 1000; i++)
    CHECK_INT(rig_do(rig_op(&op_nop, NULL, NULL, NULL)), ==, 0);
  CHECK(rig.refusals > 5 && rig.refusals < 50);
  rig_close();
}

/* -- streams of bytes -- */

/* `total` bytes through a pair; the reader's record tells how it went. */
static struct reader transfer(size_t total, bool multi) {
  struct handle h[2];
  struct reader r;
  rig_pair(h);
  reader_begin(&r, &h[1], multi);
  struct op *send = rig_io(&op_send, &h[0], pattern_bytes(total), total);
  CHECK_INT(rig_do(send), ==, total);
  struct op *end = rig_op(&op_shutdown, &h[0], NULL, NULL);
  end->arg.how = SHUT_WR;
  CHECK_INT(rig_do(end), ==, 0);
  rig_drain();
  CHECK(r.eof);
  CHECK_INT(r.got, ==, total);
  op_free(&rig.ops, r.op);
  rig_shut(&h[0]);
  rig_shut(&h[1]);
  return r;
}

TEST("a receive may bring less than there is, and so may a send") {
  int less = 0, less_sent = 0;
  SEEDS(200) {
    struct handle h[2];
    unsigned char room[100];
    rig_open(seed, 1);
    rig_pair(h);
    struct op *send = rig_io(&op_send, &h[0], pattern_bytes(100), 100);
    CHECK_INT(rig_do(send), ==, 100); /* `finish` asks for the rest */
    if (rig.completions > 1) less_sent++;
    int n = rig_do(rig_io(&op_recv, &h[1], room, 100));
    CHECK(n > 0 && n <= 100);
    if (n < 100) less++;
    while (n < 100) n += rig_do(rig_io(&op_recv, &h[1], room, 100));
    rig_shut(&h[0]);
    rig_shut(&h[1]);
    rig_close();
  }
  CHECK(less > 20 && less < 180);
  CHECK(less_sent > 20 && less_sent < 180);
}

TEST("bytes arrive intact over 1000 seeds, one receive at a time") {
  SEEDS(1000) {
    rig_open(seed, 1 + seed % 3);
    transfer(1 + seed * 37 % 20000, false);
    rig_close();
  }
}

TEST("bytes arrive intact over 1000 seeds, by multishot receives") {
  unsigned early = 0, enobufs = 0;
  SEEDS(1000) {
    struct driver_options o = {.seed = seed, .buffers = 8, .buffer_size = 512};
    rig_open_with(&o, 1 + seed % 3);
    struct reader r = transfer(1 + seed * 37 % 20000, true);
    early += r.early;
    enobufs += r.enobufs;
    rig_close();
  }
  CHECK_INT(early, >, 1000); /* they do end early */
  CHECK_INT(enobufs, >, 1000);
}

TEST("more than the queue holds goes through, in parts") {
  rig_open(3, 0);
  transfer(1 << 18, true);
  CHECK_INT(rig.completions, >, 4);
  rig_close();
}

TEST("an empty pool ends a multishot receive, and no byte is lost") {
  struct driver_options o = {.seed = 1, .buffers = 2, .buffer_size = 10};
  struct handle h[2];
  rig_open_with(&o, 0);
  rig_pair(h);
  results_n = 0;
  struct op *send = rig_io(&op_send, &h[0], pattern_bytes(25), 25);
  CHECK_INT(rig_do(send), ==, 25);
  struct op *op = rig_op(&op_recv_multi, &h[1], keep_result, NULL);
  rig_submit(op);
  rig_drain();
  REQUIRE(results_n == 3);
  CHECK_INT(results[0].res, ==, 10);
  CHECK_INT(results[0].flags, ==, RESULT_MORE | RESULT_BUFFER);
  CHECK_INT(results[1].res, ==, 10);
  CHECK_INT(results[2].res, ==, -ENOBUFS);
  CHECK_INT(results[2].flags, ==, 0);
  pool_give(&rig.driver->pool, results[0].bid);
  pool_give(&rig.driver->pool, results[1].bid);
  unsigned char rest[10];
  CHECK_INT(rig_do(rig_io(&op_recv, &h[1], rest, 10)), ==, 5);
  CHECK_INT(rest[0], ==, pattern(20));
  op_free(&rig.ops, op);
  rig_shut(&h[0]);
  rig_shut(&h[1]);
  rig_close();
}

/* -- replay -- */

static uint64_t trace(uint64_t seed) {
  rig_open(seed, 1);
  transfer(30000, true);
  uint64_t hash = rig.hash ^ driver_sim.now(rig.driver);
  rig_close();
  return hash;
}

TEST("the same seed gives the same completions at the same times") {
  int differ = 0;
  SEEDS(50) {
    uint64_t first = trace(seed);
    CHECK(trace(seed) == first);
    if (trace(seed + 1) != first) differ++;
  }
  CHECK_INT(differ, ==, 50);
  CHECK(trace(0) == trace(1)); /* 0 is the default seed */
}

/* -- many, and anything -- */

TEST("a thousand waiting receives cost nothing while one pair talks") {
  enum { N = 1000 };
  static struct handle idle[N][2];
  static struct op *ops[N];
  static char room[N];
  rig_open(1, 1);
  for (int i = 0; i < N; i++) {
    rig_pair(idle[i]);
    ops[i] = rig_io(&op_recv, &idle[i][0], &room[i], 1);
    rig_submit(ops[i]);
  }
  for (int i = 0; i < 200; i++) rig_turn(0);
  uint64_t before = rig.completions;
  struct handle h[2];
  struct reader r;
  rig_pair(h);
  reader_begin(&r, &h[1], false);
  for (int i = 0; i < 1000; i++) {
    struct op *send = rig_io(&op_send, &h[0], pattern_bytes(1000) + i, 1);
    CHECK_INT(rig_do(send), ==, 1);
  }
  rig_shut(&h[0]);
  while (!r.eof) rig_turn(NEVER_NS);
  CHECK_INT(r.got, ==, 1000);
  CHECK_INT(rig.completions - before, <, 2500); /* none of them was touched */
  CHECK_INT(rig.driver->enters, ==, 0);         /* and no system call made */
  op_free(&rig.ops, r.op);
  rig_shut(&h[1]);
  for (int i = 0; i < N; i++) rig_cancel(ops[i]);
  rig_drain();
  for (int i = 0; i < N; i++) {
    CHECK_INT(ops[i]->res, ==, -ECANCELED);
    op_free(&rig.ops, ops[i]);
    rig_shut(&idle[i][0]);
    rig_shut(&idle[i][1]);
  }
  rig_close();
}

TEST("a driver that could not be drained leaves what its ops use") {
  struct driver_options o = {.seed = 1};
  char byte;
  struct handle h[2];
  static struct driver *leaked; /* still reachable */
  rig_open_with(&o, 1);
  rig_pair(h);
  struct op *op = rig_io(&op_recv, &h[0], &byte, 1);
  rig_submit(op);
  rig_turn(0);
  leaked = rig.driver;
  driver_sim.close(rig.driver, false);
  CHECK(leaked->class == &driver_sim && op->job);
  driver_sim.cancel(leaked, op); /* to end the test without a leak */
  while (!op->reaped) driver_sim.wait(leaked, NEVER_NS);
  op_step(op, OP_COMPLETED);
  op_free(&rig.ops, op);
  driver_sim.close(leaked, true);
  op_table_deinit(&rig.ops);
}

TEST("without memory an op ends with ENOMEM, and a driver does not open") {
#ifdef PROA_DEBUG
  static const char *const points[] = {"sim_op", "heap_grow"};
  char why[REASON_MAX] = "";
  struct driver *d;
  for (size_t i = 0; i < countof(points); i++) {
    rig_open(1, 0);
    fault_arm(points[i], 1, false);
    CHECK_INT(rig_do(rig_op(&op_nop, NULL, NULL, NULL)), ==, -ENOMEM);
    CHECK_INT(rig_do(rig_op(&op_nop, NULL, NULL, NULL)), ==, 0);
    rig_close();
  }
  struct driver_options o = {.seed = 1};
  fault_arm("driver_open", 1, false);
  CHECK_INT(driver_sim.open(&d, &rig.ops, &o, why), ==, -ENOMEM);
  CHECK_STRING(why, "sim driver: no memory");
#else
  SKIP("fault points are in debug builds");
#endif
}
