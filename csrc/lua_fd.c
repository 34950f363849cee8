/* lua_fd.c - proa.fd: a descriptor for raw ops.
 *
 * The object owns a handle, and with it the descriptor when it was made here
 * or came from an op; a foreign integer is borrowed and never closed. For
 * experiments and for what has no class of its own; streams and listeners
 * have their own objects.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_fd.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "lua_core.h"
#include "lua_listener.h"
#include "lua_net.h"

/* Registry: for a proactor (as light userdata) a table number -> fd object,
 * weak values. */

static void push_table(lua_State *L, struct proactor *p) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, p) == LUA_TTABLE) return;
  lua_pop(L, 1);
  lua_newtable(L);
  lua_newtable(L);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, p);
}

int push_fd(lua_State *L, struct proactor *p, int fd, bool owned) {
  struct lua_fd *o = new_object(L, sizeof *o, FD_CLASS, 0);
  o->p = p;
  link_init(&o->link);
  push_table(L, p);
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, fd);
  lua_pop(L, 1);
  int r = handle_open(p, fd, owned, &o->handle);
  if (r < 0)
    lua_pop(L, 1);
  else
    list_push(&p->objects, &o->link);
  return r;
}

static struct lua_fd *find_fd(lua_State *L, struct proactor *p, int arg) {
  lua_Integer n = lua_tointeger(L, arg);
  luaL_argcheck(L, n >= 0 && n <= INT32_MAX, arg, "not a descriptor");
  push_table(L, p);
  lua_rawgeti(L, -1, n);
  lua_remove(L, -2);
  struct lua_fd *o = luaL_testudata(L, -1, FD_CLASS);
  if (o && o->handle) {
    lua_replace(L, arg); /* the caller's stack keeps it alive */
    return o;
  }
  lua_pop(L, 1);
  if (p != &rt_get(L)->proactor)
    luaL_argerror(L, arg, "descriptor was not attached");
  int r = push_fd(L, p, (int)n, false);
  if (r < 0) {
    push_errno(L, NULL, r);
    luaL_argerror(L, arg, lua_tostring(L, -2));
  }
  lua_replace(L, arg);
  return lua_touserdata(L, arg);
}

struct lua_fd *check_fd(lua_State *L, struct proactor *p, int arg) {
  if (lua_isinteger(L, arg)) return find_fd(L, p, arg);
  struct lua_fd *o = luaL_checkudata(L, arg, FD_CLASS);
  luaL_argcheck(L, o->handle, arg, "fd is closed");
  luaL_argcheck(L, o->p == p, arg, "fd belongs to another proactor");
  return o;
}

struct handle *take_fd(lua_State *L, int arg) {
  struct lua_fd *o = luaL_checkudata(L, arg, FD_CLASS);
  luaL_argcheck(L, o->handle, arg, "fd is closed");
  struct handle *h = o->handle;
  o->handle = NULL;
  link_unlink(&o->link);
  return h;
}

void forget_fds(lua_State *L, struct proactor *p) {
  struct link *k;
  while ((k = list_pop(&p->objects)))
    container_of(k, struct lua_fd, link)->handle = NULL;
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, p);
}

static struct lua_fd *check_open(lua_State *L) {
  struct lua_fd *o = luaL_checkudata(L, 1, FD_CLASS);
  luaL_argcheck(L, o->handle && !rt_gone(rt_get(L)), 1, "fd is closed");
  return o;
}

static int l_fileno(lua_State *L) {
  lua_pushinteger(L, check_open(L)->handle->fd);
  return 1;
}

/* close(): its ops are cancelled, the descriptor goes when they have ended */
static int l_close(lua_State *L) {
  struct lua_fd *o = luaL_checkudata(L, 1, FD_CLASS);
  struct handle *h = o->handle;
  if (!h) return 0;
  o->handle = NULL;
  link_unlink(&o->link);
  if (!rt_gone(rt_get(L))) handle_close(o->p, h, NULL, NULL);
  return 0;
}

static int l_tostring(lua_State *L) {
  struct lua_fd *o = luaL_checkudata(L, 1, FD_CLASS);
  if (o->handle)
    lua_pushfstring(L, "proa.fd %d (%d in flight)", o->handle->fd,
                    (int)o->handle->inflight);
  else
    lua_pushliteral(L, "proa.fd (closed)");
  return 1;
}

static int push_name(lua_State *L, bool peer) {
  struct lua_fd *o = check_open(L);
  return push_handle_name(L, o->p, o->handle, peer);
}

static int l_address(lua_State *L) {
  return push_name(L, false);
}

static int l_peer(lua_State *L) {
  return push_name(L, true);
}

static int share(struct sys *sys, int fd, int option) {
  int on = 1;
  return sys->class->setopt(sys, fd, SOL_SOCKET, option, &on, sizeof on);
}

/* bind(address[, reuse[, reuse_port]]) -> the fd; SO_REUSEADDR, SO_REUSEPORT */
static int l_bind(lua_State *L) {
  struct lua_fd *o = check_open(L);
  struct sys *sys = proactor_sys(o->p);
  struct address a;
  int fd = o->handle->fd, r = 0;
  check_address(L, 2, ADDRESS_LISTEN, &a);
  if (lua_toboolean(L, 3)) r = share(sys, fd, SO_REUSEADDR);
  if (r >= 0 && lua_toboolean(L, 4)) r = share(sys, fd, SO_REUSEPORT);
  if (r >= 0) r = sys->class->bind(sys, fd, &a.at.any, a.len);
  if (r < 0)
    return push_errno(L, lua_pushfstring(L, "bind %s", lua_tostring(L, 2)), r);
  lua_settop(L, 1);
  return 1;
}

/* For a socket of net.connect: a path is made as a listener's is, and goes with
 * the socket. */
static int bind_path(struct sys *sys, struct handle *h,
                     const struct address *a) {
  assert(!h->made);
  h->made = calloc(1, sizeof *h->made);
  return h->made ? unix_path_bind(sys, h->fd, a, -1, h->made) : -ENOMEM;
}

/* bind_path(fd, address) -> the fd */
static int l_bind_path(lua_State *L) {
  struct lua_fd *o = check_open(L);
  struct address a;
  check_address(L, 2, ADDRESS_LISTEN, &a);
  luaL_argcheck(L, address_is_path(&a), 2, "a path expected");
  int r = bind_path(proactor_sys(o->p), o->handle, &a);
  lua_settop(L, 2);
  if (r >= 0) {
    lua_settop(L, 1);
    return 1;
  }
  char shown[ADDRESS_SHOWN_MAX];
  address_describe(&a, shown);
  const char *what = lua_pushfstring(L, "bind %s", shown);
  if (r != -ENOTSOCK) return push_errno(L, what, r);
  what = lua_pushfstring(L, "%s: the path exists and is not a socket", what);
  return push_fail(L, what, "ENOTSOCK");
}

/* listener_of(fd, backlog) -> a listener, which has the descriptor now; a Unix
 * path stays behind it */
static int l_listener_of(lua_State *L) {
  static const struct unix_path none;
  struct lua_fd *fd = check_open(L);
  struct sys *sys = proactor_sys(fd->p);
  int on = 1, r;
  struct lua_listener *o = push_listener_object(L);
  sys->class->setopt(sys, fd->handle->fd, IPPROTO_TCP, TCP_NODELAY, &on,
                     sizeof on); /* as of what net.listen makes */
  r = sys->class->listen(sys, fd->handle->fd, (int)luaL_checkinteger(L, 2));
  if (r >= 0) r = listener_object_open(o, fd->p, take_fd(L, 1), &none);
  return r < 0 ? push_errno(L, "listen", r) : 1;
}

/* fd_option(fd, name[, value]): as option of streams */
static int l_fd_option(lua_State *L) {
  struct lua_fd *o = check_open(L);
  return push_option(L, o->p, o->handle);
}

/* send_buffer(n): SO_SNDBUF, to see a send wait */
static int l_send_buffer(lua_State *L) {
  struct lua_fd *o = check_open(L);
  int n = (int)luaL_checkinteger(L, 2);
  struct sys *sys = proactor_sys(o->p);
  int r = sys->class->setopt(sys, o->handle->fd, SOL_SOCKET, SO_SNDBUF, &n,
                             sizeof n);
  if (r < 0) return push_errno(L, "SO_SNDBUF", r);
  lua_settop(L, 1);
  return 1;
}

/* -- making -- */

struct new_fds {
  struct proactor *p;
  const int *fds;
  int n, made, err;
};

static int make_objects(lua_State *L) {
  struct new_fds *all = lua_touserdata(L, 1);
  for (; all->made < all->n; all->made++) {
    all->err = push_fd(L, all->p, all->fds[all->made], true);
    if (all->err < 0) break;
  }
  lua_settop(L, 1 + all->n);
  return all->n;
}

/* What has an object already is closed by it. */
int push_new_fds(lua_State *L, struct proactor *p, const char *what, int n,
                 const int *fds) {
  struct new_fds all = {.p = p, .fds = fds, .n = n};
  struct sys *sys = proactor_sys(p);
  lua_pushcfunction(L, make_objects);
  lua_pushlightuserdata(L, &all);
  bool raised = lua_pcall(L, 1, n, 0) != LUA_OK;
  for (int i = all.made; i < n; i++) sys->class->close(sys, fds[i]);
  if (raised) return lua_error(L);
  return all.err < 0 ? push_errno(L, what, all.err) : n;
}

static int check_kind(lua_State *L, int arg) {
  static const char *const names[] = {"stream", "datagram", NULL};
  static const int types[] = {SOCK_STREAM, SOCK_DGRAM};
  return types[luaL_checkoption(L, arg, "stream", names)];
}

/* fd.pair([kind]) -> a, b: connected Unix sockets */
static int l_pair(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  struct sys *sys = proactor_sys(p);
  int kind = check_kind(L, 1), fds[2];
  int r = sys->class->pair(sys, kind, fds);
  if (r < 0) return push_errno(L, "socketpair", r);
  return push_new_fds(L, p, NULL, 2, fds);
}

/* fd.pipe() -> read end, write end */
static int l_pipe(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) < 0) return push_errno(L, "pipe", -errno);
  return push_new_fds(L, p, NULL, 2, fds);
}

/* fd.socket(address[, kind]) -> a socket of that address's family */
static int l_socket(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  struct sys *sys = proactor_sys(p);
  struct address a;
  check_address(L, 1, ADDRESS_CONNECT, &a);
  int kind = check_kind(L, 2);
  int fd = sys->class->socket(sys, address_family(&a), kind, 0);
  if (fd < 0) return push_errno(L, "socket", fd);
  return push_new_fds(L, p, NULL, 1, &fd);
}

/* fd.listen(address[, backlog]) -> a listening socket */
static int l_listen(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  struct address a;
  check_address(L, 1, ADDRESS_LISTEN, &a);
  int backlog = (int)luaL_optinteger(L, 2, 128);
  struct listen_options o = {.backlog = backlog, .mode = -1};
  int fd = net_listen(p, &a, &o, NULL);
  if (fd < 0) return push_errno(L, lua_tostring(L, 1), fd);
  return push_new_fds(L, p, NULL, 1, &fd);
}

/* fd.wrap(n): a foreign descriptor, borrowed */
static int l_wrap(lua_State *L) {
  lua_settop(L, 1);
  luaL_checkinteger(L, 1);
  check_fd(L, rt_proactor(L), 1);
  return 1;
}

void open_fd(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"fileno", l_fileno}, {"close", l_close},
      {"bind", l_bind},     {"address", l_address},
      {"peer", l_peer},     {"send_buffer", l_send_buffer},
      {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", l_close},
                                  {"__close", l_close},
                                  {"__tostring", l_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"pair", l_pair},     {"pipe", l_pipe}, {"socket", l_socket},
      {"listen", l_listen}, {"wrap", l_wrap}, {NULL, NULL}};
  static const luaL_Reg others[] = {{"listener_of", l_listener_of},
                                    {"bind_path", l_bind_path},
                                    {"fd_option", l_fd_option},
                                    {NULL, NULL}};
  make_class(L, FD_CLASS, methods, meta);
  lua_newtable(L);
  add_functions(L, functions);
  lua_setfield(L, -2, "fd");
  add_functions(L, others);
}
