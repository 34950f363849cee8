/* stream.h - a connected socket as two byte queues.
 *
 * Reading: one multishot receive, armed at the first read and kept armed,
 * fills `in`; over the quota it is cancelled and armed again when there is
 * room, so late bytes stay in their stream (O6). Writing: accepted bytes
 * queue in `out`, one send is under way, what comes meanwhile goes with the
 * next. Closing: at once for the caller, in the background for what was
 * accepted (O4). Owns its handle, queues and ops; frees itself when closed.
 * Does not know Lua or tasks: it wakes waiters. Next: lua_stream.c.
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
};

struct stream {
  struct proactor *p;
  struct handle *handle; /* NULL once it is closing for good */
  /* in */
  struct inq in;
  struct op *recv;       /* armed, or NULL */
  struct chunk *private; /* what a one-shot recv fills: the pool was empty */
  size_t want;           /* the reader is woken at this many bytes */
  struct list readers;   /* struct waiter; at most one */
  bool eof;
  int in_err; /* -errno once receiving has failed; queued bytes come first */
  /* out */
  struct outq out;
  struct op *send; /* under way, or NULL */
  struct iovec iov[OUTQ_IOV_MAX];
  struct msghdr msg;
  struct list writers;  /* nothing accepted yet: one at a time, in order */
  struct list leavers;  /* accepted: wait until the queue is short again */
  bool turn;            /* a writer was woken and has not written yet */
  struct list flushers; /* wait until the kernel has taken all */
  struct hook hook;     /* start sending before the next hand-over */
  int out_err;          /* -errno once sending has failed */
  bool out_told;        /* ... and somebody was told */
  bool shut, shut_done; /* no more writes; FIN was sent */
  /* end */
  bool closing;
  struct deadline linger;
  struct link link; /* in proactor.lingering while closing */
};

/* A stream for a connected socket; it owns h from then on. NULL: no memory. */
struct stream *stream_new(struct proactor *p, struct handle *h,
                          void (*release)(void *, int), void *arg);

/* -- reading -- */

/* See to it that bytes come; `want` of them wake the reader. */
void stream_receive(struct stream *s, size_t want);
/* n bytes were consumed: receive again if the quota had stopped that. */
void stream_consumed(struct stream *s);
/* Nothing more will be queued. */
static inline bool stream_ended(const struct stream *s) {
  return s->eof || s->in_err;
}

/* -- writing -- */

/* All of it or -errno; see outq_add for the anchor. */
int stream_write(struct stream *s, const void *bytes, size_t n, int anchor);
static inline bool stream_full(const struct stream *s) {
  return s->out.len > STREAM_HIGH_WATER;
}
/* May a write be accepted at once, or does it queue behind others? */
static inline bool stream_may_write(const struct stream *s) {
  return !s->turn && list_empty(&s->writers) && !stream_full(s);
}
/* The woken writer has written, or has given up: the next one, if there is
 * room. */
void stream_next_writer(struct stream *s);
/* Nothing accepted is left that could still be sent. */
static inline bool stream_flushed(const struct stream *s) {
  return s->out_err || (s->out.len == 0 && (!s->shut || s->shut_done));
}
/* The error of an earlier write, once; then 0. */
int stream_take_error(struct stream *s);
/* FIN behind what was accepted. */
void stream_shutdown(struct stream *s);

/* -- ending: s is not to be touched afterwards -- */

/* What was accepted goes out in the background, linger_ns at most. */
void stream_close(struct stream *s, uint64_t linger_ns);
/* What was not sent is dropped; the peer sees a reset. */
void stream_abort(struct stream *s);

#endif
