/* codec.h - bytes in, bytes out: what can stand between a task and a stream.
 *
 * A codec (TLS, WebSocket frames, compression) does no I/O and waits for
 * nothing. It is given what has arrived from below, in place, consumes what it
 * can and puts plain bytes above; it is given plain bytes and emits what goes
 * out below. stream_codec.c makes a stream of it that keeps every promise of
 * stream.h: queues, limits, backpressure, flushing and closing are done there.
 * A codec that makes messages instead of bytes (an HTTP parser) needs no
 * struct codec: it reads and writes a stream through seam.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_CODEC_H
#define PROA_CODEC_H

#include "stream.h"

struct codec_io; /* the two streams of one codec, for the time of a call */

/* What a codec may call, and nothing else. */
struct codec_calls {
  /* Bytes from below that lie together; NULL and 0 when there are none. */
  const unsigned char *(*peek)(struct codec_io *io, size_t *n);
  /* Unread bytes from below, in all. */
  size_t (*queued)(struct codec_io *io);
  /* The first n of them made to lie together; NULL: no memory. */
  const unsigned char *(*gather)(struct codec_io *io, size_t n);
  void (*consume)(struct codec_io *io, size_t n);
  /* Plain bytes for the reader above. -ENOMEM. */
  int (*put)(struct codec_io *io, const void *bytes, size_t n);
  /* Bytes to send below. -ENOMEM. */
  int (*emit)(struct codec_io *io, const void *bytes, size_t n);
};

struct codec {
  const char *name; /* "tls" */
  /* Take what has arrived. 0: call again when there is more; n > 0: when n
   * bytes are queued; -errno or an error of its own: no more can be read. */
  ssize_t (*decode)(void *state, struct codec_io *io);
  /* Emit n > 0 plain bytes: how many were taken; 0: not now, after the next
   * decode; or an error. */
  ssize_t (*encode)(void *state, struct codec_io *io, const void *bytes,
                    size_t n);
  /* Nothing more will be written: emit the goodbye. 0 or an error. */
  int (*finish)(void *state, struct codec_io *io);
  /* The stream below has ended, `left` of its bytes were not consumed. 0: an
   * end of stream for the reader; else an error: it was cut off. */
  int (*cut)(void *state, size_t left);
  /* The message of an error of its own (below -4095), and its code. */
  const char *(*explain)(void *state, int err, const char **code);
  void (*free)(void *state);
};

/* Errors of a codec's own: so many of them, this and below. */
enum { CODEC_ERROR = -5000, CODEC_ERRORS = 1000 };

/* A stream on top of `below`, which belongs to it from then on: nobody waits
 * there, nobody else will touch it. state is freed with it. NULL: no memory,
 * and both are still the caller's. */
struct stream *stream_over_codec(struct stream *below,
                                 const struct codec *codec, void *state,
                                 const struct anchors *anchors);

extern const struct codec_calls codec_calls;

#endif
