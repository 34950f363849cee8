/* lua_scope.h - scopes that Lua has as objects: what timeouts, shields,
 * nurseries and bound values share.
 *
 * lua_scope.c keeps the stack of them, lua_cancel.c makes their errors. Each
 * kind is a userdata that begins with a struct scope_object and stays on the
 * stack of the C function, or in the <close> variable, that will leave it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_SCOPE_H
#define PROA_LUA_SCOPE_H

#include "lua_core.h"

struct scope_object {
  struct scope scope;
  const lua_State *holder; /* the suspended coroutine it left the stack with */
  struct deadline deadline;
  const char *why; /* reason of its cancellation when none was given, or NULL */
};

static inline struct scope_object *scope_object_of(struct scope *s) {
  assert(s->kind != SCOPE_TASK);
  return container_of(s, struct scope_object, scope);
}

/* A userdata of that class, whose first member is a struct scope_object. */
void *scope_new(lua_State *L, size_t size, const char *name,
                enum scope_kind kind, int uservalues);

/* Call the function and its arguments from index 2 up; the scope's object is
 * at 1. k finds the handler of errors at 2, and what is left above it. */
int scope_call(lua_State *L, lua_KFunction k);
static inline bool scope_call_failed(int status) {
  return status != LUA_OK && status != LUA_YIELD;
}
/* Raise what scope_call caught, on top of L; the traceback that was taken
 * where it was raised first stays. */
int scope_raise(lua_State *L);

/* It can't be left any more: its coroutine is gone. */
void scope_forget(lua_State *L, struct scope *s);

/* The argument at idx must be a function; usage: the right call. */
void scope_check_function(lua_State *L, int idx, const char *usage);

/* Take the reason at idx, unless it is none or the scope has one already. */
void scope_set_reason(lua_State *L, struct scope *s, int idx);
/* Push what, or "what: reason" of the scope's cancellation, or of the error
 * object at idx. */
void scope_push_cancelled(lua_State *L, struct scope *s, const char *what);
void cancel_push_text(lua_State *L, int idx, const char *what);

/* -- task-locals, lua_local.c -- */

/* Give the new task on top of L what the running one has. */
void locals_inherit(lua_State *L, struct task *t);

/* -- nurseries, lua_nursery.c -- */

/* run(fn, ...) inside a task; fn and its arguments are all there is on L. */
int nursery_run(lua_State *L, struct task *t);
/* Its task has left it; its own list is up to date. */
void nursery_left(struct task *t);
/* Its child has failed. false: the failure is anybody's. */
bool nursery_took_failure(lua_State *L, struct task *t);
/* Cancel the tasks and the body. */
void nursery_cancel(struct group *g);
/* Nobody will wait for it; its tasks are cancelled and become heir's. */
void nursery_abandon(struct scope *s, struct runtime *rt, struct group *heir);
struct group *nursery_group(struct scope *s);
struct scope_object *nursery_scope(struct group *g);

#endif
