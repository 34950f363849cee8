/* lua_net.c - addresses and listening sockets from Lua.
 *
 * What needs no waiting: parsing, bind, listen, names of both ends. Resolving
 * and connecting wait, and are put together in lua/proa/net.lua.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_net.h"

#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lua_core.h"

void check_address(lua_State *L, int arg, enum address_use use,
                   struct address *into) {
  size_t len;
  const char *text = luaL_checklstring(L, arg, &len), *why = NULL;
  char host[256], service[32];
  int r = address_parse(text, len, use, into, host, service, &why);
  if (r == 1) why = "a name must be resolved first";
  if (r != 0)
    luaL_argerror(L, arg,
                  lua_pushfstring(L, "bad address '%s': %s", text, why));
}

/* address(text[, listen]) -> canonical text | nil, host, service (a name to
 * resolve); raises on what is no address */
static int l_address(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len), *why = NULL;
  char host[256], service[32], out[ADDRESS_TEXT_MAX];
  struct address a;
  int use = lua_toboolean(L, 2) ? ADDRESS_LISTEN : ADDRESS_CONNECT;
  int r = address_parse(text, len, use, &a, host, service, &why);
  if (r < 0)
    return luaL_argerror(L, 1,
                         lua_pushfstring(L, "bad address '%s': %s", text, why));
  if (r == 0) {
    lua_pushlstring(L, out, address_format(&a, out));
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, host);
  lua_pushstring(L, service);
  return 3;
}

int push_handle_name(lua_State *L, struct proactor *p, struct handle *h,
                     bool peer) {
  struct address a = {.len = sizeof a.at};
  struct sys *sys = proactor_sys(p);
  char text[ADDRESS_TEXT_MAX];
  int r = sys->class->name(sys, h->fd, peer, &a.at.any, &a.len);
  if (r < 0) return push_errno(L, peer ? "peer" : "address", r);
  lua_pushlstring(L, text, address_format(&a, text));
  return 1;
}

/* -- listening -- */

static void set_flag(struct sys *sys, int fd, int level, int name, int on) {
  sys->class->setopt(sys, fd, level, name, &on, sizeof on);
}

/* The options that accepted sockets inherit are set here, once. */
static void set_listen_options(struct sys *sys, int fd, const struct address *a,
                               bool reuse_port) {
  if (address_family(a) == AF_UNIX) return;
  set_flag(sys, fd, SOL_SOCKET, SO_REUSEADDR, 1);
  set_flag(sys, fd, IPPROTO_TCP, TCP_NODELAY, 1);
  if (reuse_port) set_flag(sys, fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (address_family(a) == AF_INET6) {
    bool any = IN6_IS_ADDR_UNSPECIFIED(&a->at.in6.sin6_addr);
    set_flag(sys, fd, IPPROTO_IPV6, IPV6_V6ONLY, !any);
  }
}

int net_listen(struct proactor *p, const struct address *a, int backlog,
               bool reuse_port) {
  struct sys *sys = proactor_sys(p);
  int fd = sys->class->socket(sys, address_family(a), SOCK_STREAM, 0);
  if (fd < 0) return fd;
  set_listen_options(sys, fd, a, reuse_port);
  int r = sys->class->bind(sys, fd, &a->at.any, a->len);
  if (r >= 0) r = sys->class->listen(sys, fd, backlog);
  if (r >= 0) return fd;
  sys->class->close(sys, fd);
  return r;
}

/* An IPv6 socket that is to serve everybody, on a machine without IPv6. */
static int listen_any(struct proactor *p, struct address *a, int backlog,
                      bool reuse_port) {
  int fd = net_listen(p, a, backlog, reuse_port);
  bool any = address_family(a) == AF_INET6 &&
             IN6_IS_ADDR_UNSPECIFIED(&a->at.in6.sin6_addr);
  if ((fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL) || !any) return fd;
  in_port_t port = a->at.in6.sin6_port;
  memset(a, 0, sizeof *a);
  a->at.in.sin_family = AF_INET;
  a->at.in.sin_port = port;
  a->len = sizeof a->at.in;
  return net_listen(p, a, backlog, reuse_port);
}

/* listen(address, backlog, reuse_port) -> listener */
static int l_listen(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  struct address a;
  check_address(L, 1, ADDRESS_LISTEN, &a);
  int backlog = (int)luaL_checkinteger(L, 2);
  const char *what = lua_pushfstring(L, "listen %s", lua_tostring(L, 1));
  int fd = listen_any(p, &a, backlog, lua_toboolean(L, 3));
  if (fd < 0) return push_errno(L, what, fd);
  struct handle *h;
  int r = handle_open(p, fd, true, &h);
  if (r < 0) {
    struct sys *sys = proactor_sys(p);
    sys->class->close(sys, fd);
    return push_errno(L, what, r);
  }
  r = push_listener(L, p, h);
  return r < 0 ? push_errno(L, what, r) : 1;
}

void open_net(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"address", l_address}, {"listen", l_listen}, {NULL, NULL}};
  add_functions(L, functions);
}
