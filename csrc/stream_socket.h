/* stream_socket.h - the transport of streams over connected sockets.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_STREAM_SOCKET_H
#define PROA_STREAM_SOCKET_H

#include "stream.h"

/* A stream for a connected socket; it owns h from then on. NULL: no memory. */
struct stream *stream_over_socket(struct proactor *p, struct handle *h,
                                  const struct anchors *anchors);

#endif
