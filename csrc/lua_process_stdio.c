/* lua_process_stdio.c - what a child gets as its descriptors 0, 1 and 2.
 *
 * Makes the pipes, and streams over our ends of them; opens /dev/null; and
 * takes from files, descriptors and streams of this process what can be given
 * to another. Owns what it opened until the child has its own. See
 * lua_process.c.
 *
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <lualib.h>
#include <unistd.h>

#include "lua_core.h"
#include "lua_fd.h"
#include "lua_net.h"
#include "lua_process.h"
#include "lua_stream.h"
#include "stream_pipe.h"

#define STDIO_CLASS "proa.process.stdio"

void stdio_close(struct stdio *io) {
  for (int i = 0; i < 3; i++) {
    if (io->close[i]) close(io->child[i]);
    if (io->ours[i] >= 0) close(io->ours[i]);
    io->close[i] = false;
    io->ours[i] = -1;
  }
}

static int stdio_gc(lua_State *L) {
  stdio_close(luaL_checkudata(L, 1, STDIO_CLASS));
  return 0;
}

struct stdio *stdio_push(lua_State *L) {
  struct stdio *io = new_object(L, sizeof *io, STDIO_CLASS, 0);
  for (int i = 0; i < 3; i++) io->ours[i] = io->child[i] = -1;
  return io;
}

static int stdio_pipe(struct stdio *io, int i) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) < 0) return -errno;
  io->child[i] = fds[i == 0 ? 0 : 1];
  io->ours[i] = fds[i == 0 ? 1 : 0];
  io->close[i] = true;
  return 0;
}

static int stdio_null(struct stdio *io, int i) {
  io->child[i] = open("/dev/null", O_CLOEXEC | (i == 0 ? O_RDONLY : O_WRONLY));
  if (io->child[i] < 0) return -errno;
  io->close[i] = true;
  return 0;
}

/* What is closed here is not to be some other file there. */
static int stdio_inherit(struct stdio *io, int i) {
  io->child[i] = i;
  return stdio_was_open(i) ? 0 : stdio_null(io, i);
}

/* stderr goes where stdout goes. */
static int stdio_same(struct stdio *io, int i) {
  io->child[i] = io->child[1];
  return 0;
}

/* What stands at arg: "pipe", "null", "inherit", "stdout" or a descriptor. */
static int stdio_take(lua_State *L, int arg, struct stdio *io, int i) {
  static const char *const words[] = {"pipe", "null", "inherit", "stdout",
                                      NULL};
  static int (*const take[])(struct stdio *, int) = {stdio_pipe, stdio_null,
                                                     stdio_inherit, stdio_same};
  if (lua_type(L, arg) != LUA_TNUMBER)
    return take[luaL_checkoption(L, arg, NULL, words)](io, i);
  io->child[i] = (int)lua_tointeger(L, arg);
  return 0;
}

int stdio_open(lua_State *L, int first, struct stdio *io) {
  int r = 0;
  for (int i = 0; i < 3 && r >= 0; i++) r = stdio_take(L, first + i, io, i);
  return r;
}

/* -- streams over our ends -- */

static int push_end(lua_State *L, struct proactor *p, struct stdio *io, int i) {
  struct lua_stream *o = push_stream_object(L);
  struct handle *h;
  int r = handle_open(p, io->ours[i], true, &h);
  if (r < 0) return r;
  io->ours[i] = -1;
  return stream_object_open_pipes(o, p, i == 0 ? NULL : h, i == 0 ? h : NULL);
}

int stdio_set_streams(lua_State *L, struct proactor *p, struct stdio *io) {
  static const char *const names[] = {"stdin", "stdout", "stderr"};
  for (int i = 0; i < 3; i++) {
    if (io->ours[i] < 0) continue;
    int r = push_end(L, p, io, i);
    if (r < 0) return r;
    lua_setfield(L, -2, names[i]);
  }
  return 0;
}

/* -- giving away what is here already -- */

/* The child must not meet an O_NONBLOCK that a driver set, and the description
 * is one for both. From now on it is treated as what others share. */
static int give(struct handle *h, bool ours_no_more) {
  int flags = h->owned ? fcntl(h->fd, F_GETFL) : 0;
  if (flags > 0 && (flags & O_NONBLOCK)) {
    h->shared = !ours_no_more;
    fcntl(h->fd, F_SETFL, flags & ~O_NONBLOCK);
  }
  return h->fd;
}

static struct handle *stream_end(struct stream *s, bool out) {
  struct handle *h = stream_pipe_end(s, out);
  return h ? h : stream_handle(s);
}

/* A stream whose descriptor can do without it: nothing is under way or kept
 * here, and the kernel knows it. Else its bytes have to be pumped. */
static struct handle *stream_given(struct stream *s, bool out) {
  struct handle *h = s->transport->plain ? stream_end(s, out) : NULL;
  if (!h || h->inflight || fcntl(h->fd, F_GETFD) < 0) return NULL;
  return (out ? s->out.len > 0 : s->in.len > 0) ? NULL : h;
}

static int give_file(lua_State *L, luaL_Stream *file) {
  luaL_argcheck(L, file->closef, 1, "file is closed");
  fflush(file->f);
  lua_pushinteger(L, fileno(file->f));
  return 1;
}

/* give_fd(x, opened, out) -> number | nil, true: a stream that has to be
 * pumped | nothing: no file, descriptor or stream. opened: for the child
 * alone. */
static int l_give_fd(lua_State *L) {
  luaL_Stream *file = luaL_testudata(L, 1, LUA_FILEHANDLE);
  if (file) return give_file(L, file);
  bool opened = lua_toboolean(L, 2), out = lua_toboolean(L, 3);
  struct handle *h;
  if (luaL_testudata(L, 1, FD_CLASS)) {
    h = check_fd(L, rt_proactor(L), 1)->handle;
  } else if (stream_test(L, 1)) {
    h = stream_given(stream_check_open(L, 1)->s, out);
    lua_pushnil(L);
    lua_pushboolean(L, 1);
    if (!h) return 2;
  } else {
    return 0;
  }
  lua_pushinteger(L, give(h, opened));
  return 1;
}

void open_process_stdio(lua_State *L) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", stdio_gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"give_fd", l_give_fd}, {NULL, NULL}};
  make_class(L, STDIO_CLASS, none, meta);
  add_functions(L, functions);
}
