/* ops_path.c - operations on names of files.
 *
 * The ring carries out those it has an entry for; the others, and all of them
 * without a ring, run on a worker: looking a name up may block. A path starts
 * from the directory that is the op's handle, or from the current one. See
 * ops_net.c for the form of a stanza, ops_file.c for what has a descriptor.
 *
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "ops.h"

/* -- open --
 *
 * open(2) of a FIFO waits for its other end, as long as that takes. op_open
 * never does, as with O_NONBLOCK: there is an end to read at once, and ENXIO
 * where nobody reads what is to be written. The ring tries it so by itself, but
 * leaves to its threads, which wait, what makes a file or whose path is not in
 * the kernel's memory (RESOLVE_CACHED, openat2(2)); they are few, and so are
 * the workers. op_open_waiting waits, on a worker beside those. */

/* What is to be added to the flags: a FIFO to be read and written has both its
 * ends, and what is made anew is none. */
static int not_to_wait(const struct op *op) {
  int flags = op->arg.file.flags;
  bool alone = (flags & O_ACCMODE) != O_RDWR;
  return alone && !(flags & (O_EXCL | O_PATH | O_DIRECTORY)) ? O_NONBLOCK : 0;
}

/* The flags are those that were asked for again. */
static void opened(const struct op *op, int fd) {
  fcntl(fd, F_SETFL, op->arg.file.flags);
}

/* io.flags is what this try adds, or REFUSED. */
enum { REFUSED = -1 };

static void open_prep(struct op *op, struct io_uring_sqe *sqe) {
  op->io.flags = op->io.flags == REFUSED ? 0 : not_to_wait(op);
  io_uring_prep_openat(sqe, op_at_fd(op), op->arg.file.path,
                       op->arg.file.flags | op->io.flags | O_CLOEXEC,
                       op->arg.file.mode);
}

/* A file that others hold a lease on (fcntl(2)) says EAGAIN: that does not take
 * for ever. */
static int open_finish(struct op *op, int res) {
  if (!op->io.flags) return res;
  if (res >= 0) opened(op, res);
  if (res != -EAGAIN) return res;
  op->io.flags = REFUSED;
  return OP_AGAIN;
}

static int open_with(const struct op *op, struct sys *sys, int more) {
  return sys->class->open(sys, op_at_fd(op), op->arg.file.path,
                          op->arg.file.flags | more, op->arg.file.mode);
}

static int open_perform(struct op *op, struct sys *sys) {
  int more = not_to_wait(op), fd = open_with(op, sys, more);
  if (!more || !op->on_worker) return fd; /* the simulation has no threads */
  if (fd >= 0) opened(op, fd);
  return fd == -EAGAIN ? open_with(op, sys, 0) : fd;
}

static void open_dispose(struct op *op, int res, struct sys *sys) {
  (void)op;
  if (res >= 0) sys->class->close(sys, res);
}

const struct op_class op_open = {
    .name = "open",
    .args = {ARG_PATH, ARG_MODE, ARG_AT},
    .value = VALUE_FD,
    .flags = OP_BLOCKING | OP_FILE,
    .prep = open_prep,
    .perform = open_perform,
    .finish = open_finish,
    .dispose = open_dispose,
};

static int open_waiting_perform(struct op *op, struct sys *sys) {
  return open_with(op, sys, 0);
}

const struct op_class op_open_waiting = {
    .name = "open_waiting",
    .args = {ARG_PATH, ARG_MODE, ARG_AT},
    .value = VALUE_FD,
    .flags = OP_BLOCKING | OP_WORKER | OP_PATIENT | OP_FILE,
    .perform = open_waiting_perform,
    .dispose = open_dispose,
};

static int stat_flags(const struct op *op) {
  return op->arg.file.flags ? AT_SYMLINK_NOFOLLOW : 0;
}

static void stat_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_statx(sqe, op_at_fd(op), op->arg.file.path, stat_flags(op),
                      STATX_BASIC_STATS | STATX_BTIME, op->memory);
}

static int stat_perform(struct op *op, struct sys *sys) {
  return sys->class->statx(sys, op_at_fd(op), op->arg.file.path, stat_flags(op),
                           op->memory);
}

const struct op_class op_stat = {
    .name = "stat",
    .args = {ARG_PATH, ARG_FLAG, ARG_AT},
    .value = VALUE_STAT,
    .flags = OP_BLOCKING,
    .space = sizeof(struct statx),
    .prep = stat_prep,
    .perform = stat_perform,
};

static int access_perform(struct op *op, struct sys *sys) {
  return sys->class->access(sys, op_at_fd(op), op->arg.file.path,
                            op->arg.file.flags);
}

const struct op_class op_access = {
    .name = "access",
    .args = {ARG_PATH, ARG_ACCESS, ARG_AT},
    .value = VALUE_TRUE,
    .flags = OP_BLOCKING | OP_WORKER,
    .perform = access_perform,
};

static void mkdir_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_mkdirat(sqe, op_at_fd(op), op->arg.file.path,
                        op->arg.file.mode);
}

static int mkdir_perform(struct op *op, struct sys *sys) {
  return sys->class->mkdir(sys, op_at_fd(op), op->arg.file.path,
                           op->arg.file.mode);
}

const struct op_class op_mkdir = {
    .name = "mkdir",
    .args = {ARG_PATH, ARG_MASK, ARG_AT},
    .value = VALUE_TRUE,
    .flags = OP_BLOCKING,
    .prep = mkdir_prep,
    .perform = mkdir_perform,
};

static int unlink_flags(const struct op *op) {
  return op->arg.file.flags ? AT_REMOVEDIR : 0;
}

static void unlink_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_unlinkat(sqe, op_at_fd(op), op->arg.file.path,
                         unlink_flags(op));
}

static int unlink_perform(struct op *op, struct sys *sys) {
  return sys->class->unlink_at(sys, op_at_fd(op), op->arg.file.path,
                               unlink_flags(op));
}

const struct op_class op_unlink = {
    .name = "unlink",
    .args = {ARG_PATH, ARG_FLAG, ARG_AT},
    .value = VALUE_TRUE,
    .flags = OP_BLOCKING,
    .prep = unlink_prep,
    .perform = unlink_perform,
};

/* -- two names -- */

static unsigned rename_flags(const struct op *op) {
  return op->arg.file.flags ? RENAME_NOREPLACE : 0;
}

static void rename_prep(struct op *op, struct io_uring_sqe *sqe) {
  int at = op_at_fd(op);
  io_uring_prep_renameat(sqe, at, op->arg.file.path, at, op->arg.file.to,
                         rename_flags(op));
}

static int rename_perform(struct op *op, struct sys *sys) {
  return sys->class->rename(sys, op_at_fd(op), op->arg.file.path,
                            op->arg.file.to, rename_flags(op));
}

const struct op_class op_rename = {
    .name = "rename",
    .args = {ARG_PATH, ARG_PATH, ARG_FLAG, ARG_AT},
    .value = VALUE_TRUE,
    .flags = OP_BLOCKING,
    .prep = rename_prep,
    .perform = rename_perform,
};

static void link_prep(struct op *op, struct io_uring_sqe *sqe) {
  int at = op_at_fd(op);
  io_uring_prep_linkat(sqe, at, op->arg.file.path, at, op->arg.file.to, 0);
}

static int link_perform(struct op *op, struct sys *sys) {
  return sys->class->link(sys, op_at_fd(op), op->arg.file.path,
                          op->arg.file.to);
}

const struct op_class op_link = {
    .name = "link",
    .args = {ARG_PATH, ARG_PATH, ARG_AT},
    .value = VALUE_TRUE,
    .flags = OP_BLOCKING,
    .prep = link_prep,
    .perform = link_perform,
};

static void symlink_prep(struct op *op, struct io_uring_sqe *sqe) {
  io_uring_prep_symlinkat(sqe, op->arg.file.path, op_at_fd(op),
                          op->arg.file.to);
}

static int symlink_perform(struct op *op, struct sys *sys) {
  return sys->class->symlink(sys, op->arg.file.path, op_at_fd(op),
                             op->arg.file.to);
}

const struct op_class op_symlink = {
    .name = "symlink",
    .args = {ARG_PATH, ARG_PATH, ARG_AT},
    .value = VALUE_TRUE,
    .flags = OP_BLOCKING,
    .prep = symlink_prep,
    .perform = symlink_perform,
};

/* -- those that no ring has -- */

/* The text takes the place of the path. */
static int keep_text(struct op *op, char *text, ssize_t n) {
  if (n < 0) {
    free(text);
    return (int)n;
  }
  free(op->memory);
  op->memory = text;
  return (int)n;
}

static int readlink_perform(struct op *op, struct sys *sys) {
  char *text = malloc(PATH_MAX);
  if (!text) return -ENOMEM;
  return keep_text(op, text,
                   sys->class->readlink(sys, op_at_fd(op), op->arg.file.path,
                                        text, PATH_MAX));
}

const struct op_class op_readlink = {
    .name = "readlink",
    .args = {ARG_PATH, ARG_AT},
    .value = VALUE_TEXT,
    .flags = OP_BLOCKING | OP_WORKER,
    .perform = readlink_perform,
};

static int realpath_perform(struct op *op, struct sys *sys) {
  char *text = malloc(PATH_MAX);
  if (!text) return -ENOMEM;
  return keep_text(op, text,
                   sys->class->realpath(sys, op->arg.file.path, text));
}

const struct op_class op_realpath = {
    .name = "realpath",
    .args = {ARG_PATH},
    .value = VALUE_TEXT,
    .flags = OP_BLOCKING | OP_WORKER,
    .perform = realpath_perform,
};

static int chmod_perform(struct op *op, struct sys *sys) {
  return sys->class->chmod_at(sys, op_at_fd(op), op->arg.file.path,
                              op->arg.file.mode);
}

const struct op_class op_chmod = {
    .name = "chmod",
    .args = {ARG_PATH, ARG_MASK, ARG_AT},
    .value = VALUE_TRUE,
    .flags = OP_BLOCKING | OP_WORKER,
    .perform = chmod_perform,
};
