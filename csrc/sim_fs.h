/* sim_fs.h - the simulated world's files: a tree of nodes in memory.
 *
 * Taken for paths when the knob `files` is set; otherwise paths are real. The
 * tree begins with "/" and "/tmp"; relative paths begin at "/". Whoever asks
 * is root, with a umask of 022: permissions are kept and told, not enforced.
 * A node lives as long as a name or an open file refers to it. sim_fs.c: nodes
 * and names. sim_file.c: open files. Both speak as the calls of sys.h do.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_SIM_FS_H
#define PROA_SIM_FS_H

#include <sys/stat.h>
#include <sys/uio.h>

#include "list.h"
#include "sim_net.h"

enum {
  SIM_FILE_BASE = 1 << 21, /* descriptors from here on are open files */
  SIM_NAME_MAX = 255,
  SIM_FILES_MAX = 1024, /* open at once; beyond it, EMFILE */
};
#define SIM_DISK_BYTES ((size_t)64 << 20) /* beyond it, ENOSPC */

struct sim_node;

struct sim_entry {
  char *name;
  struct sim_node *node;
};

struct sim_node {
  uint64_t ino;
  unsigned mode;  /* S_IFREG, S_IFDIR, S_IFLNK or S_IFSOCK, and permissions */
  unsigned links; /* names; of a directory 1, in its parent */
  unsigned opens; /* struct sim_file, and sockets bound to it */
  uint64_t born_ns, modified_ns, changed_ns;
  unsigned char *bytes; /* of a file, or a link's target */
  size_t len, cap;
  struct sim_node *parent;   /* DIR: NULL for "/" and when it was removed */
  struct sim_entry *entries; /* DIR: in the order they were made */
  unsigned entry_n, entry_cap;
  struct sim_file *locked; /* exclusively, by it */
  unsigned shared;         /* locks */
};

/* An open file; its numbers are SIM_FILE_BASE and its places in fs->files. */
struct sim_file {
  unsigned numbers;
  struct sim_node *node;
  int flags;   /* open(2) */
  size_t at;   /* position; of a directory, which entry is next */
  bool shares; /* has a shared lock */
};

struct sim_fs {
  struct sim_net *net;
  struct sim_node *root;
  uint64_t last_ino;
  size_t bytes; /* of all files */
  struct sim_file *files[SIM_FILES_MAX];
};

static inline bool sim_is_file(int fd) {
  return fd >= SIM_FILE_BASE;
}

/* The store of a world, made when it is first asked for; NULL: no memory. */
struct sim_fs *sim_fs_of(struct sim_net *net);
void sim_fs_free(struct sim_fs *fs);
unsigned sim_fs_open_files(const struct sim_fs *fs);

/* -- nodes and names; `at`: where relative paths begin, NULL: at "/" -- */

/* What a path leads to. */
struct sim_place {
  struct sim_node *dir;        /* where its last name is, or would be */
  char name[SIM_NAME_MAX + 1]; /* "": of "/" or "." itself */
  struct sim_node *node;       /* NULL: there is none yet */
  bool slash; /* the path ended in one: only a directory will do */
};
/* -ENOENT only when a directory on the way is missing. */
int sim_walk(struct sim_fs *fs, struct sim_node *at, const char *path,
             bool follow, struct sim_place *p);
/* The same for who makes, removes or renames the name itself. */
int sim_walk_name(struct sim_fs *fs, struct sim_node *at, const char *path,
                  struct sim_place *p);
/* The node itself, or -errno. */
int sim_find(struct sim_fs *fs, struct sim_node *at, const char *path,
             bool follow, struct sim_node **node);
/* A new node at a place where none is. */
int sim_make(struct sim_fs *fs, const struct sim_place *p, unsigned mode,
             struct sim_node **node);
/* Nobody refers to it by this name, or by an open file, any more. */
void sim_node_drop(struct sim_fs *fs, struct sim_node *node);
int sim_resize(struct sim_fs *fs, struct sim_node *node, size_t len);

int sim_mkdir(struct sim_fs *fs, struct sim_node *at, const char *path,
              unsigned mode);
int sim_unlink(struct sim_fs *fs, struct sim_node *at, const char *path,
               bool directory);
int sim_rename(struct sim_fs *fs, struct sim_node *from_at, const char *from,
               const char *to, unsigned flags);
int sim_link(struct sim_fs *fs, struct sim_node *at, const char *from,
             const char *to);
int sim_symlink(struct sim_fs *fs, const char *target, struct sim_node *at,
                const char *path);
ssize_t sim_readlink(struct sim_fs *fs, struct sim_node *at, const char *path,
                     char *into, size_t len);
ssize_t sim_realpath(struct sim_fs *fs, const char *path, char *into);
void sim_node_stat(const struct sim_node *node, struct statx *into);

/* -- open files -- */

struct sim_file *sim_file_find(const struct sim_net *net, int fd);
int sim_file_open(struct sim_fs *fs, struct sim_node *at, const char *path,
                  int flags, unsigned mode);
void sim_file_close(struct sim_fs *fs, int fd);
/* Another number for it. */
int sim_file_dup(struct sim_fs *fs, int fd);
ssize_t sim_file_read(struct sim_file *f, const struct iovec *v, int n,
                      int64_t off);
ssize_t sim_file_write(struct sim_fs *fs, struct sim_file *f,
                       const struct iovec *v, int n, int64_t off);
int sim_file_truncate(struct sim_fs *fs, struct sim_file *f, int64_t len);
int sim_file_allocate(struct sim_fs *fs, struct sim_file *f, int mode,
                      int64_t off, int64_t len);
ssize_t sim_file_entries(struct sim_file *f, void *into, size_t len);
int sim_file_lock(struct sim_file *f, int how);
ssize_t sim_file_copy(struct sim_fs *fs, struct sim_file *to, int64_t to_off,
                      struct sim_file *from, int64_t from_off, size_t n);

#endif
