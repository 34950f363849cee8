/* sim_sys.c - sys.h over the simulated world.
 *
 * Descriptors from SIM_FD_BASE up are sockets of sim_net.c; all others are
 * real and go to sys_posix, and so are paths. Nothing here blocks: a FIFO is
 * opened without waiting for its other end. Owns nothing.
 *
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "sim_net.h"

static struct sim_net *net_of(struct sys *s) {
  return container_of(s, struct sim_net, sys);
}

static struct sim_sock *sock(struct sys *s, int fd) {
  return sim_sock_find(net_of(s), fd);
}

static int sys_socket(struct sys *s, int family, int type, int protocol) {
  (void)protocol;
  int r = sim_fault(net_of(s), "socket");
  return r < 0 ? r : sim_socket(net_of(s), family, type);
}

static int sys_pair(struct sys *s, int type, int fds[2]) {
  int r = sim_fault(net_of(s), "pair");
  return r < 0 ? r : sim_pair(net_of(s), type, fds);
}

static int sys_bind(struct sys *s, int fd, const struct sockaddr *a,
                    socklen_t len) {
  if (!sim_owns_fd(fd)) return sys_posix.bind(s, fd, a, len);
  struct sim_sock *k = sock(s, fd);
  int r = sim_fault(net_of(s), "bind");
  if (r < 0) return r;
  return k ? sim_bind(k, a, len) : -EBADF;
}

static int sys_listen(struct sys *s, int fd, int backlog) {
  if (!sim_owns_fd(fd)) return sys_posix.listen(s, fd, backlog);
  struct sim_sock *k = sock(s, fd);
  int r = sim_fault(net_of(s), "listen");
  if (r < 0) return r;
  return k ? sim_listen(k, backlog) : -EBADF;
}

static int sys_accept(struct sys *s, int fd) {
  if (!sim_owns_fd(fd)) return sys_posix.accept(s, fd);
  struct sim_sock *k = sock(s, fd);
  return k ? sim_accept(k) : -EBADF;
}

static int sys_connect(struct sys *s, int fd, const struct sockaddr *a,
                       socklen_t len) {
  if (!sim_owns_fd(fd)) return sys_posix.connect(s, fd, a, len);
  struct sim_sock *k = sock(s, fd);
  return k ? sim_connect(k, a, len) : -EBADF;
}

static ssize_t sys_recv(struct sys *s, int fd, void *p, size_t n, int flags) {
  if (!sim_owns_fd(fd)) return sys_posix.recv(s, fd, p, n, flags);
  struct sim_sock *k = sock(s, fd);
  struct iovec v = {p, n};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
  if (!k) return -EBADF;
  return sim_is_dgram(k) ? sim_dgram_recv(k, &m, flags)
                         : sim_recv(k, p, n, flags);
}

/* Descriptors cannot be passed between simulated sockets. */
static ssize_t send_to(struct sim_sock *k, const struct msghdr *m) {
  if (m->msg_controllen) return -EOPNOTSUPP;
  return sim_is_dgram(k) ? sim_dgram_send(k, m)
                         : sim_sendv(k, m->msg_iov, m->msg_iovlen);
}

static ssize_t sys_send(struct sys *s, int fd, const void *p, size_t n,
                        int flags) {
  if (!sim_owns_fd(fd)) return sys_posix.send(s, fd, p, n, flags);
  struct sim_sock *k = sock(s, fd);
  struct iovec v = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
  return k ? send_to(k, &m) : -EBADF;
}

static ssize_t sys_sendmsg(struct sys *s, int fd, const struct msghdr *m,
                           int flags) {
  if (!sim_owns_fd(fd)) return sys_posix.sendmsg(s, fd, m, flags);
  struct sim_sock *k = sock(s, fd);
  return k ? send_to(k, m) : -EBADF;
}

static ssize_t sys_recvmsg(struct sys *s, int fd, struct msghdr *m, int flags) {
  if (!sim_owns_fd(fd)) return sys_posix.recvmsg(s, fd, m, flags);
  struct sim_sock *k = sock(s, fd);
  if (!k) return -EBADF;
  if (sim_is_dgram(k)) return sim_dgram_recv(k, m, flags);
  m->msg_namelen = 0;
  m->msg_controllen = 0;
  m->msg_flags = 0;
  return sim_recv(k, m->msg_iov->iov_base, m->msg_iov->iov_len, flags);
}

static int sys_shutdown(struct sys *s, int fd, int how) {
  if (!sim_owns_fd(fd)) return sys_posix.shutdown(s, fd, how);
  struct sim_sock *k = sock(s, fd);
  return k ? sim_shutdown(k, how) : -EBADF;
}

static int sys_close(struct sys *s, int fd) {
  if (!sim_owns_fd(fd)) return sys_posix.close(s, fd);
  struct sim_sock *k = sock(s, fd);
  if (!k) return -EBADF;
  sim_close(k);
  return 0;
}

/* A socket has no position: with an offset it cannot be read or written. */
static ssize_t sys_read(struct sys *s, int fd, void *p, size_t n, int64_t off) {
  if (!sim_owns_fd(fd)) return sys_posix.read(s, fd, p, n, off);
  return off < 0 ? sys_recv(s, fd, p, n, 0) : -ESPIPE;
}

static ssize_t sys_write(struct sys *s, int fd, const void *p, size_t n,
                         int64_t off) {
  if (!sim_owns_fd(fd)) return sys_posix.write(s, fd, p, n, off);
  return off < 0 ? sys_send(s, fd, p, n, 0) : -ESPIPE;
}

/* fifo(7): without a reader, opening to write would wait; -EAGAIN. One opened
 * to read is silent, not at its end, until a writer has come. */
static int sys_open(struct sys *s, int at, const char *path, int flags,
                    unsigned mode) {
  struct stat st;
  bool fifo = fstatat(at, path, &st, 0) == 0 && S_ISFIFO(st.st_mode);
  if (!fifo || flags & (O_NONBLOCK | O_PATH))
    return sys_posix.open(s, at, path, flags, mode);
  int fd = sys_posix.open(s, at, path, flags | O_NONBLOCK, mode);
  return fd == -ENXIO ? -EAGAIN : fd;
}

static int sys_fsync(struct sys *s, int fd, bool data_only) {
  if (!sim_owns_fd(fd)) return sys_posix.fsync(s, fd, data_only);
  return sock(s, fd) ? -EINVAL : -EBADF;
}

static int sys_poll(struct sys *s, int fd, short events) {
  if (!sim_owns_fd(fd)) return sys_posix.poll(s, fd, events);
  struct sim_sock *k = sock(s, fd);
  return k ? sim_poll(k, events) : -EBADF;
}

static int sys_name(struct sys *s, int fd, bool peer, struct sockaddr *a,
                    socklen_t *len) {
  if (!sim_owns_fd(fd)) return sys_posix.name(s, fd, peer, a, len);
  struct sim_sock *k = sock(s, fd);
  return k ? sim_name(k, peer, a, len) : -EBADF;
}

static int sys_getopt(struct sys *s, int fd, int level, int name, void *p,
                      socklen_t *len) {
  if (!sim_owns_fd(fd)) return sys_posix.getopt(s, fd, level, name, p, len);
  struct sim_sock *k = sock(s, fd);
  return k ? sim_getopt(k, level, name, p, len) : -EBADF;
}

static int sys_setopt(struct sys *s, int fd, int level, int name, const void *p,
                      socklen_t len) {
  if (!sim_owns_fd(fd)) return sys_posix.setopt(s, fd, level, name, p, len);
  struct sim_sock *k = sock(s, fd);
  return k ? sim_setopt(k, level, name, p, len) : -EBADF;
}

static int sys_fchmod(struct sys *s, int fd, unsigned mode) {
  if (!sim_owns_fd(fd)) return sys_posix.fchmod(s, fd, mode);
  struct sim_sock *k = sock(s, fd);
  if (!k) return -EBADF;
  k->mode = mode;
  return 0;
}

static int sys_probe(struct sys *s, const struct sockaddr *a, socklen_t len) {
  return sim_probe(net_of(s), a, len);
}

static int sys_lstat(struct sys *s, const char *path, struct stat *st) {
  return sys_posix.lstat(s, path, st);
}

static int sys_chmod(struct sys *s, const char *path, unsigned mode) {
  return sys_posix.chmod(s, path, mode);
}

static int sys_unlink(struct sys *s, const char *path) {
  return sys_posix.unlink(s, path);
}

/* -- files: the real ones -- */

/* Everything takes its time in a simulation. */
static ssize_t sys_read_now(struct sys *s, int fd, void *p, size_t n,
                            int64_t off) {
  (void)s;
  (void)fd;
  (void)p;
  (void)n;
  (void)off;
  return -EAGAIN;
}

static int64_t sys_position(struct sys *s, int fd) {
  return sim_owns_fd(fd) ? -ESPIPE : sys_posix.position(s, fd);
}

static ssize_t sys_readv(struct sys *s, int fd, const struct iovec *v, int n,
                         int64_t off) {
  return sim_owns_fd(fd) ? -ESPIPE : sys_posix.readv(s, fd, v, n, off);
}

static ssize_t sys_writev(struct sys *s, int fd, const struct iovec *v, int n,
                          int64_t off) {
  return sim_owns_fd(fd) ? -ESPIPE : sys_posix.writev(s, fd, v, n, off);
}

static int sys_statx(struct sys *s, int at, const char *path, int flags,
                     struct statx *into) {
  return sys_posix.statx(s, at, path, flags, into);
}

static int sys_access(struct sys *s, int at, const char *path, int how) {
  return sys_posix.access(s, at, path, how);
}

static int sys_mkdir(struct sys *s, int at, const char *path, unsigned mode) {
  return sys_posix.mkdir(s, at, path, mode);
}

static int sys_unlink_at(struct sys *s, int at, const char *path, int flags) {
  return sys_posix.unlink_at(s, at, path, flags);
}

static int sys_rename(struct sys *s, int at, const char *from, const char *to,
                      unsigned flags) {
  return sys_posix.rename(s, at, from, to, flags);
}

static int sys_link(struct sys *s, int at, const char *from, const char *to) {
  return sys_posix.link(s, at, from, to);
}

static int sys_symlink(struct sys *s, const char *target, int at,
                       const char *path) {
  return sys_posix.symlink(s, target, at, path);
}

static ssize_t sys_readlink(struct sys *s, int at, const char *path, char *into,
                            size_t len) {
  return sys_posix.readlink(s, at, path, into, len);
}

static ssize_t sys_realpath(struct sys *s, const char *path, char *into) {
  return sys_posix.realpath(s, path, into);
}

static int sys_chmod_at(struct sys *s, int at, const char *path,
                        unsigned mode) {
  return sys_posix.chmod_at(s, at, path, mode);
}

static int sys_truncate(struct sys *s, int fd, int64_t len) {
  return sim_owns_fd(fd) ? -EINVAL : sys_posix.truncate(s, fd, len);
}

static int sys_allocate(struct sys *s, int fd, int mode, int64_t off,
                        int64_t len) {
  return sim_owns_fd(fd) ? -ENODEV : sys_posix.allocate(s, fd, mode, off, len);
}

static ssize_t sys_entries(struct sys *s, int fd, void *into, size_t len) {
  return sim_owns_fd(fd) ? -ENOTDIR : sys_posix.entries(s, fd, into, len);
}

static int sys_lock(struct sys *s, int fd, int how) {
  return sim_owns_fd(fd) ? -EBADF : sys_posix.lock(s, fd, how);
}

static ssize_t sys_copy_range(struct sys *s, int to, int64_t to_off, int from,
                              int64_t from_off, size_t n) {
  if (sim_owns_fd(to) || sim_owns_fd(from)) return -EINVAL;
  return sys_posix.copy_range(s, to, to_off, from, from_off, n);
}

/* To a socket of this world: read here, and sent as far as it goes. */
static ssize_t sys_sendfile(struct sys *s, int to, int from, int64_t off,
                            size_t n) {
  char bytes[16 * 1024];
  if (!sim_owns_fd(to)) return sys_posix.sendfile(s, to, from, off, n);
  ssize_t r = sys_read(s, from, bytes, min_size(n, sizeof bytes), off);
  return r > 0 ? sys_send(s, to, bytes, (size_t)r, 0) : r;
}

static int sys_watch(struct sys *s, int fd, const char *path, unsigned mask) {
  return sys_posix.watch(s, fd, path, mask);
}

const struct sys_class sys_sim = {
    .socket = sys_socket,
    .pair = sys_pair,
    .bind = sys_bind,
    .listen = sys_listen,
    .accept = sys_accept,
    .connect = sys_connect,
    .recv = sys_recv,
    .send = sys_send,
    .sendmsg = sys_sendmsg,
    .recvmsg = sys_recvmsg,
    .shutdown = sys_shutdown,
    .close = sys_close,
    .read = sys_read,
    .write = sys_write,
    .read_now = sys_read_now,
    .position = sys_position,
    .readv = sys_readv,
    .writev = sys_writev,
    .fsync = sys_fsync,
    .poll = sys_poll,
    .name = sys_name,
    .getopt = sys_getopt,
    .setopt = sys_setopt,
    .fchmod = sys_fchmod,
    .probe = sys_probe,
    .lstat = sys_lstat,
    .chmod = sys_chmod,
    .unlink = sys_unlink,
    .open = sys_open,
    .statx = sys_statx,
    .access = sys_access,
    .mkdir = sys_mkdir,
    .unlink_at = sys_unlink_at,
    .rename = sys_rename,
    .link = sys_link,
    .symlink = sys_symlink,
    .readlink = sys_readlink,
    .realpath = sys_realpath,
    .chmod_at = sys_chmod_at,
    .truncate = sys_truncate,
    .allocate = sys_allocate,
    .entries = sys_entries,
    .lock = sys_lock,
    .copy_range = sys_copy_range,
    .sendfile = sys_sendfile,
    .watch = sys_watch,
};
