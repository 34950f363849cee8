/* lua_udp.c - sockets of datagrams as Lua sees them: the object, its names.
 *
 * UDP and Unix datagrams are one class; the family follows from the address
 * that the socket is made for. What options of `proa.net.udp` there are is
 * checked in lua/proa/datagram.lua. Sending and receiving: lua_udp_io.c,
 * lua_udp_fds.c.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_udp.h"

#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "lua_net.h"

struct lua_udp *udp_check(lua_State *L, int arg) {
  return luaL_checkudata(L, arg, UDP_CLASS);
}

struct lua_udp *udp_check_open(lua_State *L, int arg) {
  struct lua_udp *o = udp_check(L, arg);
  if (!o->u || rt_gone(o->rt)) luaL_error(L, "datagram socket is closed");
  return o;
}

struct lua_udp *push_udp_object(lua_State *L) {
  struct lua_udp *o = new_object(L, sizeof *o, UDP_CLASS, 1);
  o->rt = rt_get(L);
  o->read_ns = o->write_ns = NEVER_NS;
  return o;
}

int udp_object_open(struct lua_udp *o, struct proactor *p, struct handle *h,
                    int family, size_t size, size_t quota) {
  o->u = udp_new(p, h, family, size, quota);
  if (o->u) return 0;
  handle_close(p, h, NULL, NULL);
  return -ENOMEM;
}

/* -- making -- */

/* The family of the address at 1; of none IPv6, which sends to both. */
static int family_at(lua_State *L) {
  struct address a;
  if (lua_isnil(L, 1)) return AF_INET6;
  if (strcmp(luaL_checkstring(L, 1), "unix:") == 0) return AF_UNIX;
  check_address(L, 1, ADDRESS_LISTEN, &a);
  return address_family(&a);
}

static int make_socket(struct sys *sys, int *family, bool any) {
  int off = 0, fd = sys->class->socket(sys, *family, SOCK_DGRAM, 0);
  if (fd == -EAFNOSUPPORT && any) { /* a machine without IPv6 */
    *family = AF_INET;
    fd = sys->class->socket(sys, *family, SOCK_DGRAM, 0);
  }
  if (fd >= 0 && *family == AF_INET6 && any)
    sys->class->setopt(sys, fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  return fd;
}

/* fd is the object's, or closed. */
static int own(struct lua_udp *o, struct proactor *p, int fd, int family,
               size_t size, size_t quota) {
  struct sys *sys = proactor_sys(p);
  struct handle *h;
  int r = handle_open(p, fd, true, &h);
  if (r >= 0) return udp_object_open(o, p, h, family, size, quota);
  sys->class->close(sys, fd);
  return r;
}

/* datagram(address | nil, size, quota) -> a socket that is not bound yet */
static int l_datagram(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  struct sys *sys = proactor_sys(p);
  size_t size = (size_t)luaL_checkinteger(L, 2);
  size_t quota = (size_t)luaL_checkinteger(L, 3);
  int family = family_at(L);
  size_t len = 0;
  const char *text = lua_tolstring(L, 1, &len);
  bool any = !text || text[0] == ':' || strncmp(text, "[::]:", 5) == 0;
  struct lua_udp *o = push_udp_object(L);
  int r = make_socket(sys, &family, any);
  if (r >= 0) r = own(o, p, r, family, size, quota);
  return r < 0 ? push_errno(L, "datagram socket", r) : 1;
}

/* datagram_pair(size, quota) -> a, b: connected Unix sockets */
static int l_pair(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  struct sys *sys = proactor_sys(p);
  size_t size = (size_t)luaL_checkinteger(L, 1);
  size_t quota = (size_t)luaL_checkinteger(L, 2);
  struct lua_udp *a = push_udp_object(L), *b = push_udp_object(L);
  int fds[2], r = sys->class->pair(sys, SOCK_DGRAM, fds);
  if (r < 0) return push_errno(L, "socketpair", r);
  r = own(a, p, fds[0], AF_UNIX, size, quota);
  int s = own(b, p, fds[1], AF_UNIX, size, quota);
  if (r >= 0 && s >= 0) return 2;
  return push_errno(L, "datagram socket", r < 0 ? r : s);
}

/* -- names -- */

static int push_bind_error(lua_State *L, int err) {
  const char *what = lua_pushfstring(L, "bind %s", lua_tostring(L, 2));
  if (err != -ENOTSOCK) return push_errno(L, what, err);
  what = lua_pushfstring(L, "%s: the path exists and is not a socket", what);
  return push_fail(L, what, "ENOTSOCK");
}

static int bind_to(lua_State *L, struct udp *u, int mode) {
  struct sys *sys = proactor_sys(u->p);
  struct address a = {.at.any.sa_family = AF_UNIX, .len = sizeof(sa_family_t)};
  bool any = strcmp(lua_tostring(L, 2), "unix:") == 0; /* the kernel's choice */
  if (!any) check_address_in(L, 2, ADDRESS_LISTEN, u->family, &a);
  if (!any && u->family == AF_INET && address_family(&a) == AF_INET6 &&
      IN6_IS_ADDR_UNSPECIFIED(&a.at.in6.sin6_addr)) {
    in_port_t port = a.at.in6.sin6_port; /* ":80" without IPv6 */
    a = (struct address){.len = sizeof a.at.in};
    a.at.in.sin_family = AF_INET;
    a.at.in.sin_port = port;
  }
  if (!any && address_is_path(&a) && u->family == AF_UNIX)
    return unix_path_bind(sys, u->handle->fd, &a, mode, &u->made);
  return sys->class->bind(sys, u->handle->fd, &a.at.any, a.len);
}

/* bind(address[, mode]) -> the socket */
static int l_bind(lua_State *L) {
  struct udp *u = udp_check_open(L, 1)->u;
  luaL_checkstring(L, 2);
  int r = bind_to(L, u, (int)luaL_optinteger(L, 3, -1));
  if (r < 0) return push_bind_error(L, r);
  lua_settop(L, 1);
  return 1;
}

/* Without a peer again, the kernel takes back a port that it chose itself. */
static int disconnect(struct sys *sys, int fd) {
  struct sockaddr none = {.sa_family = AF_UNSPEC};
  struct address before = {.len = sizeof before.at};
  sys->class->name(sys, fd, false, &before.at.any, &before.len);
  int r = sys->class->connect(sys, fd, &none, sizeof none);
  struct address after = {.len = sizeof after.at};
  sys->class->name(sys, fd, false, &after.at.any, &after.len);
  if (r < 0 || memcmp(&before, &after, sizeof before) == 0) return r;
  return sys->class->bind(sys, fd, &before.at.any, before.len);
}

/* connect([address]) -> the socket; without one it has no peer any more. What
 * others sent before does not count. */
static int l_connect(lua_State *L) {
  struct udp *u = udp_check_open(L, 1)->u;
  struct sys *sys = proactor_sys(u->p);
  struct address a;
  bool any = lua_isnoneornil(L, 2);
  if (!any) check_address_in(L, 2, ADDRESS_CONNECT, u->family, &a);
  int fd = u->handle->fd;
  int r = any ? disconnect(sys, fd)
              : sys->class->connect(sys, fd, &a.at.any, a.len);
  if (r < 0) {
    const char *to = luaL_optstring(L, 2, "nobody");
    return push_errno(L, lua_pushfstring(L, "connect %s", to), r);
  }
  udp_forget(u);
  lua_settop(L, 1);
  return 1;
}

static int l_address(lua_State *L) {
  struct udp *u = udp_check_open(L, 1)->u;
  return push_handle_name(L, u->p, u->handle, false);
}

static int l_peer(lua_State *L) {
  struct udp *u = udp_check_open(L, 1)->u;
  return push_handle_name(L, u->p, u->handle, true);
}

/* -- groups, options -- */

/* The group's address at 2, the interface at 3 or none. */
static int change_group(lua_State *L, int name, const char *verb) {
  struct udp *u = udp_check_open(L, 1)->u;
  struct sys *sys = proactor_sys(u->p);
  const char *interface = luaL_optstring(L, 3, NULL);
  struct group_req req = {0};
  struct address a;
  luaL_checkstring(L, 2);
  lua_pushfstring(L, strchr(lua_tostring(L, 2), ':') ? "[%s]:0" : "%s:0",
                  lua_tostring(L, 2));
  check_address(L, -1, ADDRESS_CONNECT, &a);
  int r = 0;
  if (interface) req.gr_interface = interface_index(interface);
  if (interface && !req.gr_interface) r = -ENODEV;
  memcpy(&req.gr_group, &a.at, a.len);
  int level = address_family(&a) == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
  if (r == 0)
    r = sys->class->setopt(sys, u->handle->fd, level, name, &req, sizeof req);
  if (r < 0)
    return push_errno(L, lua_pushfstring(L, "%s %s", verb, lua_tostring(L, 2)),
                      r);
  lua_settop(L, 1);
  return 1;
}

/* join(group[, interface]) -> the socket */
static int l_join(lua_State *L) {
  return change_group(L, MCAST_JOIN_GROUP, "join");
}

static int l_leave(lua_State *L) {
  return change_group(L, MCAST_LEAVE_GROUP, "leave");
}

static int l_option(lua_State *L) {
  struct udp *u = udp_check_open(L, 1)->u;
  return push_option(L, u->p, u->handle);
}

static void set_limit(lua_State *L, const char *key, uint64_t *limit) {
  lua_pushstring(L, key);
  if (lua_rawget(L, 2) != LUA_TNIL) *limit = opt_limit(L, -1);
  lua_pop(L, 1);
}

/* timeout{read=, write=} -> the socket */
static int l_timeout(lua_State *L) {
  struct lua_udp *o = udp_check_open(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, 2); lua_pop(L, 1)) {
    const char *key =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    if (strcmp(key, "read") != 0 && strcmp(key, "write") != 0)
      return luaL_error(L, "timeout: unknown option '%s'", key);
  }
  set_limit(L, "read", &o->read_ns);
  set_limit(L, "write", &o->write_ns);
  lua_settop(L, 1);
  return 1;
}

/* dropped() -> datagrams that found no room */
static int l_dropped(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)udp_dropped(udp_check_open(L, 1)->u));
  return 1;
}

/* -- the end -- */

static int l_close(lua_State *L) {
  struct lua_udp *o = udp_check(L, 1);
  struct udp *u = o->u;
  o->u = NULL;
  if (u && !rt_gone(o->rt)) udp_close(u);
  return 0;
}

static int l_gc(lua_State *L) {
  struct lua_udp *o = udp_check(L, 1);
  datagram_free(rt_gone(o->rt) ? NULL : proactor_sys(&o->rt->proactor),
                o->taking);
  o->taking = NULL;
  return l_close(L);
}

static int l_closed(lua_State *L) {
  struct lua_udp *o = udp_check(L, 1);
  lua_pushboolean(L, !o->u || rt_gone(o->rt));
  return 1;
}

static int l_tostring(lua_State *L) {
  struct lua_udp *o = udp_check(L, 1);
  if (!o->u || rt_gone(o->rt)) {
    lua_pushliteral(L, "proa.datagram (closed)");
    return 1;
  }
  push_shown_name(L, o->u->p, o->u->handle);
  lua_pushfstring(L, "proa.datagram %s (fd %d, %d bytes unread)",
                  lua_tostring(L, -1), o->u->handle->fd, (int)o->u->queued);
  return 1;
}

void open_udp(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"bind", l_bind},     {"connect", l_connect}, {"address", l_address},
      {"peer", l_peer},     {"join", l_join},       {"leave", l_leave},
      {"option", l_option}, {"timeout", l_timeout}, {"dropped", l_dropped},
      {"close", l_close},   {"closed", l_closed},   {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", l_gc},
                                  {"__close", l_close},
                                  {"__tostring", l_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"datagram", l_datagram}, {"datagram_pair", l_pair}, {NULL, NULL}};
  make_class(L, UDP_CLASS, methods, meta);
  add_functions(L, functions);
  luaL_getmetatable(L, UDP_CLASS);
  lua_getfield(L, -1, "__index");
  add_functions(L, udp_io_methods);
  add_functions(L, udp_fds_methods);
  lua_setfield(L, -3, "datagram_methods");
  lua_pop(L, 1);
  open_udp_io(L);
}
