/* lua_passed.c - descriptors from values, and into objects. See lua_passed.h.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_passed.h"

#include "lua_fd.h"

#define OWNER_CLASS "proa.passed"

/* -- from values -- */

/* Run under pcall: those made so far are in the struct at the top. */
static int copy_fds(lua_State *L) {
  struct copies *c = lua_touserdata(L, lua_gettop(L));
  lua_pop(L, 1);
  int top = lua_gettop(L);
  for (int i = c->first; i <= top; i++) {
    int copy = c->sys->class->dup(c->sys, check_fileno(L, i));
    if (copy < 0) return push_errno(L, "send_fds", copy);
    c->fds[c->n++] = copy;
  }
  return 0;
}

void copies_close(const struct copies *c) {
  passed_close(c->sys, c->fds, c->n);
}

int copies_make(lua_State *L, struct copies *c, struct sys *sys, int first) {
  int top = lua_gettop(L);
  luaL_argcheck(L, top >= first, first, "a descriptor expected");
  luaL_argcheck(L, top - first < MESSAGE_FDS_MAX, top,
                "at most 253 descriptors");
  luaL_checkstack(L, top + 8, "too many descriptors");
  c->sys = sys;
  c->first = first;
  c->n = 0;
  lua_pushcfunction(L, copy_fds);
  for (int i = 1; i <= top; i++) lua_pushvalue(L, i);
  lua_pushlightuserdata(L, c);
  int status = lua_pcall(L, top + 1, LUA_MULTRET, 0);
  if (status == LUA_OK && lua_gettop(L) == top) return 0;
  copies_close(c);
  return status == LUA_OK ? 3 : lua_error(L);
}

/* -- into objects -- */

bool push_passed(lua_State *L, struct proactor *p, struct passed *x) {
  bool cut = false;
  lua_createtable(L, x ? (int)x->n : 0, 0);
  for (unsigned i = 0, at = 1; x && i < x->n; i++) {
    bool taken = false;
    if (x->fds[i] < 0) continue;
    int r = push_object(L, p, x->fds[i], &taken);
    if (taken) x->fds[i] = -1;
    if (r >= 0)
      lua_rawseti(L, -2, at++);
    else
      cut = true;
  }
  return cut;
}

static int owner_gc(lua_State *L) {
  struct passed **x = lua_touserdata(L, 1);
  struct runtime *rt = rt_get(L);
  passed_free(rt_gone(rt) ? NULL : proactor_sys(&rt->proactor), *x);
  *x = NULL;
  return 0;
}

struct passed **push_passed_owner(lua_State *L) {
  struct passed **x = new_object(L, sizeof *x, OWNER_CLASS, 0);
  *x = NULL;
  return x;
}

unsigned opt_fds_max(lua_State *L, int arg) {
  lua_Integer max = luaL_optinteger(L, arg, FDS_DEFAULT);
  luaL_argcheck(L, max >= 0 && max <= 1 << 20, arg, "a number of descriptors");
  return (unsigned)max;
}

void open_passed(lua_State *L) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", owner_gc}, {NULL, NULL}};
  make_class(L, OWNER_CLASS, none, meta);
}
