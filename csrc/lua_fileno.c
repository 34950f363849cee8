/* lua_fileno.c - which descriptor a value has, and which object a descriptor
 * becomes.
 *
 * The two directions at the border with other libraries and processes: what
 * may be given where a descriptor is expected, and what one that was received
 * is made into. Owns nothing.
 *
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lua_fd.h"
#include "lua_file.h"
#include "lua_listener.h"
#include "lua_net.h"
#include "lua_stream.h"
#include "lua_udp.h"

/* -- from a value -- */

static int no_descriptor(lua_State *L, int arg) {
  return luaL_argerror(L, arg, "it has no descriptor");
}

static int closed(lua_State *L, int arg) {
  return luaL_argerror(L, arg, "it is closed");
}

static int file_fileno(lua_State *L, int arg, const luaL_Stream *s) {
  return s->closef ? fileno(s->f) : closed(L, arg);
}

/* Of our own objects; -1: it is none of them. */
static int own_fileno(lua_State *L, int arg) {
  struct lua_fd *fd = luaL_testudata(L, arg, FD_CLASS);
  struct lua_listener *l = luaL_testudata(L, arg, LISTENER_CLASS);
  struct lua_udp *u = luaL_testudata(L, arg, UDP_CLASS);
  struct handle *h = NULL;
  if (fd && !fd->handle) return closed(L, arg);
  if (l && !l->l) return closed(L, arg);
  if (u && !u->u) return closed(L, arg);
  if (fd) h = fd->handle;
  if (l) h = l->l->handle;
  if (u) h = u->u->handle;
  if (luaL_testudata(L, arg, STREAM_CLASS)) {
    h = stream_handle(stream_check_open(L, arg)->s);
    if (!h) return no_descriptor(L, arg);
  }
  return h ? h->fd : -1;
}

/* What a method of it says. */
static int asked_fileno(lua_State *L, int arg) {
  static const char *const names[] = {"fileno", "getfd", "pollfd", NULL};
  bool indexable =
      lua_istable(L, arg) || luaL_getmetafield(L, arg, "__index") != LUA_TNIL;
  if (!indexable) return no_descriptor(L, arg);
  for (int i = 0; names[i]; i++) {
    lua_settop(L, lua_gettop(L));
    if (lua_getfield(L, arg, names[i]) == LUA_TNIL) continue;
    if (!lua_isfunction(L, -1)) continue;
    lua_pushvalue(L, arg);
    lua_call(L, 1, 1);
    int ok;
    lua_Integer n = lua_tointegerx(L, -1, &ok);
    if (!ok || n < 0 || n > INT32_MAX) return no_descriptor(L, arg);
    return (int)n;
  }
  return no_descriptor(L, arg);
}

int check_fileno(lua_State *L, int arg) {
  if (lua_type(L, arg) == LUA_TNUMBER) {
    lua_Integer n = luaL_checkinteger(L, arg);
    luaL_argcheck(L, n >= 0 && n <= INT32_MAX, arg, "not a descriptor");
    return (int)n;
  }
  int top = lua_gettop(L);
  luaL_Stream *file = luaL_testudata(L, arg, LUA_FILEHANDLE);
  if (file) return file_fileno(L, arg, file);
  int n = own_fileno(L, arg);
  if (n < 0) n = asked_fileno(L, arg);
  lua_settop(L, top);
  return n;
}

/* -- to an object -- */

static int int_option(struct sys *sys, int fd, int name) {
  int value = 0;
  socklen_t len = sizeof value;
  int r = sys->class->getopt(sys, fd, SOL_SOCKET, name, &value, &len);
  return r < 0 ? r : value;
}

static bool has_peer(struct sys *sys, int fd) {
  struct address a = {.len = sizeof a.at};
  return sys->class->name(sys, fd, true, &a.at.any, &a.len) >= 0;
}

enum object { OBJECT_FD, OBJECT_STREAM, OBJECT_LISTENER, OBJECT_DATAGRAM };

static enum object socket_object(struct sys *sys, int fd) {
  int type = int_option(sys, fd, SO_TYPE);
  if (type == SOCK_DGRAM) return OBJECT_DATAGRAM;
  if (type != SOCK_STREAM) return OBJECT_FD;
  if (int_option(sys, fd, SO_ACCEPTCONN) > 0) return OBJECT_LISTENER;
  return has_peer(sys, fd) ? OBJECT_STREAM : OBJECT_FD;
}

/* A handle closes its descriptor when no object can be made for it. */
static struct handle *handle_for(struct proactor *p, int fd, bool *taken,
                                 int *r) {
  struct handle *h = NULL;
  *r = handle_open(p, fd, true, &h);
  *taken = *r >= 0;
  return h;
}

static int push_plain(lua_State *L, struct proactor *p, int fd, bool *taken) {
  int r = push_fd(L, p, fd, true);
  *taken = r >= 0;
  return r;
}

/* The object comes first: when there is no memory for it, fd is the caller's.
 */

static int push_stream(lua_State *L, struct proactor *p, int fd, bool *taken) {
  struct lua_stream *o = push_stream_object(L);
  int r;
  struct handle *h = handle_for(p, fd, taken, &r);
  return h ? stream_object_open(o, p, h) : r;
}

static int push_listener(lua_State *L, struct proactor *p, int fd,
                         bool *taken) {
  static const struct unix_path none;
  struct lua_listener *o = push_listener_object(L);
  int r;
  struct handle *h = handle_for(p, fd, taken, &r);
  return h ? listener_object_open(o, p, h, &none) : r;
}

static int push_datagram(lua_State *L, struct proactor *p, int fd,
                         bool *taken) {
  int r, family = int_option(proactor_sys(p), fd, SO_DOMAIN);
  struct lua_udp *o = push_udp_object(L);
  struct handle *h = handle_for(p, fd, taken, &r);
  return h ? udp_object_open(o, p, h, family, 0, UDP_QUOTA) : r;
}

/* A pipe by the directions that it is open for. */
static int push_fifo(lua_State *L, struct proactor *p, int fd, bool *taken) {
  int r, mode = fcntl(fd, F_GETFL) & O_ACCMODE;
  if (mode == O_RDWR) return push_plain(L, p, fd, taken);
  struct lua_stream *o = push_stream_object(L);
  struct handle *h = handle_for(p, fd, taken, &r);
  if (!h) return r;
  bool out = mode == O_WRONLY;
  return stream_object_open_pipes(o, p, out ? NULL : h, out ? h : NULL);
}

static int push_kind(lua_State *L, struct proactor *p, int fd, bool *taken) {
  static int (*const push[])(lua_State *, struct proactor *, int, bool *) = {
      [OBJECT_FD] = push_plain,
      [OBJECT_STREAM] = push_stream,
      [OBJECT_LISTENER] = push_listener,
      [OBJECT_DATAGRAM] = push_datagram,
  };
  return push[socket_object(proactor_sys(p), fd)](L, p, fd, taken);
}

/* Its name as the kernel tells it, for messages alone. */
static int push_regular(lua_State *L, struct proactor *p, int fd, bool *taken) {
  char link[40], path[PATH_MAX] = "";
  int r, flags = fcntl(fd, F_GETFL);
  if (flags < 0) flags = 0; /* a simulated one looks after itself */
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0) strcpy(path, "a file");
  struct file_options with = {
      .path = path, .append = flags & O_APPEND, .direct = flags & O_DIRECT};
  struct lua_stream *o = push_file_object(L);
  struct handle *h = handle_for(p, fd, taken, &r);
  return h ? file_object_open(o, p, h, &with) : r;
}

int push_object(lua_State *L, struct proactor *p, int fd, bool *taken) {
  struct statx st;
  struct sys *sys = proactor_sys(p);
  int top = lua_gettop(L);
  int r = sys->class->statx(sys, fd, "", AT_EMPTY_PATH, &st);
  *taken = false;
  if (r < 0) return r;
  if (S_ISFIFO(st.stx_mode))
    r = push_fifo(L, p, fd, taken);
  else if (S_ISSOCK(st.stx_mode))
    r = push_kind(L, p, fd, taken);
  else if (S_ISREG(st.stx_mode))
    r = push_regular(L, p, fd, taken);
  else
    r = push_plain(L, p, fd, taken);
  if (r < 0) lua_settop(L, top);
  return r;
}
