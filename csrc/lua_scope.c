/* lua_scope.c - the stack of scopes of a task, and calling under one.
 *
 * Cancelling a scope raises its own error object at the task's awaits until
 * the scope is left; whoever catches it can tell whose it was. Of several
 * cancelled scopes the outermost is raised, so that inner ones let it pass. A
 * scope inside a coroutine that yields to its resumer leaves the stack with it
 * (lua_coroutine.c). The kinds are in lua_timeout.c, lua_nursery.c; the error
 * objects in lua_cancel.c.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_scope.h"

/* -- the stack of scopes -- */

struct scope *task_cancelled_scope(struct task *t) {
  struct scope *found = NULL;
  for (struct scope *s = t->scope; s; s = s->outer) {
    if (s->cancelled) found = s;
    if (s->kind == SCOPE_SHIELD) return found; /* outside may be, yet */
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
  const lua_State *holder = scope_object_of(s)->holder;
  if (s->task) {
    unlink_from(&s->task->scope, s);
  } else if (holder) {
    struct scope *top = ptrmap_get(&rt->detached, holder);
    unlink_from(&top, s);
    ptrmap_remove(&rt->detached, holder);
    if (top) ptrmap_set(&rt->detached, holder, top); /* room: just freed */
  }
  s->task = NULL;
  scope_object_of(s)->holder = NULL;
  s->outer = NULL;
}

/* What was swallowed is forgotten when nothing is cancelled any more. */
void scope_leave(struct runtime *rt, struct scope *s) {
  struct task *t = s->task;
  if (rt->open) deadline_clear(&rt->proactor, &scope_object_of(s)->deadline);
  scope_unlink(rt, s);
  if (t && s->cancelled) task_cancelled_scope(t);
}

void scope_abandon_all(struct task *t) {
  while (t->scope != &t->base) {
    struct scope *s = t->scope;
    deadline_clear(&t->rt->proactor, &scope_object_of(s)->deadline);
    scope_unlink(t->rt, s);
    if (s->kind == SCOPE_NURSERY) nursery_abandon(s, t->rt, t->group);
  }
}

/* -- with a coroutine off the stack and back -- */

/* The coroutine has ended: nobody will leave them. */
static void drop(struct task *t, struct scope *below) {
  while (t->scope != below) {
    struct scope *s = t->scope;
    scope_leave(t->rt, s);
    if (s->kind == SCOPE_NURSERY)
      nursery_abandon(s, t->rt, group_current(t->rt));
  }
}

void scope_detach(struct task *t, struct scope *below, const lua_State *co) {
  struct scope *top = t->scope, *s = top;
  if (top == below) return;
  if (!co) {
    drop(t, below);
    return;
  }
  bool kept = ptrmap_set(&t->rt->detached, co, top) == 0;
  for (;; s = s->outer) {
    s->task = NULL;
    scope_object_of(s)->holder = kept ? co : NULL;
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
    scope_object_of(s)->holder = NULL;
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

/* -- as objects -- */

void *scope_new(lua_State *L, size_t size, const char *name,
                enum scope_kind kind, int uservalues) {
  struct scope_object *o = new_object(L, size, name, uservalues);
  o->scope.kind = (uint8_t)kind;
  return o;
}

void scope_forget(lua_State *L, struct scope *s) {
  struct runtime *rt = rt_get(L);
  if (rt->closed) return;
  scope_leave(rt, s);
  scope_drop_error(L, s);
}

void scope_check_function(lua_State *L, int idx, const char *usage) {
  if (lua_isfunction(L, idx)) return;
  const char *got = luaL_typename(L, idx);
  luaL_argerror(
      L, idx,
      lua_pushfstring(L, "expected a function, got %s: write %s", got, usage));
}

int scope_call(lua_State *L, lua_KFunction k) {
  executor_push_handler(L);
  lua_insert(L, 2);
  int nargs = lua_gettop(L) - 3;
  return k(L, lua_pcallk(L, nargs, LUA_MULTRET, 2, 0, k), 0);
}

int scope_raise(lua_State *L) {
  struct task *t = rt_get(L)->current;
  if (t) t->rethrown = true;
  return lua_error(L);
}
