/* ops_file.c - operations on descriptors of files, and of whatever else has
 * one.
 *
 * read and write serve pipes (by readiness) and files (which block, so a
 * driver without the kernel's help runs them on a worker). Operations on names
 * are in ops_path.c; see ops_net.c for the form of a stanza.
 *
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "ops.h"

static void read_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_read(sqe, op_fd(op), op->io.ptr, (unsigned)op->io.len,
                     (uint64_t)op->io.off);
}

static int read_perform(struct op *op, struct sys *sys) {
  return (int)sys->class->read(sys, op_fd(op), op->io.ptr, op->io.len,
                               op->io.off);
}

const struct op_class op_read = {
    .name = "read",
    .args = {ARG_FD, ARG_INTO, ARG_OFFSET},
    .value = VALUE_RECV,
    .interest = POLLIN,
    .flags = OP_BLOCKING | OP_FILLS,
    .prep = read_prep,
    .perform = read_perform,
};

static int64_t write_offset(const struct op *op) {
  return op->io.off < 0 ? -1 : op->io.off + (int64_t)op->io.done;
}

static void write_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_write(sqe, op_fd(op), op->io.ptr + op->io.done,
                      (unsigned)(op->io.len - op->io.done),
                      (uint64_t)write_offset(op));
}

static int write_perform(struct op *op, struct sys *sys) {
  return (int)sys->class->write(sys, op_fd(op), op->io.ptr + op->io.done,
                                op->io.len - op->io.done, write_offset(op));
}

const struct op_class op_write = {
    .name = "write",
    .args = {ARG_FD, ARG_BYTES, ARG_OFFSET},
    .value = VALUE_COUNT,
    .interest = POLLOUT,
    .flags = OP_BLOCKING | OP_EMPTIES,
    .prep = write_prep,
    .perform = write_perform,
    .finish = op_finish_all,
};

/* -- several parts at once: of buffers, of strings -- */

static void readv_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_readv(sqe, op_fd(op), op->arg.msg->msg_iov,
                      (unsigned)op->arg.msg->msg_iovlen, (uint64_t)op->io.off);
}

/* On a worker the parts are one block, the job's own. */
static int readv_perform(struct op *op, struct sys *sys) {
  if (op->io.ptr) return read_perform(op, sys);
  const struct msghdr *m = op->arg.msg;
  return (int)sys->class->readv(sys, op_fd(op), m->msg_iov, (int)m->msg_iovlen,
                                op->io.off);
}

const struct op_class op_readv = {
    .name = "readv",
    .args = {ARG_FD, ARG_BUFFERS, ARG_OFFSET},
    .value = VALUE_RECV,
    .interest = POLLIN,
    .flags = OP_BLOCKING | OP_FILLS | OP_PARTS,
    .prep = readv_prep,
    .perform = readv_perform,
};

static void writev_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_writev(sqe, op_fd(op), op->arg.msg->msg_iov,
                       (unsigned)op->arg.msg->msg_iovlen,
                       (uint64_t)write_offset(op));
}

/* Either way only what is left: the parts are stepped over. */
static int writev_perform(struct op *op, struct sys *sys) {
  const struct msghdr *m = op->arg.msg;
  if (op->io.ptr)
    return (int)sys->class->write(sys, op_fd(op), op->io.ptr,
                                  op->io.len - op->io.done, write_offset(op));
  return (int)sys->class->writev(sys, op_fd(op), m->msg_iov, (int)m->msg_iovlen,
                                 write_offset(op));
}

static int writev_finish(struct op *op, int res) {
  if (res > 0) op_msg_advance(op->arg.msg, (size_t)res);
  return op_finish_all(op, res);
}

const struct op_class op_writev = {
    .name = "writev",
    .args = {ARG_FD, ARG_PARTS, ARG_OFFSET},
    .value = VALUE_COUNT,
    .interest = POLLOUT,
    .flags = OP_BLOCKING | OP_EMPTIES | OP_PARTS,
    .prep = writev_prep,
    .perform = writev_perform,
    .finish = writev_finish,
};

static void fsync_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_fsync(sqe, op_fd(op), op->io.flags ? IORING_FSYNC_DATASYNC : 0);
}

static int fsync_perform(struct op *op, struct sys *sys) {
  return sys->class->fsync(sys, op_fd(op), op->io.flags != 0);
}

const struct op_class op_fsync = {
    .name = "fsync",
    .args = {ARG_FD, ARG_FLAG},
    .value = VALUE_TRUE,
    .flags = OP_BLOCKING,
    .prep = fsync_prep,
    .perform = fsync_perform,
};

/* -- what the kernel tells and keeps of a file -- */

enum { STAT_MASK = STATX_BASIC_STATS | STATX_BTIME };

static void fstat_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_statx(sqe, op_fd(op), "", AT_EMPTY_PATH, STAT_MASK, op->memory);
}

static int fstat_perform(struct op *op, struct sys *sys) {
  return sys->class->statx(sys, op_fd(op), "", AT_EMPTY_PATH, op->memory);
}

const struct op_class op_fstat = {
    .name = "fstat",
    .args = {ARG_FD},
    .value = VALUE_STAT,
    .flags = OP_BLOCKING | OP_WORKER,
    .space = sizeof(struct statx),
    .prep = fstat_prep,
    .perform = fstat_perform,
};

/* The ring has it from 6.9 on only. */
static int truncate_perform(struct op *op, struct sys *sys) {
  return sys->class->truncate(sys, op_fd(op), op->io.off);
}

const struct op_class op_truncate = {
    .name = "truncate",
    .args = {ARG_FD, ARG_COUNT},
    .value = VALUE_TRUE,
    .flags = OP_BLOCKING | OP_WORKER,
    .perform = truncate_perform,
};

static int allocate_mode(const struct op *op) {
  return op->io.flags ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : 0;
}

static void allocate_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_fallocate(sqe, op_fd(op), allocate_mode(op), op->io.off,
                          op->io.count);
}

static int allocate_perform(struct op *op, struct sys *sys) {
  return sys->class->allocate(sys, op_fd(op), allocate_mode(op), op->io.off,
                              op->io.count);
}

const struct op_class op_allocate = {
    .name = "allocate",
    .args = {ARG_FD, ARG_OFFSET, ARG_COUNT, ARG_FLAG},
    .value = VALUE_TRUE,
    .flags = OP_BLOCKING | OP_WORKER,
    .prep = allocate_prep,
    .perform = allocate_perform,
};

/* Never waits: four that did would keep every worker from the one that is to
 * unlock. EWOULDBLOCK would mean "wait" to a driver. */
static int flock_perform(struct op *op, struct sys *sys) {
  int r = sys->class->lock(sys, op_fd(op), op->io.flags);
  return r == -EWOULDBLOCK ? -EBUSY : r;
}

static void flock_dispose(struct op *op, int res, struct sys *sys) {
  if (res == 0 && op->handle) sys->class->lock(sys, op_fd(op), LOCK_UN);
}

const struct op_class op_flock = {
    .name = "flock",
    .args = {ARG_FD, ARG_LOCK},
    .value = VALUE_TRUE,
    .flags = OP_BLOCKING | OP_WORKER,
    .perform = flock_perform,
    .dispose = flock_dispose,
};

/* -- from one to another, without passing through here -- */

enum { COPY_MAX = 16 << 20 }; /* of one op: how long a cancel may take */

static size_t copy_len(const struct op *op) {
  return op->io.count > COPY_MAX ? COPY_MAX : (size_t)op->io.count;
}

static int copy_range_perform(struct op *op, struct sys *sys) {
  return (int)sys->class->copy_range(sys, op_fd(op), op->io.off, op->other->fd,
                                     op->arg.from_off, copy_len(op));
}

const struct op_class op_copy_range = {
    .name = "copy_range",
    .args = {ARG_FD, ARG_OFFSET, ARG_FD, ARG_OFFSET, ARG_COUNT},
    .value = VALUE_COUNT,
    .flags = OP_BLOCKING | OP_WORKER,
    .perform = copy_range_perform,
};

enum { SEND_MAX = 1 << 20 };

/* On a worker, because the file may have to be read first; what it sends to
 * does not block, so that a slow peer holds none. -EAGAIN is its result: wait
 * until the socket is writable. */
static int sendfile_perform(struct op *op, struct sys *sys) {
  size_t n = min_size(copy_len(op), SEND_MAX);
  return (int)sys->class->sendfile(sys, op_fd(op), op->other->fd,
                                   op->arg.from_off, n);
}

const struct op_class op_sendfile = {
    .name = "sendfile",
    .args = {ARG_FD, ARG_FD, ARG_OFFSET, ARG_COUNT},
    .value = VALUE_COUNT,
    .interest = POLLOUT,
    .flags = OP_BLOCKING | OP_WORKER,
    .perform = sendfile_perform,
};

/* -- directories, watches -- */

enum { ENTRIES_BYTES = 32 * 1024 };

static int entries_perform(struct op *op, struct sys *sys) {
  void *names = malloc(ENTRIES_BYTES);
  if (!names) return -ENOMEM;
  int r = (int)sys->class->entries(sys, op_fd(op), names, ENTRIES_BYTES);
  free(op->memory);
  op->memory = names;
  return r;
}

const struct op_class op_entries = {
    .name = "entries",
    .args = {ARG_FD},
    .value = VALUE_NAMES,
    .flags = OP_BLOCKING | OP_WORKER,
    .perform = entries_perform,
};

/* It looks a path up, which may block. */
static int watch_add_perform(struct op *op, struct sys *sys) {
  return sys->class->watch(sys, op_fd(op), op->arg.file.path,
                           op->arg.file.mode);
}

const struct op_class op_watch_add = {
    .name = "watch_add",
    .args = {ARG_FD, ARG_PATH, ARG_MASK},
    .value = VALUE_COUNT,
    .flags = OP_BLOCKING | OP_WORKER,
    .perform = watch_add_perform,
};
