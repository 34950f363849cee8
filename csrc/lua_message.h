/* lua_message.h - what one task hands to another: some values, kept as one.
 *
 * A message is a single Lua value, so that a table holds it in one place: the
 * value itself when it is one, else a packet of them that no script ever sees.
 * Used by channels and broadcasts.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_MESSAGE_H
#define PROA_LUA_MESSAGE_H

#include <lua.h>

enum { MESSAGE_VALUES_MAX = 200 };

/* Takes the values from `first` up and pushes the message. Raises, as `verb`,
 * when the first is nil (it would look like the end) or there are too many. */
void message_make(lua_State *L, int first, const char *verb);
/* Takes the message on top and pushes its values; returns how many. A message
 * of a few values needs no memory for that. */
int message_open(lua_State *L);
/* Room for the values of any message, and some more; raises. Before one is
 * taken out of where it would be found again. */
void message_room(lua_State *L);

#endif
