/* lua_resume.c - the ready queue, and a task from its first resume to its end.
 *
 * What runs at the bottom of its coroutine, where its errors are noted, and
 * what ending it means: to those who await it, its scopes, its group. Also the
 * ends by force, of a task that ignores its cancellation and at lua_close. The
 * loop that asks for it is in lua_executor.c.
 *
 * SPDX-License-Identifier: MIT */
#include <lauxlib.h>
#include <string.h>

#include "lua_fault.h"
#include "lua_scope.h"

enum {
  RESUMES_MAX = 256, /* between two looks at the kernel: fairness */
  STARTS_MAX = 64,   /* coroutines made at once */
  CACHE_LINE = 64,
  STATE_LINES = 4,  /* a lua_State */
  STATE_AHEAD = 5,  /* places in the ready queue; nearer was 5 % dearer, */
  RECORD_AHEAD = 9, /* and farther, for the walk */
};

#define PREFETCH(address) __builtin_prefetch(address)

/* -- its body -- */

static int note_traceback(lua_State *L);

/* Is what raises a scope, with the handler in its place (scope_call)? It may
 * have been somebody's pcall that took what a scope raised again. */
static bool scope_raises(lua_State *L) {
  lua_Debug ar;
  if (!lua_getstack(L, 1, &ar) || !lua_getlocal(L, &ar, 2)) return false;
  bool is = lua_tocfunction(L, -1) == note_traceback;
  lua_pop(L, 1);
  return is;
}

/* Caught by a scope on its way out, and raised again: its traceback is known.
 * The error is at 1, the task at 2. */
static bool traced_before(lua_State *L, struct task *t) {
  bool again = t->rethrown;
  t->rethrown = false;
  if (!again || !scope_raises(L)) return false;
  task_get_extra(L, 2, EXTRA_ERROR);
  return lua_rawequal(L, 1, -1);
}

/* 1 the error, 2 the task, the traceback on top: to that is added where the
 * error comes from, if it is that of a task which was awaited. */
static void add_cause(lua_State *L) {
  task_get_extra(L, 2, EXTRA_CAUSE);
  int idx = lua_gettop(L);
  struct task *cause = task_test(L, idx);
  if (cause) task_get_extra(L, idx, EXTRA_ERROR);
  if (cause && lua_rawequal(L, 1, -1) && lua_isstring(L, idx - 1)) {
    task_push_origin(L, idx, cause);
    lua_pushvalue(L, idx - 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
    lua_replace(L, idx - 1);
  }
  lua_settop(L, idx - 1);
}

/* The traceback of an error, taken where it was raised. A cancellation is not
 * an error and needs none. */
static int note_traceback(lua_State *L) {
  struct runtime *rt = rt_get(L);
  struct task *t = rt->current;
  if (!t || !t->co || is_cancel_error(L, 1)) return 1;
  task_push(L, t);
  if (!traced_before(L, t)) {
    lua_settop(L, 2);
    traceback_push_running(L, 1, t);
    add_cause(L);
    task_set_extra(L, 2, EXTRA_TRACE);
    lua_pushvalue(L, 1);
    task_set_extra(L, 2, EXTRA_ERROR);
  }
  lua_settop(L, 1);
  return 1;
}

void executor_push_handler(lua_State *L) {
  lua_pushcfunction(L, note_traceback);
}

/* Perhaps without having run its <close> variables. */
static void note_lost(struct task *t) {
  if (t->handler) t->rt->lost = true;
}

/* The body has ended: what it returned, or its error, is all that is left. */
static int task_main_k(lua_State *L, int status, lua_KContext ctx) {
  struct task *t = (struct task *)ctx;
  if (t->state != TASK_RUNNING) return 0; /* by other hands than ours */
  if (status == LUA_OK || status == LUA_YIELD)
    t->state = TASK_ENDED;
  else if (scope_is_error(L, -1, &t->base))
    t->state = TASK_CANCELLED;
  else
    t->state = TASK_FAILED;
  if (status == LUA_ERRMEM) note_lost(t);
  if (t->state != TASK_ENDED) return 1;
  return lua_gettop(L) - 2;
}

/* The stack: the task, the handler, the function and its arguments. */
static int task_main(lua_State *L) {
  lua_KContext ctx = (lua_KContext)lua_touserdata(L, 1);
  int nargs = lua_gettop(L) - 3;
  int status = lua_pcallk(L, nargs, LUA_MULTRET, 2, ctx, task_main_k);
  return task_main_k(L, status, ctx);
}

void executor_push_main(lua_State *co, struct task *t) {
  lua_pushcfunction(co, task_main);
  lua_pushlightuserdata(co, t);
  lua_pushcfunction(co, note_traceback);
}

/* The outermost level of a suspended coroutine. */
static void outermost(lua_State *co, lua_Debug *ar) {
  int in = 0, out = 1; /* there is a level `in`, and none `out` */
  for (; lua_getstack(co, out, ar); out *= 2) in = out;
  while (in + 1 < out) {
    int middle = (in + out) / 2;
    if (lua_getstack(co, middle, ar))
      in = middle;
    else
      out = middle;
  }
  lua_getstack(co, in, ar);
}

struct task *executor_task_of(lua_State *L, lua_State *co) {
  lua_Debug ar;
  struct task *t = NULL;
  if (co == L || lua_status(co) != LUA_YIELD || !lua_checkstack(co, 2))
    return NULL;
  outermost(co, &ar);
  lua_getinfo(co, "f", &ar);
  if (lua_tocfunction(co, -1) == task_main && lua_getlocal(co, &ar, 1)) {
    t = lua_touserdata(co, -1);
    lua_pop(co, 1);
  }
  lua_pop(co, 1);
  return t;
}

/* -- its end -- */

/* Nobody awaits it: told at once, and counted against run until somebody
 * does. The group stays alive as long as the count may be taken back. */
void task_report_failure(lua_State *L, struct task *t) {
  struct runtime *rt = t->rt;
  if (!lua_checkstack(L, 8) || (t->co && !lua_checkstack(t->co, 2))) return;
  if (rt->on_error_ref == LUA_NOREF && !t->handler) {
    t->counted = true;
    t->group->unobserved++;
  }
  task_get_extra(L, -1, EXTRA_TRACE);
  if (t->co) {
    lua_pushvalue(t->co, -1);
    lua_xmove(t->co, L, 1);
  } else {
    lua_pushliteral(L, NO_MEMORY);
  }
  lua_insert(L, -2);
  executor_report(L, t);
}

/* Whom the task's end concerns: those who await it, and those who only look
 * (select), who may yet choose another. */
static void note_watchers(struct task *t) {
  list_each(&t->watchers, k) {
    if (container_of(k, struct waiter, link)->looks)
      t->looked_at = true;
    else
      t->observed = true;
  }
}

/* The group is kept by what it may yet be told of: the task. */
static int keep_group(lua_State *L) {
  struct task *t = lua_touserdata(L, 1);
  task_push(L, t);
  object_push(L, t->group);
  task_set_extra(L, -2, EXTRA_GROUP);
  return 0;
}

/* Without memory to keep the group, what is counted stays counted. */
static void note_failure(lua_State *L, struct task *t) {
  if (t->child && nursery_took_failure(L, t)) return;
  lua_pushcfunction(L, keep_group);
  lua_pushlightuserdata(L, t);
  bool kept = lua_pcall(L, 1, 0, 0) == LUA_OK;
  if (!kept) lua_pop(L, 1);
  task_push(L, t);
  if (!t->observed && !t->looked_at) task_report_failure(L, t);
  lua_pop(L, 1);
  if (!kept) t->counted = false;
  t->group_lost = !kept;
}

static void task_finish(lua_State *L, struct task *t) {
  struct runtime *rt = t->rt;
  if (TRACED(rt)) trace_task_end(t);
  note_watchers(t);
  scope_abandon_all(t);
  scope_drop_error(L, &t->base);
  waiter_wake_all(&t->watchers); /* first: they get the result, whatever */
  if (t->state == TASK_FAILED) note_failure(L, t);
  group_leave(t);
  if (t->group_lost) t->group = &rt->root_group;
  link_unlink(&t->all);
  rt->live--;
  rt->tasks_ended++;
  task_unanchor(L, t);
}

/* -- resuming -- */

static void after_resume(lua_State *L, struct task *t, int status, int nres) {
  if (status == LUA_YIELD) {
    if (t->awaiting) return;
    lua_pop(t->co, nres); /* a plain yield: others first, then on */
    task_make_ready(t);
    return;
  }
  if (status != LUA_OK) { /* not even pcall could run */
    t->state = TASK_FAILED;
    note_lost(t);
  }
  if (!task_done(t)) t->state = TASK_ENDED;
  task_finish(L, t);
}

/* The stock coroutine.resume has run it to its end: it is its own task's no
 * more. */
static void task_lost(lua_State *L, struct task *t) {
  lua_settop(t->co, 0);
  lua_pushliteral(t->co, "the task's coroutine was resumed by other hands");
  t->state = TASK_FAILED;
  task_finish(L, t);
}

static struct task *task_ready(struct link *k) {
  return container_of(k, struct task, wait.waiter.link);
}

/* The first of the ready queue and new ones behind it get their coroutines,
 * several before any runs: so the records of their calls, which the first
 * resume of each makes, lie side by side, and the walk over many tasks is over
 * memory that the processor foresees. One that there is no memory for is in no
 * list, and fails alone. */
static void start_some(lua_State *L, struct runtime *rt) {
  struct link *k = list_first(&rt->ready);
  for (int n = 0; k && n < STARTS_MAX; n++) {
    struct task *t = task_ready(k);
    struct link *before = k->prev;
    k = list_next(&rt->ready, k);
    if (t->co) return; /* a burst of new ones stands together */
    link_unlink(&t->wait.waiter.link);
    rt->starting = t;
    task_start(L, t);
    rt->starting = NULL;
    link_between(&t->wait.waiter.link, before, before->next);
  }
}

static void task_resume(lua_State *L, struct task *t) {
  struct runtime *rt = t->rt;
  if (t->started && lua_status(t->co) != LUA_YIELD) {
    task_lost(L, t);
    return;
  }
  int nargs = t->started ? 0 : lua_gettop(t->co) - 1, nres = 0;
  rt->current = t;
  rt->top = t->co;
  beat(&rt->resumes);
  t->started = true;
  t->awaiting = false;
  t->budget = 0;
  t->state = TASK_RUNNING;
  if (TRACED(rt)) trace_task_resume(t);
  int status = lua_resume(t->co, L, nargs, &nres);
  if (TRACED(rt) && status == LUA_YIELD) trace_task_pause(t);
  rt->current = NULL;
  rt->top = NULL;
  after_resume(L, t, status, nres);
}

/* -- ends by force -- */

/* Close the coroutines of a task: those that await inside its own as well,
 * each kept alive on L meanwhile. Their <close> variables run. */
static void close_coroutines(lua_State *L, struct task *t) {
  struct ptrmap *map = &t->rt->inner;
  const void *key;
  while ((key = ptrmap_find(map, t)) && lua_checkstack(L, 4)) {
    lua_State *co = (lua_State *)(uintptr_t)key;
    ptrmap_remove(map, key);
    if (lua_checkstack(co, 1)) {
      lua_pushthread(co);
      lua_xmove(co, L, 1);
    }
    close_thread(co, L);
  }
  close_thread(t->co, L);
}

/* It ignored its cancellation a thousand times: closed without being asked,
 * because nothing else would ever end it. */
static void task_doom(lua_State *L, struct task *t) {
  int top = lua_gettop(L);
  char label[96];
  task_label(t, label, sizeof label);
  close_coroutines(L, t);
  lua_settop(L, top);
  lua_settop(t->co, 0);
  t->state = TASK_CANCELLED;
  if (lua_checkstack(L, 8)) {
    lua_pushfstring(L,
                    "task %s caught its cancellation %d times and went on; "
                    "it was closed",
                    label, (int)t->swallowed);
    lua_pushliteral(L, "");
    executor_report(L, t);
  }
  task_finish(L, t);
}

/* A task is closed, not resumed: its <close> variables run, awaits in them
 * fail. Results and errors have no one left to go to. */
void task_shut(struct runtime *rt, struct task *t) {
  if (t->state == TASK_WAITING) {
    const struct wait_class *c = t->wait.class;
    t->wait.asked = WAIT_CANCELLED;
    if (c->withdraw) c->withdraw(t);
    if (t->state == TASK_WAITING) await_abandon(t);
  }
  link_unlink(&t->wait.waiter.link);
  link_unlink(&t->all);
  link_unlink(&t->member);
  t->state = TASK_CANCELLED;
  int top = lua_gettop(rt->L);
  if (t->started) close_coroutines(rt->L, t);
  lua_settop(rt->L, top);
  scope_abandon_all(t);
}

/* -- the ready queue -- */

/* With many tasks, resuming one is mostly waiting for its memory. What the
 * next few will touch is asked for while this one runs. */
static void prefetch_ready(struct list *ready) {
  struct link *soon = ready->head.next;
  for (int i = 1; i < STATE_AHEAD; i++) soon = soon->next;
  struct link *later = soon;
  for (int i = STATE_AHEAD; i < RECORD_AHEAD; i++) later = later->next;
  for (int i = 0; i < 2; i++) PREFETCH((const char *)later + i * CACHE_LINE);
  if (soon == &ready->head) return;
  const char *co = (const char *)task_ready(soon)->co;
  if (!co) return;
  for (int i = 0; i < STATE_LINES; i++) PREFETCH(co + i * CACHE_LINE);
}

static void run_ready(lua_State *L, struct runtime *rt) {
  for (int n = 0; n < RESUMES_MAX && !rt->interrupted; n++) {
    fault_collect(L);
    struct link *k = list_first(&rt->ready);
    if (!k) return;
    struct task *t = task_ready(k);
    if (!t->co) start_some(L, rt);
    link_unlink(k);
    prefetch_ready(&rt->ready);
    if (t->doomed)
      task_doom(L, t);
    else
      task_resume(L, t);
  }
}

/* Protected, because making a coroutine may fail: that is its task's failure
 * alone. */
static int run_protected(lua_State *L) {
  run_ready(L, lua_touserdata(L, 1));
  return 0;
}

/* true, or an error that is nobody's is left on top. */
static bool run_some(lua_State *L, struct runtime *rt) {
  if (list_empty(&rt->ready)) return true;
  struct runtime *outer = rt_running;
  rt_running = rt;
  lua_pushcfunction(L, run_protected);
  lua_pushlightuserdata(L, rt);
  int status = lua_pcall(L, 1, 0, 0);
  rt_running = outer;
  if (status == LUA_OK) return true;
  struct task *t = rt->starting;
  if (!t) return false;
  lua_pop(L, 1);
  rt->starting = NULL;
  t->state = TASK_FAILED;
  note_lost(t);
  task_drop_start(L, t);
  task_finish(L, t);
  return true;
}

/* Also when none is ready: what memory was short for is tried again. */
bool tasks_run(lua_State *L, struct runtime *rt) {
  bool ran = run_some(L, rt);
  if (rt->lost) served_heal(L, rt);
  return ran;
}
