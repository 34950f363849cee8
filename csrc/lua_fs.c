/* lua_fs.c - what proa.fs needs from C beside ops: values made of what the
 * kernel tells, the bits of open(2) and inotify(7), an inotify descriptor.
 *
 * Nothing here waits or blocks. Paths and options are put together in
 * lua/proa/fs.lua; file objects are in lua_file.c.
 *
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lua_core.h"
#include "lua_fd.h"
#include "lua_file.h"

static const char *type_of_mode(unsigned mode) {
  switch (mode & S_IFMT) {
  case S_IFREG:
    return "file";
  case S_IFDIR:
    return "directory";
  case S_IFLNK:
    return "link";
  case S_IFIFO:
    return "fifo";
  case S_IFSOCK:
    return "socket";
  case S_IFCHR:
    return "character";
  case S_IFBLK:
    return "block";
  default:
    return "unknown";
  }
}

static void set_integer(lua_State *L, const char *key, uint64_t n) {
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, key);
}

static void set_time(lua_State *L, const char *key,
                     const struct statx_timestamp *t) {
  lua_pushnumber(L, (lua_Number)t->tv_sec + (lua_Number)t->tv_nsec / 1e9);
  lua_setfield(L, -2, key);
}

int push_stat(lua_State *L, const struct statx *s) {
  lua_createtable(L, 0, 14);
  lua_pushstring(L, type_of_mode(s->stx_mode));
  lua_setfield(L, -2, "type");
  set_integer(L, "size", s->stx_size);
  set_integer(L, "permissions", s->stx_mode & 07777);
  set_integer(L, "uid", s->stx_uid);
  set_integer(L, "gid", s->stx_gid);
  set_integer(L, "links", s->stx_nlink);
  set_integer(L, "inode", s->stx_ino);
  set_integer(L, "device", (uint64_t)s->stx_dev_major << 32 | s->stx_dev_minor);
  set_integer(L, "allocated", s->stx_blocks * 512);
  set_integer(L, "block_size", s->stx_blksize);
  set_time(L, "accessed", &s->stx_atime);
  set_time(L, "modified", &s->stx_mtime);
  set_time(L, "changed", &s->stx_ctime);
  if (s->stx_mask & STATX_BTIME) set_time(L, "created", &s->stx_btime);
  return 1;
}

static bool is_dot(const char *name) {
  return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

int push_names(lua_State *L, const void *entries, size_t len) {
  if (len == 0) {
    lua_pushnil(L);
    return 1;
  }
  lua_createtable(L, (int)(len / 16), 0);
  lua_Integer n = 0;
  for (size_t at = 0; at < len;) {
    const struct dirent64 *e =
        (const void *)((const unsigned char *)entries + at);
    at += e->d_reclen;
    if (is_dot(e->d_name)) continue;
    lua_pushstring(L, e->d_name);
    lua_rawseti(L, -2, ++n);
    lua_pushstring(L, type_of_mode(DTTOIF(e->d_type)));
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* inotify() -> fd object */
static int l_inotify(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (fd < 0) return push_errno(L, "watch", -errno);
  return push_new_fds(L, p, "watch", 1, &fd);
}

/* unwatch(fd object, number of a watch); one that is gone is no error */
static int l_unwatch(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  int wd = (int)luaL_checkinteger(L, 2);
  (void)inotify_rm_watch(check_fd(L, p, 1)->handle->fd, wd);
  return 0;
}

/* is_fifo_to_read(fd object) */
static int l_is_fifo_to_read(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  lua_pushboolean(L, is_fifo_to_read(p, check_fd(L, p, 1)->handle));
  return 1;
}

static void set_bits(lua_State *L) {
  static const struct {
    const char *name;
    int bits;
  } all[] = {{"read", O_RDONLY},         {"write", O_WRONLY},
             {"both", O_RDWR},           {"create", O_CREAT},
             {"exclusive", O_EXCL},      {"truncate", O_TRUNC},
             {"append", O_APPEND},       {"sync", O_SYNC},
             {"datasync", O_DSYNC},      {"direct", O_DIRECT},
             {"directory", O_DIRECTORY}, {"nofollow", O_NOFOLLOW},
             {"nonblock", O_NONBLOCK},   {"noctty", O_NOCTTY},
             {"tmpfile", O_TMPFILE}};
  lua_createtable(L, 0, (int)countof(all));
  for (size_t i = 0; i < countof(all); i++)
    set_integer(L, all[i].name, (uint64_t)(unsigned)all[i].bits);
}

void open_fs(lua_State *L) {
  static const luaL_Reg functions[] = {{"inotify", l_inotify},
                                       {"unwatch", l_unwatch},
                                       {"is_fifo_to_read", l_is_fifo_to_read},
                                       {NULL, NULL}};
  add_functions(L, functions);
  set_bits(L);
  lua_setfield(L, -2, "open_bits");
}
