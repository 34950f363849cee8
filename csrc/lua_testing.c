/* lua_testing.c - the simulated world, as Lua sees and disturbs it.
 *
 * What lua/proa/testing.lua and the host of random programs (spec/sim/) are
 * made of: the knobs of the simulation that the runtime uses, and what is left
 * in it. All of it raises when the driver is another one. The world itself is
 * in sim_net.h.
 *
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "lua_core.h"
#include "sim_net.h"

/* The world of the runtime; raises when it is the real one. */
static struct sim_net *check_net(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  if (p->driver->class != &driver_sim)
    luaL_error(L, "the driver is %s; this is for sim alone",
               p->driver->class->name);
  return sim_net_of(p->driver);
}

/* -- knobs -- */

static uint32_t knob_count(lua_State *L, const char *key, lua_Integer min) {
  int ok;
  lua_Integer n = lua_tointegerx(L, -1, &ok);
  if (!ok || n < min || n > UINT32_MAX)
    luaL_error(L, "knobs: %s: an integer of at least %d expected", key,
               (int)min);
  return (uint32_t)n;
}

static uint64_t knob_ns(lua_State *L, const char *key) {
  if (!lua_isnumber(L, -1) || !(lua_tonumber(L, -1) >= 0))
    luaL_error(L, "knobs: %s: a number of seconds expected", key);
  return ns_from_seconds(lua_tonumber(L, -1));
}

/* A number of seconds, or { least, most }. */
static void knob_latency(lua_State *L, struct sim_knobs *k) {
  if (lua_type(L, -1) != LUA_TTABLE) {
    k->latency_min_ns = k->latency_max_ns = knob_ns(L, "latency");
    return;
  }
  lua_rawgeti(L, -1, 1);
  k->latency_min_ns = knob_ns(L, "latency");
  lua_rawgeti(L, -2, 2);
  k->latency_max_ns = knob_ns(L, "latency");
  lua_pop(L, 2);
  if (k->latency_max_ns < k->latency_min_ns)
    luaL_error(L, "knobs: latency: the least comes before the most");
}

static uint32_t knob_loss(lua_State *L) {
  lua_Number p = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : -1;
  if (!(p >= 0 && p <= 0.9))
    luaL_error(L, "knobs: loss: a number from 0 to 0.9 expected");
  return (uint32_t)(p * 65536);
}

/* The value is on top. false: no such knob. */
static bool set_knob(lua_State *L, const char *key, struct sim_knobs *k) {
  if (strcmp(key, "chaos") == 0)
    k->chaos = knob_count(L, key, 0);
  else if (strcmp(key, "delay") == 0)
    k->delay_max_ns = knob_ns(L, key);
  else if (strcmp(key, "socket_buffer") == 0)
    k->buffer_bytes = knob_count(L, key, 1);
  else if (strcmp(key, "sockets") == 0)
    k->sockets_max = knob_count(L, key, 0);
  else if (strcmp(key, "completions") == 0)
    k->done_max = knob_count(L, key, 1);
  else if (strcmp(key, "submissions") == 0)
    k->entries_max = knob_count(L, key, 1);
  else if (strcmp(key, "latency") == 0)
    knob_latency(L, k);
  else if (strcmp(key, "loss") == 0)
    k->loss = knob_loss(L);
  else if (strcmp(key, "errors") == 0)
    k->errors = knob_count(L, key, 0);
  else if (strcmp(key, "alone") == 0)
    k->alone = lua_toboolean(L, -1);
  else if (strcmp(key, "trace") == 0)
    k->trace = lua_toboolean(L, -1);
  else
    return false;
  return true;
}

/* knobs{chaos=, delay=, ...}: see struct sim_knobs; what is left out stays */
static int l_knobs(lua_State *L) {
  struct sim_net *net = check_net(L);
  struct sim_knobs knobs = net->knobs;
  luaL_checktype(L, 1, LUA_TTABLE);
  for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
    const char *key =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    if (!set_knob(L, key, &knobs))
      return luaL_error(L, "knobs: unknown knob '%s'", key);
  }
  net->knobs = knobs;
  return 0;
}

static void set_count(lua_State *L, const char *key, uint64_t n) {
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, key);
}

/* state() -> { sockets =, results =, hash = } */
static int l_state(lua_State *L) {
  struct sim_net *net = check_net(L);
  lua_createtable(L, 0, 3);
  set_count(L, "sockets", net->sock_n);
  set_count(L, "results", net->results);
  set_count(L, "hash", net->hash);
  return 1;
}

void open_testing(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"knobs", l_knobs}, {"state", l_state}, {NULL, NULL}};
  lua_newtable(L);
  add_functions(L, functions);
  lua_setfield(L, -2, "sim");
}
