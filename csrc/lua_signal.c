/* lua_signal.c - signals: SIGINT while the loop runs, and waiting for some.
 *
 * A handler only counts, wakes the loop, and for SIGINT hooks the coroutine
 * that runs, as the stock interpreter does; everything else happens in the
 * loop. Handlers are the process's: they serve the runtime that pumped or
 * waited last, and what was there before is put back.
 *
 * SPDX-License-Identifier: MIT */
#include <signal.h>
#include <string.h>

#include "lua_core.h"
#include "lua_signal.h"

static struct runtime *volatile served;
static struct sigaction before[SIGNALS_MAX];
static bool installed[SIGNALS_MAX], waited[SIGNALS_MAX];

/* -- handlers: async-signal-safe only -- */

static void interrupt_hook(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  struct runtime *rt = served;
  if (!rt || !rt->interrupted) return;
  if (!rt->pumping) rt->interrupted = 0; /* else the loop has to see it too */
  luaL_error(L, "interrupted!");
}

void signals_interrupt(struct runtime *rt, lua_State *L) {
  int mask = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT;
  rt->interrupted = 1;
  lua_sethook(L, interrupt_hook, mask, 1);
}

static void on_signal(int signal) {
  struct runtime *rt = served;
  if (!rt || !rt->open) return;
  lua_State *running = rt->top;
  bool interrupt = signal == SIGINT && (!waited[SIGINT] || rt->pending[SIGINT]);
  if (waited[signal]) rt->pending[signal] = rt->signalled = 1;
  if (interrupt) {
    rt->interrupted = 1;
    if (running) signals_interrupt(rt, running);
  }
  proactor_wake(&rt->proactor);
}

static void ignore_signal(int signal) {
  (void)signal;
}

static void install(int signal, void (*handler)(int), int flags) {
  struct sigaction a = {.sa_handler = handler, .sa_flags = flags};
  sigemptyset(&a.sa_mask);
  if (sigaction(signal, &a, &before[signal]) == 0) installed[signal] = true;
}

static void restore(int signal) {
  if (installed[signal]) sigaction(signal, &before[signal], NULL);
  installed[signal] = false;
}

/* -- SIGINT while the loop runs -- */

/* Only where a handler stands, as the stock interpreter's does: without one
 * the process is to die, ignored it is to go on. */
void signals_pump_begin(struct runtime *rt) {
  struct sigaction now;
  served = rt;
  if (installed[SIGINT] || sigaction(SIGINT, NULL, &now) < 0) return;
  if (now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN) return;
  install(SIGINT, on_signal, 0);
}

void signals_pump_end(struct runtime *rt) {
  (void)rt;
  if (!waited[SIGINT]) restore(SIGINT);
}

/* -- waiting for signals -- */

static void wait_for(struct runtime *rt, int signal) {
  served = rt;
  if (waited[signal]) return;
  if (installed[signal]) restore(signal);
  install(signal, on_signal, SA_RESTART);
  waited[signal] = true;
}

/* From the loop, once for what has come: whoever waits looks whether it is
 * theirs. What is nobody's stays pending for the next who asks. */
void signals_dispatch(struct runtime *rt) {
  if (!rt->signalled) return;
  rt->signalled = 0; /* before looking: a later one sets it again */
  waiter_wake_all(&rt->signal_waiters);
}

static const struct wait_class waits_signal = {.verb = "signal",
                                               .external = true};

static int signal_go(lua_State *L);

static int signal_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  await_end(L);
  return signal_go(L);
}

static const char *take_pending(lua_State *L, struct runtime *rt) {
  int top = lua_gettop(L);
  for (int i = 1; i <= top; i++) {
    int signal = signal_check(L, i);
    if (!rt->pending[signal]) continue;
    rt->pending[signal] = 0;
    return lua_tostring(L, i);
  }
  return NULL;
}

static int signal_go(lua_State *L) {
  struct task *t = await_begin(L);
  const char *name = take_pending(L, t->rt);
  if (name) {
    lua_pushstring(L, name);
    return 1;
  }
  list_push(&t->rt->signal_waiters, &t->wait.waiter.link);
  return await_yield(L, t, &waits_signal, NULL, NEVER_NS, 0, signal_k);
}

/* signal_wait(name, ...) -> the name that came. From the first call on these
 * signals no longer have their default effect. */
static int l_wait(lua_State *L) {
  struct runtime *rt = rt_open(L);
  int top = lua_gettop(L);
  luaL_argcheck(L, top >= 1, 1, "name of a signal expected");
  for (int i = 1; i <= top; i++) signal_check(L, i);
  for (int i = 1; i <= top; i++) wait_for(rt, signal_check(L, i));
  return signal_go(L);
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
  if (served != rt) return;
  served = NULL;
  for (int i = 1; i < SIGNALS_MAX; i++) {
    if (i == SIGPIPE) continue; /* other states may rely on it */
    restore(i);
    waited[i] = false;
  }
}

void open_signal(lua_State *L) {
  static const luaL_Reg functions[] = {{"signal_wait", l_wait}, {NULL, NULL}};
  add_functions(L, functions);
}
