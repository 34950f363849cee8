/* stream_file.c - streams over files: bytes with a position.
 *
 * What the other transports leave to the peer is here the file's: `in` holds
 * what was read ahead of the position, and a write goes to the position, so it
 * drops what was read ahead. The end of the file, or an error, holds for the
 * read that met it; the next one asks again. One write call is under way at a
 * time and returns when it has been done (transport->completes).
 * Owns its handle and ops. Reading and writing somewhere else, without the
 * position, is in lua_file.c.
 *
 * SPDX-License-Identifier: MIT */
#include "stream_file.h"

#include <stdlib.h>
#include <string.h>

enum {
  READ_FIRST = 16 * 1024, /* bytes of the first read; four times as many */
  READ_MOST = 256 * 1024, /* after one that was full, at most these */
  SKIP_MOST = 6,          /* powers of two */
  ALIGN = 4096,
};

struct file {
  struct stream stream;
  struct handle *handle; /* NULL once it is closing for good */
  struct op *read, *write;
  struct chunk *chunk; /* what `read` fills */
  bool stale;          /* ... and what nobody wants: the position has moved */
  uint32_t cap;        /* of the next one */
  int64_t ahead;       /* where the next read starts; -1: has no positions */
  int64_t out_at;      /* where what is in `out` goes */
  bool append, direct;
  uint8_t misses, skip; /* reads without waiting that failed in a row; how many
                           are not tried next */
  char path[];
};

static struct file *file_of(const struct stream *s) {
  return container_of(s, struct file, stream);
}

/* The proactor ends, and its handles with it. */
static bool cut_off(const struct file *f) {
  return f->handle && f->handle->closing;
}

bool file_seekable(const struct stream *s) {
  return file_of(s)->ahead >= 0;
}

bool file_appends(const struct stream *s) {
  return file_of(s)->append;
}

/* Put back before the first byte: still the first. */
int64_t file_position(const struct stream *s) {
  int64_t at = file_of(s)->ahead - (int64_t)s->in.len;
  return at > 0 ? at : 0;
}

void file_seek(struct stream *s, int64_t at) {
  struct file *f = file_of(s);
  inq_clear(&s->in);
  if (f->read) f->stale = true;
  f->ahead = at;
}

void file_changed(struct stream *s, int64_t at, int64_t n) {
  struct file *f = file_of(s);
  int64_t from = f->ahead - (int64_t)s->in.len;
  int64_t to = f->ahead + (f->chunk ? f->chunk->cap : 0);
  if (f->ahead >= 0 && at < to && from < at + n) file_seek(s, file_position(s));
}

static struct op *new_op(struct file *f, const struct op_class *class,
                         op_sink *sink) {
  struct op *op = proactor_op(f->stream.p, class);
  if (!op) return NULL;
  op->handle = f->handle;
  op->sink = sink;
  op->owner = f;
  return op;
}

/* -- reading -- */

static void file_receive(struct stream *s);

static void take_bytes(struct file *f, struct chunk *c, size_t n) {
  struct stream *s = &f->stream;
  if (n == c->cap && f->cap < READ_MOST) f->cap *= 4;
  c->end = (uint32_t)n;
  if (f->ahead >= 0) f->ahead += (int64_t)n;
  s->p->stats.bytes_in += n;
  inq_add_private(&s->in, c);
}

static void read_sink(struct op *op, const struct op_result *r) {
  struct file *f = op->owner;
  struct stream *s = &f->stream;
  struct chunk *c = f->chunk;
  bool wanted = !f->stale && !s->ended, more = wanted && r->res > 0;
  f->chunk = NULL;
  f->read = NULL;
  f->stale = false;
  proactor_free(s->p, op);
  if (more)
    take_bytes(f, c, (size_t)r->res);
  else
    chunk_free(s->in.pool, c);
  if (wanted && !more) stream_end_in(s, r->res);
  if (more) stream_came(s);
  if (stream_awaited(s)) file_receive(s);
}

/* Half a microsecond from the page cache; through a ring it is three times
 * that, through a worker thirty. A miss costs as much for nothing, so that
 * after some the next ones are not tried. */
static ssize_t read_now(struct file *f, void *into, size_t n, int64_t off) {
  struct sys *sys = proactor_sys(f->stream.p);
  if (f->direct || f->ahead < 0 || cut_off(f)) return -EAGAIN;
  if (f->skip) {
    f->skip--;
    return -EAGAIN;
  }
  ssize_t r = sys->class->read_now(sys, f->handle->fd, into, n, off);
  if (r >= 0) {
    f->misses = 0;
    return r;
  }
  if (f->misses < SKIP_MOST) f->misses++;
  f->skip = (uint8_t)((1u << f->misses) - 1);
  return r;
}

ssize_t file_read_now(struct stream *s, void *into, size_t n, int64_t off) {
  if (n > READ_MOST) return -EAGAIN; /* others have their turn meanwhile */
  ssize_t r = read_now(file_of(s), into, n, off);
  return r == (ssize_t)n ? r : -EAGAIN;
}

/* As much as somebody waits for, within reason. */
static struct chunk *new_chunk(struct file *f) {
  struct stream *s = &f->stream;
  size_t more = s->want > s->in.len ? s->want - s->in.len : 0;
  size_t cap = more > f->cap ? min_size(more, READ_MOST) : f->cap;
  cap = (cap + ALIGN - 1) & ~(size_t)(ALIGN - 1);
  struct chunk *c = chunk_new(s->in.pool, f->direct ? cap + ALIGN : cap);
  if (!c || !f->direct) return c;
  c->data += ALIGN - (uintptr_t)c->data % ALIGN;
  c->cap = (uint32_t)cap;
  return c;
}

static bool busy(const struct file *f) {
  const struct stream *s = &f->stream;
  return f->read || s->held || s->out.len || s->out.lent || !f->handle;
}

static bool file_receive_now(struct stream *s) {
  struct file *f = file_of(s);
  if (busy(f)) return false;
  struct chunk *c = new_chunk(f);
  ssize_t n = c ? read_now(f, c->data, c->cap, f->ahead) : -EAGAIN;
  if (n > 0) {
    take_bytes(f, c, (size_t)n);
    return true;
  }
  if (c) chunk_free(s->in.pool, c);
  if (n == 0) stream_end_in(s, 0);
  return n == 0;
}

/* Only for who waits; what is being written comes first. */
static void file_receive(struct stream *s) {
  struct file *f = file_of(s);
  if (busy(f) || !stream_wants(s)) return;
  struct chunk *c = new_chunk(f);
  struct op *op = c ? new_op(f, &op_read, read_sink) : NULL;
  if (!op) {
    if (c) chunk_free(s->in.pool, c);
    stream_fail_in(s, -ENOMEM);
    return;
  }
  op->io.ptr = c->data;
  op->io.len = c->cap;
  op->io.off = f->ahead;
  f->chunk = c;
  f->read = op;
  proactor_submit(s->p, op);
}

/* What is on its way stays here for the next reader. */
static void file_pause(struct stream *s) {
  (void)s;
}

static void file_again(struct stream *s) {
  s->eof = false;
  s->in_err = 0;
}

/* -- writing -- */

/* From here on the position is behind what was accepted. */
static void file_accepted(struct stream *s) {
  struct file *f = file_of(s);
  if (f->ahead < 0) return;
  f->out_at = file_position(s);
  file_seek(s, f->out_at + (int64_t)s->out.len);
}

/* Appending, only the kernel knows where the end was. */
static void wrote(struct file *f, size_t n) {
  struct sys *sys = proactor_sys(f->stream.p);
  if (f->ahead < 0) return;
  f->out_at += (int64_t)n;
  if (!f->append || !f->handle || n == 0) return;
  int64_t at = sys->class->position(sys, f->handle->fd);
  if (at >= 0) f->ahead = at;
}

static void write_failed(struct file *f, int err) {
  if (f->ahead >= 0 && !f->append) f->ahead = f->out_at;
  stream_send_failed(&f->stream, err);
}

static void write_sink(struct op *op, const struct op_result *r) {
  struct file *f = op->owner;
  struct stream *s = &f->stream;
  size_t n = r->res > 0 ? (size_t)r->res : 0;
  bool failed = n < op->io.len && (r->res <= 0 || cut_off(f));
  f->write = NULL;
  proactor_free(s->p, op);
  s->p->stats.bytes_out += n;
  wrote(f, n);
  if (failed) {
    outq_return(&s->out, n);
    write_failed(f, r->res < 0 ? r->res : -ECANCELED);
  } else {
    stream_sent(s, n);
  }
  if (stream_awaited(s) && !s->ended) file_receive(s);
}

/* The first part alone: a write call is one. */
static void file_send(struct stream *s) {
  struct file *f = file_of(s);
  struct iovec iov[OUTQ_IOV_MAX];
  if (!f->handle || cut_off(f)) return;
  struct op *op = new_op(f, &op_write, write_sink);
  if (!op) {
    write_failed(f, -ENOMEM);
    return;
  }
  outq_lend(&s->out, iov);
  op->io.ptr = iov[0].iov_base;
  op->io.len = iov[0].iov_len;
  op->io.off = f->append ? -1 : f->ahead < 0 ? -1 : f->out_at;
  f->write = op;
  proactor_submit(s->p, op);
}

static void file_shutdown(struct stream *s) {
  (void)s; /* nobody is to be told */
}

static void file_abort(struct stream *s) {
  (void)s;
}

/* -- ending -- */

static void closed_sink(struct op *op, const struct op_result *r) {
  struct file *f = op->owner;
  (void)r;
  assert(!f->read && !f->write && !f->chunk);
  stream_free(&f->stream);
}

static void file_end(struct stream *s) {
  struct file *f = file_of(s);
  struct handle *h = f->handle;
  f->handle = NULL;
  if (!h->closing) { /* else the proactor ends, and closes it itself */
    handle_close(s->p, h, closed_sink, f);
    return;
  }
  h->on_closed = closed_sink;
  h->closer = f;
}

static struct handle *file_handle(const struct stream *s) {
  return file_of(s)->handle;
}

static const char *file_label(const struct stream *s) {
  return file_of(s)->path;
}

static const struct transport file_transport = {
    .name = "file",
    .completes = true,
    .receive = file_receive,
    .receive_now = file_receive_now,
    .pause = file_pause,
    .again = file_again,
    .accepted = file_accepted,
    .send = file_send,
    .shutdown = file_shutdown,
    .abort = file_abort,
    .end = file_end,
    .handle = file_handle,
    .label = file_label,
};

bool stream_is_file(const struct stream *s) {
  return s->transport == &file_transport;
}

struct stream *stream_over_file(struct proactor *p, struct handle *h,
                                const struct file_options *o,
                                const struct anchors *anchors) {
  size_t n = strlen(o->path) + 1;
  struct file *f = stream_alloc(p, sizeof *f + n, &file_transport, anchors);
  if (!f) return NULL;
  memcpy(f->path, o->path, n);
  f->handle = h;
  f->append = o->append;
  f->direct = o->direct;
  f->cap = READ_FIRST;
  f->ahead = h->kind == HANDLE_FILE ? 0 : -1;
  f->stream.outside = f->stream.shy = true;
  return &f->stream;
}
