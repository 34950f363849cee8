/* ops_sys.c - operations of the system: nop, timer, readiness, resolving; and
 * the table of all operations.
 *
 * See ops_net.c for the form of a stanza.
 *
 * SPDX-License-Identifier: MIT */
#include <liburing.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "ops.h"

static void nop_prep(struct op *op, struct io_uring_sqe *sqe) {
  (void)op;
  io_uring_prep_nop(sqe);
}

static int nop_perform(struct op *op, struct sys *sys) {
  (void)op;
  (void)sys;
  return 0;
}

const struct op_class op_nop = {
    .name = "nop",
    .value = VALUE_TRUE,
    .prep = nop_prep,
    .perform = nop_perform,
};

/* The proactor's heap carries it out: a kernel timer costs two entries and
 * two completions each, a heap entry tens of nanoseconds. */
const struct op_class op_timer = {
    .name = "timer",
    .args = {ARG_SECONDS},
    .value = VALUE_TRUE,
    .flags = OP_TIMER,
};

static void ready_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_poll_add(sqe, op_fd(op), (unsigned short)op->arg.events);
}

static int ready_perform(struct op *op, struct sys *sys) {
  int r = sys->class->poll(sys, op_fd(op), op->arg.events);
  return r == 0 ? -EAGAIN : r;
}

const struct op_class op_ready = {
    .name = "ready",
    .args = {ARG_FD, ARG_EVENTS},
    .value = VALUE_EVENTS,
    .interest = POLLIN | POLLOUT,
    .prep = ready_prep,
    .perform = ready_perform,
};

/* -- resolve: getaddrinfo blocks, so a worker runs it -- */

static int gai_result(int r) {
  switch (r) {
  case EAI_SYSTEM: /* EAGAIN means "wait" to a driver */
    return errno == EAGAIN || errno == EINTR ? EAI_AGAIN - RESOLVE_EAI : -errno;
  case EAI_MEMORY:
    return -ENOMEM;
  default:
    return r - RESOLVE_EAI;
  }
}

static int copy_list(struct op *op, const struct addrinfo *list) {
  size_t n = 0, i = 0;
  for (const struct addrinfo *a = list; a; a = a->ai_next) n++;
  struct address *at = calloc(n ? n : 1, sizeof *at);
  if (!at) return -ENOMEM;
  for (const struct addrinfo *a = list; a; a = a->ai_next, i++) {
    memcpy(&at[i].at, a->ai_addr, a->ai_addrlen);
    at[i].len = a->ai_addrlen;
  }
  free(op->memory);
  op->memory = at;
  return (int)n;
}

static int resolve_perform(struct op *op, struct sys *sys) {
  (void)sys;
  struct resolve_query *q = op->memory;
  struct addrinfo hints = {
      .ai_family = q->family, .ai_flags = q->flags, .ai_socktype = SOCK_STREAM};
  struct addrinfo *list = NULL;
  int r = getaddrinfo(q->host, q->service, &hints, &list);
  if (r == 0) {
    r = copy_list(op, list);
    freeaddrinfo(list);
    return r;
  }
  return gai_result(r);
}

const struct op_class op_resolve = {
    .name = "resolve",
    .args = {ARG_HOST},
    .value = VALUE_LIST,
    .flags = OP_WORKER | OP_BLOCKING | OP_DEAF,
    .perform = resolve_perform,
};

/* -- name: the way back, getnameinfo blocks as well -- */

static int name_perform(struct op *op, struct sys *sys) {
  (void)sys;
  const struct address *a = op->arg.address;
  char *host = malloc(NI_MAXHOST);
  if (!host) return -ENOMEM;
  int r =
      getnameinfo(&a->at.any, a->len, host, NI_MAXHOST, NULL, 0, NI_NAMEREQD);
  if (r) {
    free(host);
    return gai_result(r);
  }
  free(op->memory);
  op->memory = host;
  return (int)strlen(host);
}

const struct op_class op_name = {
    .name = "name",
    .args = {ARG_ADDRESS},
    .value = VALUE_TEXT,
    .flags = OP_WORKER | OP_BLOCKING | OP_DEAF,
    .perform = name_perform,
};

const struct op_class *const op_classes[] = {
    &op_nop,
    &op_timer,
    &op_ready,
    &op_resolve,
    &op_name,
    &op_accept,
    &op_accept_multi,
    &op_connect,
    &op_recv,
    &op_recv_multi,
    &op_send,
    &op_sendmsg,
    &op_send_to,
    &op_recv_from,
    &op_recvmsg_multi,
    &op_shutdown,
    &op_close,
    &op_read,
    &op_write,
    &op_readv,
    &op_writev,
    &op_fsync,
    &op_fstat,
    &op_truncate,
    &op_allocate,
    &op_flock,
    &op_copy_range,
    &op_sendfile,
    &op_entries,
    &op_watch_add,
    &op_open,
    &op_open_waiting,
    &op_stat,
    &op_access,
    &op_mkdir,
    &op_unlink,
    &op_rename,
    &op_link,
    &op_symlink,
    &op_readlink,
    &op_realpath,
    &op_chmod,
    NULL,
};

const struct op_class *op_class_find(const char *name) {
  for (size_t i = 0; op_classes[i]; i++)
    if (strcmp(op_classes[i]->name, name) == 0) return op_classes[i];
  return NULL;
}
