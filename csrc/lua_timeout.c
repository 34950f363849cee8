/* lua_timeout.c - timeout, deadline, shield, defer.
 *
 * A limit is a scope with a deadline that cancels it. With a function it ends
 * when that does, and its own cancellation becomes nil, "timed out",
 * "TIMEOUT". Without one it is an object for a <close> variable: a block can't
 * return that, so there it becomes a plain error, "timed out". A shield is a
 * scope that lets no cancellation in; defer runs its function under one.
 *
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "lua_scope.h"

#define LIMIT_CLASS "proa.timeout"
#define DEFER_CLASS "proa.defer"
#define TIMED_OUT "timed out"

/* -- limits -- */

static void limit_over(struct deadline *d) {
  struct scope_object *o = container_of(d, struct scope_object, deadline);
  o->why = TIMED_OUT;
  scope_cancel(&o->scope);
}

static struct scope_object *new_limit(lua_State *L, enum scope_kind kind) {
  struct scope_object *o = scope_new(L, sizeof *o, LIMIT_CLASS, kind, 0);
  o->deadline.fire = limit_over;
  return o;
}

static struct scope_object *check_limit(lua_State *L) {
  return luaL_checkudata(L, 1, LIMIT_CLASS);
}

static void set_deadline(lua_State *L, struct runtime *rt,
                         struct scope_object *o, uint64_t until) {
  deadline_clear(&rt->proactor, &o->deadline);
  if (deadline_at(&rt->proactor, &o->deadline, until) == 0) return;
  scope_leave(rt, &o->scope);
  luaL_error(L, NO_MEMORY);
}

/* The stack: 1 the scope, 2 the handler; results or an error above them. */
static int limit_k(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  struct scope *s = &check_limit(L)->scope;
  bool failed = scope_call_failed(status);
  bool own = failed && scope_is_error(L, -1, s);
  scope_leave(rt_get(L), s);
  scope_drop_error(L, s);
  if (own) return push_fail(L, TIMED_OUT, "TIMEOUT");
  if (failed) return scope_raise(L);
  return lua_gettop(L) - 2;
}

/* The stack: the seconds, then the function and its arguments, or nothing. */
static int limit_until(lua_State *L, struct task *t, uint64_t until) {
  bool object = lua_gettop(L) == 1;
  struct scope_object *o = new_limit(L, SCOPE_LIMIT);
  lua_replace(L, 1);
  scope_enter(t, &o->scope);
  set_deadline(L, t->rt, o, until);
  return object ? 1 : scope_call(L, limit_k);
}

/* timeout(seconds, fn, ...) -> fn's results | nil, "timed out", "TIMEOUT"
 * timeout(seconds) -> an object for <close> */
static int l_timeout(lua_State *L) {
  lua_Number seconds = luaL_checknumber(L, 1);
  if (lua_gettop(L) > 1)
    scope_check_function(L, 2, "proa.timeout(1, conn.read, conn, \"l\")");
  struct task *t = await_begin(L); /* the same rule: where an await would do */
  return limit_until(L, t, await_until(t->rt, ns_from_seconds(seconds)));
}

/* deadline(time[, fn, ...]): the same, by proa.now()'s clock. */
static int l_deadline(lua_State *L) {
  lua_Number at = luaL_checknumber(L, 1);
  if (lua_gettop(L) > 1)
    scope_check_function(L, 2,
                         "proa.deadline(proa.now() + 1, conn.read, conn)");
  return limit_until(L, await_begin(L), ns_from_seconds(at));
}

/* -- limits as objects -- */

static bool limit_open(const struct scope_object *o) {
  return o->scope.task || o->holder;
}

/* Raise, as plain text, that its own cancellation has ended the block. */
static int raise_own(lua_State *L, struct scope_object *o) {
  raise_push_where(L);
  if (o->why)
    lua_pushstring(L, o->why);
  else
    scope_push_cancelled(L, &o->scope, "cancelled");
  scope_drop_error(L, &o->scope);
  lua_concat(L, 2);
  return lua_error(L);
}

/* Left: by the end of its block, or by hand. */
static int l_limit_close(lua_State *L) {
  struct scope_object *o = check_limit(L);
  struct runtime *rt = rt_get(L);
  lua_settop(L, 2);
  if (!limit_open(o) || rt->closed) return 0;
  bool own = scope_is_error(L, 2, &o->scope);
  scope_leave(rt, &o->scope);
  if (own) return raise_own(L, o);
  scope_drop_error(L, &o->scope);
  return 0;
}

/* cancel([reason]): as if the time were up, but not `expired` */
static int l_limit_cancel(lua_State *L) {
  struct scope_object *o = check_limit(L);
  bool open = limit_open(o);
  if (open) scope_cancel_for(L, &o->scope, 2);
  lua_pushboolean(L, open);
  return 1;
}

/* extend(seconds): from now on; false: too late, or left already */
static int l_limit_extend(lua_State *L) {
  struct scope_object *o = check_limit(L);
  lua_Number seconds = luaL_checknumber(L, 2);
  bool open = limit_open(o) && !o->scope.cancelled;
  struct runtime *rt = rt_get(L);
  if (open) set_deadline(L, rt, o, await_until(rt, ns_from_seconds(seconds)));
  lua_pushboolean(L, open);
  return 1;
}

static int l_limit_field(lua_State *L) {
  struct scope_object *o = check_limit(L);
  const char *key = lua_tostring(L, 2);
  if (key && strcmp(key, "expired") == 0) {
    lua_pushboolean(L, o->why != NULL);
    return 1;
  }
  lua_settop(L, 2);
  lua_rawget(L, lua_upvalueindex(2));
  return 1;
}

static int l_limit_tostring(lua_State *L) {
  struct scope_object *o = check_limit(L);
  lua_pushfstring(L, LIMIT_CLASS " (%s)",
                  o->why               ? "expired"
                  : o->scope.cancelled ? "cancelled"
                  : limit_open(o)      ? "open"
                                       : "closed");
  return 1;
}

static int l_limit_gc(lua_State *L) {
  scope_forget(L, &check_limit(L)->scope);
  return 0;
}

/* -- shield -- */

/* Call the function and its arguments, all there is on L, under a shield. */
static int call_shielded(lua_State *L, struct task *t, lua_KFunction k) {
  struct scope_object *o = new_limit(L, SCOPE_SHIELD);
  lua_insert(L, 1);
  scope_enter(t, &o->scope);
  return scope_call(L, k);
}

/* shield(fn, ...): awaits in fn are not cancelled from outside. Allowed in a
 * task that is being cancelled: that is what it is for. */
static int l_shield(lua_State *L) {
  scope_check_function(L, 1, "proa.shield(function() ... end)");
  return call_shielded(L, await_allowed(L), limit_k);
}

/* -- defer -- */

/* defer(fn) -> an object for <close>, which runs fn(err) under a shield */
static int l_defer(lua_State *L) {
  scope_check_function(L, 1,
                       "local _ <close> = proa.defer(function() ... end)");
  lua_settop(L, 1);
  new_object(L, 1, DEFER_CLASS, 1);
  lua_insert(L, 1);
  lua_setiuservalue(L, 1, 1);
  return 1;
}

static int defer_k(lua_State *L, int status, lua_KContext ctx) {
  limit_k(L, status, ctx);
  return 0;
}

/* Where nothing may await (lua_close), it runs all the same. Once. */
static int l_defer_close(lua_State *L) {
  luaL_checkudata(L, 1, DEFER_CLASS);
  lua_settop(L, 2);
  bool waiting = lua_getiuservalue(L, 1, 1) == LUA_TFUNCTION;
  lua_pushnil(L);
  lua_setiuservalue(L, 1, 1);
  if (!waiting) return 0;
  lua_insert(L, 2);
  lua_remove(L, 1);
  if (await_possible(L)) return call_shielded(L, rt_get(L)->current, defer_k);
  lua_call(L, 1, 0);
  return 0;
}

static int l_defer_tostring(lua_State *L) {
  luaL_checkudata(L, 1, DEFER_CLASS);
  lua_getiuservalue(L, 1, 1);
  lua_pushfstring(L, DEFER_CLASS " (%s)", lua_isnil(L, -1) ? "done" : "waits");
  return 1;
}

void open_timeout(lua_State *L) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg limit_methods[] = {{"cancel", l_limit_cancel},
                                           {"extend", l_limit_extend},
                                           {"close", l_limit_close},
                                           {NULL, NULL}};
  static const luaL_Reg limit_meta[] = {{"__close", l_limit_close},
                                        {"__gc", l_limit_gc},
                                        {"__tostring", l_limit_tostring},
                                        {NULL, NULL}};
  static const luaL_Reg defer_meta[] = {{"__close", l_defer_close},
                                        {"__tostring", l_defer_tostring},
                                        {NULL, NULL}};
  static const luaL_Reg functions[] = {{"timeout", l_timeout},
                                       {"deadline", l_deadline},
                                       {"shield", l_shield},
                                       {"defer", l_defer},
                                       {NULL, NULL}};
  make_field_class(L, LIMIT_CLASS, limit_methods, limit_meta, l_limit_field);
  make_class(L, DEFER_CLASS, none, defer_meta);
  add_functions(L, functions);
}
