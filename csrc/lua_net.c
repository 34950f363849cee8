/* lua_net.c - addresses and listening sockets from Lua.
 *
 * What needs no waiting: parsing, bind, listen, names of both ends. Resolving
 * and connecting wait, and are put together in lua/proa/net.lua.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_net.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lua_core.h"

static int bad_address(lua_State *L, int arg, const char *why) {
  const char *text = lua_tostring(L, arg);
  return luaL_argerror(L, arg,
                       lua_pushfstring(L, "bad address '%s': %s", text, why));
}

/* 0, or -ENODEV; raises on what is no address, or a name. */
static int parse_address(lua_State *L, int arg, enum address_use use,
                         struct address *into) {
  size_t len;
  const char *text = luaL_checklstring(L, arg, &len), *why = NULL;
  char host[256], service[32];
  int r = address_parse(text, len, use, into, host, service, &why);
  if (r == 1) bad_address(L, arg, "a name must be resolved first");
  if (r == -EINVAL) bad_address(L, arg, why);
  return r;
}

void check_address(lua_State *L, int arg, enum address_use use,
                   struct address *into) {
  if (parse_address(L, arg, use, into) == -ENODEV)
    bad_address(L, arg, "there is no such interface");
}

void check_address_in(lua_State *L, int arg, enum address_use use, int family,
                      struct address *into) {
  check_address(L, arg, use, into);
  if (family == AF_INET6 && address_family(into) == AF_INET)
    address_map_v4(into);
}

static int push_no_interface(lua_State *L, const char *verb, int arg) {
  const char *text = lua_tostring(L, arg);
  return push_errno(L, lua_pushfstring(L, "%s %s", verb, text), -ENODEV);
}

/* false, message */
static int push_bad(lua_State *L, const char *why) {
  lua_pushboolean(L, false);
  lua_pushfstring(L, "bad address '%s': %s", lua_tostring(L, 1), why);
  return 2;
}

/* address(text[, to_listen]) -> canonical text | nil, host, service (a name to
 * resolve) | false, message, code (it can't be reached) | false, message: it
 * is no address */
static int l_address(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len), *why = NULL;
  char host[256], service[32], out[ADDRESS_TEXT_MAX];
  struct address a;
  bool to_listen = lua_toboolean(L, 2);
  enum address_use use = to_listen ? ADDRESS_LISTEN : ADDRESS_CONNECT;
  int r = address_parse(text, len, use, &a, host, service, &why);
  if (r == -EINVAL) return push_bad(L, why);
  if (r == -ENODEV) {
    push_no_interface(L, to_listen ? "listen" : "connect", 1);
    lua_pushboolean(L, false);
    lua_replace(L, -4);
    return 3;
  }
  if (r == 0) {
    lua_pushlstring(L, out, address_format(&a, out));
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, host);
  lua_pushstring(L, service);
  return 3;
}

int handle_name(struct proactor *p, const struct handle *h, bool peer,
                struct address *a) {
  struct sys *sys = proactor_sys(p);
  *a = (struct address){.len = sizeof a->at};
  return sys->class->name(sys, h->fd, peer, &a->at.any, &a->len);
}

void push_shown_name(lua_State *L, struct proactor *p, struct handle *h) {
  struct address a;
  char text[ADDRESS_SHOWN_MAX] = "?";
  if (handle_name(p, h, false, &a) >= 0) address_describe(&a, text);
  lua_pushstring(L, text);
}

int push_handle_name(lua_State *L, struct proactor *p, struct handle *h,
                     bool peer) {
  struct address a;
  char text[ADDRESS_TEXT_MAX];
  int r = handle_name(p, h, peer, &a);
  if (r < 0) return push_errno(L, peer ? "peer" : "address", r);
  lua_pushlstring(L, text, address_format(&a, text));
  return 1;
}

/* -- interfaces -- */

static bool has_ip(const struct ifaddrs *i, const char *text) {
  struct in6_addr six;
  struct in_addr four;
  const struct sockaddr *a = i->ifa_addr;
  if (!a) return false;
  if (a->sa_family == AF_INET)
    return inet_pton(AF_INET, text, &four) == 1 &&
           memcmp(&((const struct sockaddr_in *)(const void *)a)->sin_addr,
                  &four, sizeof four) == 0;
  return a->sa_family == AF_INET6 && inet_pton(AF_INET6, text, &six) == 1 &&
         memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
                &six, sizeof six) == 0;
}

static unsigned index_by_ip(const char *text) {
  struct ifaddrs *all;
  unsigned index = 0;
  if (getifaddrs(&all) < 0) return 0;
  for (const struct ifaddrs *i = all; i && !index; i = i->ifa_next)
    if (has_ip(i, text)) index = if_nametoindex(i->ifa_name);
  freeifaddrs(all);
  return index;
}

unsigned interface_index(const char *name) {
  char *end, known[IF_NAMESIZE];
  unsigned index = if_nametoindex(name);
  if (index) return index;
  unsigned long number = strtoul(name, &end, 10);
  if (*end) return index_by_ip(name);
  bool named = number <= UINT_MAX && if_indextoname((unsigned)number, known);
  return named ? (unsigned)number : 0;
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

static int bind_to(struct sys *sys, int fd, const struct address *a, int mode,
                   struct unix_path *made) {
  if (made && address_is_path(a)) return unix_path_bind(sys, fd, a, mode, made);
  return sys->class->bind(sys, fd, &a->at.any, a->len);
}

int net_listen(struct proactor *p, const struct address *a,
               const struct listen_options *o, struct unix_path *made) {
  struct sys *sys = proactor_sys(p);
  int fd = sys->class->socket(sys, address_family(a), SOCK_STREAM, 0);
  if (fd < 0) return fd;
  set_listen_options(sys, fd, a, o->reuse_port);
  int r = bind_to(sys, fd, a, o->mode, made);
  if (r >= 0) r = sys->class->listen(sys, fd, o->backlog);
  if (r >= 0) return fd;
  if (made) unix_path_remove(sys, made);
  sys->class->close(sys, fd);
  return r;
}

/* An IPv6 socket that is to serve everybody, on a machine without IPv6. */
static int listen_any(struct proactor *p, struct address *a,
                      const struct listen_options *o, struct unix_path *made) {
  int fd = net_listen(p, a, o, made);
  bool any = address_family(a) == AF_INET6 &&
             IN6_IS_ADDR_UNSPECIFIED(&a->at.in6.sin6_addr);
  if ((fd != -EAFNOSUPPORT && fd != -EADDRNOTAVAIL) || !any) return fd;
  in_port_t port = a->at.in6.sin6_port;
  memset(a, 0, sizeof *a);
  a->at.in.sin_family = AF_INET;
  a->at.in.sin_port = port;
  a->len = sizeof a->at.in;
  return net_listen(p, a, o, made);
}

/* A listener of the address on top, or -errno. */
static int open_listener_at(lua_State *L, struct proactor *p, struct address *a,
                            const struct listen_options *o) {
  struct unix_path made = {.path = ""};
  struct sys *sys = proactor_sys(p);
  struct lua_listener *object = push_listener_object(L);
  struct handle *h;
  int fd = listen_any(p, a, o, &made);
  if (fd < 0) return fd;
  int r = handle_open(p, fd, true, &h);
  bool opened = r >= 0;
  if (opened) r = listener_object_open(object, p, h, &made);
  if (r < 0) unix_path_remove(sys, &made);
  if (!opened) sys->class->close(sys, fd);
  return r;
}

static int push_listen_error(lua_State *L, const struct address *a, int err) {
  char shown[ADDRESS_SHOWN_MAX];
  address_describe(a, shown);
  const char *what = lua_pushfstring(L, "listen %s", shown);
  if (err != -ENOTSOCK) return push_errno(L, what, err);
  what = lua_pushfstring(L, "%s: the path exists and is not a socket", what);
  return push_fail(L, what, "ENOTSOCK");
}

/* listen(address, backlog, reuse_port, mode) -> listener; what the options may
 * be is checked in net.lua */
static int l_listen(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  struct address a;
  if (parse_address(L, 1, ADDRESS_LISTEN, &a) == -ENODEV)
    return push_no_interface(L, "listen", 1);
  struct listen_options o = {.backlog = (int)luaL_checkinteger(L, 2),
                             .reuse_port = lua_toboolean(L, 3),
                             .mode = (int)luaL_optinteger(L, 4, -1)};
  bool unix = address_family(&a) == AF_UNIX;
  luaL_argcheck(L, o.mode < 0 || address_is_path(&a), 1,
                "mode is for paths of Unix sockets");
  luaL_argcheck(L, !o.reuse_port || !unix, 1, "reuse_port is for TCP");
  int r = open_listener_at(L, p, &a, &o);
  return r < 0 ? push_listen_error(L, &a, r) : 1;
}

void open_net(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"address", l_address}, {"listen", l_listen}, {NULL, NULL}};
  add_functions(L, functions);
}
