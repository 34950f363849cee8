/* lua_await.c - awaiting: who may, how it suspends, how it ends.
 *
 * Every C function that waits goes through await_begin, await_yield and
 * await_end (lua_task.h). A wait is part of its task's record, so awaiting
 * allocates nothing. The loop that resumes is in lua_executor.c.
 *
 * SPDX-License-Identifier: MIT */
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "lua_core.h"

enum {
  BUDGET = 128,         /* awaits in one resume that need not wait */
  SWALLOWED_MAX = 1000, /* cancellations a task may ignore */
};

/* -- waking -- */

void await_abandon(struct task *t) {
  link_unlink(&t->wait.waiter.link);
  deadline_clear(&t->rt->proactor, &t->wait.limit);
  if (t->wait.class->external) t->rt->external--;
}

void task_make_ready(struct task *t) {
  t->state = TASK_READY;
  if (!task_is_root(t)) list_push(&t->rt->ready, &t->wait.waiter.link);
}

void task_wake(struct task *t, enum wait_end end) {
  assert(t->state == TASK_WAITING && t->wait.end == WAIT_PENDING);
  t->wait.end = (uint8_t)end;
  await_abandon(t);
  if (TRACED(t->rt) && t != t->rt->current) trace_task_wake(t);
  task_make_ready(t);
}

static void wake_waiter(struct waiter *w) {
  task_wake(container_of(w, struct task, wait.waiter), WAIT_READY);
}

/* An op that holds the user's buffer is asked, and wakes when it has ended. */
void task_interrupt(struct task *t, enum wait_end end) {
  if (t->state != TASK_WAITING || t->wait.asked) return;
  t->wait.asked = (uint8_t)end;
  const struct wait_class *c = t->wait.class;
  if (c->withdraw && !c->withdraw(t)) return;
  if (t->state == TASK_WAITING) task_wake(t, end);
}

static uint64_t gives_up_at(struct task *t, uint64_t until_ns) {
  const struct wait_class *c = t->wait.class;
  return c->patience ? min_u64(until_ns, c->patience(t)) : until_ns;
}

/* Something moved meanwhile: it waits on. */
static void limit_over(struct deadline *d) {
  struct task *t = container_of(d, struct task, wait.limit);
  struct proactor *p = &t->rt->proactor;
  uint64_t at = t->wait.class->patience ? gives_up_at(t, t->wait.until_ns) : 0;
  if (at > proactor_now(p) && deadline_at(p, d, at) == 0) return;
  task_interrupt(t, WAIT_TIMEOUT);
}

/* -- may this await? -- */

/* 5.4.4 and later refuse every lua_gc call while a finaliser runs. */
static bool in_finaliser(lua_State *L) {
  return lua_gc(L, LUA_GCCOUNT) == -1;
}

/* The name of the function on top of L in a library, or NULL; `library` is
 * which. */
static const char *library_name(lua_State *L, const char **library) {
  static const char *const libs[] = {"_G",   "string",    "table", "coroutine",
                                     "utf8", "proa.core", NULL};
  const char *name = NULL;
  int fn = lua_gettop(L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (int i = 0; libs[i] && !name; i++) {
    *library = libs[i];
    lua_settop(L, fn + 1);
    if (lua_getfield(L, -1, libs[i]) != LUA_TTABLE) continue;
    for (lua_pushnil(L); !name && lua_next(L, fn + 2); lua_pop(L, 1))
      if (lua_rawequal(L, -1, fn) && lua_type(L, -2) == LUA_TSTRING)
        name = lua_tostring(L, -2);
  }
  lua_settop(L, fn);
  return name;
}

/* Is the function on top of L one of ours? They have the runtime with them,
 * and continuations where they call others. */
static bool is_own(lua_State *L) {
  if (!lua_getupvalue(L, -1, 1)) return false;
  bool own = lua_touserdata(L, -1) == rt_get(L);
  lua_pop(L, 1);
  return own;
}

/* Does the C function on top of L let an await through? But for our
 * coroutine.close, which calls the stock one. */
static bool lets_through(lua_State *L, const char *library, const char *name) {
  static const char *const stock[] = {"pcall", "xpcall", "dofile", "pairs",
                                      NULL};
  if (is_own(L)) return !name || strcmp(library, "coroutine") != 0;
  if (!name || strcmp(library, "_G") != 0) return false;
  for (int i = 0; stock[i]; i++)
    if (strcmp(name, stock[i]) == 0) return true;
  return false;
}

/* What keeps the coroutine from yielding: the nearest C function on its stack
 * that is not known to let an await through, or a hook. */
static const char *find_obstacle(lua_State *L, char *into, size_t len) {
  lua_Debug ar;
  if (!lua_checkstack(L, 8)) return "a C function that cannot yield";
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    const char *library = NULL;
    lua_getinfo(L, "Snf", &ar);
    const char *name = library_name(L, &library);
    bool passes = lets_through(L, library, name);
    lua_pop(L, 1);
    if (strcmp(ar.namewhat, "hook") == 0) return "a debug hook";
    if (!name) name = ar.name;
    if (strcmp(ar.what, "C") != 0 || !name || passes) continue;
    snprintf(into, len, "the C function '%s', which cannot yield", name);
    return into;
  }
  return "a C function or metamethod that cannot yield";
}

static bool in_hook(lua_State *L) {
  lua_Debug ar;
  for (int level = 0; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "n", &ar);
    if (strcmp(ar.namewhat, "hook") == 0) return true;
  }
  return false;
}

static void check_root(lua_State *L) {
  luaL_checkstack(L, 16, "no room to run the loop");
  if (in_finaliser(L)) luaL_error(L, "cannot await in a finaliser (__gc)");
  if (in_hook(L)) luaL_error(L, "cannot await in a debug hook");
}

static void check_task(lua_State *L, struct runtime *rt) {
  char text[120];
  if (L == rt->top && lua_isyieldable(L)) return;
  if (in_finaliser(L)) luaL_error(L, "cannot await in a finaliser (__gc)");
  if (L != rt->top && lua_isyieldable(L))
    luaL_error(L, "cannot await here: this coroutine was not resumed by its "
                  "task, or inside a C function that cannot yield");
  luaL_error(L, "cannot await here: inside %s",
             find_obstacle(L, text, sizeof text));
}

static int raise_cancel(lua_State *L, struct task *t, struct scope *s) {
  t->swallowed++;
  scope_push_error(L, s);
  return lua_error(L);
}

static int raise_cancel_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct task *t = rt_get(L)->current;
  struct scope *s = task_cancelled_scope(t);
  t->state = TASK_RUNNING;
  return s ? raise_cancel(L, t, s) : luaL_error(L, "cancelled");
}

/* It caught its cancellation and awaits again: raised again, but after the
 * others had their turn, so that a loop around pcall starves nobody. */
static void raise_again(lua_State *L, struct task *t, struct scope *s) {
  if (!t->co) {
    if (executor_turn(L, t->rt, false) == TURN_RAISED) lua_error(L);
    raise_cancel(L, t, s);
  }
  if (t->swallowed >= SWALLOWED_MAX) t->doomed = true;
  t->awaiting = true;
  task_make_ready(t);
  lua_yieldk(L, 0, 0, raise_cancel_k);
}

struct task *await_allowed(lua_State *L) {
  struct runtime *rt = rt_open(L);
  struct task *t = rt->current;
  if (!t) luaL_error(L, "cannot await here: no task is running");
  if (t->co)
    check_task(L, rt);
  else
    check_root(L);
  return t;
}

bool await_possible(lua_State *L) {
  struct runtime *rt = rt_get(L);
  struct task *t = rt->current;
  if (rt_gone(rt) || !t) return false;
  if (t->co) return L == rt->top && lua_isyieldable(L);
  return !in_finaliser(L) && !in_hook(L);
}

void await_raise_cancelled(lua_State *L) {
  struct task *t = rt_get(L)->current;
  struct scope *s = task_cancelled_scope(t);
  if (s) raise_cancel(L, t, s);
}

struct task *await_begin_anyway(lua_State *L) {
  struct task *t = await_allowed(L);
  t->wait.waiter.wake = wake_waiter;
  return t;
}

struct task *await_begin(lua_State *L) {
  struct task *t = await_allowed(L);
  struct scope *s = t->maybe_cancelled ? task_cancelled_scope(t) : NULL;
  if (s && t->swallowed == 0) raise_cancel(L, t, s);
  if (s) raise_again(L, t, s);
  t->wait.waiter.wake = wake_waiter;
  return t;
}

/* -- suspending -- */

uint64_t await_until(struct runtime *rt, uint64_t limit_ns) {
  if (limit_ns == NEVER_NS) return NEVER_NS;
  return ns_after(proactor_now(&rt->proactor), limit_ns);
}

static void begin_wait(lua_State *L, struct task *t,
                       const struct wait_class *class, void *subject,
                       uint64_t until_ns) {
  t->wait.class = class;
  t->wait.subject = subject;
  t->wait.end = t->wait.asked = WAIT_PENDING;
  t->wait.began = t->rt->tick;
  t->state = TASK_WAITING;
  if (class->external) t->rt->external++;
  if (class->patience) {
    t->wait.until_ns = until_ns;
    t->wait.since_ns = NEVER_NS;
    until_ns = gives_up_at(t, until_ns);
  }
  if (until_ns == NEVER_NS) return;
  t->wait.limit.fire = limit_over;
  if (deadline_at(&t->rt->proactor, &t->wait.limit, until_ns) == 0) return;
  task_interrupt(t, WAIT_TIMEOUT); /* no memory: as if the time were up */
  (void)L;
}

int await_yield(lua_State *L, struct task *t, const struct wait_class *class,
                void *subject, uint64_t until_ns, lua_KContext ctx,
                lua_KFunction k) {
  begin_wait(L, t, class, subject, until_ns);
  t->awaiting = true;
  if (t->co) return lua_yieldk(L, 0, ctx, k);
  executor_pump(L, t->rt);
  return k(L, LUA_YIELD, ctx);
}

static struct task *resumed_task(lua_State *L) {
  struct runtime *rt = rt_get(L);
  struct task *t = rt->current;
  if (rt->closed || !t || t->awaiting || t->wait.end == WAIT_PENDING ||
      (t->co && L != rt->top))
    luaL_error(L, "a coroutine that awaits was resumed by other hands");
  t->state = TASK_RUNNING;
  return t;
}

static enum wait_end conclude(lua_State *L, struct task *t, enum wait_end end) {
  if (end != WAIT_CANCELLED) return end;
  struct scope *s = task_cancelled_scope(t);
  if (s) raise_cancel(L, t, s);
  luaL_error(L, "cancelled"); /* the scope was left meanwhile, by other hands */
  return end;
}

enum wait_end await_end(lua_State *L) {
  struct task *t = resumed_task(L);
  return conclude(L, t, t->wait.end);
}

/* A result that came all the same is delivered; the cancellation is raised at
 * the next await. */
enum wait_end await_end_op(lua_State *L, int res) {
  struct task *t = resumed_task(L);
  enum wait_end end = t->wait.end;
  if (end == WAIT_READY && res == -ECANCELED && t->wait.asked)
    end = t->wait.asked;
  return conclude(L, t, end);
}

bool await_budget(struct task *t) {
  return ++t->budget < BUDGET;
}

static const struct wait_class waits_turn = {.verb = "yield", .external = true};

int await_reschedule(lua_State *L, struct task *t, lua_KContext ctx,
                     lua_KFunction k) {
  t->budget = 0;
  if (!t->co) {
    if (executor_turn(L, t->rt, false) == TURN_RAISED) lua_error(L);
    t->wait.end = WAIT_READY;
    return k(L, LUA_YIELD, ctx);
  }
  t->wait.class = &waits_turn;
  t->wait.end = WAIT_READY;
  t->wait.asked = WAIT_PENDING;
  t->awaiting = true;
  task_make_ready(t);
  return lua_yieldk(L, 0, ctx, k);
}
