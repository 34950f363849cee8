/* lua_signal.c - signals: SIGINT while the loop runs, and waiting for some.
 *
 * A handler only counts, wakes the loop, and for SIGINT hooks the coroutine
 * that runs, as the stock interpreter does; everything else happens in the
 * loop. Handlers are the process's: they serve the runtime that pumped or
 * waited last, and the one nested in it if there is one; what was there before
 * is put back when nobody wants the signal any more. Iterating over them:
 * lua_signal_each.c.
 *
 * SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "lua_core.h"
#include "lua_signal.h"
#include "terminal.h"

static struct runtime *volatile served;
static struct sigaction before[SIGNALS_MAX];
static bool installed[SIGNALS_MAX];
static bool guarding;             /* a terminal is to be put back */
static bool guarded[SIGNALS_MAX]; /* by on_fatal */
static volatile sig_atomic_t wanted[SIGNALS_MAX]; /* by how many */

/* -- handlers: async-signal-safe only -- */

static void interrupt_hook(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  struct runtime *rt = served ? served->active : NULL;
  if (!rt || !rt->interrupted) return;
  if (!rt->pumping) rt->interrupted = 0; /* else the loop has to see it too */
  luaL_error(L, "interrupted!");
}

enum { HOOK_ALL = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT };

void signals_interrupt(struct runtime *rt, lua_State *L) {
  rt->interrupted = 1;
  lua_sethook(L, interrupt_hook, HOOK_ALL, 1);
}

static void on_signal(int signal) {
  struct runtime *rt = served;
  if (rt && rt->active != rt) { /* the nested one, and later the outer */
    if (wanted[signal]) rt->pending[signal] = rt->signalled = 1;
    rt = rt->active;
  }
  if (!rt || !rt->open) return;
  lua_State *running = rt->top;
  bool interrupt = signal == SIGINT && (!wanted[SIGINT] || rt->unseen);
  if (wanted[signal]) rt->pending[signal] = rt->signalled = 1;
  if (wanted[signal] && signal == SIGINT) rt->unseen = 1;
  if (interrupt) {
    rt->interrupted = 1;
    if (running) signals_interrupt(rt, running);
  }
  proactor_wake(&rt->proactor);
}

static void ignore_signal(int signal) {
  (void)signal;
}

/* Its default is back by now (SA_RESETHAND): it kills as it would have. */
static void on_fatal(int signal) {
  terminal_restore_all();
  raise(signal);
}

/* In place of ours, or of what is kept in `before` until restore. */
static void install(int signal, void (*handler)(int), int flags) {
  struct sigaction a = {.sa_handler = handler, .sa_flags = flags};
  sigemptyset(&a.sa_mask);
  int r = sigaction(signal, &a, installed[signal] ? NULL : &before[signal]);
  if (r == 0) installed[signal] = true;
}

static void restore(int signal) {
  if (installed[signal]) sigaction(signal, &before[signal], NULL);
  installed[signal] = false;
}

/* -- SIGINT while the loop runs -- */

/* When the module was loaded a handler stood. */
static bool handled_at_first;

static bool is_handler(const struct sigaction *a) {
  return a->sa_handler != SIG_DFL && a->sa_handler != SIG_IGN;
}

/* The stock interpreter's handler gives SIGINT its default back and leaves a
 * hook. When it ran after the last of Lua's instructions, nobody would come
 * to that hook while the loop sleeps. */
static bool came_before(const struct runtime *rt, const struct sigaction *now) {
  return handled_at_first && now->sa_handler == SIG_DFL &&
         lua_gethook(rt->L) != interrupt_hook &&
         lua_gethookmask(rt->L) == HOOK_ALL && lua_gethookcount(rt->L) == 1;
}

/* Only where a handler stands, as the stock interpreter's does: without one
 * the process is to die, ignored it is to go on. */
void signals_pump_begin(struct runtime *rt) {
  struct sigaction now;
  served = rt->main;
  if (installed[SIGINT] || sigaction(SIGINT, NULL, &now) < 0) return;
  if (is_handler(&now)) install(SIGINT, on_signal, 0);
  if (!came_before(rt, installed[SIGINT] ? &before[SIGINT] : &now)) return;
  lua_sethook(rt->L, NULL, 0, 0);
  rt->interrupted = 1;
}

void signals_pump_end(struct runtime *rt) {
  (void)rt;
  if (!wanted[SIGINT] && !guarded[SIGINT]) restore(SIGINT);
}

/* -- signals that kill while a terminal is raw -- */

static const int fatal[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGILL,  SIGTRAP,
                            SIGABRT, SIGBUS,  SIGFPE,  SIGUSR1, SIGSEGV,
                            SIGUSR2, SIGALRM, SIGTERM, SIGXCPU, SIGSYS};

/* Only where the default would kill: whoever handles it has his own way. */
static void guard(int signal) {
  struct sigaction now;
  if (installed[signal])
    now = before[signal];
  else if (sigaction(signal, NULL, &now) < 0)
    return;
  if (now.sa_handler != SIG_DFL) return;
  install(signal, on_fatal, SA_RESETHAND | SA_NODEFER);
  guarded[signal] = true;
}

void signals_guard(bool on) {
  if (on == guarding) return;
  guarding = on;
  for (size_t i = 0; i < countof(fatal); i++) {
    if (on && !wanted[fatal[i]]) guard(fatal[i]);
    if (on || !guarded[fatal[i]]) continue;
    guarded[fatal[i]] = false;
    restore(fatal[i]);
  }
}

static bool is_fatal(int signal) {
  for (size_t i = 0; i < countof(fatal); i++)
    if (fatal[i] == signal) return true;
  return false;
}

/* -- who wants which -- */

void signal_want(struct runtime *rt, int signal) {
  served = rt->main;
  if (wanted[signal]++) return;
  guarded[signal] = false;
  install(signal, on_signal, SA_RESTART);
}

void signal_unwant(struct runtime *rt, int signal) {
  if (--wanted[signal]) return;
  if (guarding && is_fatal(signal)) guard(signal);
  if (!guarded[signal]) restore(signal);
  if (signal == SIGINT && rt->pumping) signals_pump_begin(rt);
}

void signal_seen(struct runtime *rt, int signal) {
  if (signal == SIGINT) rt->unseen = 0;
}

int signal_check_wanted(lua_State *L, int arg) {
  int signal = signal_check(L, arg);
  struct sigaction now;
  bool fault = signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE ||
               signal == SIGILL;
  bool ours = sigaction(signal, NULL, &now) == 0;
  if (signal == SIGKILL || signal == SIGSTOP || fault || !ours)
    luaL_argerror(L, arg, "this signal cannot be waited for");
  return signal;
}

/* From the loop, once for what has come: everybody who wants it gets it. What
 * nobody takes now stays for the next who asks. */
void signals_dispatch(struct runtime *rt) {
  if (!rt->signalled) return;
  rt->signalled = 0; /* before looking: a later one sets it again */
  for (int i = 1; i < SIGNALS_MAX; i++) {
    if (!rt->pending[i]) continue;
    rt->pending[i] = 0;
    rt->signal_kept[i] = rt->signal_waited[i];
    signals_came(rt, i);
  }
  waiter_wake_all(&rt->signal_waiters);
}

/* -- wait -- */

/* The names, as they were written. */
static void describe_signal(struct task *t, char *into, size_t len) {
  lua_State *co;
  size_t n = 0;
  for (int i = 1; n < len && (co = task_argument(t, i)); i++) {
    bool name = lua_type(co, -1) == LUA_TSTRING;
    if (name)
      n += (size_t)snprintf(into + n, len - n, "%s%s", i > 1 ? ", " : "",
                            lua_tostring(co, -1));
    lua_pop(co, 1);
    if (!name) return;
  }
}

static const struct wait_class waits_signal = {
    .verb = "signal", .external = true, .describe = describe_signal};

/* The stack: the names, the absolute limit on top. */
static int wait_go(lua_State *L);

static int wait_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  if (await_end(L) == WAIT_TIMEOUT)
    return push_fail(L, "signal: timed out", "TIMEOUT");
  return wait_go(L);
}

/* Push the first that has come, as it was written. */
static bool take_kept(lua_State *L, struct runtime *rt) {
  signals_dispatch(rt);
  int names = lua_gettop(L) - 1;
  for (int i = 1; i <= names; i++) {
    int signal = signal_check(L, i);
    if (!rt->signal_kept[signal]) continue;
    rt->signal_kept[signal] = false;
    signal_seen(rt, signal);
    lua_pushvalue(L, i);
    return true;
  }
  return false;
}

static int wait_go(lua_State *L) {
  struct task *t = await_begin(L);
  if (take_kept(L, t->rt)) return 1;
  list_push(&t->rt->signal_waiters, &t->wait.waiter.link);
  return await_yield(L, t, &waits_signal, NULL, (uint64_t)lua_tointeger(L, -1),
                     0, wait_k);
}

/* {timeout =} on top, taken; NEVER_NS without one. */
static uint64_t take_limit(lua_State *L) {
  if (!lua_istable(L, -1)) return NEVER_NS;
  uint64_t limit = NEVER_NS;
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    const char *key =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    if (strcmp(key, "timeout") != 0)
      luaL_error(L, "signal: unknown option '%s'", key);
    if (!lua_isnumber(L, -1))
      luaL_error(L, "signal: a limit is a number of seconds");
    limit = ns_from_seconds(lua_tonumber(L, -1));
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  return limit;
}

/* signal_wait(name, ...[, {timeout =}]) -> the name that came | nil, message,
 * TIMEOUT. From the first call on these signals no longer have their default
 * effect, so that none is lost between two calls. */
static int l_wait(lua_State *L) {
  struct runtime *rt = rt_open(L);
  uint64_t limit = take_limit(L);
  int names = lua_gettop(L);
  luaL_argcheck(L, names >= 1, 1, "name of a signal expected");
  luaL_checkstack(L, 4, NULL);
  for (int i = 1; i <= names; i++) signal_check_wanted(L, i);
  for (int i = 1; i <= names; i++) {
    int signal = signal_check(L, i);
    if (!rt->signal_waited[signal]) signal_want(rt, signal);
    rt->signal_waited[signal] = true;
  }
  lua_pushinteger(L, (lua_Integer)await_until(rt, limit));
  return wait_go(L);
}

/* -- SIGPIPE: a write to a closed pipe is an error, not the end. A handler
 * and not SIG_IGN, because exec gives children the default back. -- */

void signals_open(struct runtime *rt) {
  struct sigaction now;
  (void)rt;
  if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL &&
      !installed[SIGPIPE])
    install(SIGPIPE, ignore_signal, SA_RESTART);
}

void signals_close(struct runtime *rt) {
  signals_forget(rt);
  for (int i = 1; i < SIGNALS_MAX; i++)
    if (rt->signal_waited[i]) signal_unwant(rt, i);
  if (served != rt) return;
  served = NULL;
  if (!wanted[SIGINT] && !guarded[SIGINT])
    restore(SIGINT); /* SIGPIPE: others may rely on it */
}

void open_signal(lua_State *L) {
  static const luaL_Reg functions[] = {{"signal_wait", l_wait}, {NULL, NULL}};
  struct sigaction now;
  handled_at_first = sigaction(SIGINT, NULL, &now) == 0 && is_handler(&now);
  add_functions(L, functions);
}
