/* unix_path.c - paths of Unix sockets. See unix_path.h.
 *
 * SPDX-License-Identifier: MIT */
#include "unix_path.h"

#include <string.h>

static bool same_file(const struct stat *a, const struct stat *b) {
  return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

/* 0: nothing is there any more. The file is looked at again right before it
 * goes: another process may have replaced it as we do. */
static int remove_stale(struct sys *sys, const struct address *a) {
  const char *path = a->at.un.sun_path;
  struct stat before, now;
  int r = sys->class->lstat(sys, path, &before);
  if (r < 0) return r == -ENOENT ? 0 : r;
  if (!S_ISSOCK(before.st_mode)) return -ENOTSOCK;
  r = sys->class->probe(sys, &a->at.any, a->len);
  if (r == -ENOENT) return 0;
  if (r != -ECONNREFUSED) return -EADDRINUSE; /* or it can't be told */
  r = sys->class->lstat(sys, path, &now);
  if (r == 0 && !same_file(&before, &now)) return -EADDRINUSE;
  if (r == 0) r = sys->class->unlink(sys, path);
  return r == -ENOENT ? 0 : r;
}

static int bind_fresh(struct sys *sys, int fd, const struct address *a) {
  int r = sys->class->bind(sys, fd, &a->at.any, a->len);
  if (r != -EADDRINUSE) return r;
  r = remove_stale(sys, a);
  return r < 0 ? r : sys->class->bind(sys, fd, &a->at.any, a->len);
}

/* The umask may have taken some of the mode away. */
static int note_made(struct sys *sys, const char *path, int mode,
                     struct unix_path *made) {
  struct stat st;
  int r = sys->class->lstat(sys, path, &st);
  if (r < 0) return r;
  made->dev = st.st_dev;
  made->ino = st.st_ino;
  strcpy(made->path, path);
  if (mode < 0 || (st.st_mode & 0777) == (mode_t)mode) return 0;
  return sys->class->chmod(sys, path, (unsigned)mode);
}

int unix_path_bind(struct sys *sys, int fd, const struct address *a, int mode,
                   struct unix_path *made) {
  int r = mode < 0 ? 0 : sys->class->fchmod(sys, fd, (unsigned)mode);
  if (r >= 0) r = bind_fresh(sys, fd, a);
  if (r >= 0) r = note_made(sys, a->at.un.sun_path, mode, made);
  if (r < 0) unix_path_remove(sys, made);
  return r;
}

void unix_path_remove(struct sys *sys, struct unix_path *made) {
  struct stat st, mine = {.st_dev = made->dev, .st_ino = made->ino};
  if (!made->path[0]) return;
  if (sys->class->lstat(sys, made->path, &st) == 0 && same_file(&st, &mine))
    sys->class->unlink(sys, made->path);
  made->path[0] = 0;
}
