/* stream_memory.h - two streams that are each other's peer, without a kernel.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_STREAM_MEMORY_H
#define PROA_STREAM_MEMORY_H

#include "stream.h"

/* What one writes the other reads. -ENOMEM: neither was made. */
int stream_memory_pair(struct proactor *p, const struct anchors *anchors,
                       struct stream *out[2]);

#endif
