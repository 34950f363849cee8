/* stream_socket.c - streams over sockets: one receive, one send under way.
 *
 * A multishot receive is armed at the first read and kept armed; over the
 * quota it is cancelled and armed again when there is room, so late bytes stay
 * in their stream (O6). One send is under way, what comes meanwhile goes with
 * the next. Over a Unix socket descriptors may pass (passing.h): then each
 * receive is one of its own, with room for them. Owns its handle and ops.
 *
 * SPDX-License-Identifier: MIT */
#include "stream_socket.h"

#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "message.h"
#include "passing.h"

enum { PRIVATE_CAP = 16 * 1024 };

struct socket {
  struct stream stream;
  struct handle *handle;   /* NULL once it is closing for good */
  struct op *recv;         /* armed, or NULL */
  bool again;              /* bytes are wanted after all, when it has ended */
  bool starved;            /* no bytes since it found the pool empty */
  struct chunk *private;   /* what a one-shot recv fills: the pool was empty */
  struct op *send;         /* under way, or NULL */
  struct passing *passing; /* NULL: no descriptors have passed */
  struct passed *with;     /* those that go with `send` */
};

/* A send of several parts; the op's memory. */
struct gather {
  struct msghdr msg;
  struct iovec iov[OUTQ_IOV_MAX];
  unsigned char control[MESSAGE_CONTROL_MAX]; /* last: not always there */
};

static struct socket *socket_of(const struct stream *s) {
  return container_of(s, struct socket, stream);
}

/* -- receiving -- */

static void arm(struct socket *k);

static struct op *recv_op(struct socket *k, const struct op_class *class,
                          op_sink *sink) {
  struct op *op = proactor_op(k->stream.p, class);
  if (!op) return NULL;
  op->handle = k->handle;
  op->sink = sink;
  op->owner = k;
  k->recv = op;
  return op;
}

/* The proactor ends, and its handles with it. */
static bool cut_off(const struct socket *k) {
  return k->handle && k->handle->closing;
}

/* A cancel was our own doing: the quota, or closing. */
static void note_end(struct socket *k, int res) {
  if (res != -ECANCELED || cut_off(k)) stream_end_in(&k->stream, res);
}

static bool wants_more(const struct socket *k) {
  return !k->recv && stream_wants(&k->stream);
}

static void private_sink(struct op *op, const struct op_result *r) {
  struct socket *k = op->owner;
  struct stream *s = &k->stream;
  struct chunk *c = k->private;
  k->private = NULL;
  k->recv = NULL;
  if (op->class == &op_recv_from && r->res >= 0) {
    struct message m = message_of_op(op, r->res);
    passing_came(k->passing, &m);
  }
  proactor_free(s->p, op);
  if (r->res > 0) {
    c->end = (uint32_t)r->res;
    s->p->stats.bytes_in += (uint64_t)r->res;
    inq_add_private(&s->in, c);
  } else {
    chunk_free(s->in.pool, c);
    note_end(k, r->res);
  }
  if (wants_more(k)) arm(k);
  if (r->res > 0) stream_came(s);
}

static bool passes_in(const struct socket *k) {
  return k->passing && k->passing->wanted;
}

/* Room for descriptors behind what is asked. */
static bool ask_control(struct op *op) {
  struct incoming *in = calloc(1, sizeof *in + MESSAGE_CONTROL_MAX);
  if (!in) return false;
  in->msg.msg_control = in + 1;
  in->msg.msg_controllen = MESSAGE_CONTROL_MAX;
  op->memory = in;
  return true;
}

static struct op *private_op(struct socket *k) {
  bool passes = passes_in(k);
  struct op *op = recv_op(k, passes ? &op_recv_from : &op_recv, private_sink);
  if (!op || !passes || ask_control(op)) return op;
  proactor_free(k->stream.p, op);
  k->recv = NULL;
  return NULL;
}

/* The pool was empty: one receive into memory of our own (O9), so that this
 * stream goes on whatever the others hold. Or descriptors may come. */
static void arm_private(struct socket *k) {
  struct stream *s = &k->stream;
  struct chunk *c = chunk_new(s->in.pool, PRIVATE_CAP);
  struct op *op = c ? private_op(k) : NULL;
  if (!op) {
    if (c) chunk_free(s->in.pool, c);
    stream_fail_in(s, -ENOMEM);
    return;
  }
  op->io.ptr = c->data;
  op->io.len = c->cap;
  k->private = c;
  proactor_submit(s->p, op);
}

/* The pool was empty when bytes came. By now most of it has been given back
 * (what is short is copied out), so that it may well have one the next time;
 * the second time it gets memory of its own. */
static void recv_starved(struct socket *k) {
  struct stream *s = &k->stream;
  bool again = k->starved;
  s->p->stats.enobufs++;
  k->starved = true;
  if (!wants_more(k)) return;
  if (s->in.pool->free_n && !again)
    arm(k);
  else
    arm_private(k);
}

/* The kernel may end a multishot receive at any time (its queue overflowed):
 * armed again at once. After a cancel only where bytes are wanted again by now:
 * somebody waits, or has made room meanwhile. */
static void recv_ended(struct socket *k, int res) {
  struct stream *s = &k->stream;
  if (res == -ENOBUFS) {
    recv_starved(k);
  } else {
    bool again = k->again || res > 0 || stream_awaited(s);
    if (res <= 0) note_end(k, res);
    if (wants_more(k) && again) arm(k);
  }
}

static void take_bytes(struct socket *k, const struct op_result *r) {
  struct stream *s = &k->stream;
  if (!(r->flags & RESULT_BUFFER)) return;
  if (r->res > 0) {
    k->starved = false;
    inq_add_buffer(&s->in, r->bid, (size_t)r->res);
    s->p->stats.bytes_in += (uint64_t)r->res;
    if (k->passing) k->passing->came += (uint64_t)r->res;
  } else {
    pool_give(s->in.pool, r->bid);
  }
}

static void recv_sink(struct op *op, const struct op_result *r) {
  struct socket *k = op->owner;
  take_bytes(k, r);
  if (!(r->flags & RESULT_MORE)) {
    k->recv = NULL;
    proactor_free(k->stream.p, op);
    recv_ended(k, r->res);
  }
  if (r->res > 0) stream_came(&k->stream);
}

static void arm(struct socket *k) {
  if (passes_in(k)) {
    arm_private(k);
    return;
  }
  struct op *op = recv_op(k, &op_recv_multi, recv_sink);
  k->again = false;
  if (op)
    proactor_submit(k->stream.p, op);
  else
    stream_fail_in(&k->stream, -ENOMEM);
}

static void socket_receive(struct stream *s) {
  struct socket *k = socket_of(s);
  k->again = k->recv && k->recv->cancelled;
  if (!k->recv) arm(k);
}

static void socket_pause(struct stream *s) {
  struct socket *k = socket_of(s);
  k->again = false;
  if (k->recv) proactor_cancel(s->p, k->recv);
}

/* -- sending -- */

static void send_sink(struct op *op, const struct op_result *r) {
  struct socket *k = op->owner;
  struct stream *s = &k->stream;
  size_t n = r->res > 0 ? (size_t)r->res : 0;
  bool all = n == op->io.len;
  bool ending = cut_off(k);
  k->send = NULL;
  if (k->passing) passing_went(k->passing, k->with, n);
  k->with = NULL;
  proactor_free(s->p, op);
  s->p->stats.bytes_out += n;
  if (!all && (r->res <= 0 || ending)) {
    outq_return(&s->out, n);
    stream_send_failed(s, r->res < 0 ? r->res : ending ? -ECANCELED : -EPIPE);
  } else {
    stream_sent(s, n);
  }
}

static struct op *send_op(struct socket *k, const struct op_class *class) {
  struct op *op = proactor_op(k->stream.p, class);
  if (!op) return NULL;
  op->handle = k->handle;
  op->sink = send_sink;
  op->owner = k;
  return op;
}

static struct op *send_one(struct socket *k, const struct iovec *iov) {
  struct op *op = send_op(k, &op_send);
  if (!op) return NULL;
  op->io.ptr = iov->iov_base;
  op->io.len = iov->iov_len;
  return op;
}

static struct op *send_parts(struct socket *k, const struct iovec *iov,
                             unsigned parts) {
  struct op *op = send_op(k, &op_sendmsg);
  struct gather *g = NULL;
  size_t size = k->with ? sizeof *g : offsetof(struct gather, control);
  if (op && !fault_point("send_parts")) op->memory = g = malloc(size);
  if (!g) {
    if (op) proactor_free(k->stream.p, op);
    return NULL;
  }
  memcpy(g->iov, iov, parts * sizeof *iov);
  g->msg = (struct msghdr){.msg_iov = g->iov, .msg_iovlen = parts};
  op->arg.msg = &g->msg;
  if (k->with) {
    g->msg.msg_control = g->control;
    g->msg.msg_controllen =
        message_put_fds(g->control, k->with->fds, k->with->n);
  }
  for (unsigned i = 0; i < parts; i++) op->io.len += iov[i].iov_len;
  return op;
}

/* Not more than goes before the next descriptors. */
static unsigned cut_parts(struct socket *k, struct iovec *iov, unsigned n) {
  size_t left;
  k->with = passing_due(k->passing, &left);
  for (unsigned i = 0; i < n; i++) {
    if (iov[i].iov_len >= left) {
      iov[i].iov_len = left;
      return i + 1;
    }
    left -= iov[i].iov_len;
  }
  return n;
}

static void socket_send(struct stream *s) {
  struct socket *k = socket_of(s);
  struct iovec iov[OUTQ_IOV_MAX];
  if (cut_off(k)) return;
  unsigned parts = outq_lend(&s->out, iov);
  if (k->passing) parts = cut_parts(k, iov, parts);
  k->send =
      parts == 1 && !k->with ? send_one(k, iov) : send_parts(k, iov, parts);
  if (k->send)
    proactor_submit(s->p, k->send);
  else
    stream_send_failed(s, -ENOMEM);
}

static void socket_shutdown(struct stream *s) {
  struct sys *sys = proactor_sys(s->p);
  int r = sys->class->shutdown(sys, socket_of(s)->handle->fd, SHUT_WR);
  /* ENOTCONN: the peer is gone, which reading and writing tell. */
  if (r < 0 && r != -ENOTCONN) stream_send_failed(s, r);
}

/* -- ending -- */

static void closed_sink(struct op *op, const struct op_result *r) {
  struct socket *k = op->owner;
  (void)r;
  assert(!k->recv && !k->send && !k->private);
  passing_free(k->passing);
  stream_free(&k->stream);
}

static void socket_abort(struct stream *s) {
  struct linger none = {.l_onoff = 1}; /* close sends a reset */
  struct sys *sys = proactor_sys(s->p);
  sys->class->setopt(sys, socket_of(s)->handle->fd, SOL_SOCKET, SO_LINGER,
                     &none, sizeof none);
}

/* Accepted bytes were dropped: a FIN would tell the peer that what it got is
 * all there is. Not where others have the socket and may still write. */
static bool truncates(const struct stream *s) {
  const struct handle *h = socket_of(s)->handle;
  bool ours = h->owned && !h->shared && !h->ending;
  return ours && (s->out.len || s->out_err);
}

static void socket_end(struct stream *s) {
  struct socket *k = socket_of(s);
  struct handle *h = k->handle;
  if (truncates(s)) socket_abort(s);
  k->handle = NULL;
  if (!h->closing) { /* else the proactor ends, and closes it itself */
    handle_close(s->p, h, closed_sink, k);
    return;
  }
  h->on_closed = closed_sink;
  h->closer = k;
}

static struct handle *socket_handle(const struct stream *s) {
  return socket_of(s)->handle;
}

static const struct transport socket_transport = {
    .name = "socket",
    .plain = true,
    .receive = socket_receive,
    .pause = socket_pause,
    .send = socket_send,
    .shutdown = socket_shutdown,
    .abort = socket_abort,
    .end = socket_end,
    .handle = socket_handle,
};

struct stream *stream_over_socket(struct proactor *p, struct handle *h,
                                  const struct anchors *anchors) {
  struct socket *k = stream_alloc(p, sizeof *k, &socket_transport, anchors);
  if (!k) return NULL;
  k->handle = h;
  k->stream.outside = true;
  return &k->stream;
}

/* -- descriptors -- */

struct passing *stream_passing(struct stream *s) {
  if (s->transport != &socket_transport) return NULL;
  struct socket *k = socket_of(s);
  if (k->passing || !k->handle) return k->passing;
  k->passing = passing_new(proactor_sys(s->p));
  if (!k->passing) return NULL;
  k->passing->came = s->in.len;
  return k->passing;
}

bool stream_is_socket(const struct stream *s) {
  return s->transport == &socket_transport;
}

/* Counted from here: what is under way belongs to what has gone before. */
int stream_pass_fds(struct stream *s, const int *fds, unsigned n) {
  struct passing *g = stream_passing(s);
  return g ? passing_send(g, g->gone + s->out.len, fds, n) : -ENOMEM;
}

/* A receive without room for descriptors ends; the next has it. */
void stream_take_fds(struct stream *s, struct passing *g, unsigned max) {
  struct socket *k = socket_of(s);
  g->max = max;
  if (g->wanted) return;
  g->wanted = true;
  if (k->recv) proactor_cancel(s->p, k->recv);
}
