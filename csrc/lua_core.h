/* lua_core.h - the runtime of one Lua state, and what the bindings share.
 *
 * One struct runtime per Lua state, in a userdata that is made first and so
 * finalised last: it owns the proactor, the executor's queues and the root
 * task. It opens at first use, so that `require` costs nothing and setup{}
 * can still choose. Only lua_*.c files may include lua.h, and only they may
 * longjmp. Next: lua_task.h for tasks and awaiting.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_CORE_H
#define PROA_LUA_CORE_H

#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <stdatomic.h>

#include "lua_log.h"
#include "lua_peek.h"
#include "lua_raise.h"
#include "lua_task.h"
#include "lua_trace.h"
#include "lua_watchdog.h"
#include "place.h"
#include "proactor.h"
#include "ptrmap.h"
#include "resolver.h"

#define PROA_VERSION "0.1.0-dev"

enum { SIGNALS_MAX = 65 };

struct runtime {
  /* Of a Lua state there is one; a test may run another inside (lua_nested.h),
   * and the first stands still meanwhile. */
  struct runtime *main;   /* the first: itself, or whom it is nested in */
  struct runtime *active; /* of the first: who is in charge, itself mostly */
  bool aside;             /* it is not in charge: nothing may use its objects */
  lua_Integer objects;    /* nested: made so far */
  lua_State *L;           /* the main thread */
  struct proactor proactor;
  bool open;      /* the proactor is */
  bool closed;    /* lua_close has begun: handles behave as closed */
  unsigned forks; /* of this process when it opened: see O8 */
  struct proactor_options options;
  char driver[16]; /* options.driver points here */
  /* executor */
  struct list ready; /* struct task.wait.waiter.link */
  struct list tasks; /* struct task.all: live, in order of birth */
  unsigned live;
  uint32_t last_id;
  struct task root;
  struct group root_group, *run_group;
  struct task *current;    /* whose code runs; NULL between tasks */
  lua_State *volatile top; /* the coroutine that runs; for the signal hook */
  struct op *unmade;       /* completed, and its values are being made */
  struct ptrmap detached;  /* lua_State -> the scopes it suspended in */
  struct ptrmap inner;   /* lua_State, not its own -> the task awaiting there */
  unsigned inner_wanted; /* coroutines that run and may come to be in it */
  unsigned external;     /* waits that something outside this state may end */
  struct task *starting; /* its coroutine is being made */
  bool lost;             /* memory was short for a handler: served_heal */
  bool pumping;
  bool settling; /* the root only waits for what closes */
  uint64_t settle_until;
  bool stopping;
  struct list loading; /* modules: lua_require.c */
  bool locals;         /* a task-local has been made */
  int live_ref;        /* registry: tasks by slot, so that they stay alive */
  int slots;           /* ever used */
  int free_slot;       /* the table has the next one there; 0: none */
  int class_ref;       /* registry: the metatable of tasks */
  int on_error_ref;    /* registry: the handler, or LUA_NOREF */
  uint64_t tasks_ended;
  _Atomic(uint64_t) resumes; /* the watchdog's thread looks at these two */
  _Atomic(uint64_t) runs;    /* of the ready queue; odd while it runs */
  uint32_t tick;             /* as of the last turn; see TICK_SHIFT */
  struct places places;      /* that spawned tasks */
  char own[256];             /* how the sources of proa's own Lua files begin */
  size_t own_len;            /* 0: not known */
  struct peek peek;
  struct lua_log log;
  struct watchdog *watchdog; /* or NULL */
  struct trace *trace;       /* or NULL */
  /* signals */
  volatile sig_atomic_t interrupted;
  volatile sig_atomic_t pending[SIGNALS_MAX];
  volatile sig_atomic_t signalled; /* some came since the loop looked */
  volatile sig_atomic_t unseen;    /* a SIGINT that nobody has taken */
  struct list signal_waiters;      /* struct waiter: in signal.wait */
  struct list signal_watches;      /* struct signal_watch.link */
  bool signal_waited[SIGNALS_MAX]; /* by signal.wait, some time */
  bool signal_kept[SIGNALS_MAX];   /* came, for the next signal.wait */
  size_t told_bytes;               /* to the collector */
  struct resolver resolver;        /* .p NULL: nobody has asked yet */
};

/* The runtime that is in charge; the module has been opened. Every function
 * that add_functions and make_class register has it as its first upvalue; from
 * others, codecs in libraries of their own among them, it is looked up. */
struct runtime *rt_find(lua_State *L);
/* While tasks run, whose they are: a look-up for less than Lua's own, since
 * nearly all calls come from the coroutine that runs. */
extern _Thread_local struct runtime *rt_running;
static inline struct runtime *rt_get(lua_State *L) {
  struct runtime *rt = rt_running;
  if (rt && rt->top == L) return rt->main->active;
  rt = lua_touserdata(L, lua_upvalueindex(1));
  if (rt && lua_rawlen(L, lua_upvalueindex(1)) == sizeof *rt) return rt->active;
  return rt_find(L);
}
/* Push the first one as it is kept in upvalues. */
void rt_push(lua_State *L);
/* Push a new runtime; open it, or raise; end it as lua_close does. */
struct runtime *runtime_new(lua_State *L);
void runtime_open(lua_State *L, struct runtime *rt);
void runtime_end(lua_State *L, struct runtime *rt);
/* The same, open for use; raises after close or fork or when it can't open. */
struct runtime *rt_open_now(lua_State *L);
extern atomic_uint rt_forks; /* of this process */
static inline struct runtime *rt_open(lua_State *L) {
  struct runtime *rt = rt_get(L);
  bool usable =
      rt->open && !rt->closed &&
      rt->forks == atomic_load_explicit(&rt_forks, memory_order_relaxed);
  return usable ? rt : rt_open_now(L);
}
struct proactor *rt_proactor(lua_State *L);
/* Look at the clock. */
static inline void rt_tick(struct runtime *rt) {
  rt->tick = (uint32_t)(proactor_now(&rt->proactor) >> TICK_SHIFT);
}

/* true: handles of this state are closed for good (lua_close, fork). */
bool rt_gone(const struct runtime *rt);

/* What has been allocated outside Lua's heap since the last time is given to
 * the collector as work; without it, dropped buffers and streams would pile up
 * far beyond that heap (O9). Whoever makes such an object calls it. */
void rt_tell_collector(lua_State *L);

/* -- results -- */

/* nil, "what: text", "ENAME". Returns 3. what NULL: text alone. */
int push_errno(lua_State *L, const char *what, int err);
/* nil, message, code. Returns 3. */
int push_fail(lua_State *L, const char *message, const char *code);

/* An optional limit in seconds at arg: NEVER_NS when nil or absent. */
uint64_t opt_limit(lua_State *L, int arg);

/* A full userdata of that metatable with one user value, zeroed. */
void *new_object(lua_State *L, size_t size, const char *name, int uservalues);

/* So that object_push finds it by its record: the userdata on top of L. The
 * record is freed with it. */
void object_register(lua_State *L, const void *record);
/* Push the userdata of a record that was registered, else nil. */
void object_push(lua_State *L, const void *record);

/* Make a metatable: methods in __index, `meta` beside them. */
void make_class(lua_State *L, const char *name, const luaL_Reg *methods,
                const luaL_Reg *meta);

/* The same with fields: __index is `field`, whose second upvalue is the table
 * of the methods. */
void make_field_class(lua_State *L, const char *name, const luaL_Reg *methods,
                      const luaL_Reg *meta, lua_CFunction field);

/* Take one option of setup{}; the value is on top. false: no such key. */
bool setup_option(lua_State *L, const char *key, struct proactor_options *o,
                  char driver[16]);

/* Release an anchor; the arg is a runtime. Safe without room on any stack. */
void release_anchor(void *rt, int anchor);

/* -- the other files, in luaopen order -- */

void open_executor(lua_State *L); /* run, spawn, tasks, sleep ... */
void open_report(lua_State *L);   /* on_error */
void open_testing(lua_State *L);  /* the simulation */
void open_traceback(lua_State *L);
void open_raise(lua_State *L);   /* where */
void open_insight(lua_State *L); /* tasks */
void open_stats(lua_State *L);
void open_trace(lua_State *L);
void open_peek(lua_State *L); /* dump_signal */
void open_log(lua_State *L);
void open_watchdog(lua_State *L);
void open_task(lua_State *L);
void open_run(lua_State *L);       /* run, stop */
void open_cancel(lua_State *L);    /* is_cancelled */
void open_timeout(lua_State *L);   /* timeout, deadline, shield, defer */
void open_nursery(lua_State *L);   /* scope */
void open_local(lua_State *L);     /* task_local */
void open_coroutine(lua_State *L); /* resume, wrap, close */
void open_require(lua_State *L);   /* require */
void open_future(lua_State *L);
void open_op(lua_State *L);
void open_buffer(lua_State *L);
void open_fd(lua_State *L);
void open_net(lua_State *L);
void open_ready(lua_State *L);
void open_loop(lua_State *L);
void open_passed(lua_State *L);
void open_udp(lua_State *L);
void open_resolve(lua_State *L);
void open_stream(lua_State *L);
void open_served(lua_State *L);
void open_seam(lua_State *L);
void open_listener(lua_State *L);
void open_proactor(lua_State *L);
void open_signal(lua_State *L);
void open_signal_each(lua_State *L);
void open_process(lua_State *L);
void open_process_stdio(lua_State *L);
void open_stdio(lua_State *L);
void open_select(lua_State *L);
void open_watch(lua_State *L);
void open_fs(lua_State *L);
void open_file(lua_State *L);
void open_stream_hold(lua_State *L);
void open_message(lua_State *L);
void open_channel(lua_State *L);
void open_broadcast(lua_State *L);
void open_lock(lua_State *L); /* mutex, semaphore */
void open_sync(lua_State *L); /* event, cond, waitgroup */
void open_rate(lua_State *L);

/* Close a coroutine: its <close> variables run. */
static inline int close_thread(lua_State *co, lua_State *from) {
#if LUA_VERSION_RELEASE_NUM >= 50406
  return lua_closethread(co, from);
#else
  (void)from;
  return lua_resetthread(co);
#endif
}

/* Add functions to the module table on top of the stack. */
static inline void add_functions(lua_State *L, const luaL_Reg *list) {
  rt_push(L);
  luaL_setfuncs(L, list, 1);
}

/* lua_stdio.c: is this process's 0, 1 or 2 what it was given as such? And: the
 * runtime ends. */
bool stdio_was_open(int n);
void stdio_forget(struct runtime *rt);

/* signals, lua_signal.c */
void signals_open(struct runtime *rt);
void signals_close(struct runtime *rt);
void signals_pump_begin(struct runtime *rt);
void signals_pump_end(struct runtime *rt);
void signals_dispatch(struct runtime *rt);
/* Raise "interrupted!" in L as soon as it runs Lua code. */
void signals_interrupt(struct runtime *rt, lua_State *L);

#endif
