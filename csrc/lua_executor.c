/* lua_executor.c - the loop.
 *
 * Has the ready tasks run (lua_resume.c), turns the proactor, and notices a
 * program that can't go on. Coroutines are resumed from here and nowhere else:
 * not from a submit, a reap or a finaliser. Awaiting is in lua_await.c, tasks
 * as Lua sees them in lua_task.c, cancelling in lua_scope.c, run() in
 * lua_run.c.
 *
 * SPDX-License-Identifier: MIT */
#include <lauxlib.h>
#include <stdio.h>
#include <string.h>

#include "lua_op.h"
#include "lua_scope.h"

#define SETTLE_NS (7 * NS_PER_S) /* a linger, and some for the kernel */

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
  if (rt->unmade) op_await_drop(rt);
  struct task *saved = rt->current;
  lua_State *saved_top = rt->top;
  bool nested = rt->pumping;
  rt->pumping = true;
  rt->current = NULL;
  rt->top = NULL;
  beat(&rt->runs);
  bool ran = tasks_run(L, rt);
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

/* As luaL_where(L, 1), but never a line of proa's own: where the script called
 * that. */
static void push_where(lua_State *L, const struct runtime *rt) {
  lua_Debug ar;
  bool own = lua_getstack(L, 1, &ar) && lua_getinfo(L, "S", &ar) &&
             traceback_is_own(rt, &ar);
  if (own)
    raise_push_where(L);
  else
    luaL_where(L, 1);
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
    push_where(L, rt);
    lua_insert(L, -2);
    lua_concat(L, 2);
    return lua_error(L);
  }
  if (stop) signals_interrupt(rt, L); /* the result first, then the error */
  return 0;
}

/* -- ending -- */

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
    task_shut(rt, container_of(k, struct task, all));
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
 * The function is the first above the argument `instead` (task_spawn). */
static struct task *spawn(lua_State *L, int instead) {
  struct runtime *rt = rt_open(L);
  if (!lua_isfunction(L, 1)) check_callable(L);
  struct group *g = group_current(rt);
  struct task *t = task_spawn(L, rt, lua_gettop(L) - 1 - instead, g, instead);
  if (g->cancelled && rt->current && task_cancelled_scope(rt->current))
    task_cancel(t);
  return t;
}

static int l_spawn(lua_State *L) {
  spawn(L, 0);
  return 1;
}

/* spawn_handler(handler, fn, ...): the same for serve: its errors are reported
 * and fail no run. When serve itself is a task's function, no line of a script
 * spawns, and the place is the handler's. */
static int l_spawn_handler(lua_State *L) {
  spawn(L, 1)->handler = true;
  return 1;
}

/* The same for who takes each end itself (crew.lua): no error is reported. */
static int l_spawn_member(lua_State *L) {
  spawn(L, 0)->observed = true;
  return 1;
}

void open_executor(lua_State *L) {
  static const luaL_Reg functions[] = {{"sleep", l_sleep},
                                       {"yield", l_yield},
                                       {"now", l_now},
                                       {"spawn", l_spawn},
                                       {"spawn_handler", l_spawn_handler},
                                       {"spawn_member", l_spawn_member},
                                       {NULL, NULL}};
  add_functions(L, functions);
}
