/* stream_pipe.c - streams over what is read and written: pipes above all.
 *
 * One descriptor for each direction, of which one may be missing. One read
 * and one write are under way at most; a read fills memory of this stream's
 * own. What a socket can do and a
 * pipe can't: closing one direction closes its descriptor, and who drops
 * bytes looks to the other end like who has written all.
 * Owns its handles and ops. Does not know processes: see process.h.
 *
 * SPDX-License-Identifier: MIT */
#include "stream_pipe.h"

#include <stdlib.h>

/* What is read at once: little, and much from who has more than that. */
enum { READ_FEW = 4000, READ_MANY = 64 * 1024 };

struct pipes {
  struct stream stream;
  struct handle *in, *out; /* NULL: has none, or it is closing */
  struct op *read, *write; /* under way, or NULL */
  struct chunk *chunk;     /* what `read` fills */
  uint32_t cap;            /* of the next one */
  unsigned closing;        /* handles whose close has not ended */
};

static struct pipes *pipes_of(const struct stream *s) {
  return container_of(s, struct pipes, stream);
}

/* The proactor ends, and its handles with it. */
static bool cut_off(const struct handle *h) {
  return h && h->closing;
}

static struct op *new_op(struct pipes *k, struct handle *h,
                         const struct op_class *class, op_sink *sink) {
  struct op *op = proactor_op(k->stream.p, class);
  if (!op) return NULL;
  op->handle = h;
  op->sink = sink;
  op->owner = k;
  op->io.off = -1;
  return op;
}

/* -- reading -- */

static void arm(struct pipes *k);

/* A cancel was our own doing: the quota, or closing. */
static void note_end(struct pipes *k, int res) {
  if (res != -ECANCELED || cut_off(k->in)) stream_end_in(&k->stream, res);
}

static void take_bytes(struct pipes *k, struct chunk *c, size_t n) {
  struct stream *s = &k->stream;
  c->end = (uint32_t)n;
  s->p->stats.bytes_in += n;
  k->cap = n == c->cap ? READ_MANY : READ_FEW;
  inq_add_private(&s->in, c);
}

static bool wants_more(const struct pipes *k, int res) {
  const struct stream *s = &k->stream;
  if (k->read || !k->in || !stream_wants(s)) return false;
  return (res > 0 && !s->shy) || stream_awaited(s);
}

static void read_sink(struct op *op, const struct op_result *r) {
  struct pipes *k = op->owner;
  struct stream *s = &k->stream;
  struct chunk *c = k->chunk;
  k->chunk = NULL;
  k->read = NULL;
  proactor_free(s->p, op);
  if (r->res > 0) {
    take_bytes(k, c, (size_t)r->res);
  } else {
    chunk_free(s->in.pool, c);
    note_end(k, r->res);
  }
  if (wants_more(k, r->res)) arm(k);
  if (r->res > 0) stream_came(s);
}

static void arm(struct pipes *k) {
  struct stream *s = &k->stream;
  struct chunk *c = chunk_new(s->in.pool, k->cap);
  struct op *op = c ? new_op(k, k->in, &op_read, read_sink) : NULL;
  if (!op) {
    if (c) chunk_free(s->in.pool, c);
    stream_fail_in(s, -ENOMEM);
    return;
  }
  op->io.ptr = c->data;
  op->io.len = c->cap;
  k->chunk = c;
  k->read = op;
  proactor_submit(s->p, op);
}

static void pipes_receive(struct stream *s) {
  struct pipes *k = pipes_of(s);
  if (!k->read && k->in) arm(k);
}

static void pipes_pause(struct stream *s) {
  struct pipes *k = pipes_of(s);
  if (k->read) proactor_cancel(s->p, k->read);
}

/* -- writing -- */

static void write_sink(struct op *op, const struct op_result *r) {
  struct pipes *k = op->owner;
  struct stream *s = &k->stream;
  size_t n = r->res > 0 ? (size_t)r->res : 0;
  bool failed = n < op->io.len && (r->res <= 0 || cut_off(k->out));
  k->write = NULL;
  proactor_free(s->p, op);
  s->p->stats.bytes_out += n;
  if (failed) {
    outq_return(&s->out, n);
    stream_send_failed(s, r->res < 0 ? r->res : -ECANCELED);
  } else {
    stream_sent(s, n);
  }
}

/* The first part alone: small writes have been joined by the queue. */
static void pipes_send(struct stream *s) {
  struct pipes *k = pipes_of(s);
  struct iovec iov[OUTQ_IOV_MAX];
  if (!k->out || cut_off(k->out)) return;
  outq_lend(&s->out, iov);
  struct op *op = new_op(k, k->out, &op_write, write_sink);
  if (!op) {
    stream_send_failed(s, -ENOMEM);
    return;
  }
  op->io.ptr = iov[0].iov_base;
  op->io.len = iov[0].iov_len;
  k->write = op;
  proactor_submit(s->p, op);
}

/* -- ending -- */

static void run_free(struct hook *hook) {
  stream_free(container_of(hook, struct stream, hook));
}

/* Nothing is left but the record, which goes when nobody is inside it. */
static void free_later(struct pipes *k) {
  struct stream *s = &k->stream;
  s->hook.run = run_free;
  hook_add(s->p, &s->hook);
}

static void closed_sink(struct op *op, const struct op_result *r) {
  struct pipes *k = op->owner;
  (void)r;
  k->closing--;
  if (k->closing || !k->stream.ended) return;
  assert(!k->read && !k->write && !k->chunk);
  stream_free(&k->stream);
}

static void close_one(struct pipes *k, struct handle **which) {
  struct handle *h = *which;
  if (!h) return;
  *which = NULL;
  k->closing++;
  if (!h->closing) { /* else the proactor ends, and closes it itself */
    handle_close(k->stream.p, h, closed_sink, k);
    return;
  }
  h->on_closed = closed_sink;
  h->closer = k;
}

static void pipes_shutdown(struct stream *s) {
  struct pipes *k = pipes_of(s);
  close_one(k, &k->out);
}

/* A pipe has no way to say that bytes were dropped. */
static void pipes_abort(struct stream *s) {
  (void)s;
}

static void pipes_end(struct stream *s) {
  struct pipes *k = pipes_of(s);
  close_one(k, &k->in);
  close_one(k, &k->out);
  if (!k->closing) free_later(k);
}

static struct handle *pipes_handle(const struct stream *s) {
  const struct pipes *k = pipes_of(s);
  return k->in ? k->in : k->out;
}

static const struct transport pipe_transport = {
    .name = "pipe",
    .plain = true,
    .receive = pipes_receive,
    .pause = pipes_pause,
    .send = pipes_send,
    .shutdown = pipes_shutdown,
    .abort = pipes_abort,
    .end = pipes_end,
    .handle = pipes_handle,
};

/* As of a file opened for the other direction; nobody need be told at close. */
static void lacks_out(struct stream *s) {
  s->out_err = -EBADF;
  s->out_told = true;
}

struct stream *stream_over_pipes(struct proactor *p, struct handle *in,
                                 struct handle *out,
                                 const struct anchors *anchors) {
  struct pipes *k = stream_alloc(p, sizeof *k, &pipe_transport, anchors);
  if (!k) return NULL;
  k->in = in;
  k->out = out;
  k->cap = READ_FEW;
  k->stream.outside = true;
  if (!in) k->stream.in_err = -EBADF;
  if (!out) lacks_out(&k->stream);
  return &k->stream;
}

struct handle *stream_pipe_end(const struct stream *s, bool out) {
  if (s->transport != &pipe_transport) return NULL;
  const struct pipes *k = pipes_of(s);
  return out ? k->out : k->in;
}
