/* handle_test.c - closing handles when there is no memory for it.
 *
 * Every op record is taken and no more can be made: the closes take turns with
 * the one that is kept for them, and each is told. Needs fault points.
 *
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "fault.h"
#include "proactor.h"

enum { PAIRS = 4, TAKEN_MAX = 4096 };

#ifdef PROA_DEBUG
static struct op *taken[TAKEN_MAX];

static unsigned take_all(struct proactor *p) {
  unsigned n = 0;
  while (!list_empty(&p->ops.free)) {
    assert(n < TAKEN_MAX);
    taken[n++] = proactor_op(p, &op_close);
  }
  return n;
}

static void count(struct op *op, const struct op_result *r) {
  unsigned *closed = op->owner;
  *closed += r->res == 0;
}

static bool is_open(int fd) {
  return fcntl(fd, F_GETFD) >= 0;
}

static bool works(const char *driver) {
  struct proactor p;
  struct proactor_options o = {.driver = driver};
  return proactor_open(&p, &o) == 0 && proactor_close(&p, NS_PER_S);
}

static void close_without_memory(const char *driver) {
  struct proactor p;
  struct proactor_options o = {.driver = driver};
  struct handle *h[PAIRS];
  int fds[PAIRS][2];
  unsigned closed = 0;
  REQUIRE(proactor_open(&p, &o) == 0);
  for (int i = 0; i < PAIRS; i++) {
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds[i]) == 0);
    REQUIRE(handle_open(&p, fds[i][0], i % 2 == 0, &h[i]) == 0);
  }
  unsigned n = take_all(&p);
  fault_arm("op_table_grow", 1, true);
  for (int i = 0; i < PAIRS; i++) handle_close(&p, h[i], count, &closed);
  CHECK(fault_disarm() >= PAIRS);
  CHECK(!list_empty(&p.unended));
  for (int i = 0; i < 100 && closed < PAIRS; i++)
    proactor_turn(&p, clock_ns() + 10 * NS_PER_MS);
  CHECK(closed == PAIRS && p.handles_n == 0 && p.close_op);
  for (int i = 0; i < PAIRS; i++) {
    CHECK(is_open(fds[i][0]) == (i % 2 == 1)); /* only what is ours */
    if (i % 2 == 1) close(fds[i][0]);
    close(fds[i][1]);
  }
  while (n) proactor_free(&p, taken[--n]);
  CHECK(proactor_close(&p, NS_PER_S));
}

TEST("handles close without memory: poll") {
  close_without_memory("poll");
}

TEST("handles close without memory: uring") {
  if (!works("uring")) SKIP("io_uring is refused here");
  close_without_memory("uring");
}
#else
TEST("handles close without memory") {
  (void)check_miss;
  SKIP("fault points are in debug builds");
}
#endif
