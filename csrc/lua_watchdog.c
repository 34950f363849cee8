/* lua_watchdog.c - reports a task that does not let go of the loop.
 *
 * A thread looks a few times in the given time whether the same resume still
 * runs; a program that is well gets no signal and pays two stores a turn.
 * When it has taken too long the loop's thread gets SIGURG (by default it is
 * ignored, and no library waits for it), whose handler asks the running
 * coroutine to tell (lua_peek.c): so the report comes with its traceback,
 * while it hogs. A task inside a C function can't be asked: then the handler
 * itself writes one line to stderr, and the report follows when the function
 * returns. A task that goes on is reported again after twice the time.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_watchdog.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lua_core.h"

#define WATCHDOG_CLASS "proa.watchdog"
#define SHORTEST_NS (10 * NS_PER_MS)
#define ANSWER_NS (150 * NS_PER_MS) /* Lua code has answered by then */

enum { LOOKS = 4 }; /* in the time that is allowed */

struct watchdog {
  struct runtime *rt;
  pthread_t thread, loop;
  pthread_mutex_t lock;
  pthread_cond_t wake;
  bool stop; /* under the lock */
  uint64_t limit_ns;
  int fn_ref, self_ref; /* registry; it lives until it is closed */
  unsigned forks;
  /* between the thread and the loop */
  _Atomic(uint64_t) asked;   /* the resume that is to be reported, or 0 */
  atomic_bool blocked;       /* the handler is to write its line */
  _Atomic(uint64_t) hung_ns; /* how long by now */
};

/* The one of this thread's loop, for the handler. */
static _Thread_local struct watchdog *volatile mine;

/* The handler is the process's, put back when the last has ended. */
static pthread_mutex_t handler_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned handler_users;
static struct sigaction handler_before;

/* -- the handler: on the loop's thread -- */

struct line {
  char text[200];
  size_t n;
};

static void add(struct line *l, const char *text) {
  while (*text && l->n < sizeof l->text) l->text[l->n++] = *text++;
}

static void add_number(struct line *l, uint64_t n) {
  char digits[24];
  size_t i = sizeof digits;
  digits[--i] = '\0';
  do digits[--i] = (char)('0' + n % 10);
  while (n /= 10);
  add(l, digits + i);
}

/* snprintf is not for signal handlers. */
static void write_line(const struct watchdog *w, const struct task *t) {
  struct line l = {.n = 0};
  const struct place *at = task_place(t);
  uint64_t ms = atomic_load(&w->hung_ns) / NS_PER_MS;
  add(&l, "proa: task #");
  add_number(&l, t->id);
  add(&l, " (");
  add(&l, at->file);
  add(&l, ":");
  add_number(&l, (uint64_t)at->line);
  add(&l, ") is blocked inside a C function for ");
  add_number(&l, ms / 1000);
  add(&l, ".");
  add_number(&l, ms / 100 % 10);
  add(&l, " s; the loop stands still\n");
  if (write(STDERR_FILENO, l.text, l.n) < 0) return; /* who would be told? */
}

static void on_signal(int signal) {
  struct watchdog *w = mine;
  int saved = errno;
  (void)signal;
  if (!w || rt_gone(w->rt)) return;
  struct task *t = w->rt->current;
  if (t && t->co && atomic_exchange(&w->blocked, false)) write_line(w, t);
  if (t && t->co) peek_ask(w->rt, PEEK_HOG);
  errno = saved;
}

static void handler_take(void) {
  struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigemptyset(&a.sa_mask);
  pthread_mutex_lock(&handler_lock);
  if (handler_users++ == 0) sigaction(SIGURG, &a, &handler_before);
  pthread_mutex_unlock(&handler_lock);
}

static void handler_give(void) {
  pthread_mutex_lock(&handler_lock);
  if (--handler_users == 0) sigaction(SIGURG, &handler_before, NULL);
  pthread_mutex_unlock(&handler_lock);
}

/* -- the thread -- */

/* What it remembers from look to look. */
struct looks {
  uint64_t resume;   /* the last seen */
  uint64_t since_ns; /* that it is seen */
  uint64_t next_ns;  /* hung so long, it is asked (again) */
  uint64_t asked_ns; /* hung so long, it was asked last */
  bool told;         /* of being blocked, since then */
};

static uint64_t resume_of(struct runtime *rt) {
  return atomic_load_explicit(&rt->resumes, memory_order_relaxed);
}

static bool runs(struct runtime *rt) {
  return atomic_load_explicit(&rt->runs, memory_order_relaxed) % 2;
}

static void look(struct watchdog *w, struct looks *k) {
  uint64_t now = resume_of(w->rt), at = clock_ns();
  if (now != k->resume || !runs(w->rt)) {
    *k = (struct looks){now, at, w->limit_ns, 0, false};
    return;
  }
  uint64_t hung = at - k->since_ns;
  if (hung < w->limit_ns) return;
  if (atomic_load(&w->asked) == now) {
    if (k->told || hung < k->asked_ns + ANSWER_NS) return;
    k->told = true;
    atomic_store(&w->hung_ns, hung);
    atomic_store(&w->blocked, true);
    pthread_kill(w->loop, SIGURG);
  } else if (hung >= k->next_ns) {
    k->next_ns = 2 * hung;
    k->asked_ns = hung;
    k->told = false;
    atomic_store(&w->hung_ns, hung);
    atomic_store(&w->asked, now);
    pthread_kill(w->loop, SIGURG);
  }
}

static void *watch(void *arg) {
  struct watchdog *w = arg;
  struct looks k = {.next_ns = w->limit_ns};
  pthread_mutex_lock(&w->lock);
  while (!w->stop) {
    uint64_t until = ns_after(clock_ns(), w->limit_ns / LOOKS);
    struct timespec at = {(time_t)(until / NS_PER_S), (long)(until % NS_PER_S)};
    pthread_cond_timedwait(&w->wake, &w->lock, &at);
    if (!w->stop) look(w, &k);
  }
  pthread_mutex_unlock(&w->lock);
  return NULL;
}

/* -- the report -- */

static void print_report(lua_State *L, const char *label, double seconds) {
  char text[160];
  snprintf(text, sizeof text,
           "proa: task %s has not let go of the loop for "
           "%.1f s\n",
           label, seconds);
  lua_writestringerror("%s", text);
  lua_writestringerror("%s\n", lua_tostring(L, -1));
}

/* watchdog, task: the function gets the task, seconds, traceback */
static int report(lua_State *L) {
  struct watchdog *w = lua_touserdata(L, 1);
  struct task *t = lua_touserdata(L, 2);
  double seconds = (double)atomic_load(&w->hung_ns) / 1e9;
  char label[96];
  task_label(t, label, sizeof label);
  log_say(lua_log_of(w->rt),
          LOG_ENTRY(.level = LOG_LEVEL_WARN, .event = "hog", .task = t->id),
          "task %s has not let go of the loop for %.1f s", label, seconds);
  if (w->fn_ref == LUA_NOREF) {
    task_push_traceback(L, t);
    print_report(L, label, seconds);
    return 0;
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, w->fn_ref);
  task_push(L, t);
  lua_pushnumber(L, seconds);
  task_push_traceback(L, t);
  lua_call(L, 3, 0);
  return 0;
}

void watchdog_answer(lua_State *L, struct runtime *rt) {
  struct watchdog *w = rt->watchdog;
  struct task *t = rt->current;
  if (!w) return;
  uint64_t asked = atomic_load(&w->asked);
  if (!asked || asked != resume_of(rt) || !t || !t->co)
    return; /* it has let go meanwhile */
  lua_pushcfunction(L, report);
  lua_pushlightuserdata(L, w);
  lua_pushlightuserdata(L, t);
  if (lua_pcall(L, 2, 0, 0) != LUA_OK) peek_tell_error(L, "watchdog");
  atomic_store(&w->asked, 0);
}

/* -- starting and ending -- */

/* The copy in a forked child has no thread. */
static void end(lua_State *L, struct watchdog *w) {
  struct runtime *rt = w->rt;
  if (!rt || rt->watchdog != w) return;
  rt->watchdog = NULL;
  mine = NULL;
  luaL_unref(L, LUA_REGISTRYINDEX, w->fn_ref);
  luaL_unref(L, LUA_REGISTRYINDEX, w->self_ref);
  w->fn_ref = w->self_ref = LUA_NOREF;
  if (w->forks != atomic_load(&rt_forks)) return;
  pthread_mutex_lock(&w->lock);
  w->stop = true;
  pthread_cond_signal(&w->wake);
  pthread_mutex_unlock(&w->lock);
  pthread_join(w->thread, NULL);
  pthread_cond_destroy(&w->wake);
  pthread_mutex_destroy(&w->lock);
  handler_give();
}

void watchdog_close(struct runtime *rt) {
  if (rt->watchdog) end(rt->L, rt->watchdog);
}

static int l_close(lua_State *L) {
  end(L, luaL_checkudata(L, 1, WATCHDOG_CLASS));
  return 0;
}

static int l_tostring(lua_State *L) {
  const struct watchdog *w = luaL_checkudata(L, 1, WATCHDOG_CLASS);
  bool on = w->rt && w->rt->watchdog == w;
  lua_pushfstring(L, "proa.watchdog (%f s%s)", (double)w->limit_ns / 1e9,
                  on ? "" : ", closed");
  return 1;
}

/* All signals stay with the loop's thread. */
static int start_thread(struct watchdog *w) {
  pthread_condattr_t monotonic;
  sigset_t all, before;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&w->wake, &monotonic);
  pthread_condattr_destroy(&monotonic);
  pthread_mutex_init(&w->lock, NULL);
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int r = pthread_create(&w->thread, NULL, watch, w);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return r;
}

/* watchdog(seconds[, fn]) -> watchdog; fn(task, seconds, traceback) */
static int l_watchdog(lua_State *L) {
  struct runtime *rt = rt_open(L);
  lua_Number seconds = luaL_checknumber(L, 1);
  luaL_argcheck(L, seconds > 0, 1, "a number of seconds above 0 expected");
  if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  if (rt->watchdog) return luaL_error(L, "there is a watchdog already");
  struct watchdog *w = new_object(L, sizeof *w, WATCHDOG_CLASS, 0);
  uint64_t limit = ns_from_seconds(seconds);
  w->limit_ns = limit < SHORTEST_NS ? SHORTEST_NS : limit;
  w->fn_ref = w->self_ref = LUA_NOREF;
  w->forks = rt->forks;
  w->loop = rt->peek.thread = pthread_self();
  w->rt = rt;
  lua_pushvalue(L, 2);
  w->fn_ref = lua_isnil(L, -1) ? LUA_NOREF : luaL_ref(L, LUA_REGISTRYINDEX);
  lua_settop(L, 3);
  lua_pushvalue(L, 3);
  w->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  int r = start_thread(w);
  if (r != 0) {
    luaL_unref(L, LUA_REGISTRYINDEX, w->self_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, w->fn_ref);
    return push_errno(L, "watchdog", -r);
  }
  rt->watchdog = w;
  mine = w;
  handler_take();
  return 1;
}

void open_watchdog(lua_State *L) {
  static const luaL_Reg methods[] = {{"close", l_close}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", l_close},
                                  {"__close", l_close},
                                  {"__tostring", l_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg functions[] = {{"watchdog", l_watchdog}, {NULL, NULL}};
  make_class(L, WATCHDOG_CLASS, methods, meta);
  add_functions(L, functions);
}
