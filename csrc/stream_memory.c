/* stream_memory.c - the transport of a pair in memory. See stream_memory.h.
 *
 * What one end has to send goes straight into the queue of the other, as far
 * as its quota lets it, before the next hand-over. Makes no system call.
 *
 * SPDX-License-Identifier: MIT */
#include "stream_memory.h"

struct memory {
  struct stream stream;
  struct memory *peer; /* NULL: it was closed */
  bool aborted;        /* closing drops what was not sent */
};

static struct memory *memory_of(const struct stream *s) {
  return container_of(s, struct memory, stream);
}

/* The peer has room again: let it send. */
static void memory_receive(struct stream *s) {
  struct memory *peer = memory_of(s)->peer;
  if (peer && peer->stream.out.len) hook_add(s->p, &peer->stream.hook);
}

static void memory_pause(struct stream *s) {
  (void)s; /* the peer looks before it sends */
}

/* One segment list's worth: how much of it went over, or -ENOMEM. */
static ssize_t hand_over(struct stream *from, struct stream *to) {
  struct iovec iov[OUTQ_IOV_MAX];
  unsigned parts = outq_lend(&from->out, iov);
  size_t n = 0;
  int r = 0;
  for (unsigned i = 0; i < parts && r == 0 && stream_wants(to); i++) {
    size_t room = STREAM_QUOTA; /* an anchored string may be of any length */
    size_t part = min_size(iov[i].iov_len, room);
    r = inq_append(&to->in, iov[i].iov_base, part);
    if (r == 0) n += part;
    if (part < iov[i].iov_len) break;
  }
  return n ? (ssize_t)n : r;
}

static void memory_send(struct stream *s) {
  struct memory *m = memory_of(s);
  if (!m->peer || m->peer->stream.closing) {
    stream_send_failed(s, -EPIPE);
    return;
  }
  struct stream *to = &m->peer->stream;
  if (!stream_wants(to)) return; /* memory_receive comes back to it */
  ssize_t n = hand_over(s, to);
  if (n < 0) {
    stream_send_failed(s, (int)n);
    return;
  }
  stream_came(to);
  stream_sent(s, (size_t)n);
}

static void memory_shutdown(struct stream *s) {
  struct memory *m = memory_of(s);
  if (m->peer) stream_end_in(&m->peer->stream, 0);
}

static void memory_abort(struct stream *s) {
  memory_of(s)->aborted = true;
}

static void run_free(struct hook *hook) {
  stream_free(container_of(hook, struct stream, hook));
}

/* The peer learns at once; the record goes when nobody is inside it. */
static void memory_end(struct stream *s) {
  struct memory *m = memory_of(s), *peer = m->peer;
  m->peer = NULL;
  s->hook.run = run_free;
  hook_add(s->p, &s->hook);
  if (!peer) return;
  bool lost = m->aborted || s->out_err || s->out.len;
  peer->peer = NULL;
  stream_end_in(&peer->stream, lost ? -ECONNRESET : 0);
  if (peer->stream.out.len && !peer->stream.ended)
    hook_add(s->p, &peer->stream.hook); /* to fail */
}

static struct handle *memory_handle(const struct stream *s) {
  (void)s;
  return NULL;
}

static const struct transport memory_transport = {
    .name = "memory",
    .receive = memory_receive,
    .pause = memory_pause,
    .send = memory_send,
    .shutdown = memory_shutdown,
    .abort = memory_abort,
    .end = memory_end,
    .handle = memory_handle,
};

int stream_memory_pair(struct proactor *p, const struct anchors *anchors,
                       struct stream *out[2]) {
  struct memory *a = stream_alloc(p, sizeof *a, &memory_transport, anchors);
  struct memory *b = stream_alloc(p, sizeof *b, &memory_transport, anchors);
  if (!a || !b) {
    if (a) stream_free(&a->stream);
    if (b) stream_free(&b->stream);
    return -ENOMEM;
  }
  a->peer = b;
  b->peer = a;
  out[0] = &a->stream;
  out[1] = &b->stream;
  return 0;
}
