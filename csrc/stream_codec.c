/* stream_codec.c - a stream made of a codec over another stream. See codec.h.
 *
 * It is the only reader and writer of the stream below. What wakes it there
 * only queues its work, which is done when the results of the turn have been
 * given out, so a codec never runs inside somebody else's call.
 *
 * SPDX-License-Identifier: MIT */
#include "codec.h"

enum { ENCODE_MAX = 16 * 1024 }; /* plain bytes given to one encode */

struct coded {
  struct stream stream;
  struct stream *below; /* NULL: closed */
  const struct codec *codec;
  void *state;
  size_t need;           /* queued bytes below that decode waits for */
  struct hook work;      /* decode, encode */
  struct waiter reads;   /* in below's readers */
  struct waiter leaves;  /* in its leavers: it was full */
  struct waiter flushes; /* in its flushers */
  bool blocked;          /* encode waits for something that decode brings */
  bool broken, finished; /* decode has failed; the goodbye was emitted */
};

struct codec_io {
  struct coded *c;
  bool put; /* something was, for the reader */
};

static struct coded *coded_of(const struct stream *s) {
  return container_of(s, struct coded, stream);
}

/* -- what a codec may call -- */

static const unsigned char *io_peek(struct codec_io *io, size_t *n) {
  return inq_peek(&io->c->below->in, n);
}

static size_t io_queued(struct codec_io *io) {
  return io->c->below->in.len;
}

static const unsigned char *io_gather(struct codec_io *io, size_t n) {
  assert(n <= io->c->below->in.len);
  return inq_gather(&io->c->below->in, n);
}

static void io_consume(struct codec_io *io, size_t n) {
  inq_consume(&io->c->below->in, n);
}

static int io_put(struct codec_io *io, const void *bytes, size_t n) {
  io->put |= n > 0;
  return inq_append(&io->c->stream.in, bytes, n);
}

static int io_emit(struct codec_io *io, const void *bytes, size_t n) {
  return stream_write(io->c->below, bytes, n, 0);
}

const struct codec_calls codec_calls = {
    .peek = io_peek,
    .queued = io_queued,
    .gather = io_gather,
    .consume = io_consume,
    .put = io_put,
    .emit = io_emit,
};

/* -- waiting below -- */

static void wake_work(struct coded *c) {
  c->stream.p->woke = true;
  work_add(c->stream.p, &c->work);
}

static void reads_wake(struct waiter *w) {
  wake_work(container_of(w, struct coded, reads));
}
static void leaves_wake(struct waiter *w) {
  wake_work(container_of(w, struct coded, leaves));
}
static void flushes_wake(struct waiter *w) {
  wake_work(container_of(w, struct coded, flushes));
}

static void wait_in(struct list *list, struct waiter *w) {
  if (!link_listed(&w->link)) list_push(list, &w->link);
}

static void unlink_all(struct coded *c) {
  link_unlink(&c->reads.link);
  link_unlink(&c->leaves.link);
  link_unlink(&c->flushes.link);
  link_unlink(&c->work.link);
}

/* -- receiving -- */

/* An error of a codec below: not one of this one's own. */
static int from_below(int err) {
  return err <= CODEC_ERROR ? err - CODEC_ERRORS : err;
}

static void fail_in(struct coded *c, int err) {
  c->broken = true;
  stream_end_in(&c->stream, err);
}

/* One call; false: it can do no more with what there is. */
static bool decode_once(struct coded *c) {
  struct codec_io io = {.c = c};
  size_t before = c->below->in.len;
  ssize_t r = c->codec->decode(c->state, &io);
  size_t left = c->below->in.len;
  if (left < before) stream_consumed(c->below);
  if (io.put) stream_came(&c->stream);
  if (r < 0) fail_in(c, (int)r);
  bool took = left < before;
  c->need = r > 0 ? (size_t)r : took ? 1 : left + 1;
  return r >= 0 && took && left > 0 && left >= c->need;
}

/* What the peer sent before it ended has been decoded. */
static void take_end(struct coded *c) {
  struct stream *below = c->below;
  int err = from_below(below->in_err);
  if (!err) err = c->codec->cut(c->state, below->in.len);
  stream_end_in(&c->stream, err);
}

/* Shall it decode? For a reader who has room, or because it can't send: then
 * beyond the quota, in case what it needs comes behind plain bytes that nobody
 * reads, but not without end (O9). */
static bool hungry(const struct coded *c) {
  const struct stream *s = &c->stream;
  bool stuck = c->blocked && s->out.len && !c->broken;
  return stream_wants(s) || (stuck && s->in.len < 2 * STREAM_QUOTA);
}

/* A message that may not be held whole, until others were read (O9). Nobody
 * would tell a writer who waits for it when that is. */
static void starve(struct coded *c) {
  if (c->blocked && c->stream.out.len)
    fail_in(c, -ENOBUFS);
  else
    stream_starve(&c->stream);
}

static void decode_all(struct coded *c) {
  struct stream *below = c->below;
  c->stream.starved = false;
  bool more = below->in.len > 0 && below->in.len >= c->need;
  while (more && hungry(c)) more = decode_once(c);
  if (more || c->broken || stream_ended(&c->stream)) return;
  if (stream_ended(below)) {
    take_end(c);
  } else if (stream_capped(below)) {
    starve(c);
  } else if (hungry(c)) {
    wait_in(&below->readers, &c->reads);
    stream_receive(below, c->need);
  }
}

static void coded_receive(struct stream *s) {
  struct coded *c = coded_of(s);
  if (c->below && !link_listed(&c->reads.link)) work_add(s->p, &c->work);
}

static void coded_pause(struct stream *s) {
  (void)s; /* decode_all looks before it goes on */
}

/* -- sending -- */

/* How many of the lent bytes the codec took, or its error. */
static ssize_t encode_some(struct coded *c, const struct iovec *iov) {
  struct codec_io io = {.c = c};
  size_t n = min_size(iov->iov_len, ENCODE_MAX);
  return c->codec->encode(c->state, &io, iov->iov_base, n);
}

/* false: no more can go out now. */
static bool encode_once(struct coded *c) {
  struct stream *s = &c->stream;
  struct iovec iov[OUTQ_IOV_MAX];
  outq_lend(&s->out, iov);
  ssize_t n = encode_some(c, iov);
  c->blocked = n == 0;
  if (n < 0)
    stream_send_failed(s, (int)n);
  else if (n > 0)
    stream_sent(s, (size_t)n);
  else
    outq_return(&s->out, 0);
  return n > 0;
}

static void watch_flush(struct coded *c) {
  if (c->below && !stream_flushed(c->below))
    wait_in(&c->below->flushers, &c->flushes);
}

static void coded_send(struct stream *s) {
  struct coded *c = coded_of(s);
  struct stream *below = c->below;
  while (s->out.len && !s->ended && !below->out_err && !stream_full(below))
    if (!encode_once(c)) break;
  if (s->ended) return;
  if (below->out_err && s->out.len)
    stream_send_failed(s, from_below(below->out_err));
  else if (s->out.len && c->blocked && stream_ended(s))
    stream_send_failed(s, s->in_err ? s->in_err : -EPIPE);
  else if (s->out.len && c->blocked)
    coded_receive(s);
  else if (s->out.len)
    wait_in(&below->leavers, &c->leaves);
  watch_flush(c);
}

static bool coded_flushed(const struct stream *s) {
  struct stream *below = coded_of(s)->below;
  return !below || stream_flushed(below);
}

/* No goodbye behind bytes that were dropped: the peer would take what it got
 * for the whole. */
static int finish(struct coded *c) {
  struct codec_io io = {.c = c};
  bool dropped = c->stream.out.len || c->stream.out_err;
  if (c->finished || c->broken || dropped || c->below->out_err) return 0;
  c->finished = true;
  return c->codec->finish(c->state, &io);
}

static void coded_shutdown(struct stream *s) {
  struct coded *c = coded_of(s);
  int r = finish(c);
  if (r < 0) {
    stream_send_failed(s, r);
    return;
  }
  stream_shutdown(c->below);
  watch_flush(c);
}

/* -- both -- */

/* Bytes that were accepted and could not be sent below: the next write, flush
 * or close is told. */
static void take_failure(struct coded *c) {
  struct stream *s = &c->stream, *below = c->below;
  if (below->out_err && !s->out_err)
    stream_send_failed(s, from_below(below->out_err));
}

static void work_run(struct hook *hook) {
  struct coded *c = container_of(hook, struct coded, work);
  struct stream *s = &c->stream;
  if (!c->below) {
    stream_free(s);
    return;
  }
  decode_all(c);
  take_failure(c);
  if (s->out.len && !s->ended) coded_send(s);
  if (!c->below) return;
  watch_flush(c);
  if (stream_flushed(c->below)) stream_moved_out(s);
}

/* -- ending -- */

static void coded_abort(struct stream *s) {
  struct coded *c = coded_of(s);
  c->broken = true;
  unlink_all(c);
  c->below->above = NULL;
  stream_abort(c->below);
  c->below = NULL;
}

static void coded_end(struct stream *s) {
  struct coded *c = coded_of(s);
  struct stream *below = c->below;
  unlink_all(c);
  if (below) {
    uint64_t now = proactor_now(s->p), until = s->linger_until;
    finish(c);
    c->below = NULL;
    below->above = NULL;
    stream_close(below, until > now ? until - now : 0);
  }
  c->codec->free(c->state);
  work_add(s->p, &c->work); /* stream_free, when nobody is inside it */
}

static struct handle *coded_handle(const struct stream *s) {
  struct stream *below = coded_of(s)->below;
  return below ? stream_handle(below) : NULL;
}

static const char *coded_explain(const struct stream *s, int err,
                                 const char **code) {
  const struct coded *c = coded_of(s);
  bool own = err <= CODEC_ERROR && err > CODEC_ERROR - CODEC_ERRORS;
  if (own) return c->codec->explain(c->state, err, code);
  const struct stream *below = c->below;
  if (!below || !below->transport->explain) return NULL;
  if (err <= CODEC_ERROR) err += CODEC_ERRORS;
  return below->transport->explain(below, err, code);
}

static const struct transport coded_transport = {
    .name = "codec",
    .receive = coded_receive,
    .pause = coded_pause,
    .send = coded_send,
    .shutdown = coded_shutdown,
    .flushed = coded_flushed,
    .abort = coded_abort,
    .end = coded_end,
    .handle = coded_handle,
    .explain = coded_explain,
};

static void waiter_init(struct waiter *w, void (*wake)(struct waiter *)) {
  *w = (struct waiter){.wake = wake};
  link_init(&w->link);
}

struct stream *stream_over_codec(struct stream *below,
                                 const struct codec *codec, void *state,
                                 const struct anchors *anchors) {
  assert(list_empty(&below->readers) && !below->shut && !below->closing);
  struct coded *c =
      stream_alloc(below->p, sizeof *c, &coded_transport, anchors);
  if (!c) return NULL;
  c->below = below;
  below->above = &c->stream;
  c->codec = codec;
  c->state = state;
  c->stream.outside = below->outside;
  c->work.run = work_run;
  link_init(&c->work.link);
  waiter_init(&c->reads, reads_wake);
  waiter_init(&c->leaves, leaves_wake);
  waiter_init(&c->flushes, flushes_wake);
  c->stream.out_err = from_below(below->out_err);
  c->stream.out_told = below->out_told;
  watch_flush(c); /* of what was written before */
  return &c->stream;
}
