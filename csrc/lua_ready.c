/* lua_ready.c - waiting until a descriptor is ready, whoever it belongs to.
 *
 * core.ready awaits one op_ready; proa.fd's methods and fd.poll are put
 * together from it and from op.ready in lua/proa/fd.lua. Nothing here reads,
 * writes or closes: what is ready is for the library that owns it.
 *
 * SPDX-License-Identifier: MIT */
#include <poll.h>

#include "lua_core.h"
#include "lua_fd.h"
#include "lua_op.h"

static int push_ready(lua_State *L, int32_t res) {
  bool r = res & (POLLIN | POLLHUP | POLLERR | POLLRDHUP);
  bool w = res & (POLLOUT | POLLERR);
  lua_pushstring(L, r && w ? "rw" : r ? "r" : "w");
  return 1;
}

static int ready_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  struct op *op = (struct op *)ctx;
  if (op_await_end(L, op) == WAIT_TIMEOUT)
    return push_fail(L, "wait: timed out", "TIMEOUT");
  int32_t res = op->res;
  bool closed = op->closed;
  op_await_free(op);
  if (closed) return push_fail(L, "wait: the fd was closed", "CLOSED");
  return res < 0 ? push_errno(L, "wait", res) : push_ready(L, res);
}

/* ready(fd object, "r" | "w" | "rw", timeout) -> "r" | "w" | "rw" */
static int l_ready(lua_State *L) {
  static const char *const names[] = {"r", "w", "rw", NULL};
  static const short values[] = {POLLIN, POLLOUT, POLLIN | POLLOUT};
  struct lua_fd *fd = check_fd(L, rt_proactor(L), 1);
  short events = values[luaL_checkoption(L, 2, "rw", names)];
  uint64_t limit = opt_limit(L, 3);
  struct task *t = await_begin(L);
  struct op *op = proactor_op(fd->p, &op_ready);
  if (!op) return push_errno(L, "wait", -ENOMEM);
  op->handle = fd->handle;
  op->arg.events = events;
  return op_await(L, t, op, await_until(t->rt, limit), ready_k);
}

/* fileno(value) -> the descriptor that it has */
static int l_fileno(lua_State *L) {
  lua_settop(L, 1);
  lua_pushinteger(L, check_fileno(L, 1));
  return 1;
}

void open_ready(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"ready", l_ready}, {"fileno", l_fileno}, {NULL, NULL}};
  add_functions(L, functions);
  luaL_getmetatable(L, FD_CLASS);
  lua_getfield(L, -1, "__index");
  lua_setfield(L, -3, "fd_methods");
  lua_pop(L, 1);
}
