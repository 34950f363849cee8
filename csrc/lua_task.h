/* lua_task.h - tasks, waits, scopes, groups: the executor's types.
 *
 * A task is a coroutine that the executor runs. While it awaits, exactly one
 * wait is under way, part of its record, so an await allocates nothing. A
 * scope is what can be cancelled as one (a task, a timeout); a group is what
 * ends together (run). All records are Lua userdata, alive while linked.
 * The one rule of waking: task_wake, once per wait, and it only queues.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_TASK_H
#define PROA_LUA_TASK_H

#include <lua.h>

#include "proactor.h"

struct runtime;
struct task;
struct task_visitor;

/* Times that only people look at are counted in ticks of about 8 ms, which
 * fit for 417 days. The clock is read once in a turn of the loop. */
enum { TICK_SHIFT = 23 };

enum task_state {
  TASK_READY,     /* in the ready queue */
  TASK_RUNNING,   /* its coroutine, or one it resumed, runs */
  TASK_WAITING,   /* awaits; `wait` says what */
  TASK_ENDED,     /* results on its coroutine's stack */
  TASK_FAILED,    /* the error there */
  TASK_CANCELLED, /* its own cancellation unwound it */
};

enum wait_end {
  WAIT_PENDING,
  WAIT_READY,     /* what was awaited came */
  WAIT_TIMEOUT,   /* the wait's own limit */
  WAIT_CANCELLED, /* a scope around it */
};

struct wait_class {
  const char *verb; /* for people: "read" */
  bool external;    /* something outside this Lua state may end it */
  bool settles;     /* in the root, what closes is waited for as well */
  /* Give up; true: withdrawn now; false: it will be woken by the completion
   * that was asked for, and `asked` says why. NULL: unlink, true. */
  bool (*withdraw)(struct task *t);
  /* When it gives up unless something moves until then; asked at the start
   * and whenever that time has come. NULL: only the limit counts. */
  uint64_t (*patience)(struct task *t);
  /* What it waits for, for people; each may be NULL. Asked while it waits, and
   * may find that its subject was closed meanwhile. */
  void (*describe)(struct task *t, char *into, size_t len);
  struct handle *(*handle)(struct task *t); /* or none: NULL */
  const struct op *(*op)(struct task *t);   /* or none: NULL */
  /* Tell of each task that could end it, the whole of them. */
  void (*whom)(struct task *t, struct task_visitor *v);
};

struct task_visitor {
  void (*visit)(struct task_visitor *v, struct task *t);
};

struct wait {
  struct waiter waiter; /* in the list of what is awaited, or, when the task
                           waits for nothing, in the ready queue */
  const struct wait_class *class;
  void *subject;
  struct deadline limit;
  uint64_t until_ns; /* its limit; with patience */
  uint64_t since_ns; /* patience's own: NEVER_NS when the wait begins */
  uint8_t end;       /* enum wait_end */
  uint8_t asked;     /* ... that was asked for and has not happened yet */
  bool other_limit;  /* the last stream that timed out here met another limit
                        than serve's */
  uint32_t began;    /* ticks */
};

enum scope_kind {
  SCOPE_TASK,    /* a task's own, the last of its stack */
  SCOPE_LIMIT,   /* timeout, deadline */
  SCOPE_SHIELD,  /* nothing from outside reaches in */
  SCOPE_NURSERY, /* the body of proa.scope: what it spawns ends with it */
  SCOPE_BINDING, /* a task-local has another value in it */
};

/* Something that can be cancelled as one. A stack, innermost first; all but a
 * task's own are objects (lua_scope.h). */
struct scope {
  struct scope *outer;
  struct task *task; /* whose stack it is on; NULL: on none */
  bool cancelled;
  uint8_t kind;  /* enum scope_kind */
  int error_ref; /* registry: its error object, once made; 0: not yet */
};

/* Tasks that end together: those of a run, a nursery, or the main chunk. */
struct group {
  struct list members; /* struct task.member */
  unsigned foreground; /* members that are waited for */
  unsigned total;
  unsigned unobserved;    /* errors that nobody has seen */
  struct list waiters;    /* woken when the last has ended */
  struct waiter main_end; /* learns how `main` ended */
  struct task *main;      /* run's fn */
  bool nursery;           /* part of one: lua_nursery.c */
  bool cancelled;         /* all of it, so what is spawned yet is, too */
};

/* What every resume and await touches comes first. Its userdata has one user
 * value: the coroutine, or before there is one the function to run, or a table
 * of that and of what few tasks have. */
struct task {
  struct wait wait;
  lua_State *co; /* NULL: the root, or not made yet */
  struct runtime *rt;
  struct scope *scope; /* the innermost */
  uint8_t state;
  bool awaiting; /* the runtime's own yield is under way */
  bool started, background, observed, doomed;
  bool counted;         /* in group->unobserved */
  bool looked_at;       /* select was watching when it failed */
  bool handler;         /* its failure is nobody's */
  bool child;           /* of a nursery, which takes its failure */
  bool locals;          /* it has values of task-locals */
  bool rethrown;        /* the error that is raised next was caught above it */
  bool group_lost;      /* could not keep it when it failed */
  bool maybe_cancelled; /* some scope of it is, or was */
  uint16_t budget;      /* awaits satisfied without yielding */
  unsigned swallowed;   /* cancellations raised and caught */
  uint32_t id;
  int slot;       /* in runtime.live_ref; 0: the root */
  uint32_t place; /* that spawned it: place.h */
  struct link all, member;
  struct group *group;
  struct list watchers; /* struct waiter: who awaits this task */
  struct scope base;
  const char *name; /* kept by its table; NULL: none */
  uint32_t by;      /* the id of the task that spawned it; 0: the root */
  uint32_t born;    /* ticks */
};

#define TASK_CLASS "proa.task"
#define NO_MEMORY "not enough memory"

/* What is kept in a task's table, by number. */
enum task_extra {
  EXTRA_CO = 1,
  EXTRA_TRACE, /* where its last error was raised, */
  EXTRA_ERROR, /* and that error */
  EXTRA_CAUSE, /* the failed task that it awaited last */
  EXTRA_GROUP,
  EXTRA_LOCALS, /* lua_local.c */
  EXTRA_NAME
};

/* -- awaiting, for C functions that Lua calls -- */

/* May this await? Raises when not. */
struct task *await_allowed(lua_State *L);

/* The same, and raises when it was cancelled. Nothing has been submitted
 * before. */
struct task *await_begin(lua_State *L);

/* The same, for a wait that a cancellation can't end. */
struct task *await_begin_anyway(lua_State *L);
/* Would await_allowed raise? */
bool await_possible(lua_State *L);
/* Raise the cancellation that has reached the task, if one has. */
void await_raise_cancelled(lua_State *L);

/* Suspend: t->wait.waiter is in the subject's list, or will be woken by
 * other means. Returns k's results; k must call await_end first. */
int await_yield(lua_State *L, struct task *t, const struct wait_class *class,
                void *subject, uint64_t until_ns, lua_KContext ctx,
                lua_KFunction k);

/* How the wait ended: WAIT_READY or WAIT_TIMEOUT. Raises the cancellation. */
enum wait_end await_end(lua_State *L);
/* The same where the op's own result says whether it was in time. */
enum wait_end await_end_op(lua_State *L, int res);

/* Satisfied without yielding: true while the budget lasts. When false, do
 * `return await_reschedule(...)`: others get their turn, then k. */
bool await_budget(struct task *t);
int await_reschedule(lua_State *L, struct task *t, lua_KContext ctx,
                     lua_KFunction k);

/* The wait is over and nobody will be woken: off all lists. */
void await_abandon(struct task *t);

/* Absolute time of a relative limit. */
uint64_t await_until(struct runtime *rt, uint64_t limit_ns);

/* -- tasks -- */

/* Function and nargs arguments on top of L are taken; pushes the task. For
 * `instead` see traceback_find_place. */
struct task *task_spawn(lua_State *L, struct runtime *rt, int nargs,
                        struct group *group, int instead);
void task_wake(struct task *t, enum wait_end end);
/* Ask its wait to end this way, if it waits. */
void task_interrupt(struct task *t, enum wait_end end);
void task_cancel(struct task *t);
/* Report the failure of the task that is on top of L. */
void task_report_failure(lua_State *L, struct task *t);
struct task *task_test(lua_State *L, int arg);
static inline bool task_done(const struct task *t) {
  return t->state >= TASK_ENDED;
}
/* Somebody has seen how it ended. */
void task_observe(struct task *t);
/* Push "\nraised in task ...", with the traceback of its failure: what is
 * added to a message. idx: the task's own. */
void task_push_origin(lua_State *L, int idx, struct task *t);
/* Push its results as t:await returns them; raises its error. */
int task_push_results(lua_State *L, struct task *t);
/* Make the coroutine of a task that was spawned without arguments; raises
 * when there is no memory. */
void task_start(lua_State *L, struct task *t);
/* It could not be made: the function and its arguments are nobody's. */
void task_drop_start(lua_State *L, struct task *t);
/* Its coroutine gets the hook that debug.sethook has set in `from`, the main
 * thread: a tool that looks at every line (coverage, a debugger) can't see it
 * made. */
void task_inherit_hook(lua_State *L, lua_State *co, lua_State *from);
/* Push its record; it is live. */
void task_push(lua_State *L, struct task *t);
/* It has ended: out of the table of live ones. Needs two places on L. */
void task_unanchor(lua_State *L, struct task *t);
/* Take the value on top into the table of the task at idx. */
void task_set_extra(lua_State *L, int idx, enum task_extra what);
/* Push it, or nil. */
void task_get_extra(lua_State *L, int idx, enum task_extra what);
/* It is in no list: into the ready queue. */
void task_make_ready(struct task *t);
static inline bool task_is_root(const struct task *t) {
  return !t->slot;
}
/* Text: "#3 name (file:line)". */
void task_label(const struct task *t, char *into, size_t len);
const char *task_state_name(const struct task *t);
/* The line that spawned it. */
const struct place *task_place(const struct task *t);

/* -- tracebacks: without the runtime's own frames, and with descent -- */

/* Push a traceback of where a live task is; its own code may be running. */
void task_push_traceback(lua_State *L, struct task *t);
/* Push one of what runs on L, from that level on, for the task it is. */
void traceback_push_running(lua_State *L, int level, struct task *t);
/* The live task of that id, the root for 0, or NULL: it has ended, or it would
 * take long to find it. */
struct task *task_find(struct runtime *rt, uint32_t id);
/* Push the nth argument of the C function that t waits in, on the coroutine
 * where it waits, which is returned; NULL: nothing was pushed. For describe
 * and whom, when the subject does not tell. */
lua_State *task_argument(struct task *t, int n);
/* The line where a live task is, outside the runtime's own code: "file:line";
 * "" when it has not started. */
void task_where(lua_State *L, struct task *t, char *into, size_t len);
/* The nearest Lua function on L outside the runtime's own code, or else where
 * the function at `instead` (0: none) is defined; false: neither. Fills what
 * "Sl" asks for. */
bool traceback_find_place(lua_State *L, const struct runtime *rt, int instead,
                          lua_Debug *ar);

/* Is it a function of lua/proa? ar: "S" is filled. */
bool traceback_is_own(const struct runtime *rt, const lua_Debug *ar);
/* Take the function on top and push its public name: "proa.sleep", of a method
 * "read". false: it has none, and nothing is pushed. */
bool traceback_push_name(lua_State *L);

/* -- the ready queue: lua_resume.c -- */

/* Run those that are ready, a bounded number. false: an error that is no
 * task's is left on top. */
bool tasks_run(lua_State *L, struct runtime *rt);
/* Handlers of serve have ended for lack of memory: their places are given up.
 * lua_served.c; raises nothing. */
void served_heal(lua_State *L, struct runtime *rt);
/* At lua_close: it is closed, and nobody is told. */
void task_shut(struct runtime *rt, struct task *t);

/* -- executor -- */

void executor_init(struct runtime *rt);
/* Push onto a new coroutine what its first resume runs, the function and its
 * arguments still to follow. */
void executor_push_main(lua_State *co, struct task *t);
/* Push the message handler that notes where an error was raised. */
void executor_push_handler(lua_State *L);
/* The task whose own coroutine this is, which is suspended, or NULL. */
struct task *executor_task_of(lua_State *L, lua_State *co);
/* Run tasks and I/O once; the caller is the root. 0, -errno: the driver broke,
 * TURN_RAISED: an error that is no task's is on top. */
enum { TURN_RAISED = 1 };
int executor_turn(lua_State *L, struct runtime *rt, bool wait);
/* The same for a loop around this one, which waits for more until until_ns (0:
 * does not); what has become ready by that runs as well. */
int executor_step(lua_State *L, struct runtime *rt, uint64_t until_ns);
/* Run the loop until the root's wait has ended; raises what ended it by
 * force. */
int executor_pump(lua_State *L, struct runtime *rt);
/* lua_close: end every task, without resuming any. */
void executor_shutdown(struct runtime *rt);
/* Hand an error that nobody awaits to proa.on_error; error and traceback on
 * top of L, both taken. */
void executor_report(lua_State *L, struct task *t);
/* Push what keeps the program from going on: who waits for whom. */
void executor_push_deadlock(lua_State *L, struct runtime *rt);

/* -- groups -- */

void group_init(struct group *g);
/* Whose member becomes what is spawned now. */
struct group *group_current(struct runtime *rt);
void group_join(struct group *g, struct task *t);
void group_leave(struct task *t); /* it has ended */
void group_cancel(struct group *g);
void group_check(struct group *g); /* cancel the background when due */
/* Its members are cancelled and become heir's. */
void group_disband(struct runtime *rt, struct group *g, struct group *heir);
/* `me` waits until the last has ended. */
int group_wait(lua_State *L, struct task *me, const struct wait_class *class,
               struct group *g, lua_KContext ctx, lua_KFunction k);
/* For the wait's class: what is waited for. */
void group_describe(struct task *t, char *into, size_t len);
void group_whom(struct task *t, struct task_visitor *v);
/* Was it ended by stop? Asked once, when it has ended. */
bool group_stopped(struct runtime *rt, struct group *g);
/* Raise that some have failed and nobody awaited them; else return. */
void group_check_unobserved(lua_State *L, struct group *g);

/* -- scopes -- */

/* The outermost cancelled scope that reaches t, or NULL. */
struct scope *task_cancelled_scope(struct task *t);
void scope_enter(struct task *t, struct scope *s);
void scope_leave(struct runtime *rt, struct scope *s);
void scope_cancel(struct scope *s);
/* The task has ended with scopes that nobody left: they are on no stack. */
void scope_abandon_all(struct task *t);
/* The scopes above `below` leave with co; come back with it. */
void scope_detach(struct task *t, struct scope *below, const lua_State *co);
void scope_attach(struct task *t, const lua_State *co);
/* Push the scope's error object. */
void scope_push_error(lua_State *L, struct scope *s);
void scope_drop_error(lua_State *L, struct scope *s);
/* Is the value at idx the error of this scope? */
bool scope_is_error(lua_State *L, int idx, struct scope *s);
bool is_cancel_error(lua_State *L, int idx);
/* Cancel for a reason, a string at idx; nil and none: for none. */
void scope_cancel_for(lua_State *L, struct scope *s, int idx);

#endif
