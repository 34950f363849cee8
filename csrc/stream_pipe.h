/* stream_pipe.h - the transport of streams over pipes, terminals and files.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_STREAM_PIPE_H
#define PROA_STREAM_PIPE_H

#include "stream.h"

/* A stream that reads from `in` and writes to `out`, one of which may be NULL:
 * there it fails with EBADF. It owns both from then on. NULL: no memory. */
struct stream *stream_over_pipes(struct proactor *p, struct handle *in,
                                 struct handle *out,
                                 const struct anchors *anchors);

/* The descriptor of one direction; NULL: has none, or is another stream. */
struct handle *stream_pipe_end(const struct stream *s, bool out);

#endif
