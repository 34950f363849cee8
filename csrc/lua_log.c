/* lua_log.c - proa.on_log: what the runtime says, to a function in Lua.
 *
 * Entries come while sinks run, where no Lua code may; they wait in a small
 * ring until the loop hands them out. When it is full the newest are counted,
 * and the next that finds room tells how many. Without a function nothing is
 * kept and nothing is printed.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_log.h"

#include <stdlib.h>
#include <string.h>

#include "errname.h"
#include "lua_core.h"

static void add(struct log *log, const struct log_entry *e) {
  struct lua_log *o = container_of(log, struct lua_log, log);
  if (o->n == LOG_WAITING_MAX) {
    o->lost++;
    return;
  }
  o->first[(o->at + o->n++) % LOG_WAITING_MAX] = *e;
}

void lua_log_init(struct runtime *rt) {
  rt->log.log.add = add;
  rt->log.fn_ref = LUA_NOREF;
}

void lua_log_deinit(struct runtime *rt) {
  free(rt->log.first);
  rt->log.first = NULL;
  rt->log.fn_ref = LUA_NOREF;
  rt->log.n = 0;
}

struct log *lua_log_of(struct runtime *rt) {
  return rt->log.fn_ref == LUA_NOREF ? NULL : &rt->log.log;
}

/* -- handing out -- */

static void set_string(lua_State *L, const char *key, const char *text) {
  if (!text) return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, key);
}

static void set_integer(lua_State *L, const char *key, lua_Integer n) {
  lua_pushinteger(L, n);
  lua_setfield(L, -2, key);
}

static void push_fields(lua_State *L, const struct log_entry *e,
                        unsigned lost) {
  lua_createtable(L, 0, 4);
  set_string(L, "event", e->event);
  set_string(L, "driver", e->driver);
  set_string(L, "op", e->op);
  if (e->has_fd) set_integer(L, "fd", e->fd);
  if (e->task) set_integer(L, "task", e->task);
  if (e->err) set_string(L, "code", err_name(-e->err));
  if (lost) set_integer(L, "lost", lost);
}

/* the function, the entry */
static int call(lua_State *L) {
  static const char *const names[] = {"debug", "info", "warn"};
  const struct log_entry *e = lua_touserdata(L, 2);
  struct lua_log *o = &rt_find(L)->log;
  unsigned lost = o->lost;
  o->lost = 0;
  lua_settop(L, 1);
  lua_pushstring(L, names[e->level]);
  lua_pushstring(L, e->text);
  push_fields(L, e, lost);
  lua_call(L, 3, 0);
  return 0;
}

static void hand_out(lua_State *L, struct lua_log *o, struct log_entry *e) {
  lua_pushcfunction(L, call);
  lua_rawgeti(L, LUA_REGISTRYINDEX, o->fn_ref);
  lua_pushlightuserdata(L, e);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) peek_tell_error(L, "on_log");
}

/* The function may log in its turn: that is for the next time. */
void lua_log_flush(lua_State *L, struct runtime *rt) {
  struct lua_log *o = &rt->log;
  if (!lua_checkstack(L, LUA_MINSTACK)) return;
  for (unsigned left = o->n; left && o->n && o->fn_ref != LUA_NOREF; left--) {
    struct log_entry e = o->first[o->at];
    o->at = (o->at + 1) % LOG_WAITING_MAX;
    o->n--;
    hand_out(L, o, &e);
  }
}

/* -- what Lua sees -- */

static void make_ring(lua_State *L, struct lua_log *o) {
  if (!o->first) o->first = calloc(LOG_WAITING_MAX, sizeof *o->first);
  if (!o->first) luaL_error(L, "not enough memory");
}

/* on_log(fn | nil) -> what was set before */
static int l_on_log(lua_State *L) {
  struct runtime *rt = rt_get(L);
  struct lua_log *o = &rt->log;
  bool set = !lua_isnoneornil(L, 1);
  if (set) luaL_checktype(L, 1, LUA_TFUNCTION);
  if (set) make_ring(L, o);
  lua_rawgeti(L, LUA_REGISTRYINDEX, o->fn_ref);
  int before = o->fn_ref;
  if (set) {
    lua_pushvalue(L, 1);
    o->fn_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  } else {
    o->fn_ref = LUA_NOREF;
    o->n = o->lost = 0;
  }
  luaL_unref(L, LUA_REGISTRYINDEX, before);
  if (rt->open) rt->proactor.log = lua_log_of(rt);
  return 1;
}

/* say_failed(text): of crew.lua, for who looks for a reason */
static int l_say_failed(lua_State *L) {
  log_say(lua_log_of(rt_get(L)),
          LOG_ENTRY(.level = LOG_LEVEL_DEBUG, .event = "failed"), "%s",
          luaL_checkstring(L, 1));
  return 0;
}

void open_log(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"on_log", l_on_log}, {"say_failed", l_say_failed}, {NULL, NULL}};
  add_functions(L, functions);
}
