/* sim_path.c - simulated Unix sockets that are bound to a path.
 *
 * The path is a real file of type socket, made by mknod(2) where the kernel's
 * bind would make it: so it stays behind when its socket is closed, the file
 * system decides who may make, see and remove it, and other programs meet it.
 * Who is bound to it is known by device and inode; an O_PATH descriptor keeps
 * that number from being given to another file, as the kernel's sockets do.
 * Where the world has files of its own it is one of those, and the socket
 * knows its node.
 *
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim_fs.h"

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

static int make_own(struct sim_sock *k, const char *path) {
  struct sim_place p;
  struct sim_fs *fs = sim_fs_of(k->net);
  int r = fs ? sim_walk(fs, NULL, path, false, &p) : -ENOMEM;
  if (r < 0) return r;
  if (p.node) return -EADDRINUSE;
  r = sim_make(fs, &p, S_IFSOCK | (k->mode & 0777), &k->path_node);
  if (r == 0) k->path_node->opens++;
  return r;
}

static int find_own(struct sim_net *net, const char *path,
                    struct sim_sock **found) {
  struct sim_node *node;
  struct sim_fs *fs = sim_fs_of(net);
  int r = fs ? sim_find(fs, NULL, path, true, &node) : -ENOMEM;
  if (r < 0) return -r;
  list_each(&net->bound, l) {
    struct sim_sock *k = container_of(l, struct sim_sock, bound);
    if (k->path_node == node) *found = k;
  }
  return *found ? 0 : ECONNREFUSED;
}

int sim_path_make(struct sim_sock *k) {
  const char *path = k->local.at.un.sun_path;
  if (k->net->knobs.files) return make_own(k, path);
  if (mknod(path, S_IFSOCK | (k->mode & 0777), 0) < 0)
    return errno == EEXIST ? -EADDRINUSE : -errno;
  int r = path_hold(k, path);
  if (r < 0) unlink(path);
  return r;
}

void sim_path_drop(struct sim_sock *k) {
  struct sim_node *node = k->path_node;
  k->path_node = NULL;
  if (node) {
    node->opens--;
    sim_node_drop(k->net->fs, node);
  }
  if (k->path_fd >= 0) close(k->path_fd);
  k->path_fd = -1;
}

/* unix(7): connecting asks for write permission on the socket. */
int sim_path_find(struct sim_net *net, const struct address *to,
                  struct sim_sock **found) {
  struct stat st;
  const char *path = to->at.un.sun_path;
  if (net->knobs.files) return find_own(net, path, found);
  if (stat(path, &st) < 0) return errno;
  if (faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) < 0) return errno;
  list_each(&net->bound, l) {
    struct sim_sock *k = container_of(l, struct sim_sock, bound);
    if (k->path_fd < 0) continue;
    if (k->path_ino == st.st_ino && k->path_dev == st.st_dev) *found = k;
  }
  return *found ? 0 : ECONNREFUSED;
}
