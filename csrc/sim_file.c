/* sim_file.c - simulated files that are open: bytes, positions, entries of a
 * directory, locks. See sim_fs.h.
 *
 * As Linux has it of regular files, a read is short only at the end and a
 * write only when the disk gets full; proa.fs relies on both. What is moved is
 * there for everybody at once. There is no page cache that could be lost: fsync
 * has nothing to do.
 *
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "fault.h"
#include "sim_fs.h"

struct sim_file *sim_file_find(const struct sim_net *net, int fd) {
  int i = fd - SIM_FILE_BASE;
  return net->fs && i >= 0 && i < SIM_FILES_MAX ? net->fs->files[i] : NULL;
}

/* -- opening -- */

/* The node that is to be opened, perhaps made now. */
static int open_node(struct sim_fs *fs, struct sim_node *at, const char *path,
                     int flags, unsigned mode, struct sim_node **node) {
  struct sim_place p;
  bool follow = !(flags & O_NOFOLLOW) &&
                (flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
  int r = flags & O_CREAT ? sim_walk_name(fs, at, path, &p) : 0;
  if (r == 0 && flags & O_CREAT && p.slash) r = -EISDIR;
  if (r == 0) r = sim_walk(fs, at, path, follow, &p);
  if (r == -ENOTDIR && flags & O_CREAT && p.slash && p.node) r = -EISDIR;
  if (r < 0) return r;
  *node = p.node;
  if (p.node && (flags & O_CREAT) && (flags & O_EXCL)) return -EEXIST;
  if (p.node && S_ISLNK(p.node->mode)) return -ELOOP;
  if (p.node && S_ISSOCK(p.node->mode)) return -ENXIO;
  if (p.node) return 0;
  if (!(flags & O_CREAT)) return -ENOENT;
  if (p.slash) return -EISDIR; /* a link's target had it */
  return sim_make(fs, &p, S_IFREG | (mode & 07777), node);
}

static int check_open(const struct sim_node *node, int flags) {
  bool writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
  bool directory = S_ISDIR(node->mode);
  if (directory && (writes || flags & O_CREAT)) return -EISDIR;
  if (flags & O_DIRECTORY && !directory) return -ENOTDIR;
  return 0;
}

/* The lowest that is free. */
static int free_slot(const struct sim_fs *fs) {
  int slot = 0;
  while (slot < SIM_FILES_MAX && fs->files[slot]) slot++;
  return slot == SIM_FILES_MAX ? -EMFILE : slot;
}

int sim_file_open(struct sim_fs *fs, struct sim_node *at, const char *path,
                  int flags, unsigned mode) {
  struct sim_node *node;
  if ((flags & O_TMPFILE) == O_TMPFILE) return -EOPNOTSUPP;
  int slot = free_slot(fs);
  if (slot < 0) return slot;
  struct sim_file *f = fault_point("sim_file") ? NULL : calloc(1, sizeof *f);
  if (!f) return -ENOMEM;
  int r = open_node(fs, at, path, flags, mode, &node);
  if (r == 0) r = check_open(node, flags);
  if (r == 0 && flags & O_TRUNC) r = sim_resize(fs, node, 0);
  if (r < 0) {
    free(f);
    return r;
  }
  f->node = node;
  f->flags = flags;
  f->numbers = 1;
  node->opens++;
  fs->files[slot] = f;
  return SIM_FILE_BASE + slot;
}

int sim_file_dup(struct sim_fs *fs, int fd) {
  int slot = free_slot(fs);
  if (slot < 0) return slot;
  struct sim_file *f = fs->files[fd - SIM_FILE_BASE];
  f->numbers++;
  fs->files[slot] = f;
  return SIM_FILE_BASE + slot;
}

void sim_file_close(struct sim_fs *fs, int fd) {
  struct sim_file *f = fs->files[fd - SIM_FILE_BASE];
  fs->files[fd - SIM_FILE_BASE] = NULL;
  if (--f->numbers) return;
  sim_file_lock(f, LOCK_UN);
  f->node->opens--;
  sim_node_drop(fs, f->node);
  free(f);
}

/* -- bytes -- */

static bool may(const struct sim_file *f, int access) {
  int mode = f->flags & O_ACCMODE;
  return !(f->flags & O_PATH) && (mode == access || mode == O_RDWR);
}

static size_t vec_len(const struct iovec *v, int n) {
  size_t len = 0;
  for (int i = 0; i < n; i++) len += v[i].iov_len;
  return len;
}

/* Between the file and the parts, len bytes. */
static void move(unsigned char *at, const struct iovec *v, size_t len,
                 bool into_parts) {
  for (; len; v++) {
    size_t n = min_size(len, v->iov_len);
    if (n && into_parts) memcpy(v->iov_base, at, n);
    if (n && !into_parts) memcpy(at, v->iov_base, n);
    at += n;
    len -= n;
  }
}

ssize_t sim_file_read(struct sim_file *f, const struct iovec *v, int n,
                      int64_t off) {
  struct sim_node *node = f->node;
  if (S_ISDIR(node->mode)) return -EISDIR;
  if (!may(f, O_RDONLY)) return -EBADF;
  size_t at = off < 0 ? f->at : (size_t)off;
  if (at >= node->len) return 0;
  size_t len = min_size(vec_len(v, n), node->len - at);
  move(node->bytes + at, v, len, true);
  if (off < 0) f->at += len;
  return (ssize_t)len;
}

/* How much of len bytes at `at` the disk has room for. */
static size_t fitting(const struct sim_fs *fs, const struct sim_node *node,
                      size_t at, size_t len) {
  size_t end = node->len + (SIM_DISK_BYTES - fs->bytes); /* it may get to */
  return at >= end ? 0 : min_size(len, end - at);
}

ssize_t sim_file_write(struct sim_fs *fs, struct sim_file *f,
                       const struct iovec *v, int n, int64_t off) {
  struct sim_node *node = f->node;
  if (!may(f, O_WRONLY)) return -EBADF;
  size_t at = off < 0 ? f->at : (size_t)off;
  if (f->flags & O_APPEND) at = node->len;
  size_t len = vec_len(v, n);
  if (len == 0) return 0;
  if (at > SIM_DISK_BYTES) return -EFBIG;
  len = fitting(fs, node, at, len);
  if (len == 0) return -ENOSPC;
  int r = at + len > node->len ? sim_resize(fs, node, at + len) : 0;
  if (r < 0) return r;
  move(node->bytes + at, v, len, false);
  node->modified_ns = node->changed_ns = fs->net->now_ns;
  if (off < 0) f->at = at + len;
  return (ssize_t)len;
}

int sim_file_truncate(struct sim_fs *fs, struct sim_file *f, int64_t len) {
  if (len < 0 || !may(f, O_WRONLY)) return -EINVAL;
  if ((uint64_t)len > SIM_DISK_BYTES) return -EFBIG;
  return sim_resize(fs, f->node, (size_t)len);
}

int sim_file_allocate(struct sim_fs *fs, struct sim_file *f, int mode,
                      int64_t off, int64_t len) {
  struct sim_node *node = f->node;
  if (!may(f, O_WRONLY)) return -EBADF;
  if (off < 0 || len <= 0) return -EINVAL;
  if ((uint64_t)off + (uint64_t)len > SIM_DISK_BYTES && !mode) return -EFBIG;
  size_t from = (size_t)off, to = from + (size_t)len;
  if (!mode) return to > node->len ? sim_resize(fs, node, to) : 0;
  if (!(mode & FALLOC_FL_PUNCH_HOLE)) return -EOPNOTSUPP;
  to = min_size(to, node->len);
  if (from < to) memset(node->bytes + from, 0, to - from);
  return 0;
}

ssize_t sim_file_copy(struct sim_fs *fs, struct sim_file *to, int64_t to_off,
                      struct sim_file *from, int64_t from_off, size_t n) {
  unsigned char bytes[16 * 1024];
  struct iovec v = {bytes, min_size(n, sizeof bytes)};
  if (to->node == from->node) return -EINVAL;
  ssize_t r = sim_file_read(from, &v, 1, from_off);
  if (r <= 0) return r;
  v.iov_len = (size_t)r;
  return sim_file_write(fs, to, &v, 1, to_off);
}

/* -- directories -- */

static unsigned char type_of(const struct sim_node *node) {
  return (unsigned char)((node->mode & S_IFMT) >> 12);
}

/* One record behind `into`; 0: no room for it. */
static size_t put_entry(char *into, size_t room, const char *name,
                        const struct sim_node *node, int64_t next) {
  size_t head = offsetof(struct dirent64, d_name), n = strlen(name) + 1;
  size_t len = (head + n + 7) & ~(size_t)7;
  if (len > room) return 0;
  struct dirent64 d = {.d_ino = node->ino,
                       .d_off = next,
                       .d_reclen = (unsigned short)len,
                       .d_type = type_of(node)};
  memcpy(into, &d, head);
  memcpy(into + head, name, n);
  return len;
}

ssize_t sim_file_entries(struct sim_file *f, void *into, size_t len) {
  const struct sim_node *dir = f->node;
  if (!S_ISDIR(dir->mode)) return -ENOTDIR;
  size_t used = 0, n;
  for (; f->at < dir->entry_n + 2; f->at++, used += n) {
    const struct sim_node *up = dir->parent ? dir->parent : dir;
    bool dots = f->at < 2;
    const struct sim_entry *e = dots ? NULL : &dir->entries[f->at - 2];
    const char *name = dots ? (f->at ? ".." : ".") : e->name;
    n = put_entry((char *)into + used, len - used, name,
                  e           ? e->node
                  : f->at > 0 ? up
                              : dir,
                  (int64_t)f->at + 1);
    if (!n) break;
  }
  return used || f->at >= dir->entry_n + 2 ? (ssize_t)used : -EINVAL;
}

/* -- locks -- */

static void drop_lock(struct sim_file *f) {
  if (f->node->locked == f) f->node->locked = NULL;
  if (f->shares) f->node->shared--;
  f->shares = false;
}

/* Like the kernel it drops the lock it has before it looks for another. */
int sim_file_lock(struct sim_file *f, int how) {
  struct sim_node *node = f->node;
  bool shared = how & LOCK_SH;
  drop_lock(f);
  if (how & LOCK_UN) return 0;
  if (node->locked || (!shared && node->shared)) return -EWOULDBLOCK;
  if (shared)
    node->shared++;
  else
    node->locked = f;
  f->shares = shared;
  return 0;
}
