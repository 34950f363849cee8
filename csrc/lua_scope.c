/* lua_scope.c - cancellation: scopes, timeout, deadline, shield.
 *
 * A scope is on a task's stack while its function runs. Cancelling one raises
 * its own error object at the task's awaits until the scope is left; whoever
 * catches it can tell whose it was. Of several cancelled scopes the outermost
 * is raised, so that inner ones let it pass. A scope inside a coroutine that
 * yields to its resumer leaves the stack with it (lua_coroutine.c).
 *
 * SPDX-License-Identifier: MIT */
#include <string.h>

#include "lua_core.h"

#define SCOPE_CLASS "proa.scope"
#define CANCEL_CLASS "proa.cancelled"

/* What timeout and shield put on the stack: every scope but a task's own. */
struct scope_object {
  struct scope scope;
  const lua_State *holder; /* the suspended coroutine it left the stack with */
  struct deadline deadline;
};

static struct scope_object *object_of(struct scope *s) {
  return container_of(s, struct scope_object, scope);
}

/* -- the stack of scopes -- */

struct scope *task_cancelled_scope(struct task *t) {
  struct scope *found = NULL;
  for (struct scope *s = t->scope; s; s = s->outer) {
    if (s->cancelled) found = s;
    if (s->shield) return found; /* what is outside may be cancelled yet */
  }
  t->maybe_cancelled = found != NULL;
  if (!found) t->swallowed = 0;
  return found;
}

void scope_enter(struct task *t, struct scope *s) {
  s->outer = t->scope;
  s->task = t;
  t->scope = s;
}

/* Out of the stack that starts at *at, wherever it is in it. */
static void unlink_from(struct scope **at, struct scope *s) {
  while (*at && *at != s) at = &(*at)->outer;
  if (*at) *at = s->outer;
}

static void scope_unlink(struct runtime *rt, struct scope *s) {
  const lua_State *holder = object_of(s)->holder;
  if (s->task) {
    unlink_from(&s->task->scope, s);
  } else if (holder) {
    struct scope *top = ptrmap_get(&rt->detached, holder);
    unlink_from(&top, s);
    ptrmap_remove(&rt->detached, holder);
    if (top) ptrmap_set(&rt->detached, holder, top); /* room: just freed */
  }
  s->task = NULL;
  object_of(s)->holder = NULL;
  s->outer = NULL;
}

/* What was swallowed is forgotten when nothing is cancelled any more. */
void scope_leave(struct runtime *rt, struct scope *s) {
  struct task *t = s->task;
  if (rt->open) deadline_clear(&rt->proactor, &object_of(s)->deadline);
  scope_unlink(rt, s);
  if (t && s->cancelled) task_cancelled_scope(t);
}

void scope_abandon_all(struct task *t) {
  while (t->scope != &t->base) {
    struct scope *s = t->scope;
    deadline_clear(&t->rt->proactor, &object_of(s)->deadline);
    scope_unlink(t->rt, s);
  }
}

/* -- with a coroutine off the stack and back -- */

void scope_detach(struct task *t, struct scope *below, const lua_State *co) {
  struct scope *top = t->scope, *s = top;
  if (top == below) return;
  bool kept = co && ptrmap_set(&t->rt->detached, co, top) == 0;
  for (;; s = s->outer) {
    s->task = NULL;
    object_of(s)->holder = kept ? co : NULL;
    if (s->outer == below) break;
  }
  s->outer = NULL;
  t->scope = below;
}

void scope_attach(struct task *t, const lua_State *co) {
  struct scope *top = ptrmap_get(&t->rt->detached, co), *s = top;
  if (!top) return;
  ptrmap_remove(&t->rt->detached, co);
  for (;; s = s->outer) {
    s->task = t;
    object_of(s)->holder = NULL;
    t->maybe_cancelled |= s->cancelled;
    if (!s->outer) break;
  }
  s->outer = t->scope;
  t->scope = top;
}

void scope_cancel(struct scope *s) {
  struct task *t = s->task;
  s->cancelled = true;
  if (!t) return;
  t->maybe_cancelled = true;
  if (task_cancelled_scope(t)) task_interrupt(t, WAIT_CANCELLED);
}

/* -- the error object -- */

/* Anchored in the registry while the scope may raise it again. */
void scope_push_error(lua_State *L, struct scope *s) {
  if (s->error_ref) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->error_ref);
    return;
  }
  new_object(L, 1, CANCEL_CLASS, 1);
  lua_pushvalue(L, -1);
  s->error_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

void scope_drop_error(lua_State *L, struct scope *s) {
  if (s->error_ref) luaL_unref(L, LUA_REGISTRYINDEX, s->error_ref);
  s->error_ref = 0;
}

bool scope_is_error(lua_State *L, int idx, struct scope *s) {
  if (!s->error_ref || !is_cancel_error(L, idx)) return false;
  void *object = lua_touserdata(L, idx);
  lua_rawgeti(L, LUA_REGISTRYINDEX, s->error_ref);
  bool same = lua_touserdata(L, -1) == object;
  lua_pop(L, 1);
  return same;
}

bool is_cancel_error(lua_State *L, int idx) {
  return luaL_testudata(L, idx, CANCEL_CLASS) != NULL;
}

static int l_is_cancelled(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, is_cancel_error(L, 1));
  return 1;
}

static int cancel_tostring(lua_State *L) {
  lua_getiuservalue(L, 1, 1);
  if (lua_isstring(L, -1))
    lua_pushfstring(L, "cancelled: %s", lua_tostring(L, -1));
  else
    lua_pushliteral(L, "cancelled");
  return 1;
}

/* -- timeout -- */

static void scope_over(struct deadline *d) {
  scope_cancel(&container_of(d, struct scope_object, deadline)->scope);
}

static struct task *scope_task(lua_State *L) {
  return await_begin(L); /* the same rule: only where an await would do */
}

static struct scope *scope_new(lua_State *L) {
  struct scope_object *o = new_object(L, sizeof *o, SCOPE_CLASS, 0);
  o->deadline.fire = scope_over;
  return &o->scope;
}

static struct scope *check_scope(lua_State *L) {
  struct scope_object *o = luaL_checkudata(L, 1, SCOPE_CLASS);
  return &o->scope;
}

/* The stack: 1 the scope; results or an error above it. */
static int scoped_k(lua_State *L, int status, lua_KContext ctx) {
  (void)ctx;
  struct scope *s = check_scope(L);
  bool own =
      status != LUA_OK && status != LUA_YIELD && scope_is_error(L, -1, s);
  scope_leave(rt_get(L), s);
  scope_drop_error(L, s);
  if (own) return push_fail(L, "timed out", "TIMEOUT");
  if (status != LUA_OK && status != LUA_YIELD) return lua_error(L);
  return lua_gettop(L) - 1;
}

/* The function and its arguments from index 2 up, under the scope at 1. */
static int call_scoped(lua_State *L) {
  int nargs = lua_gettop(L) - 2;
  int status = lua_pcallk(L, nargs, LUA_MULTRET, 0, 0, scoped_k);
  return scoped_k(L, status, 0);
}

static void check_function(lua_State *L, int arg, const char *usage) {
  if (lua_isfunction(L, arg)) return;
  const char *got = luaL_typename(L, arg);
  luaL_argerror(
      L, arg,
      lua_pushfstring(L, "expected a function, got %s: write %s", got, usage));
}

static int call_until(lua_State *L, struct task *t, uint64_t until) {
  struct scope *s = scope_new(L);
  lua_replace(L, 1);
  scope_enter(t, s);
  if (deadline_at(&t->rt->proactor, &object_of(s)->deadline, until) < 0) {
    scope_leave(t->rt, s);
    return luaL_error(L, "not enough memory");
  }
  return call_scoped(L);
}

/* timeout(seconds, fn, ...) -> fn's results | nil, "timed out", "TIMEOUT" */
static int l_timeout(lua_State *L) {
  lua_Number seconds = luaL_checknumber(L, 1);
  check_function(L, 2, "proa.timeout(1, conn.read, conn, \"l\")");
  struct task *t = scope_task(L);
  return call_until(L, t, await_until(t->rt, ns_from_seconds(seconds)));
}

/* deadline(time, fn, ...): the same, by proa.now()'s clock. */
static int l_deadline(lua_State *L) {
  lua_Number at = luaL_checknumber(L, 1);
  check_function(L, 2, "proa.deadline(proa.now() + 1, conn.read, conn)");
  return call_until(L, scope_task(L), ns_from_seconds(at));
}

/* shield(fn, ...): awaits in fn are not cancelled from outside. Allowed in a
 * task that is being cancelled: that is what it is for. */
static int l_shield(lua_State *L) {
  check_function(L, 1, "proa.shield(function() ... end)");
  struct task *t = await_allowed(L);
  struct scope *s = scope_new(L);
  s->shield = true;
  lua_insert(L, 1);
  scope_enter(t, s);
  return call_scoped(L);
}

/* Nobody can leave it any more: its coroutine is gone. */
static int scope_gc(lua_State *L) {
  struct scope *s = check_scope(L);
  struct runtime *rt = rt_get(L);
  if (rt->closed) return 0;
  scope_leave(rt, s);
  scope_drop_error(L, s);
  return 0;
}

void open_scope(lua_State *L) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg scope_meta[] = {{"__gc", scope_gc}, {NULL, NULL}};
  static const luaL_Reg cancel_meta[] = {{"__tostring", cancel_tostring},
                                         {NULL, NULL}};
  static const luaL_Reg functions[] = {{"timeout", l_timeout},
                                       {"deadline", l_deadline},
                                       {"shield", l_shield},
                                       {"is_cancelled", l_is_cancelled},
                                       {NULL, NULL}};
  make_class(L, SCOPE_CLASS, none, scope_meta);
  make_class(L, CANCEL_CLASS, none, cancel_meta);
  add_functions(L, functions);
}
