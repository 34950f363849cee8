/* sim_path.c - simulated Unix sockets that are bound to a path.
 *
 * The path is a real file of type socket, made by mknod(2) where the kernel's
 * bind would make it: so it stays behind when its socket is closed, the file
 * system decides who may make, see and remove it, and other programs meet it.
 * Who is bound to it is known by device and inode; an O_PATH descriptor keeps
 * that number from being given to another file, as the kernel's sockets do.
 *
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim_net.h"

/* Remember which file it is. */
static int path_hold(struct sim_sock *k, const char *path) {
  struct stat st;
  int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return -errno;
  if (fstat(fd, &st) < 0) {
    int err = errno;
    close(fd);
    return -err;
  }
  k->path_fd = fd;
  k->path_dev = st.st_dev;
  k->path_ino = st.st_ino;
  return 0;
}

int sim_path_make(struct sim_sock *k) {
  const char *path = k->local.at.un.sun_path;
  if (mknod(path, S_IFSOCK | (k->mode & 0777), 0) < 0)
    return errno == EEXIST ? -EADDRINUSE : -errno;
  int r = path_hold(k, path);
  if (r < 0) unlink(path);
  return r;
}

void sim_path_drop(struct sim_sock *k) {
  if (k->path_fd >= 0) close(k->path_fd);
  k->path_fd = -1;
}

/* unix(7): connecting asks for write permission on the socket. */
int sim_path_find(struct sim_net *net, const struct address *to,
                  struct sim_sock **found) {
  struct stat st;
  const char *path = to->at.un.sun_path;
  if (stat(path, &st) < 0) return errno;
  if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0) return errno;
  list_each(&net->bound, l) {
    struct sim_sock *k = container_of(l, struct sim_sock, bound);
    if (k->path_fd < 0) continue;
    if (k->path_ino == st.st_ino && k->path_dev == st.st_dev) *found = k;
  }
  return *found ? 0 : ECONNREFUSED;
}
