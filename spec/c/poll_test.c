/* poll_test.c - the poll driver, where a read ends before what is there does.
 *
 * SPDX-License-Identifier: MIT */
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "ops.h"
#include "proactor.h"

struct rig {
  struct proactor p;
  struct op *op;
  char text[64];
  size_t len;
};

static void sink(struct op *op, const struct op_result *r) {
  struct rig *rig = op->owner;
  if (r->res > 0) {
    const char *from = (const char *)pool_at(&rig->p.driver->pool, r->bid);
    for (int i = 0; i < r->res && rig->len < sizeof rig->text - 1; i++)
      rig->text[rig->len++] = from[i];
    pool_give(&rig->p.driver->pool, r->bid);
  }
  if (r->flags & RESULT_MORE) return;
  proactor_free(&rig->p, op);
  rig->op = NULL;
}

static void turns(struct rig *rig, size_t until) {
  for (int i = 0; i < 500 && rig->len < until; i++)
    CHECK_INT(proactor_turn(&rig->p, clock_ns() + 10 * NS_PER_MS), ==, 0);
}

/* A listener's port on loopback and two connected sockets. */
static void tcp_pair(int fds[2]) {
  struct sockaddr_in at = {.sin_family = AF_INET};
  socklen_t len = sizeof at;
  int listening = socket(AF_INET, SOCK_STREAM, 0);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK_INT(bind(listening, (void *)&at, len), ==, 0);
  CHECK_INT(listen(listening, 1), ==, 0);
  CHECK_INT(getsockname(listening, (void *)&at, &len), ==, 0);
  fds[0] = socket(AF_INET, SOCK_STREAM, 0);
  CHECK_INT(connect(fds[0], (void *)&at, len), ==, 0);
  fds[1] = accept(listening, NULL, NULL);
  CHECK_INT(fds[1], >=, 0);
  close(listening);
}

TEST("what comes behind urgent data is read") {
  struct proactor_options o = {.driver = "poll"};
  struct rig rig = {.op = NULL};
  struct handle *h;
  int fds[2];
  tcp_pair(fds);
  CHECK_INT(proactor_open(&rig.p, &o), ==, 0);
  CHECK_INT(handle_open(&rig.p, fds[1], true, &h), ==, 0);
  rig.op = proactor_op(&rig.p, &op_recv_multi);
  rig.op->handle = h;
  rig.op->sink = sink;
  rig.op->owner = &rig;
  proactor_submit(&rig.p, rig.op);
  CHECK_INT(send(fds[0], "first", 5, 0), ==, 5);
  turns(&rig, 5);
  CHECK_INT(send(fds[0], "before", 6, 0), ==, 6);
  CHECK_INT(send(fds[0], "!", 1, MSG_OOB), ==, 1);
  CHECK_INT(send(fds[0], "behind", 6, 0), ==, 6);
  turns(&rig, 17);
  CHECK_STRING(rig.text, "firstbeforebehind");
  close(fds[0]);
  handle_close(&rig.p, h, NULL, NULL);
  CHECK(proactor_close(&rig.p, NS_PER_S));
}
