/* sim_sys.c - sys.h over the simulated world.
 *
 * Descriptors from SIM_FD_BASE up are sockets of sim_net.c; all others are
 * real and go to sys_posix. The calls on files are in sim_sys_file.c. Nothing
 * here blocks. Owns nothing.
 *
 * SPDX-License-Identifier: MIT */
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "sim_sys.h"

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
                         : sim_recv(k, p, n, flags, NULL);
}

static ssize_t send_to(struct sim_sock *k, const struct msghdr *m) {
  return sim_is_dgram(k) ? sim_dgram_send(k, m) : sim_send(k, m);
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
  m->msg_flags = 0;
  return sim_recv(k, m->msg_iov->iov_base, m->msg_iov->iov_len, flags, m);
}

static int sys_shutdown(struct sys *s, int fd, int how) {
  if (!sim_owns_fd(fd)) return sys_posix.shutdown(s, fd, how);
  struct sim_sock *k = sock(s, fd);
  return k ? sim_shutdown(k, how) : -EBADF;
}

static int sys_close(struct sys *s, int fd) {
  if (!sim_owns_fd(fd)) return sys_posix.close(s, fd);
  if (sim_sys_close(s, fd)) return 0;
  if (!sock(s, fd)) return -EBADF;
  sim_close(net_of(s), fd);
  return 0;
}

static int sys_dup(struct sys *s, int fd) {
  if (!sim_owns_fd(fd)) return sys_posix.dup(s, fd);
  if (sim_is_file(fd)) return sim_sys_dup(s, fd);
  struct sim_sock *k = sock(s, fd);
  return k ? sim_dup(k) : -EBADF;
}

/* A socket has no position: with an offset it cannot be read or written. */
static ssize_t sys_read(struct sys *s, int fd, void *p, size_t n, int64_t off) {
  struct iovec v = {.iov_base = p, .iov_len = n};
  if (!sim_owns_fd(fd)) return sys_posix.read(s, fd, p, n, off);
  if (sim_is_file(fd)) return sim_sys_readv(s, fd, &v, 1, off);
  return off < 0 ? sys_recv(s, fd, p, n, 0) : -ESPIPE;
}

static ssize_t sys_write(struct sys *s, int fd, const void *p, size_t n,
                         int64_t off) {
  struct iovec v = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
  if (!sim_owns_fd(fd)) return sys_posix.write(s, fd, p, n, off);
  if (sim_is_file(fd)) return sim_sys_writev(s, fd, &v, 1, off);
  return off < 0 ? sys_send(s, fd, p, n, 0) : -ESPIPE;
}

static int sys_fsync(struct sys *s, int fd, bool data_only) {
  if (!sim_owns_fd(fd)) return sys_posix.fsync(s, fd, data_only);
  if (sim_is_file(fd)) return sim_sys_fsync(s, fd, data_only);
  return sock(s, fd) ? -EINVAL : -EBADF;
}

static int sys_poll(struct sys *s, int fd, short events) {
  if (!sim_owns_fd(fd)) return sys_posix.poll(s, fd, events);
  if (sim_is_file(fd)) return events & (POLLIN | POLLOUT);
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
  if (sim_is_file(fd)) return sim_sys_fchmod(s, fd, mode);
  struct sim_sock *k = sock(s, fd);
  if (!k) return -EBADF;
  k->mode = mode;
  return 0;
}

static int sys_probe(struct sys *s, const struct sockaddr *a, socklen_t len) {
  return sim_probe(net_of(s), a, len);
}

/* -- files -- */

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
  if (sim_is_file(fd)) return sim_sys_position(s, fd);
  return sim_owns_fd(fd) ? -ESPIPE : sys_posix.position(s, fd);
}

static ssize_t sys_readv(struct sys *s, int fd, const struct iovec *v, int n,
                         int64_t off) {
  if (sim_is_file(fd)) return sim_sys_readv(s, fd, v, n, off);
  return sim_owns_fd(fd) ? -ESPIPE : sys_posix.readv(s, fd, v, n, off);
}

static ssize_t sys_writev(struct sys *s, int fd, const struct iovec *v, int n,
                          int64_t off) {
  if (sim_is_file(fd)) return sim_sys_writev(s, fd, v, n, off);
  return sim_owns_fd(fd) ? -ESPIPE : sys_posix.writev(s, fd, v, n, off);
}

static int sys_truncate(struct sys *s, int fd, int64_t len) {
  if (sim_is_file(fd)) return sim_sys_truncate(s, fd, len);
  return sim_owns_fd(fd) ? -EINVAL : sys_posix.truncate(s, fd, len);
}

static int sys_allocate(struct sys *s, int fd, int mode, int64_t off,
                        int64_t len) {
  if (sim_is_file(fd)) return sim_sys_allocate(s, fd, mode, off, len);
  return sim_owns_fd(fd) ? -ENODEV : sys_posix.allocate(s, fd, mode, off, len);
}

static ssize_t sys_entries(struct sys *s, int fd, void *into, size_t len) {
  if (sim_is_file(fd)) return sim_sys_entries(s, fd, into, len);
  return sim_owns_fd(fd) ? -ENOTDIR : sys_posix.entries(s, fd, into, len);
}

static int sys_lock(struct sys *s, int fd, int how) {
  if (sim_is_file(fd)) return sim_sys_lock(s, fd, how);
  return sim_owns_fd(fd) ? -EBADF : sys_posix.lock(s, fd, how);
}

/* To a socket of this world: read here, and sent as far as it goes. */
static ssize_t sys_sendfile(struct sys *s, int to, int from, int64_t off,
                            size_t n) {
  char bytes[16 * 1024];
  if (!sim_owns_fd(to) && !sim_owns_fd(from))
    return sys_posix.sendfile(s, to, from, off, n);
  ssize_t r = sys_read(s, from, bytes, min_size(n, sizeof bytes), off);
  return r > 0 ? sys_send(s, to, bytes, (size_t)r, MSG_NOSIGNAL) : r;
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
    .dup = sys_dup,
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
    .lstat = sim_sys_lstat,
    .chmod = sim_sys_chmod,
    .unlink = sim_sys_unlink,
    .open = sim_sys_open,
    .statx = sim_sys_statx,
    .access = sim_sys_access,
    .mkdir = sim_sys_mkdir,
    .unlink_at = sim_sys_unlink_at,
    .rename = sim_sys_rename,
    .link = sim_sys_link,
    .symlink = sim_sys_symlink,
    .readlink = sim_sys_readlink,
    .realpath = sim_sys_realpath,
    .chmod_at = sim_sys_chmod_at,
    .truncate = sys_truncate,
    .allocate = sys_allocate,
    .entries = sys_entries,
    .lock = sys_lock,
    .copy_range = sim_sys_copy_range,
    .sendfile = sys_sendfile,
    .watch = sim_sys_watch,
};
