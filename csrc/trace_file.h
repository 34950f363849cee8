/* trace_file.h - a file of events, in the JSON form of Chrome's trace viewer.
 *
 * An array of objects, one a line. Whole events are written, so a file that
 * was not finished lacks its last bracket and nothing else; viewers open it. An
 * event is begun, given arguments and ended; nothing of that waits or
 * allocates, but when the buffer is full it is written, which blocks as writing
 * to a file does. Errors are kept and told by trace_file_close. Knows neither
 * Lua nor what is traced.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_TRACE_FILE_H
#define PROA_TRACE_FILE_H

#include <sys/types.h>

#include "base.h"

enum {
  TRACE_BUFFER = 64 * 1024,
  TRACE_EVENT_MAX = 8 * 1024, /* texts are some hundred bytes, escaped */
};

struct trace_file {
  int fd;
  pid_t pid; /* whose it is; after fork the child writes nothing */
  int err; /* -errno of the first write that failed; nothing more is written */
  uint64_t bytes, max; /* written; when it is full no event begins any more */
  bool some, args;     /* there is an event; this one has arguments */
  size_t n;
  char buffer[TRACE_BUFFER];
};

/* The kinds of events that are used, by their letter. */
enum trace_phase {
  TRACE_SLICE = 'X',    /* of the row, over; they nest; trace_slice follows */
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
/* What a slice has besides: what it is of, for viewers that filter. */
void trace_slice(struct trace_file *f, const char *of, uint64_t ns);
void trace_id(struct trace_file *f, uint64_t id);
void trace_text(struct trace_file *f, const char *key, const char *value);
void trace_number(struct trace_file *f, const char *key, int64_t value);
void trace_end(struct trace_file *f);

#endif
