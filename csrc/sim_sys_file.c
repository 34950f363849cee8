/* sim_sys_file.c - the calls of sys.h on files, in the simulated world.
 *
 * Decides between the real files and those of sim_fs.h: an open file tells by
 * its number, a path by the knob `files` or by the directory it begins at.
 * Nothing here waits: a FIFO to read is opened without its other end, one to
 * write is tried. Owns nothing.
 *
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "sim_sys.h"

static struct sim_net *net_of(struct sys *s) {
  return container_of(s, struct sim_net, sys);
}

static struct sim_file *file(struct sys *s, int fd) {
  return sim_file_find(net_of(s), fd);
}

/* Where a path is looked for. */
struct look {
  struct sim_fs *fs; /* NULL: among the real files */
  struct sim_node *at;
};

/* -errno, or 0 and where. */
static int look(struct sys *s, int at, const char *path, struct look *l) {
  struct sim_net *net = net_of(s);
  *l = (struct look){0};
  bool from_at = at != AT_FDCWD && path[0] != '/';
  if (from_at ? !sim_is_file(at) : !net->knobs.files) return 0;
  l->fs = sim_fs_of(net);
  if (!l->fs) return -ENOMEM;
  if (!from_at) return 0;
  struct sim_file *f = file(s, at);
  if (!f) return -EBADF;
  l->at = f->node;
  return path[0] && !S_ISDIR(f->node->mode) ? -ENOTDIR : 0;
}

/* -- open files -- */

bool sim_sys_close(struct sys *s, int fd) {
  if (!file(s, fd)) return false;
  sim_file_close(net_of(s)->fs, fd);
  return true;
}

int sim_sys_dup(struct sys *s, int fd) {
  return file(s, fd) ? sim_file_dup(net_of(s)->fs, fd) : -EBADF;
}

/* fifo(7): without a reader, opening to write would wait; -EAGAIN. One opened
 * to read is silent, not at its end, until a writer has come. */
static int open_real(struct sys *s, int at, const char *path, int flags,
                     unsigned mode) {
  struct stat st;
  bool fifo = fstatat(at, path, &st, 0) == 0 && S_ISFIFO(st.st_mode);
  if (!fifo || flags & (O_NONBLOCK | O_PATH))
    return sys_posix.open(s, at, path, flags, mode);
  int fd = sys_posix.open(s, at, path, flags | O_NONBLOCK, mode);
  return fd == -ENXIO ? -EAGAIN : fd;
}

int sim_sys_open(struct sys *s, int at, const char *path, int flags,
                 unsigned mode) {
  struct look l;
  int r = look(s, at, path, &l);
  if (r < 0) return r;
  if (!l.fs) return open_real(s, at, path, flags, mode);
  return sim_file_open(l.fs, l.at, path, flags, mode);
}

ssize_t sim_sys_readv(struct sys *s, int fd, const struct iovec *v, int n,
                      int64_t off) {
  struct sim_file *f = file(s, fd);
  return f ? sim_file_read(f, v, n, off) : -EBADF;
}

ssize_t sim_sys_writev(struct sys *s, int fd, const struct iovec *v, int n,
                       int64_t off) {
  struct sim_file *f = file(s, fd);
  return f ? sim_file_write(net_of(s)->fs, f, v, n, off) : -EBADF;
}

int64_t sim_sys_position(struct sys *s, int fd) {
  struct sim_file *f = file(s, fd);
  return f ? (int64_t)f->at : -EBADF;
}

int sim_sys_fsync(struct sys *s, int fd, bool data_only) {
  (void)data_only;
  return file(s, fd) ? 0 : -EBADF;
}

static void change_mode(struct sys *s, struct sim_node *node, unsigned mode) {
  node->mode = (node->mode & S_IFMT) | (mode & 07777);
  node->changed_ns = net_of(s)->now_ns;
}

int sim_sys_fchmod(struct sys *s, int fd, unsigned mode) {
  struct sim_file *f = file(s, fd);
  if (f) change_mode(s, f->node, mode);
  return f ? 0 : -EBADF;
}

int sim_sys_truncate(struct sys *s, int fd, int64_t len) {
  struct sim_file *f = file(s, fd);
  return f ? sim_file_truncate(net_of(s)->fs, f, len) : -EBADF;
}

int sim_sys_allocate(struct sys *s, int fd, int mode, int64_t off,
                     int64_t len) {
  struct sim_file *f = file(s, fd);
  return f ? sim_file_allocate(net_of(s)->fs, f, mode, off, len) : -EBADF;
}

ssize_t sim_sys_entries(struct sys *s, int fd, void *into, size_t len) {
  struct sim_file *f = file(s, fd);
  return f ? sim_file_entries(f, into, len) : -EBADF;
}

int sim_sys_lock(struct sys *s, int fd, int how) {
  struct sim_file *f = file(s, fd);
  return f ? sim_file_lock(f, how) : -EBADF;
}

ssize_t sim_sys_copy_range(struct sys *s, int to, int64_t to_off, int from,
                           int64_t from_off, size_t n) {
  struct sim_file *a = file(s, from), *b = file(s, to);
  if (!sim_owns_fd(to) && !sim_owns_fd(from))
    return sys_posix.copy_range(s, to, to_off, from, from_off, n);
  if (!a || !b) return -EXDEV; /* or no file at all: copied by hand */
  return sim_file_copy(net_of(s)->fs, b, to_off, a, from_off, n);
}

/* -- paths -- */

static int own_lstat(struct look *l, const char *path, struct stat *st) {
  struct sim_node *node;
  int r = sim_find(l->fs, l->at, path, false, &node);
  if (r < 0) return r;
  memset(st, 0, sizeof *st);
  st->st_ino = node->ino;
  st->st_mode = node->mode;
  st->st_nlink = node->links;
  st->st_size = (off_t)node->len;
  return 0;
}

int sim_sys_lstat(struct sys *s, const char *path, struct stat *st) {
  struct look l;
  int r = look(s, AT_FDCWD, path, &l);
  if (r < 0) return r;
  return l.fs ? own_lstat(&l, path, st) : sys_posix.lstat(s, path, st);
}

/* Where the real ones differ from those with `at`, so does this. */
int sim_sys_chmod(struct sys *s, const char *path, unsigned mode) {
  if (!net_of(s)->knobs.files) return sys_posix.chmod(s, path, mode);
  return sim_sys_chmod_at(s, AT_FDCWD, path, mode);
}

int sim_sys_unlink(struct sys *s, const char *path) {
  if (!net_of(s)->knobs.files) return sys_posix.unlink(s, path);
  return sim_sys_unlink_at(s, AT_FDCWD, path, 0);
}

/* Of a socket, of which there is nothing else to tell. */
static int stat_socket(struct sys *s, int fd, struct statx *into) {
  if (!sim_sock_find(net_of(s), fd)) return -EBADF;
  *into = (struct statx){.stx_mask = STATX_TYPE, .stx_mode = S_IFSOCK | 0777};
  return 0;
}

int sim_sys_statx(struct sys *s, int at, const char *path, int flags,
                  struct statx *into) {
  bool empty = !path[0] && flags & AT_EMPTY_PATH;
  if (empty && sim_owns_fd(at) && !sim_is_file(at))
    return stat_socket(s, at, into);
  struct look l;
  struct sim_node *node;
  int r = look(s, at, path, &l);
  if (r < 0) return r;
  if (!l.fs) return sys_posix.statx(s, at, path, flags, into);
  node = l.at;
  if (!(node && empty))
    r = sim_find(l.fs, l.at, path, !(flags & AT_SYMLINK_NOFOLLOW), &node);
  if (r == 0) sim_node_stat(node, into);
  return r;
}

int sim_sys_access(struct sys *s, int at, const char *path, int how) {
  struct look l;
  struct sim_node *node;
  int r = look(s, at, path, &l);
  if (r < 0) return r;
  if (!l.fs) return sys_posix.access(s, at, path, how);
  r = sim_find(l.fs, l.at, path, true, &node);
  bool never_runs = r == 0 && how & X_OK && !S_ISDIR(node->mode) &&
                    !(node->mode & 0111); /* not even for root */
  return never_runs ? -EACCES : r;
}

int sim_sys_mkdir(struct sys *s, int at, const char *path, unsigned mode) {
  struct look l;
  int r = look(s, at, path, &l);
  if (r < 0) return r;
  return l.fs ? sim_mkdir(l.fs, l.at, path, mode)
              : sys_posix.mkdir(s, at, path, mode);
}

int sim_sys_unlink_at(struct sys *s, int at, const char *path, int flags) {
  struct look l;
  int r = look(s, at, path, &l);
  if (r < 0) return r;
  return l.fs ? sim_unlink(l.fs, l.at, path, flags & AT_REMOVEDIR)
              : sys_posix.unlink_at(s, at, path, flags);
}

int sim_sys_rename(struct sys *s, int at, const char *from, const char *to,
                   unsigned flags) {
  struct look l;
  int r = look(s, at, from, &l);
  if (r < 0) return r;
  return l.fs ? sim_rename(l.fs, l.at, from, to, flags)
              : sys_posix.rename(s, at, from, to, flags);
}

int sim_sys_link(struct sys *s, int at, const char *from, const char *to) {
  struct look l;
  int r = look(s, at, from, &l);
  if (r < 0) return r;
  return l.fs ? sim_link(l.fs, l.at, from, to)
              : sys_posix.link(s, at, from, to);
}

int sim_sys_symlink(struct sys *s, const char *target, int at,
                    const char *path) {
  struct look l;
  int r = look(s, at, path, &l);
  if (r < 0) return r;
  return l.fs ? sim_symlink(l.fs, target, l.at, path)
              : sys_posix.symlink(s, target, at, path);
}

ssize_t sim_sys_readlink(struct sys *s, int at, const char *path, char *into,
                         size_t len) {
  struct look l;
  int r = look(s, at, path, &l);
  if (r < 0) return r;
  return l.fs ? sim_readlink(l.fs, l.at, path, into, len)
              : sys_posix.readlink(s, at, path, into, len);
}

ssize_t sim_sys_realpath(struct sys *s, const char *path, char *into) {
  struct look l;
  int r = look(s, AT_FDCWD, path, &l);
  if (r < 0) return r;
  return l.fs ? sim_realpath(l.fs, path, into)
              : sys_posix.realpath(s, path, into);
}

int sim_sys_chmod_at(struct sys *s, int at, const char *path, unsigned mode) {
  struct look l;
  struct sim_node *node;
  int r = look(s, at, path, &l);
  if (r < 0) return r;
  if (!l.fs) return sys_posix.chmod_at(s, at, path, mode);
  r = sim_find(l.fs, l.at, path, true, &node);
  if (r == 0) change_mode(s, node, mode);
  return r;
}

/* inotify(7) knows nothing of this world. */
int sim_sys_watch(struct sys *s, int fd, const char *path, unsigned mask) {
  struct look l;
  int r = look(s, AT_FDCWD, path, &l);
  if (r < 0) return r;
  return l.fs ? -EOPNOTSUPP : sys_posix.watch(s, fd, path, mask);
}
