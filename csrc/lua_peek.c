/* lua_peek.c - asks the code that runs, from a signal handler, to tell.
 *
 * A handler can't look into a Lua state. It sets a debug hook in the coroutine
 * that runs, as the stock interpreter does for SIGINT; the hook puts back what
 * was there and answers, with that code's stack still on it. A loop that
 * sleeps is woken and answers itself. Here is also the signal that asks for
 * proa.dump(); the watchdog, which asks as well, is lua_watchdog.c.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_peek.h"

#include <errno.h>
#include <string.h>

#include "lua_core.h"

static struct runtime *volatile dumped; /* whom the signal is for */
static struct sigaction dump_before;

/* -- asking -- */

static void peek_hook(lua_State *L, lua_Debug *ar) {
  struct runtime *rt = rt_find(L);
  (void)ar;
  lua_sethook(L, rt->peek.hook, rt->peek.mask, rt->peek.count);
  peek_answer(L, rt);
}

static void set_hook(struct peek *k, lua_State *L) {
  if (lua_gethook(L) == peek_hook) return;
  k->hook = lua_gethook(L);
  k->mask = lua_gethookmask(L);
  k->count = lua_gethookcount(L);
  lua_sethook(L, peek_hook,
              LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

/* While the loop turns and runs no task, it looks by itself. */
void peek_ask(struct runtime *rt, enum peek_what what) {
  lua_State *running = rt->top;
  rt->peek.asked |= what;
  if (!running && !rt->pumping) running = rt->L;
  if (running) set_hook(&rt->peek, running);
  if (rt->open) proactor_wake(&rt->proactor);
}

/* -- answering -- */

/* The error on top, which is taken. Nothing here may raise, so an object's
 * __tostring is not asked. */
void peek_tell_error(lua_State *L, const char *what) {
  const char *text = lua_tostring(L, -1);
  lua_writestringerror("proa: error in %s: ", what);
  lua_writestringerror("%s\n", text ? text : luaL_typename(L, -1));
  lua_pop(L, 1);
}

void peek_answer(lua_State *L, struct runtime *rt) {
  int asked = rt->peek.asked;
  rt->peek.asked = 0;
  if (!lua_checkstack(L, LUA_MINSTACK)) return;
  if ((asked & PEEK_DUMP) && rt->peek.dump_ref != LUA_NOREF) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->peek.dump_ref);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK) peek_tell_error(L, "dump");
  }
  if (asked & PEEK_HOG) watchdog_answer(L, rt);
}

/* -- the signal -- */

/* Whichever thread the kernel took, the loop's is asked. The copy of a state
 * in a forked child has no tasks to tell of. */
static void on_dump(int signal) {
  struct runtime *rt = dumped;
  int saved = errno;
  if (!rt || rt_gone(rt)) return;
  if (pthread_equal(pthread_self(), rt->peek.thread))
    peek_ask(rt, PEEK_DUMP);
  else
    pthread_kill(rt->peek.thread, signal);
  errno = saved;
}

/* dump_signal(name): from now on it prints proa.dump() */
static int l_dump_signal(lua_State *L) {
  static const char *const names[] = {"QUIT", "USR1", "USR2", NULL};
  static const int numbers[] = {SIGQUIT, SIGUSR1, SIGUSR2};
  struct runtime *rt = rt_get(L);
  int number = numbers[luaL_checkoption(L, 1, NULL, names)];
  struct sigaction a = {.sa_handler = on_dump, .sa_flags = SA_RESTART};
  if (dumped) return luaL_error(L, "dump_signal is set already");
  sigemptyset(&a.sa_mask);
  rt->peek.thread = pthread_self();
  dumped = rt;
  if (sigaction(number, &a, &dump_before) < 0) {
    dumped = NULL;
    return luaL_error(L, "dump_signal: %s", strerror(errno));
  }
  rt->peek.dump_signal = number;
  return 0;
}

/* dumper(fn): what prints */
static int l_dumper(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  rt_get(L)->peek.dump_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

void peek_init(struct runtime *rt) {
  rt->peek.dump_ref = LUA_NOREF;
}

void peek_close(struct runtime *rt) {
  if (dumped != rt) return;
  sigaction(rt->peek.dump_signal, &dump_before, NULL);
  dumped = NULL;
}

void open_peek(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"dump_signal", l_dump_signal}, {"dumper", l_dumper}, {NULL, NULL}};
  add_functions(L, functions);
}
