/* sim_sys.h - the calls of sys.h on files, in the simulated world; sim_sys.c
 * has them in its table.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_SIM_SYS_H
#define PROA_SIM_SYS_H

#include "sim_fs.h"

/* True when fd was an open file of this world. */
bool sim_sys_close(struct sys *s, int fd);
int sim_sys_dup(struct sys *s, int fd);
int sim_sys_open(struct sys *s, int at, const char *path, int flags,
                 unsigned mode);
/* Of open files only. */
ssize_t sim_sys_readv(struct sys *s, int fd, const struct iovec *v, int n,
                      int64_t off);
ssize_t sim_sys_writev(struct sys *s, int fd, const struct iovec *v, int n,
                       int64_t off);
int64_t sim_sys_position(struct sys *s, int fd);
int sim_sys_fsync(struct sys *s, int fd, bool data_only);
int sim_sys_fchmod(struct sys *s, int fd, unsigned mode);
int sim_sys_truncate(struct sys *s, int fd, int64_t len);
int sim_sys_allocate(struct sys *s, int fd, int mode, int64_t off, int64_t len);
ssize_t sim_sys_entries(struct sys *s, int fd, void *into, size_t len);
int sim_sys_lock(struct sys *s, int fd, int how);
ssize_t sim_sys_copy_range(struct sys *s, int to, int64_t to_off, int from,
                           int64_t from_off, size_t n);
/* Of paths. */
int sim_sys_lstat(struct sys *s, const char *path, struct stat *st);
int sim_sys_chmod(struct sys *s, const char *path, unsigned mode);
int sim_sys_unlink(struct sys *s, const char *path);
int sim_sys_statx(struct sys *s, int at, const char *path, int flags,
                  struct statx *into);
int sim_sys_access(struct sys *s, int at, const char *path, int how);
int sim_sys_mkdir(struct sys *s, int at, const char *path, unsigned mode);
int sim_sys_unlink_at(struct sys *s, int at, const char *path, int flags);
int sim_sys_rename(struct sys *s, int at, const char *from, const char *to,
                   unsigned flags);
int sim_sys_link(struct sys *s, int at, const char *from, const char *to);
int sim_sys_symlink(struct sys *s, const char *target, int at,
                    const char *path);
ssize_t sim_sys_readlink(struct sys *s, int at, const char *path, char *into,
                         size_t len);
ssize_t sim_sys_realpath(struct sys *s, const char *path, char *into);
int sim_sys_chmod_at(struct sys *s, int at, const char *path, unsigned mode);
int sim_sys_watch(struct sys *s, int fd, const char *path, unsigned mask);

#endif
