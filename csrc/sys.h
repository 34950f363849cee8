/* sys.h - the system calls that ops and layers above may make, as one table.
 *
 * `sys_posix` is the kernel; the simulation has a table of its own, whose
 * sockets live in memory. Ops perform through it, so an op has one `perform`
 * for both. All calls return >= 0 or -errno and never block: sockets that
 * they make are non-blocking where the driver says so.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_SYS_H
#define PROA_SYS_H

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base.h"

struct sys;
struct statx;

struct sys_class {
  int (*socket)(struct sys *, int family, int type, int protocol);
  int (*pair)(struct sys *, int type, int fds[2]);
  int (*bind)(struct sys *, int fd, const struct sockaddr *, socklen_t);
  int (*listen)(struct sys *, int fd, int backlog);
  int (*accept)(struct sys *, int fd);
  /* 0, -EINPROGRESS, or an error; called again after writability it tells
   * how the attempt ended. */
  int (*connect)(struct sys *, int fd, const struct sockaddr *, socklen_t);
  ssize_t (*recv)(struct sys *, int fd, void *, size_t, int flags);
  ssize_t (*send)(struct sys *, int fd, const void *, size_t, int flags);
  ssize_t (*sendmsg)(struct sys *, int fd, const struct msghdr *, int flags);
  /* May fill msg_name and msg_control, and their lengths and flags. */
  ssize_t (*recvmsg)(struct sys *, int fd, struct msghdr *, int flags);
  int (*shutdown)(struct sys *, int fd, int how);
  int (*close)(struct sys *, int fd);
  /* Another number for the same; closed on exec. */
  int (*dup)(struct sys *, int fd);
  /* off -1: the file's own position. */
  ssize_t (*read)(struct sys *, int fd, void *, size_t, int64_t off);
  ssize_t (*write)(struct sys *, int fd, const void *, size_t, int64_t off);
  /* What needs no waiting for a disk, or -EAGAIN: all of it may. */
  ssize_t (*read_now)(struct sys *, int fd, void *, size_t, int64_t off);
  int64_t (*position)(struct sys *, int fd); /* the file's own */
  ssize_t (*readv)(struct sys *, int fd, const struct iovec *, int n,
                   int64_t off);
  ssize_t (*writev)(struct sys *, int fd, const struct iovec *, int n,
                    int64_t off);
  int (*fsync)(struct sys *, int fd, bool data_only);
  int (*poll)(struct sys *, int fd, short events); /* revents now, or 0 */
  int (*name)(struct sys *, int fd, bool peer, struct sockaddr *, socklen_t *);
  int (*getopt)(struct sys *, int fd, int level, int name, void *, socklen_t *);
  int (*setopt)(struct sys *, int fd, int level, int name, const void *,
                socklen_t);
  /* Of a Unix socket without a name: what binding it to a path will let others
   * do there, less the umask. The kernel takes it from the socket's inode. */
  int (*fchmod)(struct sys *, int fd, unsigned mode);
  /* 0 when some socket is bound to this Unix address, listening or not;
   * -ECONNREFUSED when none is; or why that can't be told. */
  int (*probe)(struct sys *, const struct sockaddr *, socklen_t);
  /* Of the path itself, not of what a symbolic link there points to. */
  int (*lstat)(struct sys *, const char *path, struct stat *);
  int (*chmod)(struct sys *, const char *path, unsigned mode);
  int (*unlink)(struct sys *, const char *path);
  /* -- files: these may block, so only ops call them, on a worker or where
   * there is none; `at` is a directory's descriptor or AT_FDCWD -- */
  int (*open)(struct sys *, int at, const char *path, int flags, unsigned mode);
  int (*statx)(struct sys *, int at, const char *path, int flags,
               struct statx *);
  int (*access)(struct sys *, int at, const char *path, int how);
  int (*mkdir)(struct sys *, int at, const char *path, unsigned mode);
  int (*unlink_at)(struct sys *, int at, const char *path, int flags);
  int (*rename)(struct sys *, int at, const char *from, const char *to,
                unsigned flags);
  int (*link)(struct sys *, int at, const char *from, const char *to);
  int (*symlink)(struct sys *, const char *target, int at, const char *path);
  ssize_t (*readlink)(struct sys *, int at, const char *path, char *, size_t);
  ssize_t (*realpath)(struct sys *, const char *path, char *); /* PATH_MAX */
  int (*chmod_at)(struct sys *, int at, const char *path, unsigned mode);
  int (*truncate)(struct sys *, int fd, int64_t len);
  int (*allocate)(struct sys *, int fd, int mode, int64_t off, int64_t len);
  /* struct dirent64 records, from the directory's position on */
  ssize_t (*entries)(struct sys *, int fd, void *, size_t);
  int (*lock)(struct sys *, int fd, int how); /* LOCK_*, never waits */
  ssize_t (*copy_range)(struct sys *, int to, int64_t to_off, int from,
                        int64_t from_off, size_t);
  /* As much as a socket takes now, or -EAGAIN. */
  ssize_t (*sendfile)(struct sys *, int to, int from, int64_t off, size_t);
  int (*watch)(struct sys *, int fd, const char *path, unsigned mask);
};

struct sys {
  const struct sys_class *class;
};

extern const struct sys_class sys_posix;

#endif
