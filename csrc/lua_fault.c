/* lua_fault.c - fault points for tests: exported by debug builds alone.
 *
 * See lua_fault.h. Owns nothing; the plan is fault.c's.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_fault.h"

#ifdef PROA_DEBUG
#include <lua.h>

#include "lent.h"
#include "lua_raise.h"

static size_t count_blocks(void) {
  return fault_blocks() + lent_blocks();
}

static const struct fault_api api = {
    .point = fault_point,
    .arm = fault_arm_error,
    .disarm = fault_disarm,
    .note = fault_note,
    .seen = fault_seen,
    .blocks = count_blocks,
    .print_blocks = fault_print_blocks,
};

/* -- the collector, stressed -- */

static enum { GC_UNKNOWN, GC_CALM, GC_FULL, GC_YOUNG } stress;
static unsigned stress_every = 1;

static void read_stress(void) {
  const char *how = getenv("PROA_GC_STRESS");
  const char *colon = how ? strchr(how, ':') : NULL;
  stress = !how || !how[0] ? GC_CALM : how[0] == 'y' ? GC_YOUNG : GC_FULL;
  if (colon) stress_every = (unsigned)atoi(colon + 1);
  if (stress_every == 0) stress_every = 1;
}

void fault_collect(lua_State *L) {
  static unsigned n;
  if (stress == GC_UNKNOWN) read_stress();
  if (stress == GC_CALM || ++n % stress_every) return;
  if (stress == GC_FULL) {
    lua_gc(L, LUA_GCCOLLECT);
  } else {
    lua_gc(L, LUA_GCGEN, 0, 0);
    lua_gc(L, LUA_GCSTEP, 0);
  }
}

/* -- for tests -- */

/* arm(name, nth[, count[, errno]]): fail those visits */
static int l_arm(lua_State *L) {
  lua_Integer count = luaL_optinteger(L, 3, 1);
  fault_arm_error(luaL_checkstring(L, 1), (unsigned)luaL_checkinteger(L, 2),
                  (unsigned)count, (int)luaL_optinteger(L, 4, 0));
  return 0;
}

/* disarm() -> how many failed */
static int l_disarm(lua_State *L) {
  lua_pushinteger(L, fault_disarm());
  return 1;
}

__attribute__((visibility("default"))) int
luaopen_proa_core_fault(lua_State *L);

int luaopen_proa_core_fault(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"arm", l_arm}, {"disarm", l_disarm}, {NULL, NULL}};
  luaL_newlib(L, functions);
  lua_pushlightuserdata(L, (void *)(uintptr_t)&api);
  lua_setfield(L, -2, "api");
  return 1;
}
#else
typedef int lua_fault_is_empty;
#endif
