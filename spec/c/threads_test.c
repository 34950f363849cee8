/* threads_test.c - worker threads and wake-ups, for the race detector too.
 *
 * Many ops at once go to workers and come back, some are cancelled before they
 * begin, some while they wait, some outlive the loop that submitted them; other
 * threads wake a loop that waits, again and again. Run by `make tsan` under
 * ThreadSanitizer.
 *
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "ops.h"
#include "proactor.h"

enum { OPS = 300, WAKES = 2000, WAKERS = 3 };

struct rig {
  struct proactor p;
  unsigned ended, cancelled, failed;
};

static void sink(struct op *op, const struct op_result *r) {
  struct rig *rig = op->owner;
  rig->ended++;
  if (r->res == -ECANCELED) rig->cancelled++;
  if (r->res < 0 && r->res != -ECANCELED) rig->failed++;
  proactor_discard(&rig->p, op, r);
  proactor_free(&rig->p, op);
}

static bool rig_open(struct rig *rig, const char *driver) {
  struct proactor_options o = {.driver = driver, .with.workers = 4};
  *rig = (struct rig){0};
  return proactor_open(&rig->p, &o) == 0;
}

static struct op *resolve(struct rig *rig) {
  struct op *op = proactor_op(&rig->p, &op_resolve);
  struct resolve_query *q = calloc(1, sizeof *q);
  strcpy(q->host, "127.0.0.1");
  strcpy(q->service, "80");
  op->memory = q;
  op->sink = sink;
  op->owner = rig;
  proactor_submit(&rig->p, op);
  return op;
}

static void turns(struct rig *rig, unsigned until) {
  for (int i = 0; i < 3000 && rig->ended < until; i++)
    proactor_turn(&rig->p, clock_ns() + 10 * NS_PER_MS);
}

static void work_and_cancel(const char *driver) {
  struct rig rig;
  if (!rig_open(&rig, driver)) SKIP("this driver is refused here");
  for (unsigned i = 0; i < OPS; i++) {
    struct op *op = resolve(&rig);
    if (i % 3 == 0) proactor_cancel(&rig.p, op);
    if (i % 16 == 0) proactor_turn(&rig.p, 0);
  }
  turns(&rig, OPS);
  CHECK_INT(rig.ended, ==, OPS);
  CHECK_INT(rig.failed, ==, 0);
  CHECK(proactor_close(&rig.p, NS_PER_S));
}

TEST("poll: ops on workers all end, cancelled or not") {
  work_and_cancel("poll");
}

TEST("uring: ops on workers all end, cancelled or not") {
  work_and_cancel("uring");
}

/* A job that has begun goes on by itself. */
static void leave_work(const char *driver) {
  for (int round = 0; round < 20; round++) {
    struct rig rig;
    if (!rig_open(&rig, driver)) SKIP("this driver is refused here");
    for (int i = 0; i < 8; i++) resolve(&rig);
    proactor_turn(&rig.p, 0);
    proactor_close(&rig.p, 2 * NS_PER_S);
    CHECK_INT(rig.ended, ==, 8);
  }
}

TEST("poll: a loop may end while its workers work") {
  leave_work("poll");
}

TEST("uring: a loop may end while its workers work") {
  leave_work("uring");
}

/* -- opens that wait for the other end of a FIFO -- */

struct fifo {
  char dir[32], path[48];
};

static void fifo_make(struct fifo *f) {
  strcpy(f->dir, "/tmp/proa_fifo_XXXXXX");
  REQUIRE(mkdtemp(f->dir));
  snprintf(f->path, sizeof f->path, "%s/fifo", f->dir);
  REQUIRE(mkfifo(f->path, 0600) == 0);
}

static void fifo_remove(struct fifo *f) {
  unlink(f->path);
  rmdir(f->dir);
}

static struct op *open_waiting(struct rig *rig, const struct fifo *f) {
  struct op *op = proactor_op(&rig->p, &op_open_waiting);
  op->arg.file.path = op->memory = strdup(f->path);
  op->arg.file.flags = O_WRONLY;
  op->sink = sink;
  op->owner = rig;
  proactor_submit(&rig->p, op);
  return op;
}

enum { OPENS = 100 }; /* more than may wait at once */

/* Some before they begin, some as they do, some while they wait. */
static void cancel_opens(const char *driver) {
  struct fifo f;
  struct op *ops[OPENS];
  struct rig rig;
  if (!rig_open(&rig, driver)) SKIP("this driver is refused here");
  fifo_make(&f);
  for (int i = 0; i < OPENS; i++) {
    ops[i] = open_waiting(&rig, &f);
    if (i % 4 == 0) resolve(&rig);
    if (i % 3 == 0) proactor_cancel(&rig.p, ops[i]);
  }
  turns(&rig, OPENS / 4 + OPENS / 3); /* the names do not wait for the FIFO */
  CHECK_INT(rig.ended, >=, OPENS / 4 + OPENS / 3);
  for (int i = 0; i < OPENS; i++)
    if (i % 3) proactor_cancel(&rig.p, ops[i]);
  turns(&rig, OPENS + OPENS / 4);
  CHECK_INT(rig.ended, ==, OPENS + OPENS / 4);
  CHECK_INT(rig.cancelled, ==, OPENS);
  CHECK_INT(rig.failed, ==, 0);
  CHECK(proactor_close(&rig.p, NS_PER_S));
  fifo_remove(&f);
}

TEST("poll: an open that waits ends when it is cancelled") {
  cancel_opens("poll");
}

TEST("uring: an open that waits ends when it is cancelled") {
  cancel_opens("uring");
}

static void leave_opens(const char *driver) {
  struct fifo f;
  struct rig rig;
  if (!rig_open(&rig, driver)) SKIP("this driver is refused here");
  fifo_make(&f);
  for (int i = 0; i < OPENS; i++) open_waiting(&rig, &f);
  proactor_turn(&rig.p, 0);
  CHECK(proactor_close(&rig.p, 20 * NS_PER_S));
  CHECK_INT(rig.cancelled, ==, OPENS);
  fifo_remove(&f);
}

TEST("poll: a loop that ends calls back what waits") {
  leave_opens("poll");
}

TEST("uring: a loop that ends calls back what waits") {
  leave_opens("uring");
}

static void *wake_often(void *arg) {
  for (int i = 0; i < WAKES; i++) proactor_wake(arg);
  return NULL;
}

static void wake_from_threads(const char *driver) {
  struct rig rig;
  pthread_t id[WAKERS];
  if (!rig_open(&rig, driver)) SKIP("this driver is refused here");
  for (int i = 0; i < WAKERS; i++)
    REQUIRE(pthread_create(&id[i], NULL, wake_often, &rig.p) == 0);
  for (int i = 0; i < 200; i++) proactor_turn(&rig.p, clock_ns() + NS_PER_MS);
  for (int i = 0; i < WAKERS; i++) pthread_join(id[i], NULL);
  proactor_wake(&rig.p); /* the last wake is never lost */
  uint64_t before = clock_ns();
  for (int i = 0; i < 3; i++) proactor_turn(&rig.p, before + NS_PER_S / 100);
  proactor_wake(&rig.p);
  before = clock_ns();
  proactor_turn(&rig.p, before + 20 * NS_PER_S);
  CHECK_INT(clock_ns() - before, <, 10 * NS_PER_S);
  CHECK(proactor_close(&rig.p, NS_PER_S));
}

TEST("poll: other threads wake a loop that waits") {
  wake_from_threads("poll");
}

TEST("uring: other threads wake a loop that waits") {
  wake_from_threads("uring");
}
