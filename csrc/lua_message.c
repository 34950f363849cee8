/* lua_message.c - some values as one. See lua_message.h.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_message.h"

#include "lua_core.h"

#define PACKET_CLASS "proa.packet"

enum { VALUES_FEW = 8 }; /* a C function has room for them */

struct packet {
  int n; /* user values */
};

void message_room(lua_State *L) {
  if (!lua_checkstack(L, MESSAGE_VALUES_MAX + LUA_MINSTACK))
    luaL_error(L, NO_MEMORY);
}

void message_make(lua_State *L, int first, const char *verb) {
  int n = lua_gettop(L) - first + 1;
  if (n < 1 || lua_isnil(L, first))
    luaL_error(L, "%s: the first value cannot be nil: nil is the end", verb);
  if (n > MESSAGE_VALUES_MAX)
    luaL_error(L, "%s: too many values (at most %d)", verb, MESSAGE_VALUES_MAX);
  if (n == 1) return;
  struct packet *p = new_object(L, sizeof *p, PACKET_CLASS, n);
  p->n = n;
  lua_insert(L, first);
  for (int i = n; i >= 1; i--) lua_setiuservalue(L, first, i);
}

int message_open(lua_State *L) {
  const struct packet *p = luaL_testudata(L, -1, PACKET_CLASS);
  if (!p) return 1;
  int at = lua_gettop(L), n = p->n;
  if (n > VALUES_FEW) message_room(L);
  for (int i = 1; i <= n; i++) lua_getiuservalue(L, at, i);
  lua_remove(L, at);
  return n;
}

void open_message(lua_State *L) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  make_class(L, PACKET_CLASS, none, none);
}
