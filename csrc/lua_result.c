/* lua_result.c - maps the result kinds of op classes to values.
 *
 * What a result >= 0 means to Lua (op.h's enum op_value), and how a failure is
 * told: what was done to what, and why it did not go. The arguments are in
 * lua_args.c; see lua_args.h.
 *
 * SPDX-License-Identifier: MIT */
#include <limits.h>
#include <poll.h>
#include <stdio.h>

#include "lua_args.h"
#include "lua_core.h"
#include "lua_fd.h"
#include "lua_file.h"
#include "lua_resolve.h"
#include "message.h"

static int push_events(lua_State *L, int32_t res) {
  bool r = res & (POLLIN | POLLHUP | POLLERR | POLLRDHUP);
  bool w = res & (POLLOUT | POLLERR);
  lua_pushstring(L, r && w ? "rw" : r ? "r" : "w");
  return 1;
}

static int push_addresses(lua_State *L, const struct op *op, int32_t n) {
  const struct address *at = op->memory;
  char text[ADDRESS_TEXT_MAX];
  lua_createtable(L, n, 0);
  for (int32_t i = 0; i < n; i++) {
    lua_pushlstring(L, text, address_format(&at[i], text));
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* bytes, sender or nil, bytes of the whole if there were more */
static int push_from(lua_State *L, const struct op *op, int32_t res) {
  struct message m = message_of_op(op, res);
  struct address from;
  char text[ADDRESS_TEXT_MAX];
  message_from(&m, &from);
  lua_pushinteger(L, (lua_Integer)m.len);
  if (from.len)
    lua_pushlstring(L, text, address_format(&from, text));
  else
    lua_pushnil(L);
  if (m.full == m.len) return 2;
  lua_pushinteger(L, (lua_Integer)m.full);
  return 3;
}

static int push_result_fd(lua_State *L, struct proactor *p, int fd) {
  int r = push_fd(L, p, fd, true);
  if (r >= 0) return 1;
  struct sys *sys = proactor_sys(p);
  sys->class->close(sys, fd);
  return push_errno(L, NULL, r);
}

static int push_value(lua_State *L, struct proactor *p, struct op *op,
                      int32_t res) {
  switch (op->class->value) {
  case VALUE_COUNT:
    lua_pushinteger(L, res);
    return 1;
  case VALUE_RECV:
    if (res == 0 && op->io.len > 0)
      lua_pushnil(L);
    else
      lua_pushinteger(L, res);
    return 1;
  case VALUE_FD:
    return push_result_fd(L, p, res);
  case VALUE_EVENTS:
    return push_events(L, res);
  case VALUE_LIST:
    return push_addresses(L, op, res);
  case VALUE_TEXT:
    lua_pushlstring(L, op->memory, (size_t)res);
    return 1;
  case VALUE_STAT:
    return push_stat(L, op->memory);
  case VALUE_NAMES:
    return push_names(L, op->memory, (size_t)res);
  case VALUE_FROM:
    return push_from(L, op, res);
  case VALUE_TRUE:
  case VALUE_BYTES:
    break;
  }
  lua_pushboolean(L, 1);
  return 1;
}

static bool names_file(const struct op_class *class) {
  for (int i = 0; class->args[i] != ARG_END; i++)
    if (class->args[i] == ARG_PATH) return true;
  return false;
}

/* "connect 127.0.0.1:80", "open /nowhere", "rename a to b", "recv" */
static void describe(const struct op *op, char *into, size_t len) {
  char text[ADDRESS_SHOWN_MAX];
  const struct resolve_query *q = op->memory;
  const struct outgoing *out = op->memory;
  bool named = op->class == &op_connect || op->class == &op_name;
  if (named && op->memory) {
    address_describe(op->memory, text);
    snprintf(into, len, "%s %s", op->class->name, text);
  } else if (op->memory && names_file(op->class)) {
    const char *to = op->arg.file.to;
    snprintf(into, len, "%s %s%s%s", op->class->name, op->arg.file.path,
             to ? " to " : "", to ? to : "");
  } else if (op->class == &op_send_to && out && out->to.len) {
    address_describe(&out->to, text);
    snprintf(into, len, "send_to %s", text);
  } else if (op->class == &op_resolve && q) {
    snprintf(into, len, "resolve %s", q->host);
  } else {
    snprintf(into, len, "%s", op->class->name);
  }
}

int args_push_result(lua_State *L, struct proactor *p, struct op *op,
                     int32_t res) {
  char what[2 * PATH_MAX + 32];
  if (res >= 0) return push_value(L, p, op, res);
  describe(op, what, sizeof what);
  if (op->closed)
    return push_fail(L, lua_pushfstring(L, "%s: the fd was closed", what),
                     "CLOSED");
  if (op->class == &op_resolve || op->class == &op_name)
    return push_resolve_error(L, what, res);
  return push_errno(L, what, res);
}
