/* message_test.c - messages as ops receive them, and descriptors that pass.
 *
 * Over real sockets in this process, through the ops' own calls.
 *
 * SPDX-License-Identifier: MIT */
#include "message.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "ops.h"
#include "passing.h"

static struct sys posix = {&sys_posix};

static bool is_open(int fd) {
  return fcntl(fd, F_GETFD) >= 0;
}

/* A duplicate of a descriptor that stays. */
static int copy(void) {
  return fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
}

TEST("a datagram in a buffer is taken apart as the kernel lays it out") {
  int fds[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) == 0);
  unsigned char room[200];
  struct msghdr asked = {.msg_namelen = 20, .msg_controllen = 40};
  struct handle h = {.fd = fds[1]};
  struct op op = {.class = &op_recvmsg_multi, .handle = &h};
  op.arg.msg = &asked;
  size_t head = message_overhead(20, 40);
  for (size_t space = 3; space <= 6; space += 3) {
    REQUIRE(send(fds[0], "hello", 5, 0) == 5);
    op.io.ptr = room;
    op.io.len = head + space;
    int n = op.class->perform(&op, &posix);
    CHECK_INT(n, ==, (int)(head + (space < 5 ? space : 5)));
    struct message m = message_in_buffer(&asked, room, (size_t)n);
    CHECK_INT((int)m.len, ==, space < 5 ? (int)space : 5);
    CHECK_INT((int)m.full, ==, 5);
    CHECK(memcmp(m.bytes, "hello", m.len) == 0);
    struct address from;
    message_from(&m, &from);
    CHECK_INT((int)from.len, ==, 0);
  }
  op.io.len = head - 1;
  CHECK_INT(op.class->perform(&op, &posix), ==, -EFAULT);
  close(fds[0]);
  close(fds[1]);
}

TEST("descriptors that are put into a message come out of it") {
  unsigned char room[MESSAGE_CONTROL_MAX];
  int in[3] = {5, 6, 7}, out[MESSAGE_FDS_MAX];
  size_t len = message_put_fds(room, in, 3);
  CHECK(len <= sizeof room);
  struct message m = {.control = room, .control_len = len};
  CHECK_INT((int)message_fds(&m, out), ==, 3);
  CHECK(memcmp(in, out, sizeof in) == 0);
  m.control_len = 0;
  CHECK_INT((int)message_fds(&m, out), ==, 0);
}

TEST("those on their way out go with their byte, and are closed then") {
  struct passing *g = passing_new(&posix);
  size_t until;
  int a = copy(), b = copy();
  CHECK_INT(passing_send(g, 10, &a, 1), ==, 0);
  CHECK_INT(passing_send(g, 15, &b, 1), ==, 0);
  CHECK(!passing_due(g, &until));
  CHECK_INT((int)until, ==, 10);
  passing_went(g, NULL, 10);
  struct passed *with = passing_due(g, &until);
  REQUIRE(with);
  CHECK_INT((int)until, ==, 5);
  passing_went(g, with, 0); /* the send failed: they are still due */
  CHECK(passing_due(g, &until) == with && is_open(a));
  passing_went(g, with, 5);
  CHECK(!is_open(a) && is_open(b));
  passing_free(g);
  CHECK(!is_open(b));
}

static struct message carrying(unsigned char *room, const int *fds, unsigned n,
                               size_t len) {
  return (struct message){.len = len,
                          .control = room,
                          .control_len = n ? message_put_fds(room, fds, n) : 0};
}

TEST("those that came wait for the read that takes their first byte") {
  unsigned char room[MESSAGE_CONTROL_MAX];
  struct passing *g = passing_new(&posix);
  struct passed *with;
  int fd = copy();
  g->max = 4;
  struct message plain = carrying(room, NULL, 0, 10);
  passing_came(g, &plain);
  struct message m = carrying(room, &fd, 1, 5);
  passing_came(g, &m);
  CHECK_INT((int)passing_next(g, 15, &with), ==, 10);
  CHECK(!with);
  CHECK_INT((int)passing_next(g, 5, &with), ==, 5);
  REQUIRE(with && with->n == 1 && with->fds[0] == fd);
  with->fds[0] = -1; /* taken */
  passing_drop(g, with);
  CHECK_INT((int)g->held, ==, 0);
  CHECK(is_open(fd));
  close(fd);
  passing_free(g);
}

TEST("those over the limit are closed, and it is noted") {
  unsigned char room[MESSAGE_CONTROL_MAX];
  struct passing *g = passing_new(&posix);
  int two[2] = {copy(), copy()}, one = copy();
  g->max = 2;
  struct message m = carrying(room, two, 2, 1);
  passing_came(g, &m);
  CHECK(!g->cut);
  m = carrying(room, &one, 1, 1);
  passing_came(g, &m);
  CHECK(g->cut && !is_open(one) && is_open(two[0]));
  passing_free(g);
  CHECK(!is_open(two[0]) && !is_open(two[1]));
}
