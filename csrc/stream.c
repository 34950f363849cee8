/* stream.c - receive and send queues over one socket. See stream.h.
 *
 * SPDX-License-Identifier: MIT */
#include "stream.h"

#include <stdlib.h>

#include "fault.h"

enum { PRIVATE_CAP = 16 * 1024 };

static void run_hook(struct hook *hook);
static void linger_over(struct deadline *d);

struct stream *stream_new(struct proactor *p, struct handle *h,
                          void (*release)(void *, int), void *arg) {
  struct stream *s = fault_point("stream_new") ? NULL : calloc(1, sizeof *s);
  if (!s) return NULL;
  s->p = p;
  s->handle = h;
  inq_init(&s->in, &p->driver->pool);
  outq_init(&s->out, release, arg);
  list_init(&s->readers);
  list_init(&s->writers);
  list_init(&s->leavers);
  list_init(&s->flushers);
  link_init(&s->hook.link);
  s->hook.run = run_hook;
  s->linger.fire = linger_over;
  link_init(&s->link);
  return s;
}

/* -- reading -- */

static void arm(struct stream *s);

static bool reading(const struct stream *s) {
  return !list_empty(&s->readers);
}

/* A reader may want more than the quota at once; only while it waits. */
static size_t quota(const struct stream *s) {
  return reading(s) && s->want > STREAM_QUOTA ? s->want : STREAM_QUOTA;
}

static void wake_reader(struct stream *s) {
  if (s->in.len >= s->want || stream_ended(s)) waiter_wake_all(&s->readers);
}

static void note_end(struct stream *s, int res) {
  if (res == 0)
    s->eof = true;
  else if (res != -ECANCELED) /* our own doing: quota, or closing */
    s->in_err = res;
}

static bool wants_more(const struct stream *s) {
  return !s->recv && !s->closing && !stream_ended(s) && s->handle;
}

static void private_sink(struct op *op, const struct op_result *r) {
  struct stream *s = op->owner;
  struct chunk *c = s->private;
  s->private = NULL;
  s->recv = NULL;
  proactor_free(s->p, op);
  if (r->res > 0) {
    c->end = (uint32_t)r->res;
    s->p->stats.bytes_in += (uint64_t)r->res;
    inq_add_chunk(&s->in, c);
  } else {
    chunk_free(s->in.pool, c);
    note_end(s, r->res);
  }
  if (wants_more(s) && s->in.len < quota(s)) arm(s);
  wake_reader(s);
}

static struct op *recv_op(struct stream *s, const struct op_class *class,
                          op_sink *sink) {
  struct op *op = proactor_op(s->p, class);
  if (!op) return NULL;
  op->handle = s->handle;
  op->sink = sink;
  op->owner = s;
  return op;
}

/* The pool was empty: one receive into memory of our own (O9), so that this
 * stream goes on whatever the others hold. */
static void arm_private(struct stream *s) {
  struct chunk *c = chunk_new(s->in.pool, PRIVATE_CAP);
  struct op *op = c ? recv_op(s, &op_recv, private_sink) : NULL;
  if (!op) {
    if (c) chunk_free(s->in.pool, c);
    s->in_err = -ENOMEM;
    return;
  }
  op->io.ptr = c->data;
  op->io.len = c->cap;
  s->private = c;
  s->recv = op;
  proactor_submit(s->p, op);
}

/* The kernel may end a multishot receive at any time (its queue overflowed):
 * armed again at once. After a cancel only while somebody waits. */
static void recv_ended(struct stream *s, int res) {
  s->recv = NULL;
  if (res == -ENOBUFS) {
    s->p->stats.enobufs++;
    if (wants_more(s)) arm_private(s);
  } else {
    if (res <= 0) note_end(s, res);
    bool early = res > 0 && s->in.len < quota(s); /* not by our cancel */
    if (wants_more(s) && (early || (reading(s) && s->in.len < s->want))) arm(s);
  }
}

static void recv_sink(struct op *op, const struct op_result *r) {
  struct stream *s = op->owner;
  bool more = r->flags & RESULT_MORE;
  if (r->res > 0 && (r->flags & RESULT_BUFFER)) {
    inq_add_buffer(&s->in, r->bid, (size_t)r->res);
    s->p->stats.bytes_in += (uint64_t)r->res;
  } else if (r->flags & RESULT_BUFFER) {
    pool_give(s->in.pool, r->bid);
  }
  if (more && s->in.len >= quota(s)) proactor_cancel(s->p, op);
  if (!more) {
    proactor_free(s->p, op);
    recv_ended(s, r->res);
  }
  wake_reader(s);
}

static void arm(struct stream *s) {
  struct op *op = recv_op(s, &op_recv_multi, recv_sink);
  if (!op) {
    s->in_err = -ENOMEM;
    return;
  }
  s->recv = op;
  proactor_submit(s->p, op);
}

void stream_receive(struct stream *s, size_t want) {
  s->want = want;
  if (wants_more(s) && s->in.len < quota(s)) arm(s);
}

void stream_consumed(struct stream *s) {
  s->want = 1;
  if (s->in.len < STREAM_QUOTA / 2 && wants_more(s)) arm(s);
}

/* -- writing -- */

static void maybe_done(struct stream *s);

static void send_failed(struct stream *s, int err) {
  if (!s->out_err) s->out_err = err;
  outq_clear(&s->out);
}

static void wake_writer(struct stream *s) {
  s->turn = !list_empty(&s->writers);
  waiter_wake_first(&s->writers);
}

void stream_next_writer(struct stream *s) {
  s->turn = false;
  if (!stream_full(s) || s->out_err) wake_writer(s);
}

/* Writers go on at half the mark, so that one send serves many writes. */
static void out_moved(struct stream *s) {
  if (s->out.len <= STREAM_HIGH_WATER / 2 || s->out_err) {
    waiter_wake_all(&s->leavers);
    if (!s->turn) wake_writer(s);
  }
  if (s->out.len || s->send) return;
  if (s->shut && !s->shut_done && !s->out_err && s->handle) {
    s->shut_done = true;
    struct sys *sys = proactor_sys(s->p);
    sys->class->shutdown(sys, s->handle->fd, SHUT_WR);
  }
  waiter_wake_all(&s->flushers);
  maybe_done(s);
}

static void send_sink(struct op *op, const struct op_result *r) {
  struct stream *s = op->owner;
  size_t n = r->res > 0 ? (size_t)r->res : 0;
  bool all = n == op->io.len;
  s->send = NULL;
  proactor_free(s->p, op);
  s->p->stats.bytes_out += n;
  outq_return(&s->out, n);
  bool ending = s->handle && s->handle->closing; /* by the proactor */
  if (!all && (r->res <= 0 || ending))
    send_failed(s, r->res < 0 ? r->res : ending ? -ECANCELED : -EPIPE);
  if (s->out.len) hook_add(s->p, &s->hook);
  out_moved(s);
}

static struct op *send_op(struct stream *s, unsigned parts) {
  struct op *op = proactor_op(s->p, parts == 1 ? &op_send : &op_sendmsg);
  if (!op) return NULL;
  op->handle = s->handle;
  op->sink = send_sink;
  op->owner = s;
  for (unsigned i = 0; i < parts; i++) op->io.len += s->iov[i].iov_len;
  if (parts == 1) {
    op->io.ptr = s->iov[0].iov_base;
  } else {
    s->msg = (struct msghdr){.msg_iov = s->iov, .msg_iovlen = parts};
    op->arg.msg = &s->msg;
  }
  return op;
}

static void start_sending(struct stream *s) {
  if (s->send || !s->out.len || !s->handle || s->handle->closing) return;
  struct op *op = send_op(s, outq_lend(&s->out, s->iov));
  if (!op) {
    outq_return(&s->out, 0);
    send_failed(s, -ENOMEM);
    out_moved(s);
    return;
  }
  s->send = op;
  proactor_submit(s->p, op);
}

static void run_hook(struct hook *hook) {
  start_sending(container_of(hook, struct stream, hook));
}

int stream_write(struct stream *s, const void *bytes, size_t n, int anchor) {
  int r = outq_add(&s->out, bytes, n, anchor);
  if (r == 0 && !s->send && s->out.len) hook_add(s->p, &s->hook);
  return r;
}

int stream_take_error(struct stream *s) {
  if (s->out_told) return 0;
  s->out_told = s->out_err != 0;
  return s->out_err;
}

void stream_shutdown(struct stream *s) {
  s->shut = true;
  out_moved(s);
}

/* -- ending -- */

static void stream_free(struct stream *s) {
  assert(!s->recv && !s->send && !s->private);
  deadline_clear(s->p, &s->linger);
  link_unlink(&s->hook.link);
  link_unlink(&s->link);
  inq_clear(&s->in);
  outq_clear(&s->out);
  free(s);
}

static void closed_sink(struct op *op, const struct op_result *r) {
  (void)r;
  stream_free(op->owner);
}

/* Nothing is left to send: the descriptor may go. */
static void end_handle(struct stream *s) {
  struct handle *h = s->handle;
  s->handle = NULL;
  link_unlink(&s->hook.link);
  deadline_clear(s->p, &s->linger);
  if (!h->closing) { /* else the proactor ends, and closes it itself */
    handle_close(s->p, h, closed_sink, s);
    return;
  }
  h->on_closed = closed_sink;
  h->closer = s;
}

static void maybe_done(struct stream *s) {
  if (s->closing && s->handle && !s->send && (s->out_err || !s->out.len))
    end_handle(s);
}

static void linger_over(struct deadline *d) {
  struct stream *s = container_of(d, struct stream, linger);
  if (s->handle) end_handle(s);
}

static void stop_waiters(struct stream *s) {
  waiter_wake_all(&s->readers);
  waiter_wake_all(&s->writers);
  waiter_wake_all(&s->leavers);
  waiter_wake_all(&s->flushers);
}

/* Lingering until nothing is left; what is late for that is cancelled. */
void stream_close(struct stream *s, uint64_t linger_ns) {
  assert(!s->closing);
  s->closing = true;
  list_push(&s->p->lingering, &s->link);
  stop_waiters(s);
  if (s->recv) proactor_cancel(s->p, s->recv);
  uint64_t until = ns_after(proactor_now(s->p), linger_ns);
  bool pending = s->out.len && !s->out_err;
  if (!pending || deadline_at(s->p, &s->linger, until) < 0) end_handle(s);
}

void stream_abort(struct stream *s) {
  struct linger none = {.l_onoff = 1}; /* close sends a reset */
  struct sys *sys = proactor_sys(s->p);
  sys->class->setopt(sys, s->handle->fd, SOL_SOCKET, SO_LINGER, &none,
                     sizeof none);
  s->out_err = -ECONNABORTED;
  stream_close(s, 0);
}
