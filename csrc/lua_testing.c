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

#include "errname.h"
#include "lua_nested.h"
#include "lua_net.h"
#include "sim_fs.h"

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
static bool set_knob(lua_State *L, const char *key, struct sim_knobs *k,
                     uint64_t now_ns) {
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
  else if (strcmp(key, "limit") == 0)
    k->end_ns = ns_after(now_ns, knob_ns(L, key));
  else if (strcmp(key, "files") == 0)
    k->files = lua_toboolean(L, -1);
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
    if (!set_knob(L, key, &knobs, net->now_ns))
      return luaL_error(L, "knobs: unknown knob '%s'", key);
  }
  net->knobs = knobs;
  return 0;
}

static void set_count(lua_State *L, const char *key, uint64_t n) {
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, key);
}

/* state() -> { sockets =, files =, results =, hash =, ended = } */
static int l_state(lua_State *L) {
  struct sim_net *net = check_net(L);
  lua_createtable(L, 0, 4);
  set_count(L, "sockets", net->sock_n);
  set_count(L, "files", sim_fs_open_files(net->fs));
  set_count(L, "results", net->results);
  set_count(L, "hash", net->hash);
  lua_pushboolean(L, net->ended);
  lua_setfield(L, -2, "ended");
  return 1;
}

/* -- disturbing -- */

static int check_errno(lua_State *L, int arg) {
  const char *name = luaL_checkstring(L, arg), *known;
  for (int err = 1; err < 200; err++)
    if ((known = err_name(err)) && strcmp(known, name) == 0) return err;
  return luaL_argerror(L, arg,
                       "the name of an error expected, like ECONNRESET");
}

static const char *check_op(lua_State *L, int arg) {
  static const char *const calls[] = {"socket", "pair", "bind", "listen"};
  const char *name = luaL_checkstring(L, arg);
  for (size_t i = 0; i < countof(calls); i++)
    if (strcmp(calls[i], name) == 0) return name;
  luaL_argcheck(L, op_class_find(name), arg, "no such op");
  return name;
}

static unsigned opt_times(lua_State *L, int arg) {
  lua_Integer n = luaL_optinteger(L, arg, 1);
  luaL_argcheck(L, n >= 1 && n <= INT32_MAX, arg, "at least 1");
  return (unsigned)n;
}

/* fail(op, errno, nth, times): of those that come from now on */
static int l_fail(lua_State *L) {
  struct sim_net *net = check_net(L);
  const char *op = check_op(L, 1);
  int err = check_errno(L, 2);
  unsigned nth = opt_times(L, 3), times = opt_times(L, 4);
  if (sim_rule_add(net, op, err, nth, times) < 0)
    return luaL_error(L, NO_MEMORY);
  return 0;
}

/* partition(address, seconds or nil: until heal) */
static int l_partition(lua_State *L) {
  struct sim_net *net = check_net(L);
  struct address a;
  check_address(L, 1, ADDRESS_CONNECT, &a);
  uint64_t until = ns_after(net->now_ns, opt_limit(L, 2));
  if (sim_partition(net, &a, until) < 0) return luaL_error(L, NO_MEMORY);
  return 0;
}

/* heal(address or nil: all) */
static int l_heal(lua_State *L) {
  struct sim_net *net = check_net(L);
  struct address a;
  bool one = !lua_isnoneornil(L, 1);
  if (one) check_address(L, 1, ADDRESS_CONNECT, &a);
  sim_heal(net, one ? &a : NULL);
  return 0;
}

/* -- a world of its own -- */

/* The option of that name in the table at 1, at least 1, or `otherwise`. */
static lua_Integer opt_field(lua_State *L, const char *key,
                             lua_Integer otherwise) {
  lua_getfield(L, 1, key);
  lua_Integer n = luaL_optinteger(L, -1, otherwise);
  lua_pop(L, 1);
  return n;
}

/* nested({seed =, buffers =, buffer_size =}, fn, ...) -> true, results... |
 * false, error */
static int l_nested(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  struct proactor_options o = {.driver = "sim"};
  o.with.seed = (uint64_t)opt_field(L, "seed", 1);
  o.with.buffers = (unsigned)opt_field(L, "buffers", 0);
  o.with.buffer_size = (unsigned)opt_field(L, "buffer_size", 0);
  int r = nested_call(L, &o, lua_gettop(L) - 2);
  lua_pushboolean(L, r == LUA_OK);
  lua_replace(L, 1);
  return lua_gettop(L);
}

void open_testing(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"knobs", l_knobs}, {"state", l_state},
      {"fail", l_fail},   {"partition", l_partition},
      {"heal", l_heal},   {"nested", l_nested},
      {NULL, NULL}};
  lua_newtable(L);
  add_functions(L, functions);
  lua_setfield(L, -2, "sim");
}
