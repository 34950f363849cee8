/* trace_file.c - a file of events. See trace_file.h.
 *
 * SPDX-License-Identifier: MIT */
#include "trace_file.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* -- bytes -- */

static void flush(struct trace_file *f) {
  if (f->pid != getpid()) f->n = 0; /* the parent has these, too */
  for (size_t done = 0; done < f->n && !f->err;) {
    ssize_t r = write(f->fd, f->buffer + done, f->n - done);
    if (r >= 0)
      done += (size_t)r;
    else if (errno != EINTR)
      f->err = -errno;
  }
  f->bytes += f->n;
  f->n = 0;
}

static void put(struct trace_file *f, char c) {
  if (f->n == sizeof f->buffer) flush(f);
  f->buffer[f->n++] = c;
}

static void put_bytes(struct trace_file *f, const char *bytes, size_t n) {
  if (f->n + n > sizeof f->buffer) flush(f);
  if (n > sizeof f->buffer) return; /* no text of ours is that long */
  memcpy(f->buffer + f->n, bytes, n);
  f->n += n;
}

static void put_text(struct trace_file *f, const char *text) {
  put_bytes(f, text, strlen(text));
}

static void put_number(struct trace_file *f, uint64_t n, int digits_min) {
  char digits[24];
  size_t i = sizeof digits;
  for (; n || digits_min > 0; n /= 10, digits_min--)
    digits[--i] = (char)('0' + n % 10);
  put_bytes(f, digits + i, sizeof digits - i);
}

/* Microseconds, as the format wants them. */
static void put_time(struct trace_file *f, uint64_t ns) {
  put_number(f, ns / 1000, 1);
  put(f, '.');
  put_number(f, ns % 1000, 3);
}

/* -- strings: UTF-8 stays, every other byte becomes U+FFFD -- */

/* Length of the sequence at `at`, 0: it is none. Overlong forms and surrogates
 * are let through as far as their bytes go; viewers replace them. */
static size_t sequence(const unsigned char *at) {
  size_t n = at[0] < 0x80                    ? 1
             : at[0] >= 0xC2 && at[0] < 0xE0 ? 2
             : at[0] >= 0xE0 && at[0] < 0xF0 ? 3
             : at[0] >= 0xF0 && at[0] < 0xF5 ? 4
                                             : 0;
  for (size_t i = 1; i < n; i++)
    if ((at[i] & 0xC0) != 0x80) return 0;
  return n;
}

static void put_escape(struct trace_file *f, unsigned char c) {
  static const char hex[] = "0123456789abcdef";
  put_text(f, "\\u00");
  put(f, hex[c >> 4]);
  put(f, hex[c & 15]);
}

static void put_string(struct trace_file *f, const char *text) {
  const unsigned char *at = (const unsigned char *)text;
  put(f, '"');
  while (*at) {
    size_t n = sequence(at);
    if (n == 0)
      put_text(f, "\\ufffd");
    else if (*at < 32 || *at == 127 || *at == '"' || *at == '\\')
      put_escape(f, *at);
    else
      put_bytes(f, (const char *)at, n);
    at += n ? n : 1;
  }
  put(f, '"');
}

static void put_key(struct trace_file *f, const char *key) {
  put_text(f, ",\"");
  put_text(f, key);
  put_text(f, "\":");
}

/* -- events -- */

void trace_begin(struct trace_file *f, enum trace_phase phase, const char *name,
                 uint64_t at_ns, uint32_t tid) {
  if (f->n > sizeof f->buffer - TRACE_EVENT_MAX) flush(f);
  put_text(f, f->some ? ",\n{\"ph\":\"" : "{\"ph\":\"");
  put(f, (char)phase);
  put_text(f, "\",\"pid\":");
  put_number(f, (uint64_t)f->pid, 1);
  put_key(f, "tid");
  put_number(f, tid, 1);
  put_key(f, "ts");
  put_time(f, at_ns);
  if (name) {
    put_key(f, "name");
    put_string(f, name);
  }
  f->some = true;
  f->args = false;
}

void trace_slice(struct trace_file *f, const char *of, uint64_t ns) {
  put_key(f, "cat");
  put_string(f, of);
  put_key(f, "dur");
  put_time(f, ns);
}

void trace_id(struct trace_file *f, uint64_t id) {
  put_text(f, ",\"cat\":\"op\",\"id\":\"");
  put_number(f, id, 1);
  put(f, '"');
}

static void put_arg(struct trace_file *f, const char *key) {
  put_text(f, f->args ? ",\"" : ",\"args\":{\"");
  put_text(f, key);
  put_text(f, "\":");
  f->args = true;
}

void trace_text(struct trace_file *f, const char *key, const char *value) {
  put_arg(f, key);
  put_string(f, value);
}

void trace_number(struct trace_file *f, const char *key, int64_t value) {
  put_arg(f, key);
  if (value < 0) put(f, '-');
  put_number(f, value < 0 ? -(uint64_t)value : (uint64_t)value, 1);
}

void trace_end(struct trace_file *f) {
  put_text(f, f->args ? "}}" : "}");
}

/* -- the file -- */

int trace_file_open(struct trace_file *f, const char *path, uint64_t max) {
  f->err = 0;
  f->pid = getpid();
  f->bytes = f->n = 0;
  f->max = max;
  f->some = false;
  f->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (f->fd < 0) return -errno;
  put_text(f, "[\n");
  return 0;
}

int trace_file_close(struct trace_file *f) {
  put_text(f, "\n]\n");
  flush(f);
  if (close(f->fd) < 0 && !f->err) f->err = -errno;
  f->fd = -1;
  return f->err;
}
