/* stream_file.h - the transport of files: streams that have a position.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_STREAM_FILE_H
#define PROA_STREAM_FILE_H

#include "stream.h"

struct file_options {
  const char *path; /* for messages; copied */
  bool append;      /* opened with O_APPEND: writes go to the end */
  bool direct;      /* opened with O_DIRECT: reads need aligned memory */
};

/* A stream over h, which it owns from then on. NULL: no memory. */
struct stream *stream_over_file(struct proactor *p, struct handle *h,
                                const struct file_options *o,
                                const struct anchors *anchors);

bool stream_is_file(const struct stream *s);

/* Has it positions at all? A FIFO or a terminal has none. */
bool file_seekable(const struct stream *s);

/* Was it opened to be appended to? */
bool file_appends(const struct stream *s);

/* Where the next byte is read or written; what is queued was not read yet. */
int64_t file_position(const struct stream *s);

/* Go there; what was read ahead or put back is dropped. Nothing accepted is
 * left to write. */
void file_seek(struct stream *s, int64_t at);

/* Read without waiting for a disk: all n bytes, or -EAGAIN; then an op has to
 * do it. Not tried where that has failed lately. */
ssize_t file_read_now(struct stream *s, void *into, size_t n, int64_t off);

/* Bytes of [at, at + n) changed, by other means than its own writing: what was
 * read ahead of them is read again. */
void file_changed(struct stream *s, int64_t at, int64_t n);

#endif
