/* lua_stream_option.c - options of sockets by name, of streams and datagrams.
 *
 * The names are the kernel's in lower case, without their prefix; what is a
 * flag there is a boolean here, what is a time is in seconds, an interface is
 * its name. What IPv4 and IPv6 call differently has one name.
 *
 * SPDX-License-Identifier: MIT */
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "lua_net.h"
#include "lua_stream.h"

enum option_kind { FLAG, COUNT, SECONDS, MILLIS, TEXT, INTERFACE };

struct option {
  const char *name;
  int level, number;
  enum option_kind kind;
  bool fixed;  /* only to be read */
  int number6; /* the same of IPPROTO_IPV6, for sockets of that family */
};

static const struct option options[] = {
    {"nodelay", IPPROTO_TCP, TCP_NODELAY, FLAG, false, 0},
    {"cork", IPPROTO_TCP, TCP_CORK, FLAG, false, 0},
    {"quickack", IPPROTO_TCP, TCP_QUICKACK, FLAG, false, 0},
    {"maxseg", IPPROTO_TCP, TCP_MAXSEG, COUNT, false, 0},
    {"user_timeout", IPPROTO_TCP, TCP_USER_TIMEOUT, MILLIS, false, 0},
    {"congestion", IPPROTO_TCP, TCP_CONGESTION, TEXT, false, 0},
    {"defer_accept", IPPROTO_TCP, TCP_DEFER_ACCEPT, SECONDS, false, 0},
    {"fastopen", IPPROTO_TCP, TCP_FASTOPEN, COUNT, false, 0},
    {"fastopen_connect", IPPROTO_TCP, TCP_FASTOPEN_CONNECT, FLAG, false, 0},
    {"keepidle", IPPROTO_TCP, TCP_KEEPIDLE, SECONDS, false, 0},
    {"keepintvl", IPPROTO_TCP, TCP_KEEPINTVL, SECONDS, false, 0},
    {"keepcnt", IPPROTO_TCP, TCP_KEEPCNT, COUNT, false, 0},
    {"keepalive", SOL_SOCKET, SO_KEEPALIVE, FLAG, false, 0},
    {"rcvbuf", SOL_SOCKET, SO_RCVBUF, COUNT, false, 0},
    {"sndbuf", SOL_SOCKET, SO_SNDBUF, COUNT, false, 0},
    {"priority", SOL_SOCKET, SO_PRIORITY, COUNT, false, 0},
    {"mark", SOL_SOCKET, SO_MARK, COUNT, false, 0},
    {"reuseaddr", SOL_SOCKET, SO_REUSEADDR, FLAG, false, 0},
    {"type", SOL_SOCKET, SO_TYPE, COUNT, true, 0},
    {"domain", SOL_SOCKET, SO_DOMAIN, COUNT, true, 0},
    {"error", SOL_SOCKET, SO_ERROR, COUNT, true, 0},
    {"reuseport", SOL_SOCKET, SO_REUSEPORT, FLAG, false, 0},
    {"broadcast", SOL_SOCKET, SO_BROADCAST, FLAG, false, 0},
    {"v6only", IPPROTO_IPV6, IPV6_V6ONLY, FLAG, false, 0},
    {"multicast_ttl", IPPROTO_IP, IP_MULTICAST_TTL, COUNT, false,
     IPV6_MULTICAST_HOPS},
    {"multicast_loop", IPPROTO_IP, IP_MULTICAST_LOOP, FLAG, false,
     IPV6_MULTICAST_LOOP},
    {"multicast_if", IPPROTO_IP, IP_MULTICAST_IF, INTERFACE, false,
     IPV6_MULTICAST_IF},
    {"ttl", IPPROTO_IP, IP_TTL, COUNT, false, IPV6_UNICAST_HOPS},
    {"tos", IPPROTO_IP, IP_TOS, COUNT, false, IPV6_TCLASS},
};

static int raise_unknown(lua_State *L, const char *name) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (size_t i = 0; i < countof(options); i++) {
    if (i) luaL_addstring(&b, ", ");
    luaL_addstring(&b, options[i].name);
  }
  luaL_pushresult(&b);
  return luaL_error(L, "unknown option '%s' (%s)", name, lua_tostring(L, -1));
}

static const struct option *find_option(lua_State *L, const char *name) {
  for (size_t i = 0; i < countof(options); i++)
    if (strcmp(options[i].name, name) == 0) return &options[i];
  raise_unknown(L, name);
  return NULL;
}

static void push_value(lua_State *L, const struct option *o, int n) {
  if (o->kind == FLAG)
    lua_pushboolean(L, n != 0);
  else if (o->kind == MILLIS)
    lua_pushnumber(L, n / 1000.0);
  else
    lua_pushinteger(L, n);
}

static int get_text(lua_State *L, struct sys *sys, int fd,
                    const struct option *o) {
  char text[64];
  socklen_t len = sizeof text;
  int r = sys->class->getopt(sys, fd, o->level, o->number, text, &len);
  if (r >= 0) lua_pushlstring(L, text, strnlen(text, len));
  return r;
}

static int get_number(lua_State *L, struct sys *sys, int fd,
                      const struct option *o) {
  int n = 0;
  socklen_t len = sizeof n;
  int r = sys->class->getopt(sys, fd, o->level, o->number, &n, &len);
  if (r >= 0) push_value(L, o, n);
  return r;
}

/* The value at index 3 as the kernel takes it; raises. */
static int check_number(lua_State *L, const struct option *o) {
  if (o->kind == FLAG) {
    luaL_checktype(L, 3, LUA_TBOOLEAN);
    return lua_toboolean(L, 3);
  }
  lua_Number n = o->kind == COUNT ? (lua_Number)luaL_checkinteger(L, 3)
                                  : luaL_checknumber(L, 3);
  if (o->kind == MILLIS) n *= 1000;
  luaL_argcheck(L, n >= 0 && n <= INT32_MAX, 3, "out of range");
  return (int)n;
}

static int set_option(lua_State *L, struct sys *sys, int fd,
                      const struct option *o) {
  if (o->kind == TEXT) {
    size_t len;
    const char *text = luaL_checklstring(L, 3, &len);
    return sys->class->setopt(sys, fd, o->level, o->number, text,
                              (socklen_t)len);
  }
  int n = check_number(L, o);
  return sys->class->setopt(sys, fd, o->level, o->number, &n, sizeof n);
}

static int set_interface(lua_State *L, struct sys *sys, int fd,
                         const struct option *o) {
  int index = (int)interface_index(luaL_checkstring(L, 3));
  struct ip_mreqn v4 = {.imr_ifindex = index};
  if (!index) return -ENODEV;
  if (o->level == IPPROTO_IPV6)
    return sys->class->setopt(sys, fd, o->level, o->number, &index,
                              sizeof index);
  return sys->class->setopt(sys, fd, o->level, o->number, &v4, sizeof v4);
}

/* As it is called for a socket of this family. */
static struct option of_family(struct sys *sys, int fd, struct option o) {
  int family = 0;
  socklen_t len = sizeof family;
  if (!o.number6) return o;
  sys->class->getopt(sys, fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
  if (family != AF_INET6) return o;
  o.level = IPPROTO_IPV6;
  o.number = o.number6;
  return o;
}

static int access_option(lua_State *L, struct sys *sys, int fd,
                         const struct option *named, bool set) {
  struct option o = of_family(sys, fd, *named);
  if (set)
    return o.kind == INTERFACE ? set_interface(L, sys, fd, &o)
                               : set_option(L, sys, fd, &o);
  return o.kind == TEXT ? get_text(L, sys, fd, &o) : get_number(L, sys, fd, &o);
}

int push_option(lua_State *L, struct proactor *p, const struct handle *h) {
  const struct option *o = find_option(L, luaL_checkstring(L, 2));
  bool set = lua_gettop(L) > 2;
  luaL_argcheck(L, !set || !o->fixed, 2, "this option can only be read");
  luaL_argcheck(L, set || o->kind != INTERFACE, 2,
                "this option can only be set");
  int r = h ? access_option(L, proactor_sys(p), h->fd, o, set) : -ENOTSOCK;
  if (r < 0) return push_errno(L, lua_pushfstring(L, "option %s", o->name), r);
  if (set) lua_settop(L, 1);
  return 1;
}

/* option(name) -> value; option(name, value) -> the stream */
static int l_option(lua_State *L) {
  struct stream *s = stream_check_open(L, 1)->s;
  return push_option(L, s->p, stream_handle(s));
}

const luaL_Reg stream_option_methods[] = {{"option", l_option}, {NULL, NULL}};
