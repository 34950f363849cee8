/* stream_socket.h - the transport of streams over connected sockets.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_STREAM_SOCKET_H
#define PROA_STREAM_SOCKET_H

#include "passing.h"
#include "stream.h"

/* A stream for a connected socket; it owns h from then on. NULL: no memory. */
struct stream *stream_over_socket(struct proactor *p, struct handle *h,
                                  const struct anchors *anchors);

bool stream_is_socket(const struct stream *s);

/* -- descriptors; of sockets only -- */

/* Those that pass. NULL: no memory. */
struct passing *stream_passing(struct stream *s);
/* Take over n descriptors, to go with the next byte that is written. -ENOMEM:
 * they are the caller's. */
int stream_pass_fds(struct stream *s, const int *fds, unsigned n);
/* From now on those that come are kept, at most so many. */
void stream_take_fds(struct stream *s, struct passing *g, unsigned max);

#endif
