/* lua_executor.c - the ready queue and the loop.
 *
 * Runs tasks, turns the proactor, and explains a program that can't go on.
 * Coroutines are resumed here and nowhere else: not from a submit, a reap or a
 * finaliser. Awaiting is in lua_await.c, tasks as Lua sees them in lua_task.c,
 * cancelling in lua_scope.c, run() in lua_run.c.
 *
 * SPDX-License-Identifier: MIT */
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "lua_scope.h"

#define SETTLE_NS (7 * NS_PER_S) /* a linger, and some for the kernel */

enum {
  RESUMES_MAX = 256, /* between two looks at the kernel: fairness */
  CACHE_LINE = 64,
  STATE_LINES = 4,  /* a lua_State */
  STATE_AHEAD = 5,  /* places in the ready queue; nearer was 5 % dearer, */
  RECORD_AHEAD = 9, /* and farther, for the walk */
};

#define PREFETCH(address) __builtin_prefetch(address)

void executor_init(struct runtime *rt) {
  list_init(&rt->ready);
  list_init(&rt->tasks);
  group_init(&rt->root_group);
  struct task *root = &rt->root;
  link_init(&root->all);
  link_init(&root->member);
  link_init(&root->wait.waiter.link);
  list_init(&root->watchers);
  root->rt = rt;
  root->group = &rt->root_group;
  root->scope = &root->base;
  root->base.task = root;
  root->state = TASK_RUNNING;
  rt->current = root;
}

/* -- running tasks -- */

/* Caught by a scope on its way out, and raised again: its traceback is known.
 * The error is at 1, the task at 2. */
static bool traced_before(lua_State *L, struct task *t) {
  bool again = t->rethrown;
  t->rethrown = false;
  if (!again) return false;
  task_get_extra(L, 2, EXTRA_ERROR);
  return lua_rawequal(L, 1, -1);
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

static void after_resume(lua_State *L, struct task *t, int status, int nres) {
  if (status == LUA_YIELD) {
    if (t->awaiting) return;
    lua_pop(t->co, nres); /* a plain yield: others first, then on */
    task_make_ready(t);
    return;
  }
  if (status != LUA_OK) t->state = TASK_FAILED; /* not even pcall could run */
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

static void task_resume(lua_State *L, struct task *t) {
  struct runtime *rt = t->rt;
  if (t->started && lua_status(t->co) != LUA_YIELD) {
    task_lost(L, t);
    return;
  }
  if (!t->co) {
    rt->starting = t;
    task_start(L, t);
    rt->starting = NULL;
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

static struct task *task_ready(struct link *k) {
  return container_of(k, struct task, wait.waiter.link);
}

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
    struct link *k = list_pop(&rt->ready);
    if (!k) return;
    struct task *t = task_ready(k);
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
static bool run_tasks(lua_State *L, struct runtime *rt) {
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
  task_finish(L, t);
  return true;
}

/* -- the loop -- */

/* Nothing outside can make anything ready any more. */
static bool isolated(const struct runtime *rt) {
  return rt->root.state == TASK_WAITING && list_empty(&rt->ready) &&
         !rt->external && !rt->proactor.deadlines.len &&
         list_empty(&rt->proactor.lingering);
}

/* Nor is there anything left that streams in memory have to move. */
static bool deadlocked(const struct runtime *rt) {
  if (rt->proactor.driver->stuck) return true;
  return isolated(rt) && list_empty(&rt->proactor.works) &&
         list_empty(&rt->proactor.hooks);
}

/* Is there anything to wait for, when no task is ready? Whether the root waits
 * is asked after tasks have run: one of them may have ended its wait. */
static bool may_idle(const struct runtime *rt, bool stepping) {
  const struct proactor *p = &rt->proactor;
  if (!list_empty(&rt->ready) || rt->interrupted || isolated(rt)) return false;
  if (stepping) return rt->external || p->deadlines.len || p->inflight;
  return rt->root.state == TASK_WAITING || rt->settling;
}

static int turn(lua_State *L, struct runtime *rt, bool wait,
                uint64_t step_until_ns) {
  struct task *saved = rt->current;
  lua_State *saved_top = rt->top;
  bool nested = rt->pumping;
  rt->pumping = true;
  rt->current = NULL;
  rt->top = NULL;
  beat(&rt->runs);
  bool ran = run_tasks(L, rt);
  beat(&rt->runs);
  bool idle = ran && wait && may_idle(rt, step_until_ns != 0);
  uint64_t until = step_until_ns  ? step_until_ns
                   : rt->settling ? rt->settle_until
                                  : NEVER_NS;
  uint64_t from = TRACED(rt) ? trace_now(rt) : 0;
  int r = proactor_turn(&rt->proactor, idle ? until : 0);
  if (TRACED(rt) && from) trace_turn(rt, from);
  rt_tick(rt);
  signals_dispatch(rt);
  if (rt->peek.asked) peek_answer(L, rt);
  if (rt->log.n) lua_log_flush(L, rt);
  rt->pumping = nested;
  rt->current = saved;
  rt->top = saved_top;
  return ran ? r : TURN_RAISED;
}

int executor_turn(lua_State *L, struct runtime *rt, bool wait) {
  return turn(L, rt, wait, 0);
}

int executor_step(lua_State *L, struct runtime *rt, uint64_t until_ns) {
  int r = turn(L, rt, until_ns != 0, until_ns);
  return r == 0 ? turn(L, rt, false, 0) : r;
}

/* runtime, whether it was interrupted -> what is raised */
static int forced_message(lua_State *L) {
  if (lua_toboolean(L, 2))
    lua_pushliteral(L, "interrupted!");
  else
    executor_push_deadlock(L, lua_touserdata(L, 1));
  return 1;
}

/* The root's wait is over by force; what it waits for may have to end first
 * (a group is drained, a lent buffer comes back). Pushes the message, or that
 * there is no memory for it, unless it is there already. */
static void force(lua_State *L, struct runtime *rt, bool raised) {
  if (!raised) {
    lua_pushcfunction(L, forced_message);
    lua_pushlightuserdata(L, rt);
    lua_pushboolean(L, rt->interrupted);
    (void)lua_pcall(L, 2, 1, 0);
  }
  rt->interrupted = 0;
  rt->proactor.driver->stuck = false;
  task_interrupt(&rt->root, WAIT_CANCELLED);
}

/* run waits for what closes in the background. Lingering streams have limits
 * of their own; what the kernel does not give back in time is left to
 * lua_close, which waits once more. */
static bool settling(struct runtime *rt, const struct wait_class *class) {
  struct proactor *p = &rt->proactor;
  bool was = rt->settling;
  rt->settling = class->settles && rt->root.state != TASK_WAITING &&
                 (p->ending || !list_empty(&p->lingering));
  if (!rt->settling) return false;
  if (!was) rt->settle_until = ns_after(proactor_now(p), SETTLE_NS);
  return proactor_now(p) < rt->settle_until;
}

/* Turns until the root's wait has ended. An interrupt, a deadlock or an error
 * that is nobody's (memory) ends it and is raised from here; a second one
 * leaves at once. */
int executor_pump(lua_State *L, struct runtime *rt) {
  struct task *root = &rt->root;
  const struct wait_class *class = root->wait.class;
  int forced = 0, r = 0;
  signals_pump_begin(rt);
  while (r >= 0 && (root->state == TASK_WAITING || settling(rt, class))) {
    if (rt->interrupted || deadlocked(rt)) {
      if (forced || !lua_checkstack(L, 8)) break;
      force(L, rt, false);
      forced = lua_gettop(L);
      continue;
    }
    r = executor_turn(L, rt, true);
    if (r != TURN_RAISED) continue;
    if (forced) break;
    forced = lua_gettop(L);
    force(L, rt, true);
  }
  bool stop = rt->interrupted;
  rt->interrupted = 0;
  rt->settling = false;
  signals_pump_end(rt);
  if (root->state == TASK_WAITING) task_wake(root, WAIT_CANCELLED);
  root->awaiting = false;
  root->state = TASK_RUNNING;
  if (r < 0) return luaL_error(L, "the I/O driver failed: %s", strerror(-r));
  if (forced) {
    rt->run_group = NULL;
    rt->stopping = false;
    lua_settop(L, forced);
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
    return lua_error(L);
  }
  if (stop) signals_interrupt(rt, L); /* the result first, then the error */
  return 0;
}

/* -- ending -- */

/* A task is closed, not resumed: its <close> variables run, awaits in them
 * fail. Results and errors have no one left to go to. */
static void shut_task(struct runtime *rt, struct task *t) {
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

/* What nobody ended in time is told. */
static void say_leaks(struct runtime *rt) {
  struct log *log = lua_log_of(rt);
  if (!log) return;
  list_each(&rt->tasks, k) {
    struct task *t = container_of(k, struct task, all);
    char label[96];
    task_label(t, label, sizeof label);
    log_say(log,
            LOG_ENTRY(.level = LOG_LEVEL_WARN, .event = "leak", .task = t->id),
            "task %s had not ended when its Lua state was closed", label);
  }
  lua_log_flush(rt->L, rt);
}

void executor_shutdown(struct runtime *rt) {
  struct link *k;
  rt->current = NULL;
  say_leaks(rt);
  trace_close(rt);
  while ((k = list_first(&rt->tasks)))
    shut_task(rt, container_of(k, struct task, all));
}

/* -- what Lua sees -- */

static int sleep_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  await_end(L);
  return 0;
}

static const struct wait_class waits_sleep = {.verb = "sleep",
                                              .external = true};

static int l_sleep(lua_State *L) {
  lua_Number seconds = luaL_checknumber(L, 1);
  luaL_argcheck(L, seconds == seconds, 1, "not a number");
  struct task *t = await_begin(L);
  uint64_t until = await_until(t->rt, ns_from_seconds(seconds));
  return await_yield(L, t, &waits_sleep, NULL, until, 0, sleep_k);
}

/* Without a continuation: what is resumed has nothing left to ask. */
static int l_yield(lua_State *L) {
  struct task *t = await_begin(L);
  if (!t->co) return await_reschedule(L, t, 0, sleep_k);
  t->wait.end = WAIT_READY;
  t->awaiting = true;
  task_make_ready(t);
  return lua_yield(L, 0);
}

static int l_now(lua_State *L) {
  lua_pushnumber(L, (lua_Number)proactor_now(rt_proactor(L)) / 1e9);
  return 1;
}

static void check_callable(lua_State *L) {
  luaL_checkany(L, 1);
  if (!luaL_getmetafield(L, 1, "__call")) luaL_typeerror(L, 1, "function");
  lua_pop(L, 1);
}

/* spawn(fn, ...): joins the group of the task that spawns. In one that was
 * cancelled it is cancelled as well, but under a shield: a cleanup may spawn.
 */
static struct task *spawn(lua_State *L) {
  struct runtime *rt = rt_open(L);
  if (!lua_isfunction(L, 1)) check_callable(L);
  struct group *g = group_current(rt);
  struct task *t = task_spawn(L, rt, lua_gettop(L) - 1, g);
  if (g->cancelled && rt->current && task_cancelled_scope(rt->current))
    task_cancel(t);
  return t;
}

static int l_spawn(lua_State *L) {
  spawn(L);
  return 1;
}

/* The same for serve: its errors are reported and fail no run. */
static int l_spawn_handler(lua_State *L) {
  spawn(L)->handler = true;
  return 1;
}

void open_executor(lua_State *L) {
  static const luaL_Reg functions[] = {{"sleep", l_sleep},
                                       {"yield", l_yield},
                                       {"now", l_now},
                                       {"spawn", l_spawn},
                                       {"spawn_handler", l_spawn_handler},
                                       {NULL, NULL}};
  add_functions(L, functions);
}
