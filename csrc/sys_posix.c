/* sys_posix.c - sys.h by the kernel's own calls.
 *
 * Owns nothing and keeps no state. Every socket is close-on-exec; no send
 * raises SIGPIPE. recv and send do not block whatever the descriptor's flags
 * say (MSG_DONTWAIT); the others rely on the driver, which makes what it owns
 * non-blocking where it must.
 *
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <poll.h>
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
  if (fault_point("socket")) return -EMFILE;
  return or_errno(socket(family, type | SOCK_CLOEXEC, protocol));
}

static int posix_pair(struct sys *s, int type, int fds[2]) {
  (void)s;
  if (fault_point("socket")) return -EMFILE;
  return or_errno(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds));
}

static int posix_bind(struct sys *s, int fd, const struct sockaddr *a,
                      socklen_t len) {
  (void)s;
  return or_errno(bind(fd, a, len));
}

static int posix_listen(struct sys *s, int fd, int backlog) {
  (void)s;
  return or_errno(listen(fd, backlog));
}

static int posix_accept(struct sys *s, int fd) {
  (void)s;
  if (fault_point("accept")) return -EMFILE;
  return or_errno(accept4(fd, NULL, NULL, SOCK_CLOEXEC));
}

static int posix_connect(struct sys *s, int fd, const struct sockaddr *a,
                         socklen_t len) {
  (void)s;
  return or_errno(connect(fd, a, len));
}

static ssize_t posix_recv(struct sys *s, int fd, void *p, size_t n, int flags) {
  (void)s;
  return or_errno_size(recv(fd, p, n, flags | MSG_DONTWAIT));
}

static ssize_t posix_send(struct sys *s, int fd, const void *p, size_t n,
                          int flags) {
  (void)s;
  return or_errno_size(send(fd, p, n, flags | MSG_DONTWAIT | MSG_NOSIGNAL));
}

static ssize_t posix_sendmsg(struct sys *s, int fd, const struct msghdr *m,
                             int flags) {
  (void)s;
  return or_errno_size(sendmsg(fd, m, flags | MSG_DONTWAIT | MSG_NOSIGNAL));
}

static int posix_shutdown(struct sys *s, int fd, int how) {
  (void)s;
  return or_errno(shutdown(fd, how));
}

/* EINTR from close(2) on Linux: the descriptor is gone all the same. */
static int posix_close(struct sys *s, int fd) {
  (void)s;
  int r = or_errno(close(fd));
  return r == -EINTR ? 0 : r;
}

static ssize_t posix_read(struct sys *s, int fd, void *p, size_t n,
                          int64_t off) {
  (void)s;
  return or_errno_size(off < 0 ? read(fd, p, n) : pread(fd, p, n, off));
}

static ssize_t posix_write(struct sys *s, int fd, const void *p, size_t n,
                           int64_t off) {
  (void)s;
  return or_errno_size(off < 0 ? write(fd, p, n) : pwrite(fd, p, n, off));
}

static int posix_open(struct sys *s, const char *path, int flags,
                      unsigned mode) {
  (void)s;
  if (fault_point("open")) return -EMFILE;
  return or_errno(open(path, flags | O_CLOEXEC, mode));
}

static int posix_fsync(struct sys *s, int fd, bool data_only) {
  (void)s;
  return or_errno(data_only ? fdatasync(fd) : fsync(fd));
}

static int posix_poll(struct sys *s, int fd, short events) {
  (void)s;
  struct pollfd p = {.fd = fd, .events = events};
  int r = or_errno(poll(&p, 1, 0));
  return r > 0 ? p.revents : r;
}

static int posix_name(struct sys *s, int fd, bool peer, struct sockaddr *a,
                      socklen_t *len) {
  (void)s;
  return or_errno(peer ? getpeername(fd, a, len) : getsockname(fd, a, len));
}

static int posix_getopt(struct sys *s, int fd, int level, int name, void *p,
                        socklen_t *len) {
  (void)s;
  return or_errno(getsockopt(fd, level, name, p, len));
}

static int posix_setopt(struct sys *s, int fd, int level, int name,
                        const void *p, socklen_t len) {
  (void)s;
  return or_errno(setsockopt(fd, level, name, p, len));
}

static int posix_fchmod(struct sys *s, int fd, unsigned mode) {
  (void)s;
  return or_errno(fchmod(fd, mode));
}

/* Connecting a socket of another type tells who is bound without disturbing
 * them: -EPROTOTYPE from one of another type, 0 from one of this type. */
static int posix_probe(struct sys *s, const struct sockaddr *a, socklen_t len) {
  (void)s;
  int fd = or_errno(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd < 0) return fd;
  int r = or_errno(connect(fd, a, len));
  close(fd);
  return r == -EPROTOTYPE ? 0 : r;
}

static int posix_lstat(struct sys *s, const char *path, struct stat *st) {
  (void)s;
  return or_errno(lstat(path, st));
}

static int posix_chmod(struct sys *s, const char *path, unsigned mode) {
  (void)s;
  return or_errno(fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW));
}

static int posix_unlink(struct sys *s, const char *path) {
  (void)s;
  return or_errno(unlink(path));
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
    .shutdown = posix_shutdown,
    .close = posix_close,
    .read = posix_read,
    .write = posix_write,
    .open = posix_open,
    .fsync = posix_fsync,
    .poll = posix_poll,
    .name = posix_name,
    .getopt = posix_getopt,
    .setopt = posix_setopt,
    .fchmod = posix_fchmod,
    .probe = posix_probe,
    .lstat = posix_lstat,
    .chmod = posix_chmod,
    .unlink = posix_unlink,
};
