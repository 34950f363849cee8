/* lua_stream_option.c - options of sockets by name.
 *
 * The names are the kernel's in lower case, without their prefix; what is a
 * flag there is a boolean here, what is a time is in seconds.
 *
 * SPDX-License-Identifier: MIT */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "lua_stream.h"

enum option_kind { FLAG, COUNT, SECONDS, MILLIS, TEXT };

struct option {
  const char *name;
  int level, number;
  enum option_kind kind;
  bool fixed; /* only to be read */
};

static const struct option options[] = {
    {"nodelay", IPPROTO_TCP, TCP_NODELAY, FLAG, false},
    {"cork", IPPROTO_TCP, TCP_CORK, FLAG, false},
    {"quickack", IPPROTO_TCP, TCP_QUICKACK, FLAG, false},
    {"maxseg", IPPROTO_TCP, TCP_MAXSEG, COUNT, false},
    {"user_timeout", IPPROTO_TCP, TCP_USER_TIMEOUT, MILLIS, false},
    {"congestion", IPPROTO_TCP, TCP_CONGESTION, TEXT, false},
    {"keepidle", IPPROTO_TCP, TCP_KEEPIDLE, SECONDS, false},
    {"keepintvl", IPPROTO_TCP, TCP_KEEPINTVL, SECONDS, false},
    {"keepcnt", IPPROTO_TCP, TCP_KEEPCNT, COUNT, false},
    {"keepalive", SOL_SOCKET, SO_KEEPALIVE, FLAG, false},
    {"rcvbuf", SOL_SOCKET, SO_RCVBUF, COUNT, false},
    {"sndbuf", SOL_SOCKET, SO_SNDBUF, COUNT, false},
    {"priority", SOL_SOCKET, SO_PRIORITY, COUNT, false},
    {"mark", SOL_SOCKET, SO_MARK, COUNT, false},
    {"reuseaddr", SOL_SOCKET, SO_REUSEADDR, FLAG, false},
    {"type", SOL_SOCKET, SO_TYPE, COUNT, true},
    {"domain", SOL_SOCKET, SO_DOMAIN, COUNT, true},
    {"error", SOL_SOCKET, SO_ERROR, COUNT, true},
    {"ttl", IPPROTO_IP, IP_TTL, COUNT, false},
    {"tos", IPPROTO_IP, IP_TOS, COUNT, false},
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

/* option(name) -> value; option(name, value) -> the stream */
static int l_option(lua_State *L) {
  struct stream *s = stream_check_open(L, 1)->s;
  const struct option *o = find_option(L, luaL_checkstring(L, 2));
  bool set = lua_gettop(L) > 2;
  luaL_argcheck(L, !set || !o->fixed, 2, "this option can only be read");
  struct handle *h = stream_handle(s);
  struct sys *sys = proactor_sys(s->p);
  int r = -ENOTSOCK;
  if (h && set)
    r = set_option(L, sys, h->fd, o);
  else if (h)
    r = o->kind == TEXT ? get_text(L, sys, h->fd, o)
                        : get_number(L, sys, h->fd, o);
  if (r < 0) return push_errno(L, lua_pushfstring(L, "option %s", o->name), r);
  if (set) lua_settop(L, 1);
  return 1;
}

const luaL_Reg stream_option_methods[] = {{"option", l_option}, {NULL, NULL}};
