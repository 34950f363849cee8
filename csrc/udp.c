/* udp.c - receiving datagrams into a bounded queue. See udp.h.
 *
 * SPDX-License-Identifier: MIT */
#include "udp.h"

#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"

/* Room that a pool buffer must give a datagram to be used for any. */
enum { POOL_ROOM_MIN = 32 * 1024 };

/* The head of what recvmsg_multi fills, asked for with these lengths. */
static socklen_t name_max(const struct udp *u) {
  return u->family == AF_UNIX ? sizeof(struct sockaddr_un)
                              : sizeof(struct sockaddr_in6);
}

/* A datagram that does not fit is lost but for its beginning, so buffers that
 * are too small are not used. */
static void choose_size(struct udp *u, size_t size) {
  size_t pool = u->p->driver->pool.size,
         head = message_overhead(name_max(u), 0);
  size_t room = pool > head ? pool - head : 0;
  if (!size)
    size = room >= POOL_ROOM_MIN ? min_size(room, UDP_SIZE_MAX) : UDP_SIZE_MAX;
  u->size = size;
  u->in_pool = size <= room;
}

struct udp *udp_new(struct proactor *p, struct handle *h, int family,
                    size_t size, size_t quota) {
  struct udp *u = fault_point("udp_new") ? NULL : calloc(1, sizeof *u);
  if (!u) return NULL;
  u->p = p;
  u->handle = h;
  u->family = family;
  u->quota = quota;
  list_init(&u->queue);
  list_init(&u->waiters);
  choose_size(u, size);
  return u;
}

/* -- the queue -- */

static size_t weight(const struct datagram *d) {
  return sizeof *d + d->len;
}

/* Over the cap of all queues each still takes one at a time. */
static bool has_room(const struct udp *u) {
  bool capped = u->p->queues.bytes > u->p->queued_max;
  return capped ? list_empty(&u->queue) : u->queued < u->quota;
}

static void enqueue(struct udp *u, struct datagram *d) {
  list_push(&u->queue, &d->link);
  u->queued += weight(d);
  u->p->queues.bytes += weight(d);
  u->p->stats.bytes_in += d->len;
  waiter_wake_first(&u->waiters);
}

static struct datagram *dequeue(struct udp *u) {
  struct link *k = list_pop(&u->queue);
  if (!k) return NULL;
  struct datagram *d = container_of(k, struct datagram, link);
  u->queued -= weight(d);
  if (d->with) u->fds_held -= d->with->n;
  u->p->queues.bytes -= weight(d);
  return d;
}

static void failed(struct udp *u, int err) {
  u->err = err;
  waiter_wake_first(&u->waiters);
}

/* Receive again, for whoever waits or will. */
static void go_on(struct udp *u) {
  int r = udp_receive(u);
  if (r < 0) failed(u, r);
}

struct datagram *udp_take(struct udp *u) {
  struct datagram *d = dequeue(u);
  if (d && u->queued < u->quota / 2) go_on(u);
  return d;
}

void datagram_free(struct sys *sys, struct datagram *d) {
  if (!d) return;
  passed_free(sys, d->with);
  free(d);
}

void udp_forget(struct udp *u) {
  struct datagram *d;
  while ((d = dequeue(u))) datagram_free(proactor_sys(u->p), d);
  u->err = 0;
}

int udp_take_error(struct udp *u) {
  int err = u->err;
  u->err = 0;
  return err;
}

void udp_pass_on(struct udp *u) {
  if (udp_ready(u)) waiter_wake_first(&u->waiters);
}

static struct datagram *datagram_new(size_t room) {
  struct datagram *d = fault_point("datagram_new")
                           ? NULL
                           : malloc(sizeof(struct datagram) + room);
  if (!d) return NULL;
  d->with = NULL;
  d->cut = false;
  return d;
}

/* Copied out of the buffer, which goes back at once. A Unix socket loses
 * nothing: what was on its way when the queue became full, which the kernel
 * keeps short, is taken as well. */
static void came(struct udp *u, struct message *m) {
  m->len = min_size(m->len, u->size);
  bool wanted = has_room(u) || u->family == AF_UNIX;
  struct datagram *d = wanted ? datagram_new(m->len) : NULL;
  if (!d) {
    u->dropped++;
    return;
  }
  link_init(&d->link);
  message_from(m, &d->from);
  d->len = m->len;
  d->full = m->full;
  d->cut = m->control_cut && u->wants_fds; /* asked for when it was under way */
  memcpy(d->bytes, m->bytes, m->len);
  enqueue(u, d);
}

/* -- receiving -- */

/* A cancel was our own doing, because the queue was full, or is the end. A
 * receive that the kernel has ended for reasons of its own goes on. */
static void recv_ended(struct udp *u, int res) {
  if (!u->handle || u->handle->closing) return;
  if (res < 0 && res != -ECANCELED && res != -ENOBUFS)
    failed(u, res);
  else
    go_on(u);
}

static struct op *recv_op(struct udp *u, const struct op_class *class,
                          op_sink *sink) {
  struct op *op = proactor_op(u->p, class);
  size_t control = u->wants_fds ? MESSAGE_CONTROL_MAX : 0;
  struct incoming *in = op ? calloc(1, sizeof *in + control) : NULL;
  if (!in) {
    if (op) proactor_free(u->p, op);
    return NULL;
  }
  in->msg.msg_namelen = name_max(u);
  in->msg.msg_control = control ? in + 1 : NULL;
  in->msg.msg_controllen = control;
  op->memory = in;
  op->arg.msg = &in->msg;
  op->handle = u->handle;
  op->sink = sink;
  op->owner = u;
  return u->recv = op;
}

static void multi_sink(struct op *op, const struct op_result *r) {
  struct udp *u = op->owner;
  struct pool *pool = &u->p->driver->pool;
  if (r->res >= 0 && r->flags & RESULT_BUFFER && u->handle) {
    struct message m =
        message_in_buffer(op->arg.msg, pool_at(pool, r->bid), (size_t)r->res);
    came(u, &m);
    u->starved = false;
  }
  if (r->flags & RESULT_BUFFER) pool_give(pool, r->bid);
  if (r->flags & RESULT_MORE) {
    if (!has_room(u)) proactor_cancel(u->p, op);
    return;
  }
  u->recv = NULL;
  u->p->stats.enobufs += r->res == -ENOBUFS;
  u->starved = r->res == -ENOBUFS;
  proactor_free(u->p, op);
  recv_ended(u, r->res);
}

/* The message's descriptors are the datagram's, or closed. */
static void keep_fds(struct udp *u, struct datagram *d,
                     const struct message *m) {
  int fds[MESSAGE_FDS_MAX];
  unsigned n = message_fds(m, fds);
  d->cut = m->control_cut && u->wants_fds;
  if (!n) return;
  if (u->handle && u->fds_held + n <= u->fds_max) d->with = passed_new(fds, n);
  if (d->with) {
    u->fds_held += n;
    return;
  }
  passed_close(proactor_sys(u->p), fds, n);
  d->cut = true;
}

static void one_sink(struct op *op, const struct op_result *r) {
  struct udp *u = op->owner;
  struct datagram *d = u->room;
  u->room = NULL;
  struct message m = {0};
  if (r->res >= 0) {
    m = message_of_op(op, r->res);
    keep_fds(u, d, &m);
  }
  if (r->res >= 0 && u->handle) {
    message_from(&m, &d->from);
    d->len = m.len;
    d->full = m.full;
    struct datagram *fit = realloc(d, weight(d)); /* most are small */
    d = fit ? fit : d;
    link_init(&d->link);
    enqueue(u, d);
    d = NULL;
  }
  free(d);
  u->recv = NULL;
  u->starved = false;
  proactor_free(u->p, op);
  recv_ended(u, r->res);
}

/* Into memory of our own: the pool is empty, or its buffers too small, or
 * descriptors may come. */
static bool receive_one(struct udp *u) {
  struct datagram *d = datagram_new(u->size);
  struct op *op = d ? recv_op(u, &op_recv_from, one_sink) : NULL;
  if (!op) {
    free(d);
    return false;
  }
  struct incoming *in = op->memory;
  in->msg.msg_name = &in->from.at;
  op->io.ptr = d->bytes;
  op->io.len = u->size;
  u->room = d;
  proactor_submit(u->p, op);
  return true;
}

static bool receive_all(struct udp *u) {
  struct op *op = recv_op(u, &op_recvmsg_multi, multi_sink);
  if (op) proactor_submit(u->p, op);
  return op;
}

int udp_receive(struct udp *u) {
  if (u->recv || u->err || !has_room(u)) return 0;
  bool pooled = u->in_pool && !u->starved && !u->wants_fds;
  bool started = pooled ? receive_all(u) : receive_one(u);
  return started ? 0 : -ENOMEM;
}

/* A receive without room for descriptors ends; the next has it. */
void udp_take_fds(struct udp *u, unsigned max) {
  u->fds_max = max;
  if (u->wants_fds) return;
  u->wants_fds = true;
  if (u->recv) proactor_cancel(u->p, u->recv);
}

/* -- sending -- */

/* `more` bytes behind the datagram's. */
static struct op *send_op(struct udp *u, const struct op_class *class,
                          const void *bytes, size_t n, size_t more,
                          const struct address *to) {
  struct op *op = proactor_op(u->p, class);
  bool memory = op && !fault_point("udp_send");
  struct outgoing *o = memory ? calloc(1, sizeof *o + n + more) : NULL;
  if (!o) {
    if (op) proactor_free(u->p, op);
    return NULL;
  }
  if (n) memcpy(o->bytes, bytes, n);
  if (to) {
    o->to = *to;
    o->msg.msg_name = &o->to.at;
    o->msg.msg_namelen = to->len;
  }
  op->memory = o;
  op->handle = u->handle;
  op->io.ptr = o->bytes;
  op->io.len = n;
  return op;
}

struct op *udp_send_op(struct udp *u, const void *bytes, size_t n,
                       const struct address *to) {
  return send_op(u, &op_send_to, bytes, n, 0, to);
}

/* The control data comes behind the bytes, where it is aligned. */
struct op *udp_send_fds_op(struct udp *u, const void *bytes, size_t n,
                           const struct address *to, struct passed *with) {
  size_t align = _Alignof(max_align_t);
  size_t at = (sizeof(struct outgoing) + n + align - 1) & ~(align - 1);
  size_t more = at + MESSAGE_CONTROL_MAX - sizeof(struct outgoing) - n;
  struct op *op = send_op(u, &op_send_fds, bytes, n, more, to);
  if (!op) return NULL;
  struct outgoing *o = op->memory;
  o->msg.msg_control = (unsigned char *)o + at;
  o->msg.msg_controllen =
      message_put_fds(o->msg.msg_control, with->fds, with->n);
  o->with = with;
  o->sys = proactor_sys(u->p);
  return op;
}

/* The kernel counts its own drops in the socket's memory statistics. */
uint64_t udp_dropped(const struct udp *u) {
  uint32_t info[SK_MEMINFO_VARS] = {0};
  socklen_t len = sizeof info;
  struct sys *sys = proactor_sys(u->p);
  int r = sys->class->getopt(sys, u->handle->fd, SOL_SOCKET, SO_MEMINFO, info,
                             &len);
  return u->dropped + (r < 0 ? 0 : info[SK_MEMINFO_DROPS]);
}

/* -- the end -- */

static void closed_sink(struct op *op, const struct op_result *r) {
  struct udp *u = op->owner;
  (void)r;
  assert(!u->recv && !u->room);
  free(u);
}

void udp_close(struct udp *u) {
  struct handle *h = u->handle;
  unix_path_remove(proactor_sys(u->p), &u->made);
  u->handle = NULL;
  udp_forget(u);
  waiter_wake_all(&u->waiters);
  if (!h->closing) { /* else the proactor ends, and closes it itself */
    handle_close(u->p, h, closed_sink, u);
    return;
  }
  h->on_closed = closed_sink;
  h->closer = u;
}
