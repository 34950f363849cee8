/* message.h - a datagram, or bytes with descriptors, as an op received it.
 *
 * Received in one go into memory of our own (op_recv_from), a message is in
 * the op; received into a pool buffer (op_recvmsg_multi), it is there in the
 * kernel's form: a head, room for the name, room for control data, the bytes.
 * Either becomes a struct message, which points into that memory and owns
 * nothing. The descriptors of a message are owned by whoever took them out.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_MESSAGE_H
#define PROA_MESSAGE_H

#include "address.h"
#include "op.h"

struct passed;

/* Descriptors that the kernel takes in one message (SCM_MAX_FD). */
enum { MESSAGE_FDS_MAX = 253 };

#define MESSAGE_CONTROL_MAX CMSG_SPACE(MESSAGE_FDS_MAX * sizeof(int))

struct message {
  const unsigned char *bytes;
  size_t len;  /* of bytes */
  size_t full; /* as it was sent; more than len: truncated */
  const void *name;
  socklen_t name_len; /* 0: the sender has none */
  const void *control;
  size_t control_len;
  bool control_cut; /* there was more than could be taken */
};

/* What op_recv_from and its kind keep in op->memory. The caller says how many
 * bytes of name and control it wants and gives room for them. */
struct incoming {
  struct msghdr msg;
  struct iovec iov;
  struct address from;
};

/* What op_send_to keeps there; its bytes may follow. */
struct outgoing {
  struct msghdr msg;
  struct iovec iov;
  struct address to;
  struct passed *with; /* op_send_fds: duplicates, closed when it is over */
  struct sys *sys;     /* ... by this */
  unsigned char bytes[];
};

/* op_send_to with descriptors. Inside only: not among op_classes. */
extern const struct op_class op_send_fds;

/* Bytes of a pool buffer that the message itself does not get. */
size_t message_overhead(size_t name_max, size_t control_max);

/* The n bytes at `at` of a pool buffer, asked for with this msghdr. */
struct message message_in_buffer(const struct msghdr *asked,
                                 const unsigned char *at, size_t n);
/* Of a completed op_recv_from; res >= 0. */
struct message message_of_op(const struct op *op, int res);

/* Copy the sender's address; len 0: it has none. */
void message_from(const struct message *m, struct address *into);

/* The descriptors in it, which are the caller's from now on. */
unsigned message_fds(const struct message *m, int fds[MESSAGE_FDS_MAX]);

/* Put descriptors into `room`, of MESSAGE_CONTROL_MAX bytes; its length. */
size_t message_put_fds(void *room, const int *fds, unsigned n);

#endif
