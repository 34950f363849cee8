/* sim_fs.c - simulated files: nodes, directories, and the names in them. See
 * sim_fs.h; open files are in sim_file.c.
 *
 * SPDX-License-Identifier: MIT */
#include "sim_fs.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"

enum { LINKS_MAX = 40, BLOCK = 4096, UMASK = 022 };

/* -- nodes -- */

static struct sim_node *node_new(struct sim_fs *fs, unsigned mode) {
  struct sim_node *node =
      fault_point("sim_node") ? NULL : calloc(1, sizeof *node);
  if (!node) return NULL;
  node->ino = ++fs->last_ino;
  node->mode = mode;
  node->born_ns = node->modified_ns = node->changed_ns = fs->net->now_ns;
  return node;
}

static bool is_dir(const struct sim_node *node) {
  return S_ISDIR(node->mode);
}

static void node_free(struct sim_fs *fs, struct sim_node *node) {
  fs->bytes -= node->len;
  for (unsigned i = 0; i < node->entry_n; i++) free(node->entries[i].name);
  free(node->entries);
  free(node->bytes);
  free(node);
}

void sim_node_drop(struct sim_fs *fs, struct sim_node *node) {
  if (!node->links && !node->opens) node_free(fs, node);
}

int sim_resize(struct sim_fs *fs, struct sim_node *node, size_t len) {
  if (len > node->len && fs->bytes + (len - node->len) > SIM_DISK_BYTES)
    return -ENOSPC;
  if (len > node->cap) {
    size_t cap = node->cap * 2 > len ? node->cap * 2 : len;
    void *bytes = realloc(node->bytes, cap);
    if (!bytes) return -ENOSPC;
    node->bytes = bytes;
    node->cap = cap;
  }
  if (len > node->len) memset(node->bytes + node->len, 0, len - node->len);
  fs->bytes += len;
  fs->bytes -= node->len;
  node->len = len;
  node->modified_ns = node->changed_ns = fs->net->now_ns;
  return 0;
}

static void set_time(struct statx_timestamp *t, uint64_t ns) {
  t->tv_sec = (int64_t)(ns / NS_PER_S);
  t->tv_nsec = (uint32_t)(ns % NS_PER_S);
}

void sim_node_stat(const struct sim_node *node, struct statx *into) {
  *into = (struct statx){
      .stx_mask = STATX_BASIC_STATS | STATX_BTIME,
      .stx_blksize = BLOCK,
      .stx_nlink = is_dir(node) ? 2 : node->links,
      .stx_mode = (uint16_t)node->mode,
      .stx_ino = node->ino,
      .stx_size = node->len,
      .stx_blocks = (node->len + BLOCK - 1) / BLOCK * (BLOCK / 512),
  };
  set_time(&into->stx_atime, node->modified_ns);
  set_time(&into->stx_mtime, node->modified_ns);
  set_time(&into->stx_ctime, node->changed_ns);
  set_time(&into->stx_btime, node->born_ns);
}

/* -- entries -- */

static struct sim_entry *entry_find(const struct sim_node *dir,
                                    const char *name) {
  for (unsigned i = 0; i < dir->entry_n; i++)
    if (strcmp(dir->entries[i].name, name) == 0) return &dir->entries[i];
  return NULL;
}

static int entry_add(struct sim_fs *fs, struct sim_node *dir, const char *name,
                     struct sim_node *node) {
  if (dir->entry_n == dir->entry_cap) {
    unsigned cap = dir->entry_cap ? dir->entry_cap * 2 : 8;
    void *p = realloc(dir->entries, cap * sizeof *dir->entries);
    if (!p) return -ENOSPC;
    dir->entries = p;
    dir->entry_cap = cap;
  }
  char *copy = strdup(name);
  if (!copy) return -ENOSPC;
  dir->entries[dir->entry_n++] = (struct sim_entry){copy, node};
  node->links++;
  if (is_dir(node)) node->parent = dir;
  dir->modified_ns = dir->changed_ns = node->changed_ns = fs->net->now_ns;
  return 0;
}

/* Who reads the directory meanwhile goes on behind those it has seen. */
static void entry_remove(struct sim_fs *fs, struct sim_node *dir,
                         struct sim_entry *e) {
  unsigned at = (unsigned)(e - dir->entries);
  struct sim_node *node = e->node;
  free(e->name);
  dir->entry_n--;
  memmove(e, e + 1, (dir->entry_n - at) * sizeof *e);
  for (int i = 0; i < SIM_FILES_MAX; i++) {
    struct sim_file *f = fs->files[i];
    if (f && f->node == dir && f->at > at + 2) f->at--;
  }
  node->links--;
  if (is_dir(node)) node->parent = NULL;
  dir->modified_ns = dir->changed_ns = node->changed_ns = fs->net->now_ns;
  sim_node_drop(fs, node);
}

/* -- walking -- */

/* A symbolic link as the last name. */
enum last {
  LAST_ITSELF, /* unless a slash follows it */
  LAST_FOLLOWED,
  LAST_NAME, /* the name is what matters: made, removed, renamed */
};

struct walk {
  struct sim_fs *fs;
  unsigned links; /* symbolic ones that were followed */
};

static int walk(struct walk *w, struct sim_node *at, const char *path,
                enum last how, struct sim_place *p);

/* The target of p->node takes the place of p. */
static int follow_link(struct walk *w, struct sim_place *p) {
  char target[PATH_MAX];
  size_t n = p->node->len;
  bool slash = p->slash;
  if (++w->links > LINKS_MAX) return -ELOOP;
  memcpy(target, p->node->bytes, n);
  target[n] = 0;
  int r = walk(w, p->dir, target, LAST_FOLLOWED, p);
  p->slash |= slash;
  return r;
}

/* The next name of *path, and step over it; its length, 0: there is none. */
static int next_name(const char **path, char name[SIM_NAME_MAX + 1]) {
  while (**path == '/') ++*path;
  size_t n = strcspn(*path, "/");
  if (n > SIM_NAME_MAX) return -ENAMETOOLONG;
  memcpy(name, *path, n);
  name[n] = 0;
  *path += n;
  return (int)n;
}

static void step(struct sim_place *p, const char *name) {
  if (strcmp(name, ".") == 0) {
    p->node = p->dir;
    p->name[0] = 0;
  } else if (strcmp(name, "..") == 0) {
    p->node = p->dir->parent ? p->dir->parent : p->dir;
    p->name[0] = 0;
  } else {
    struct sim_entry *e = entry_find(p->dir, name);
    p->node = e ? e->node : NULL;
    memcpy(p->name, name, strlen(name) + 1);
  }
}

static int walk(struct walk *w, struct sim_node *at, const char *path,
                enum last how, struct sim_place *p) {
  char name[SIM_NAME_MAX + 1];
  int n;
  if (!path[0]) return -ENOENT;
  struct sim_node *from = path[0] == '/' || !at ? w->fs->root : at;
  *p = (struct sim_place){.dir = from, .node = from};
  while ((n = next_name(&path, name)) > 0) {
    if (!p->node) return -ENOENT; /* not the last, and missing */
    if (!is_dir(p->node)) return -ENOTDIR;
    p->dir = p->node;
    step(p, name);
    bool last = !path[strspn(path, "/")];
    p->slash = last && path[0] == '/';
    bool link = p->node && S_ISLNK(p->node->mode);
    bool itself = how == LAST_NAME || (how == LAST_ITSELF && !p->slash);
    if (!link || (last && itself)) continue;
    int r = follow_link(w, p);
    if (r < 0) return r;
  }
  return n;
}

int sim_walk(struct sim_fs *fs, struct sim_node *at, const char *path,
             bool follow, struct sim_place *p) {
  struct walk w = {fs, 0};
  int r = walk(&w, at, path, follow ? LAST_FOLLOWED : LAST_ITSELF, p);
  if (r < 0) return r;
  return p->slash && p->node && !is_dir(p->node) ? -ENOTDIR : 0;
}

int sim_walk_name(struct sim_fs *fs, struct sim_node *at, const char *path,
                  struct sim_place *p) {
  struct walk w = {fs, 0};
  return walk(&w, at, path, LAST_NAME, p);
}

int sim_find(struct sim_fs *fs, struct sim_node *at, const char *path,
             bool follow, struct sim_node **node) {
  struct sim_place p;
  int r = sim_walk(fs, at, path, follow, &p);
  if (r == 0 && !p.node) r = -ENOENT;
  if (r == 0) *node = p.node;
  return r;
}

/* -- making and removing -- */

int sim_make(struct sim_fs *fs, const struct sim_place *p, unsigned mode,
             struct sim_node **node) {
  assert(!p->node && p->name[0]);
  if (!S_ISLNK(mode)) mode &= ~(unsigned)UMASK;
  struct sim_node *made = node_new(fs, mode);
  if (!made) return -ENOSPC;
  int r = entry_add(fs, p->dir, p->name, made);
  if (r < 0)
    node_free(fs, made);
  else
    *node = made;
  return r;
}

/* Where there is nothing yet. */
static int walk_new(struct sim_fs *fs, struct sim_node *at, const char *path,
                    bool directory, struct sim_place *p) {
  int r = sim_walk_name(fs, at, path, p);
  if (r < 0) return r;
  if (p->node) return -EEXIST;
  return p->slash && !directory ? -ENOENT : 0;
}

int sim_mkdir(struct sim_fs *fs, struct sim_node *at, const char *path,
              unsigned mode) {
  struct sim_place p;
  struct sim_node *made;
  int r = walk_new(fs, at, path, true, &p);
  if (r < 0) return r;
  return sim_make(fs, &p, S_IFDIR | (mode & 07777), &made);
}

int sim_unlink(struct sim_fs *fs, struct sim_node *at, const char *path,
               bool directory) {
  struct sim_place p;
  int r = sim_walk_name(fs, at, path, &p);
  if (r < 0) return r;
  if (!p.node) return -ENOENT;
  if (!p.name[0]) return directory ? -EINVAL : -EISDIR;
  if (directory && !is_dir(p.node)) return -ENOTDIR;
  if (!directory && is_dir(p.node)) return -EISDIR;
  if (!directory && p.slash) return -ENOTDIR;
  if (directory && p.node->entry_n) return -ENOTEMPTY;
  entry_remove(fs, p.dir, entry_find(p.dir, p.name));
  return 0;
}

/* Is `node` inside `dir`, or the same? */
static bool is_inside(const struct sim_node *node, const struct sim_node *dir) {
  while (node && node != dir) node = node->parent;
  return node == dir;
}

/* 0: `to` may be taken by `from`; what is there is removed. */
static int make_room(struct sim_fs *fs, const struct sim_place *from,
                     const struct sim_place *to) {
  struct sim_node *there = to->node;
  if (is_dir(from->node) && is_inside(to->dir, from->node)) return -EINVAL;
  if (!there) return 0;
  if (is_dir(from->node) && !is_dir(there)) return -ENOTDIR;
  if (!is_dir(from->node) && is_dir(there)) return -EISDIR;
  if (is_dir(there) && there->entry_n) return -ENOTEMPTY;
  entry_remove(fs, to->dir, entry_find(to->dir, to->name));
  return 0;
}

int sim_rename(struct sim_fs *fs, struct sim_node *at, const char *from,
               const char *to, unsigned flags) {
  struct sim_place a, b;
  if (flags & ~(unsigned)RENAME_NOREPLACE) return -EINVAL;
  int r = sim_walk_name(fs, at, from, &a);
  if (r == 0) r = sim_walk_name(fs, at, to, &b);
  if (r < 0) return r;
  if (!a.name[0] || !b.name[0]) return -EBUSY;
  if (!a.node) return -ENOENT;
  if (!is_dir(a.node) && (a.slash || b.slash)) return -ENOTDIR;
  if (b.node && flags & RENAME_NOREPLACE) return -EEXIST;
  if (a.node == b.node) return 0;
  r = make_room(fs, &a, &b);
  if (r == 0) r = entry_add(fs, b.dir, b.name, a.node);
  if (r < 0) return r;
  entry_remove(fs, a.dir, entry_find(a.dir, a.name));
  if (is_dir(a.node)) a.node->parent = b.dir;
  return 0;
}

int sim_link(struct sim_fs *fs, struct sim_node *at, const char *from,
             const char *to) {
  struct sim_node *node = NULL;
  struct sim_place p;
  int r = sim_find(fs, at, from, false, &node);
  if (r == 0) r = walk_new(fs, at, to, false, &p);
  if (r < 0) return r;
  return is_dir(node) ? -EPERM : entry_add(fs, p.dir, p.name, node);
}

/* -- symbolic links -- */

int sim_symlink(struct sim_fs *fs, const char *target, struct sim_node *at,
                const char *path) {
  struct sim_place p;
  struct sim_node *made;
  size_t n = strlen(target);
  if (!n) return -ENOENT;
  if (n >= PATH_MAX) return -ENAMETOOLONG;
  int r = walk_new(fs, at, path, false, &p);
  if (r < 0) return r;
  r = sim_make(fs, &p, S_IFLNK | 0777, &made);
  if (r == 0) r = sim_resize(fs, made, n);
  if (r == 0) memcpy(made->bytes, target, n);
  return r;
}

ssize_t sim_readlink(struct sim_fs *fs, struct sim_node *at, const char *path,
                     char *into, size_t len) {
  struct sim_node *node;
  int r = sim_find(fs, at, path, false, &node);
  if (r < 0) return r;
  if (!S_ISLNK(node->mode)) return -EINVAL;
  len = min_size(len, node->len);
  memcpy(into, node->bytes, len);
  return (ssize_t)len;
}

static const char *name_of(const struct sim_node *dir) {
  for (unsigned i = 0; i < dir->parent->entry_n; i++)
    if (dir->parent->entries[i].node == dir)
      return dir->parent->entries[i].name;
  return "";
}

/* Put "/name" before what is at *at. */
static bool prepend(char *into, char **at, const char *name) {
  size_t n = strlen(name);
  if ((size_t)(*at - into) < n + 1) return false;
  *at -= n + 1;
  (*at)[0] = '/';
  memcpy(*at + 1, name, n);
  return true;
}

ssize_t sim_realpath(struct sim_fs *fs, const char *path, char *into) {
  struct sim_place p;
  char *at = into + PATH_MAX - 1;
  int r = sim_walk(fs, NULL, path, true, &p);
  if (r < 0) return r;
  if (!p.node) return -ENOENT;
  bool fits = true;
  const struct sim_node *dir = p.name[0] ? p.dir : p.node;
  *at = 0;
  if (p.name[0]) fits = prepend(into, &at, p.name);
  for (; fits && dir->parent; dir = dir->parent)
    fits = prepend(into, &at, name_of(dir));
  if (!*at) fits = prepend(into, &at, "");
  if (!fits) return -ENAMETOOLONG;
  size_t n = strlen(at);
  memmove(into, at, n + 1);
  return (ssize_t)n;
}

/* -- the store -- */

static void tree_free(struct sim_fs *fs, struct sim_node *dir) {
  while (dir->entry_n) {
    struct sim_entry *e = &dir->entries[dir->entry_n - 1];
    if (is_dir(e->node)) tree_free(fs, e->node);
    entry_remove(fs, dir, e);
  }
}

static struct sim_fs *fs_new(struct sim_net *net) {
  struct sim_fs *fs = fault_point("sim_fs") ? NULL : calloc(1, sizeof *fs);
  if (!fs) return NULL;
  fs->net = net;
  fs->root = node_new(fs, S_IFDIR | 0755);
  if (fs->root) fs->root->links = 1;
  if (fs->root && sim_mkdir(fs, NULL, "/tmp", 0777) == 0) {
    fs->root->entries[0].node->mode = S_IFDIR | 01777;
    return fs;
  }
  sim_fs_free(fs);
  return NULL;
}

struct sim_fs *sim_fs_of(struct sim_net *net) {
  if (!net->fs) net->fs = fs_new(net);
  return net->fs;
}

unsigned sim_fs_open_files(const struct sim_fs *fs) {
  unsigned n = 0;
  for (int i = 0; fs && i < SIM_FILES_MAX; i++) n += fs->files[i] != NULL;
  return n;
}

void sim_fs_free(struct sim_fs *fs) {
  if (!fs) return;
  for (int i = 0; i < SIM_FILES_MAX; i++)
    if (fs->files[i]) sim_file_close(fs, SIM_FILE_BASE + i);
  if (fs->root) tree_free(fs, fs->root);
  if (fs->root) node_free(fs, fs->root);
  free(fs);
}
