/* ops_net.c - operations on sockets.
 *
 * One stanza an operation: prep (the kernel's entry), perform (one try that
 * does not block), finish and dispose where it has them, and the class that
 * ties them together. No op calls a driver. See op.h for the fields.
 *
 * SPDX-License-Identifier: MIT */
#include <liburing.h>
#include <poll.h>

#include "ops.h"

/* A short count is not the end: go on behind it. What was moved before an
 * error or a cancel is reported; the error will be met again. */
int op_finish_all(struct op *op, int res) {
  assert(op->io.len <= INT32_MAX);
  if (res == -EINTR && !op->cancelled) return OP_AGAIN;
  if (res > 0) op->io.done += (size_t)res;
  op->io.err = res > 0 ? 0 : res;
  bool more = res > 0 && op->io.done < op->io.len && !op->cancelled;
  if (more) return OP_AGAIN;
  return op->io.done > 0 ? (int)op->io.done : res;
}

static void close_result(struct op *op, int res, struct sys *sys) {
  (void)op;
  if (res >= 0) sys->class->close(sys, res);
}

/* -- accept: a connection of a listening socket -- */

static void accept_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_accept(sqe, op_fd(op), NULL, NULL, SOCK_CLOEXEC);
}

/* ECONNABORTED: that client left before it was accepted; there is a next. */
static int accept_perform(struct op *op, struct sys *sys) {
  int r;
  do r = sys->class->accept(sys, op_fd(op));
  while (r == -ECONNABORTED);
  return r;
}

const struct op_class op_accept = {
    .name = "accept",
    .args = {ARG_FD},
    .value = VALUE_FD,
    .interest = POLLIN,
    .prep = accept_prep,
    .perform = accept_perform,
    .dispose = close_result,
};

static void accept_multi_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_multishot_accept(sqe, op_fd(op), NULL, NULL, SOCK_CLOEXEC);
}

const struct op_class op_accept_multi = {
    .name = "accept_multi",
    .args = {ARG_FD},
    .value = VALUE_FD,
    .interest = POLLIN,
    .flags = OP_MULTISHOT,
    .prep = accept_multi_prep,
    .perform = accept_perform,
    .dispose = close_result,
};

/* -- connect: the address stays in op->memory until the end -- */

static void connect_prep(struct op *op, struct io_uring_sqe *sqe) {
  struct address *a = op->arg.address;
  io_uring_prep_connect(sqe, op_fd(op), &a->at.any, a->len);
}

/* connect(2) once more after writability tells how the attempt ended. A Unix
 * socket whose listener is full says EAGAIN, and no event will follow. */
static int connect_perform(struct op *op, struct sys *sys) {
  struct address *a = op->arg.address;
  int r = sys->class->connect(sys, op_fd(op), &a->at.any, a->len);
  if (r == -EAGAIN) return OP_LATER;
  if (r == -EINPROGRESS || r == -EALREADY) {
    op->io.done = 1;
    return -EAGAIN;
  }
  return r == -EISCONN && op->io.done ? 0 : r;
}

const struct op_class op_connect = {
    .name = "connect",
    .args = {ARG_FD, ARG_ADDRESS},
    .value = VALUE_TRUE,
    .interest = POLLOUT,
    .prep = connect_prep,
    .perform = connect_perform,
};

/* -- recv: into our memory, or into a pool buffer that the driver picks -- */

static void recv_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_recv(sqe, op_fd(op), op->io.ptr, op->io.len, op->io.flags);
}

static int recv_perform(struct op *op, struct sys *sys) {
  return (int)sys->class->recv(sys, op_fd(op), op->io.ptr, op->io.len,
                               op->io.flags);
}

const struct op_class op_recv = {
    .name = "recv",
    .args = {ARG_FD, ARG_INTO},
    .value = VALUE_RECV,
    .interest = POLLIN,
    .flags = OP_FILLS,
    .prep = recv_prep,
    .perform = recv_perform,
};

static void recv_multi_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_recv_multishot(sqe, op_fd(op), NULL, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = 0;
}

const struct op_class op_recv_multi = {
    .name = "recv_multi",
    .args = {ARG_FD},
    .value = VALUE_BYTES,
    .interest = POLLIN,
    .flags = OP_MULTISHOT | OP_SELECT | OP_FILLS,
    .prep = recv_multi_prep,
    .perform = recv_perform, /* the driver points io at the buffer it took */
};

/* -- send: all of it; MSG_WAITALL lets the kernel do the looping -- */

static void send_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_send(sqe, op_fd(op), op->io.ptr + op->io.done,
                     op->io.len - op->io.done, MSG_WAITALL | MSG_NOSIGNAL);
}

static int send_perform(struct op *op, struct sys *sys) {
  return (int)sys->class->send(sys, op_fd(op), op->io.ptr + op->io.done,
                               op->io.len - op->io.done, 0);
}

const struct op_class op_send = {
    .name = "send",
    .args = {ARG_FD, ARG_BYTES},
    .value = VALUE_COUNT,
    .interest = POLLOUT,
    .flags = OP_EMPTIES,
    .prep = send_prep,
    .perform = send_perform,
    .finish = op_finish_all,
};

/* -- sendmsg: a vector of parts, in order -- */

static void sendmsg_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_sendmsg(sqe, op_fd(op), op->arg.msg,
                        MSG_WAITALL | MSG_NOSIGNAL);
}

static int sendmsg_perform(struct op *op, struct sys *sys) {
  return (int)sys->class->sendmsg(sys, op_fd(op), op->arg.msg, 0);
}

void op_msg_advance(struct msghdr *m, size_t n) {
  while (m->msg_iovlen && n >= m->msg_iov->iov_len) {
    n -= m->msg_iov->iov_len;
    m->msg_iov++;
    m->msg_iovlen--;
  }
  if (!n) return;
  m->msg_iov->iov_base = (char *)m->msg_iov->iov_base + n;
  m->msg_iov->iov_len -= n;
}

static int sendmsg_finish(struct op *op, int res) {
  if (res > 0) { /* descriptors went with the first part */
    op_msg_advance(op->arg.msg, (size_t)res);
    op->arg.msg->msg_controllen = 0;
  }
  return op_finish_all(op, res);
}

const struct op_class op_sendmsg = {
    .name = "sendmsg",
    .args = {ARG_FD, ARG_PARTS},
    .value = VALUE_COUNT,
    .interest = POLLOUT,
    .prep = sendmsg_prep,
    .perform = sendmsg_perform,
    .finish = sendmsg_finish,
};

/* -- shutdown and close: neither blocks on a socket -- */

static void shutdown_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_shutdown(sqe, op_fd(op), op->arg.how);
}

static int shutdown_perform(struct op *op, struct sys *sys) {
  return sys->class->shutdown(sys, op_fd(op), op->arg.how);
}

const struct op_class op_shutdown = {
    .name = "shutdown",
    .args = {ARG_FD, ARG_HOW},
    .value = VALUE_TRUE,
    .flags = OP_INLINE,
    .prep = shutdown_prep,
    .perform = shutdown_perform,
};

static void close_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_close(sqe, op_fd(op));
}

static int close_perform(struct op *op, struct sys *sys) {
  return sys->class->close(sys, op_fd(op));
}

/* EINTR: the descriptor is gone; a second close would hit another file. */
static int close_finish(struct op *op, int res) {
  (void)op;
  return res == -EINTR ? 0 : res;
}

const struct op_class op_close = {
    .name = "close",
    .args = {ARG_FD},
    .value = VALUE_TRUE,
    .flags = OP_INLINE | OP_LAST | OP_BLOCKING,
    .prep = close_prep,
    .perform = close_perform,
    .finish = close_finish,
};
