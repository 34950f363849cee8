/* load_uring.c - the load generator's fast engine: io_uring.
 *
 * Multishot recv from provided buffers, one system call a turn: it has to be
 * quicker than the servers it measures. For connections that stay open; see
 * load_epoll.c for the others, load.h for the contract.
 * SPDX-License-Identifier: MIT
 */
#include "load.h"

#include <errno.h>

#include "ring.h"

enum {
  ENTRIES = 4096,
  BUFFERS = 128,
  QUIET_MAX = 8192 /* a send so small never waits for room */
};

static struct io_uring ring;
static struct buffers buffers;

static int uring_open(void) {
  int r = ring_open(&ring, ENTRIES);
  return r < 0 ? r : buffers_open(&buffers, &ring, BUFFERS, CHUNK_MAX);
}

/* A conn is aligned: the lowest bit of its address tells sends from recvs. */
static void prepare(struct io_uring_sqe *sqe, struct conn *c, unsigned send) {
  io_uring_sqe_set_data64(sqe, (uintptr_t)c | send);
}

static int uring_add(struct conn *c) {
  struct io_uring_sqe *sqe = ring_entry(&ring);
  io_uring_prep_recv_multishot(sqe, c->fd, NULL, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  prepare(sqe, c, 0);
  return 0;
}

/* One at a time where it may wait; what is small enough answers only when it
 * failed, so that the measuring side does less than the measured one. */
static void uring_send(struct conn *c) {
  uint64_t n = c->asked - c->sent;
  if (n == 0 || c->sending) return;
  struct io_uring_sqe *sqe = ring_entry(&ring);
  io_uring_prep_send(sqe, c->fd, conn_bytes(c, c->sent), n,
                     MSG_WAITALL | MSG_NOSIGNAL);
  prepare(sqe, c, 1);
  if (c->asked - c->taken <= QUIET_MAX)
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  else
    c->sending = (int64_t)n;
  c->sent = c->asked;
}

static void sent(struct conn *c, int result) {
  if (result != c->sending)
    load_fail("connection %u: send gave %d", c->id, result);
  c->sending = 0;
  uring_send(c);
}

static void received(struct conn *c, const struct io_uring_cqe *cqe) {
  bool more = cqe->flags & IORING_CQE_F_MORE, go_on = true;
  if (cqe->flags & IORING_CQE_F_BUFFER) {
    unsigned id = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    go_on = conn_take(c, buffers_at(&buffers, id), cqe->res);
    buffers_give(&buffers, id);
  } else if (cqe->res != -ENOBUFS) {
    go_on = conn_take(c, NULL, cqe->res);
  }
  if (!more && go_on) uring_add(c);
}

static int uring_turn(int timeout_ms) {
  struct __kernel_timespec limit = {.tv_nsec = timeout_ms * 1000000LL};
  struct io_uring_cqe *cqe;
  unsigned head, n = 0;
  int r = io_uring_submit_and_wait_timeout(&ring, &cqe, 1, &limit, NULL);
  load_woke();
  io_uring_for_each_cqe(&ring, head, cqe) {
    uint64_t data = io_uring_cqe_get_data64(cqe);
    struct conn *c = (struct conn *)(uintptr_t)(data & ~1ULL);
    if (data & 1)
      sent(c, cqe->res);
    else
      received(c, cqe);
    n++;
  }
  buffers_flush(&buffers);
  io_uring_cq_advance(&ring, n);
  return r < 0 && r != -ETIME && r != -EINTR ? r : 0;
}

const struct engine engine_uring = {
    .name = "io_uring",
    .open = uring_open,
    .add = uring_add,
    .send = uring_send,
    .turn = uring_turn,
};
