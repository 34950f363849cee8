/* trace_file.h - a file of events, in the JSON form of Chrome's trace viewer.
 *
 * An array of objects, one a line; the viewers (Perfetto, chrome://tracing)
 * also open one that was not finished. An event is begun, given arguments and
 * ended; nothing of that waits or allocates, but when the buffer is full it is
 * written, which blocks as writing to a file does. Errors are kept and told by
 * trace_file_close. Knows neither Lua nor what is traced.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_TRACE_FILE_H
#define PROA_TRACE_FILE_H

#include "base.h"

enum { TRACE_BUFFER = 64 * 1024 };

struct trace_file {
  int fd;
  int err; /* -errno of the first write that failed; nothing more is written */
  uint64_t bytes, max; /* written; when it is full no event begins any more */
  bool some, args;     /* there is an event; this one has arguments */
  size_t n;
  char buffer[TRACE_BUFFER];
};

/* The kinds of events that are used, by their letter. */
enum trace_phase {
  TRACE_BEGIN = 'B', /* a slice of the row; slices nest */
  TRACE_END = 'E',
  TRACE_WHOLE = 'X',    /* a slice that is over; trace_duration follows */
  TRACE_NAME = 'M',     /* of a row */
  TRACE_OP_BEGIN = 'b', /* by id, of no row */
  TRACE_OP_SOME = 'n',
  TRACE_OP_END = 'e',
};

int trace_file_open(struct trace_file *f, const char *path, uint64_t max);
/* Ends the array. 0 or -errno of anything that failed. */
int trace_file_close(struct trace_file *f);
static inline bool trace_full(const struct trace_file *f) {
  return f->err || f->bytes + f->n >= f->max;
}

/* at_ns counts from the start of the trace; tid is the row. */
void trace_begin(struct trace_file *f, enum trace_phase phase, const char *name,
                 uint64_t at_ns, uint32_t tid);
void trace_duration(struct trace_file *f, uint64_t ns);
void trace_id(struct trace_file *f, uint64_t id);
void trace_text(struct trace_file *f, const char *key, const char *value);
void trace_number(struct trace_file *f, const char *key, int64_t value);
void trace_end(struct trace_file *f);

#endif
