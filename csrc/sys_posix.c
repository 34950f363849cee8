/* sys_posix.c - sys.h by the kernel's own calls.
 *
 * Owns nothing and keeps no state. Every socket is close-on-exec; no send
 * raises SIGPIPE. recv and send do not block whatever the descriptor's flags
 * say (MSG_DONTWAIT); the others rely on the driver, which makes what it owns
 * non-blocking where it must.
 *
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"
#include "sys.h"

static int or_errno(int r) {
  return r < 0 ? -errno : r;
}

static ssize_t or_errno_size(ssize_t r) {
  return r < 0 ? -errno : r;
}

static int posix_socket(struct sys *s, int family, int type, int protocol) {
  (void)s;
  FAULT_RETURN("socket", EMFILE);
  return or_errno(socket(family, type | SOCK_CLOEXEC, protocol));
}

static int posix_pair(struct sys *s, int type, int fds[2]) {
  (void)s;
  FAULT_RETURN("socket", EMFILE);
  return or_errno(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds));
}

static int posix_bind(struct sys *s, int fd, const struct sockaddr *a,
                      socklen_t len) {
  (void)s;
  FAULT_RETURN("bind", EADDRINUSE);
  return or_errno(bind(fd, a, len));
}

static int posix_listen(struct sys *s, int fd, int backlog) {
  (void)s;
  FAULT_RETURN("listen", EADDRINUSE);
  return or_errno(listen(fd, backlog));
}

static int posix_accept(struct sys *s, int fd) {
  (void)s;
  FAULT_RETURN("accept", EMFILE);
  return or_errno(accept4(fd, NULL, NULL, SOCK_CLOEXEC));
}

static int posix_connect(struct sys *s, int fd, const struct sockaddr *a,
                         socklen_t len) {
  (void)s;
  FAULT_RETURN("connect", ECONNREFUSED);
  return or_errno(connect(fd, a, len));
}

static ssize_t posix_recv(struct sys *s, int fd, void *p, size_t n, int flags) {
  (void)s;
  FAULT_RETURN("recv", ECONNRESET);
  return or_errno_size(recv(fd, p, n, flags | MSG_DONTWAIT));
}

static ssize_t posix_send(struct sys *s, int fd, const void *p, size_t n,
                          int flags) {
  (void)s;
  FAULT_RETURN("send", EPIPE);
  return or_errno_size(send(fd, p, n, flags | MSG_DONTWAIT | MSG_NOSIGNAL));
}

static ssize_t posix_sendmsg(struct sys *s, int fd, const struct msghdr *m,
                             int flags) {
  (void)s;
  FAULT_RETURN("sendmsg", EPIPE);
  return or_errno_size(sendmsg(fd, m, flags | MSG_DONTWAIT | MSG_NOSIGNAL));
}

static ssize_t posix_recvmsg(struct sys *s, int fd, struct msghdr *m,
                             int flags) {
  (void)s;
  return or_errno_size(recvmsg(fd, m, flags | MSG_DONTWAIT));
}

static int posix_shutdown(struct sys *s, int fd, int how) {
  (void)s;
  FAULT_RETURN("shutdown", ENOTCONN);
  return or_errno(shutdown(fd, how));
}

/* EINTR from close(2) on Linux: the descriptor is gone all the same. */
static int posix_close(struct sys *s, int fd) {
  (void)s;
  int r = or_errno(close(fd));
  FAULT_RETURN("close", EIO);
  return r == -EINTR ? 0 : r;
}

static ssize_t posix_read(struct sys *s, int fd, void *p, size_t n,
                          int64_t off) {
  (void)s;
  FAULT_RETURN("read", EIO);
  return or_errno_size(off < 0 ? read(fd, p, n) : pread(fd, p, n, off));
}

static ssize_t posix_write(struct sys *s, int fd, const void *p, size_t n,
                           int64_t off) {
  (void)s;
  FAULT_RETURN("write", ENOSPC);
  return or_errno_size(off < 0 ? write(fd, p, n) : pwrite(fd, p, n, off));
}

/* From the page cache alone. Any error is for the real read to tell. */
static ssize_t posix_read_now(struct sys *s, int fd, void *p, size_t n,
                              int64_t off) {
  (void)s;
  struct iovec v = {p, n};
  ssize_t r = preadv2(fd, &v, 1, off, RWF_NOWAIT);
  return r < 0 ? -EAGAIN : r;
}

static int64_t posix_position(struct sys *s, int fd) {
  (void)s;
  return or_errno_size(lseek(fd, 0, SEEK_CUR));
}

static ssize_t posix_readv(struct sys *s, int fd, const struct iovec *v, int n,
                           int64_t off) {
  (void)s;
  FAULT_RETURN("readv", EIO);
  return or_errno_size(off < 0 ? readv(fd, v, n) : preadv(fd, v, n, off));
}

static ssize_t posix_writev(struct sys *s, int fd, const struct iovec *v, int n,
                            int64_t off) {
  (void)s;
  FAULT_RETURN("writev", EIO);
  return or_errno_size(off < 0 ? writev(fd, v, n) : pwritev(fd, v, n, off));
}

static int posix_fsync(struct sys *s, int fd, bool data_only) {
  (void)s;
  FAULT_RETURN("fsync", EIO);
  return or_errno(data_only ? fdatasync(fd) : fsync(fd));
}

static int posix_poll(struct sys *s, int fd, short events) {
  (void)s;
  FAULT_RETURN("poll", ENOMEM);
  struct pollfd p = {.fd = fd, .events = events};
  int r = or_errno(poll(&p, 1, 0));
  return r > 0 ? p.revents : r;
}

static int posix_name(struct sys *s, int fd, bool peer, struct sockaddr *a,
                      socklen_t *len) {
  (void)s;
  FAULT_RETURN("name", ENOBUFS);
  return or_errno(peer ? getpeername(fd, a, len) : getsockname(fd, a, len));
}

static int posix_getopt(struct sys *s, int fd, int level, int name, void *p,
                        socklen_t *len) {
  (void)s;
  FAULT_RETURN("getopt", ENOPROTOOPT);
  return or_errno(getsockopt(fd, level, name, p, len));
}

static int posix_setopt(struct sys *s, int fd, int level, int name,
                        const void *p, socklen_t len) {
  (void)s;
  FAULT_RETURN("setopt", ENOPROTOOPT);
  return or_errno(setsockopt(fd, level, name, p, len));
}

static int posix_dup(struct sys *s, int fd) {
  (void)s;
  FAULT_RETURN("dup", EMFILE);
  return or_errno(fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

static int posix_fchmod(struct sys *s, int fd, unsigned mode) {
  (void)s;
  FAULT_RETURN("fchmod", EPERM);
  return or_errno(fchmod(fd, mode));
}

/* Connecting a socket of another type tells who is bound without disturbing
 * them: -EPROTOTYPE from one of another type, 0 from one of this type. */
static int posix_probe(struct sys *s, const struct sockaddr *a, socklen_t len) {
  (void)s;
  FAULT_RETURN("probe", EMFILE);
  int fd = or_errno(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd < 0) return fd;
  int r = or_errno(connect(fd, a, len));
  close(fd);
  return r == -EPROTOTYPE ? 0 : r;
}

static int posix_lstat(struct sys *s, const char *path, struct stat *st) {
  (void)s;
  FAULT_RETURN("lstat", EIO);
  return or_errno(lstat(path, st));
}

static int posix_chmod(struct sys *s, const char *path, unsigned mode) {
  (void)s;
  FAULT_RETURN("chmod", EIO);
  return or_errno(fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW));
}

static int posix_unlink(struct sys *s, const char *path) {
  (void)s;
  FAULT_RETURN("unlink", EIO);
  return or_errno(unlink(path));
}

/* -- files -- */

static int posix_open(struct sys *s, int at, const char *path, int flags,
                      unsigned mode) {
  (void)s;
  FAULT_RETURN("open", EMFILE);
  return or_errno(openat(at, path, flags | O_CLOEXEC, mode));
}

static int posix_statx(struct sys *s, int at, const char *path, int flags,
                       struct statx *into) {
  (void)s;
  FAULT_RETURN("statx", EIO);
  return or_errno(
      statx(at, path, flags, STATX_BASIC_STATS | STATX_BTIME, into));
}

static int posix_access(struct sys *s, int at, const char *path, int how) {
  (void)s;
  FAULT_RETURN("access", EIO);
  return or_errno(faccessat(at, path, how, AT_EACCESS));
}

static int posix_mkdir(struct sys *s, int at, const char *path, unsigned mode) {
  (void)s;
  FAULT_RETURN("mkdir", EIO);
  return or_errno(mkdirat(at, path, mode));
}

static int posix_unlink_at(struct sys *s, int at, const char *path, int flags) {
  (void)s;
  FAULT_RETURN("unlink_at", EIO);
  return or_errno(unlinkat(at, path, flags));
}

static int posix_rename(struct sys *s, int at, const char *from, const char *to,
                        unsigned flags) {
  (void)s;
  FAULT_RETURN("rename", EIO);
  return or_errno(renameat2(at, from, at, to, flags));
}

static int posix_link(struct sys *s, int at, const char *from, const char *to) {
  (void)s;
  FAULT_RETURN("link", EIO);
  return or_errno(linkat(at, from, at, to, 0));
}

static int posix_symlink(struct sys *s, const char *target, int at,
                         const char *path) {
  (void)s;
  FAULT_RETURN("symlink", EIO);
  return or_errno(symlinkat(target, at, path));
}

static ssize_t posix_readlink(struct sys *s, int at, const char *path,
                              char *into, size_t len) {
  (void)s;
  FAULT_RETURN("readlink", EIO);
  return or_errno_size(readlinkat(at, path, into, len));
}

static ssize_t posix_realpath(struct sys *s, const char *path, char *into) {
  (void)s;
  FAULT_RETURN("realpath", EIO);
  return realpath(path, into) ? (ssize_t)strlen(into) : -errno;
}

static int posix_chmod_at(struct sys *s, int at, const char *path,
                          unsigned mode) {
  (void)s;
  FAULT_RETURN("chmod_at", EIO);
  return or_errno(fchmodat(at, path, mode, 0));
}

static int posix_truncate(struct sys *s, int fd, int64_t len) {
  (void)s;
  FAULT_RETURN("truncate", EIO);
  return or_errno(ftruncate(fd, len));
}

static int posix_allocate(struct sys *s, int fd, int mode, int64_t off,
                          int64_t len) {
  (void)s;
  FAULT_RETURN("allocate", EIO);
  return or_errno(fallocate(fd, mode, off, len));
}

static ssize_t posix_entries(struct sys *s, int fd, void *into, size_t len) {
  (void)s;
  FAULT_RETURN("entries", EIO);
  return or_errno_size(getdents64(fd, into, len));
}

static int posix_lock(struct sys *s, int fd, int how) {
  (void)s;
  FAULT_RETURN("lock", EIO);
  return or_errno(flock(fd, how | LOCK_NB));
}

/* Through memory, for what the kernel does not copy by itself. */
static ssize_t pump(int to, int64_t to_off, int from, int64_t from_off,
                    size_t n) {
  n = min_size(n, 256 * 1024);
  char *bytes = malloc(n ? n : 1);
  if (!bytes) return -ENOMEM;
  ssize_t r = or_errno_size(pread(from, bytes, n, from_off));
  if (r > 0) r = or_errno_size(pwrite(to, bytes, (size_t)r, to_off));
  free(bytes);
  return r;
}

/* Files that only claim to be empty (in /proc) give 0 here, and have bytes. */
static ssize_t posix_copy_range(struct sys *s, int to, int64_t to_off, int from,
                                int64_t from_off, size_t n) {
  (void)s;
  FAULT_RETURN("copy_range", EIO);
  off_t in = from_off, out = to_off;
  ssize_t r = or_errno_size(copy_file_range(from, &in, to, &out, n, 0));
  bool otherwise = r == 0 || r == -EXDEV || r == -EINVAL || r == -ENOSYS ||
                   r == -EOPNOTSUPP || r == -EBADF || r == -EPERM;
  return otherwise ? pump(to, to_off, from, from_off, n) : r;
}

/* Whether sendfile waits for room is told by the socket's flag alone. */
static ssize_t posix_sendfile(struct sys *s, int to, int from, int64_t off,
                              size_t n) {
  (void)s;
  FAULT_RETURN("sendfile", EIO);
  off_t at = off;
  int flags = fcntl(to, F_GETFL);
  if (flags < 0) return -errno;
  if (!(flags & O_NONBLOCK) && fcntl(to, F_SETFL, flags | O_NONBLOCK) < 0)
    return -errno;
  return or_errno_size(sendfile(to, from, &at, n));
}

static int posix_watch(struct sys *s, int fd, const char *path, unsigned mask) {
  (void)s;
  FAULT_RETURN("watch", EIO);
  return or_errno(inotify_add_watch(fd, path, mask));
}

const struct sys_class sys_posix = {
    .socket = posix_socket,
    .pair = posix_pair,
    .bind = posix_bind,
    .listen = posix_listen,
    .accept = posix_accept,
    .connect = posix_connect,
    .recv = posix_recv,
    .send = posix_send,
    .sendmsg = posix_sendmsg,
    .recvmsg = posix_recvmsg,
    .shutdown = posix_shutdown,
    .close = posix_close,
    .read = posix_read,
    .write = posix_write,
    .read_now = posix_read_now,
    .position = posix_position,
    .readv = posix_readv,
    .writev = posix_writev,
    .fsync = posix_fsync,
    .poll = posix_poll,
    .name = posix_name,
    .getopt = posix_getopt,
    .setopt = posix_setopt,
    .dup = posix_dup,
    .fchmod = posix_fchmod,
    .probe = posix_probe,
    .lstat = posix_lstat,
    .chmod = posix_chmod,
    .unlink = posix_unlink,
    .open = posix_open,
    .statx = posix_statx,
    .access = posix_access,
    .mkdir = posix_mkdir,
    .unlink_at = posix_unlink_at,
    .rename = posix_rename,
    .link = posix_link,
    .symlink = posix_symlink,
    .readlink = posix_readlink,
    .realpath = posix_realpath,
    .chmod_at = posix_chmod_at,
    .truncate = posix_truncate,
    .allocate = posix_allocate,
    .entries = posix_entries,
    .lock = posix_lock,
    .copy_range = posix_copy_range,
    .sendfile = posix_sendfile,
    .watch = posix_watch,
};
