/* ops_msg.c - operations on messages: send_to, recv_from, recvmsg_multi; and
 * taking what was received apart.
 *
 * See ops_net.c for the form of a stanza, message.h for what is received. A
 * datagram is sent and received whole or not at all, so nothing here goes on
 * behind a part. The receives ask for MSG_TRUNC: the count is then that of the
 * datagram, also where there was less room (recv(2)).
 *
 * SPDX-License-Identifier: MIT */
#include <liburing.h>
#include <poll.h>
#include <string.h>

#include "message.h"
#include "ops.h"
#include "passing.h"

/* -- send_to: one datagram -- */

/* Both shapes point the message at the op's bytes. */
static struct msghdr *outgoing_msg(struct op *op) {
  struct outgoing *o = op->memory;
  o->iov = (struct iovec){op->io.ptr, op->io.len};
  o->msg.msg_iov = &o->iov;
  o->msg.msg_iovlen = 1;
  return &o->msg;
}

/* Without MSG_DONTWAIT the ring waits and tries again itself, with what the
 * first try left of the bytes: unix_dgram_sendmsg copies them before it finds
 * the receiver full, and an empty datagram goes out (seen on Linux 6.18). */
static void send_to_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_sendmsg(sqe, op_fd(op), outgoing_msg(op),
                        MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int send_to_perform(struct op *op, struct sys *sys) {
  int r = (int)sys->class->sendmsg(sys, op_fd(op), outgoing_msg(op), 0);
  return r == -EAGAIN && op_full_elsewhere(op) ? OP_LATER : r;
}

bool op_full_elsewhere(const struct op *op) {
  const struct outgoing *o = op->memory;
  bool sends = op->class == &op_send_to || op->class == &op_send_fds;
  return sends && o->msg.msg_namelen && address_family(&o->to) == AF_UNIX;
}

const struct op_class op_send_to = {
    .name = "send_to",
    .args = {ARG_FD, ARG_BYTES, ARG_TO},
    .value = VALUE_COUNT,
    .interest = POLLOUT,
    .flags = OP_EMPTIES,
    .prep = send_to_prep,
    .perform = send_to_perform,
};

/* What ended by a signal is tried again, unless it was cancelled. */
static int send_fds_finish(struct op *op, int res) {
  struct outgoing *o = op->memory;
  if (res == -EINTR && !op->cancelled) return OP_AGAIN;
  passed_free(o->sys, o->with);
  o->with = NULL;
  return res;
}

const struct op_class op_send_fds = {
    .name = "send_fds",
    .args = {ARG_FD, ARG_BYTES, ARG_TO},
    .value = VALUE_COUNT,
    .interest = POLLOUT,
    .flags = OP_EMPTIES,
    .prep = send_to_prep,
    .perform = send_to_perform,
    .finish = send_fds_finish,
};

/* -- recv_from: one datagram, into our memory -- */

static struct msghdr *incoming_msg(struct op *op) {
  struct incoming *in = op->memory;
  in->iov = (struct iovec){op->io.ptr, op->io.len};
  in->msg.msg_iov = &in->iov;
  in->msg.msg_iovlen = 1;
  return &in->msg;
}

static int recv_flags(const struct op *op) {
  return op->io.flags | MSG_TRUNC | MSG_CMSG_CLOEXEC;
}

static void recv_from_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_recvmsg(sqe, op_fd(op), incoming_msg(op),
                        (unsigned)recv_flags(op));
}

static int recv_from_perform(struct op *op, struct sys *sys) {
  return (int)sys->class->recvmsg(sys, op_fd(op), incoming_msg(op),
                                  recv_flags(op));
}

const struct op_class op_recv_from = {
    .name = "recv_from",
    .args = {ARG_FD, ARG_INTO},
    .value = VALUE_FROM,
    .interest = POLLIN,
    .flags = OP_FILLS,
    .prep = recv_from_prep,
    .perform = recv_from_perform,
};

/* -- recvmsg_multi: all that come, in pool buffers -- */

/* The kernel's own form; ours where the kernel does not do it. */
typedef struct io_uring_recvmsg_out head;

static size_t payload_at(const struct msghdr *asked) {
  return sizeof(head) + asked->msg_namelen + asked->msg_controllen;
}

static void recvmsg_multi_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_recvmsg_multishot(sqe, op_fd(op), op->arg.msg,
                                  (unsigned)recv_flags(op));
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = 0;
}

/* The driver points io at the buffer it took. */
static int recvmsg_multi_perform(struct op *op, struct sys *sys) {
  const struct msghdr *asked = op->arg.msg;
  size_t at = payload_at(asked);
  if (op->io.len < at) return -EFAULT;
  struct iovec iov = {op->io.ptr + at, op->io.len - at};
  struct msghdr m = {.msg_name = op->io.ptr + sizeof(head),
                     .msg_namelen = asked->msg_namelen,
                     .msg_control =
                         op->io.ptr + sizeof(head) + asked->msg_namelen,
                     .msg_controllen = asked->msg_controllen,
                     .msg_iov = &iov,
                     .msg_iovlen = 1};
  ssize_t r = sys->class->recvmsg(sys, op_fd(op), &m, recv_flags(op));
  if (r < 0) return (int)r;
  head h = {.namelen = m.msg_namelen,
            .controllen = (uint32_t)m.msg_controllen,
            .payloadlen = (uint32_t)r,
            .flags = (uint32_t)m.msg_flags};
  memcpy(op->io.ptr, &h, sizeof h);
  return (int)(at + min_size((size_t)r, iov.iov_len));
}

const struct op_class op_recvmsg_multi = {
    .name = "recvmsg_multi",
    .args = {ARG_FD},
    .value = VALUE_BYTES,
    .interest = POLLIN,
    .flags = OP_MULTISHOT | OP_SELECT | OP_FILLS,
    .prep = recvmsg_multi_prep,
    .perform = recvmsg_multi_perform,
};

/* -- what was received -- */

size_t message_overhead(size_t name_max, size_t control_max) {
  return sizeof(head) + name_max + control_max;
}

struct message message_in_buffer(const struct msghdr *asked,
                                 const unsigned char *at, size_t n) {
  head h;
  size_t skip = payload_at(asked);
  assert(n >= skip);
  memcpy(&h, at, sizeof h);
  const unsigned char *name = at + sizeof h;
  return (struct message){
      .bytes = at + skip,
      .len = n - skip,
      .full = h.payloadlen > n - skip ? h.payloadlen : n - skip,
      .name = name,
      .name_len =
          h.namelen < asked->msg_namelen ? h.namelen : asked->msg_namelen,
      .control = name + asked->msg_namelen,
      .control_len = min_size(h.controllen, asked->msg_controllen),
      .control_cut = h.flags & MSG_CTRUNC,
  };
}

struct message message_of_op(const struct op *op, int res) {
  const struct incoming *in = op->memory;
  return (struct message){
      .bytes = op->io.ptr,
      .len = min_size((size_t)res, op->io.len),
      .full = (size_t)res,
      .name = in->msg.msg_name,
      .name_len = in->msg.msg_namelen,
      .control = in->msg.msg_control,
      .control_len = in->msg.msg_controllen,
      .control_cut = in->msg.msg_flags & MSG_CTRUNC,
  };
}

/* A Unix socket that was never bound sends no name, or only its family. */
void message_from(const struct message *m, struct address *into) {
  memset(into, 0, sizeof *into);
  if (m->name_len <= sizeof(sa_family_t)) return;
  into->len = m->name_len;
  memcpy(&into->at, m->name, min_size(m->name_len, sizeof into->at));
}

unsigned message_fds(const struct message *m, int fds[MESSAGE_FDS_MAX]) {
  struct msghdr h = {.msg_control = (void *)(uintptr_t)m->control,
                     .msg_controllen = m->control_len};
  unsigned n = 0;
  if (!m->control_len) return 0;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    assert(n + count <= MESSAGE_FDS_MAX);
    memcpy(fds + n, CMSG_DATA(c), count * sizeof(int));
    n += (unsigned)count;
  }
  return n;
}

size_t message_put_fds(void *room, const int *fds, unsigned n) {
  struct msghdr h = {.msg_control = room,
                     .msg_controllen = CMSG_SPACE(n * sizeof(int))};
  memset(room, 0, h.msg_controllen);
  struct cmsghdr *c = CMSG_FIRSTHDR(&h);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(n * sizeof(int));
  memcpy(CMSG_DATA(c), fds, n * sizeof(int));
  return h.msg_controllen;
}
