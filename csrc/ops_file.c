/* ops_file.c - operations on files and on whatever else has a descriptor.
 *
 * read and write serve pipes (by readiness) and files (which block, so a
 * driver without the kernel's help runs them on a worker). See ops_net.c for
 * the form of a stanza.
 *
 * SPDX-License-Identifier: MIT */
#include <liburing.h>
#include <poll.h>

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

static void open_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_openat(sqe, AT_FDCWD, op->arg.open.path,
                       op->arg.open.flags | O_CLOEXEC, op->arg.open.mode);
}

static int open_perform(struct op *op, struct sys *sys) {
  return sys->class->open(sys, op->arg.open.path, op->arg.open.flags,
                          op->arg.open.mode);
}

static void open_dispose(struct op *op, int res, struct sys *sys) {
  (void)op;
  if (res >= 0) sys->class->close(sys, res);
}

const struct op_class op_open = {
    .name = "open",
    .args = {ARG_PATH, ARG_MODE},
    .value = VALUE_FD,
    .flags = OP_BLOCKING,
    .prep = open_prep,
    .perform = open_perform,
    .dispose = open_dispose,
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
