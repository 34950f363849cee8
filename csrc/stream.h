/* stream.h - two byte queues between a task and something that moves bytes.
 *
 * What is promised of a stream is here, once: reading fills `in` up to a
 * quota, writing queues in `out` up to a high-water mark, closing is at once
 * for the caller and goes on in the background for what was accepted (O4).
 * What moves the bytes is a struct transport: a socket (stream_socket.h), two
 * streams in memory (stream_memory.h), a codec over another stream (codec.h).
 * Owns its queues; the transport owns the record and frees it. Does not know
 * Lua or tasks: it wakes waiters. Next: stream_socket.c, lua_stream.c.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_STREAM_H
#define PROA_STREAM_H

#include "inq.h"
#include "outq.h"
#include "proactor.h"

enum {
  STREAM_QUOTA = 256 * 1024,     /* received and unread bytes */
  STREAM_HIGH_WATER = 64 * 1024, /* a write above it waits for room */
  STREAM_FLOOR = 64 * 1024,      /* unread bytes that any stream may hold */
};

struct stream;

/* What moves the bytes. Only stream.c calls these. None of them runs Lua, and
 * none frees the stream before it returns. */
struct transport {
  const char *name;
  bool plain;     /* its descriptor carries the bytes as they are */
  bool completes; /* a write returns when it has been done: one at a time, and
                     its failure is its own */
  /* There is room: see to it that bytes come (stream_came, stream_end_in).
   * Called again while they are on their way: does nothing then. */
  void (*receive)(struct stream *s);
  /* Bytes, or the end, that come without waiting, added to `in` now; false:
   * receive is needed. NULL: never. */
  bool (*receive_now)(struct stream *s);
  /* Enough for now; what is on its way may still come. */
  void (*pause)(struct stream *s);
  /* A read begins: what had ended may go on. NULL: it can't. */
  void (*again)(struct stream *s);
  /* A write was accepted into `out`, which was empty. May be NULL. */
  void (*accepted)(struct stream *s);
  /* `out` holds bytes: outq_lend, and when they are gone stream_sent. */
  void (*send)(struct stream *s);
  /* `out` is empty for good: tell the peer. */
  void (*shutdown)(struct stream *s);
  /* NULL: what has left `out` is gone. */
  bool (*flushed)(const struct stream *s);
  /* Before end: the peer is to learn that bytes were dropped. */
  void (*abort)(struct stream *s);
  /* Closed; nothing is left to send, or it is too late for it. Whatever is
   * under way ends, then stream_free. */
  void (*end)(struct stream *s);
  /* The descriptor below, or NULL. */
  struct handle *(*handle)(const struct stream *s);
  /* The message of one of its own errors, and its code; NULL: an errno. */
  const char *(*explain)(const struct stream *s, int err, const char **code);
  /* What it is over, for messages: "read LABEL: ..."; NULL: nothing. */
  const char *(*label)(const struct stream *s);
};

struct stream {
  const struct transport *transport;
  struct proactor *p;
  bool outside; /* something outside the process may move it */
  bool shy;     /* takes only what somebody waits for: others read it, too */
  bool held; /* somebody moves its bytes beside the queues: see stream_hold */
  /* in */
  struct inq in;
  size_t want;         /* the reader is woken at this many bytes */
  struct list readers; /* struct waiter; at most one */
  bool asking;         /* it is about to wait: not to be woken yet */
  struct link greedy;  /* in proactor.greedy: it wants more than the floor */
  bool eof;
  int in_err;   /* -errno once receiving has failed; queued bytes come first */
  bool starved; /* what is below is capped, and more of it is needed */
  /* out */
  struct outq out;
  struct list writers;  /* nothing accepted yet: one at a time, in order */
  struct list leavers;  /* accepted: wait until the queue is short again */
  bool turn;            /* a writer was woken and has not written yet */
  struct list flushers; /* wait until all is gone */
  struct list watchers; /* wait elsewhere; want to know of a close or out_err */
  struct hook hook;     /* start sending before the next hand-over */
  int out_err;          /* -errno once sending has failed */
  bool out_told;        /* ... and somebody was told */
  bool shut, shut_done; /* no more writes; the transport was told */
  /* progress, kept only where somebody asks for it */
  bool timed;
  uint64_t moved_ns;    /* when the last byte came or went */
  struct stream *above; /* a codec's, which moves when this one does */
  /* end */
  bool closing, ended;
  uint64_t linger_until; /* ns; while closing */
  struct deadline linger;
  struct link link; /* in proactor.lingering while closing */
};

/* Where `out` gives back what it anchored; the bindings' business. */
struct anchors {
  void (*release)(void *arg, int anchor);
  void *arg;
};

/* For transports: a zeroed record of that size, a struct stream first. NULL:
 * no memory. */
void *stream_alloc(struct proactor *p, size_t size,
                   const struct transport *transport,
                   const struct anchors *anchors);
void stream_free(struct stream *s);

/* -- reading -- */

/* See to it that bytes come; `want` of them wake the reader. */
void stream_receive(struct stream *s, size_t want);
/* The same where no waiting is needed: false, it is. */
bool stream_receive_now(struct stream *s, size_t want);
/* Bytes were consumed: receive again if the quota had stopped that. */
void stream_consumed(struct stream *s);
/* Its reader has gone: unless there is another before the next hand-over, a shy
 * stream takes nothing more. NULL: it was closed. */
static inline void stream_unwanted(struct stream *s) {
  if (s && s->shy) hook_add(s->p, &s->hook);
}
/* Nothing more will be queued. */
static inline bool stream_ended(const struct stream *s) {
  return s->eof || s->in_err;
}
/* So much is queued in all streams together that this one, which holds more
 * than its floor, or whatever is below it, gets nothing more (O9). */
static inline bool stream_capped(const struct stream *s) {
  return s->p->queues.bytes > s->p->queued_max &&
         (s->in.len >= STREAM_FLOOR || s->starved);
}

/* ... and a read that needs more of it ends without. */
static inline bool stream_starved(const struct stream *s) {
  return stream_capped(s) && !stream_ended(s);
}

/* -- writing -- */

/* All of it or -errno; see outq_add for the anchor. */
int stream_write(struct stream *s, const void *bytes, size_t n, int anchor);
static inline bool stream_full(const struct stream *s) {
  if (s->held) return true;
  if (s->transport->completes) return s->out.len > 0 || s->out.lent;
  return s->out.len > STREAM_HIGH_WATER ||
         (s->p->queues.bytes > s->p->queued_max && s->out.len > 0);
}
/* Keep everybody else from reading and writing, to move bytes beside the
 * queues: false, not yet; something accepted is still on its way, or writers
 * wait. */
bool stream_hold(struct stream *s);
/* ... and let them go on. */
void stream_release(struct stream *s);
/* A byte moved beside the queues: for limits on idleness. */
void stream_moved(struct stream *s);
/* May a write be accepted at once, or does it queue behind others? */
static inline bool stream_may_write(const struct stream *s) {
  return !s->turn && list_empty(&s->writers) && !stream_full(s);
}
/* The woken writer has written, or has given up: the next one, if there is
 * room. */
void stream_next_writer(struct stream *s);
/* Nothing accepted is left that could still be sent. */
bool stream_flushed(const struct stream *s);
/* The error of an earlier write, once; then 0. */
int stream_take_error(struct stream *s);
/* FIN behind what was accepted. */
void stream_shutdown(struct stream *s);

/* -- ending: s is not to be touched afterwards -- */

/* What was accepted goes out in the background, linger_ns at most. */
void stream_close(struct stream *s, uint64_t linger_ns);
/* What was not sent is dropped; the peer sees a reset. */
void stream_abort(struct stream *s);

static inline struct handle *stream_handle(const struct stream *s) {
  return s->transport->handle(s);
}

/* -- for transports -- */

/* May more be received now? */
bool stream_wants(const struct stream *s);
/* Is there a reader who waits for more than there is? */
bool stream_awaited(const struct stream *s);
/* Bytes were added to `in`: whoever waits for them wakes. */
void stream_came(struct stream *s);
/* More is needed from below, which is capped: the reader learns of it. */
void stream_starve(struct stream *s);
/* Receiving has ended: 0 is the end of stream, -errno; bytes come first. */
void stream_end_in(struct stream *s, int res);
/* The same from inside `receive`, whose caller does not wait yet. */
void stream_fail_in(struct stream *s, int err);
/* n of the bytes lent by `out` are gone, and the rest is back there. */
void stream_sent(struct stream *s, size_t n);
/* Sending has failed: what is left of `out` is dropped. */
void stream_send_failed(struct stream *s, int err);
/* Something that flushed() looks at has changed. */
void stream_moved_out(struct stream *s);

#endif
