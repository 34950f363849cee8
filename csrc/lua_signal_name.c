/* lua_signal_name.c - signals by name and number. See lua_signal.h.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_signal.h"

#include "lua_raise.h"
#include <signal.h>
#include <string.h>

#include "base.h"

static const struct {
  const char *name;
  int signal;
} names[] = {
    {"HUP", SIGHUP},       {"INT", SIGINT},   {"QUIT", SIGQUIT},
    {"ILL", SIGILL},       {"TRAP", SIGTRAP}, {"ABRT", SIGABRT},
    {"BUS", SIGBUS},       {"FPE", SIGFPE},   {"KILL", SIGKILL},
    {"USR1", SIGUSR1},     {"SEGV", SIGSEGV}, {"USR2", SIGUSR2},
    {"PIPE", SIGPIPE},     {"ALRM", SIGALRM}, {"TERM", SIGTERM},
    {"CHLD", SIGCHLD},     {"CONT", SIGCONT}, {"STOP", SIGSTOP},
    {"TSTP", SIGTSTP},     {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},
    {"URG", SIGURG},       {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ},
    {"VTALRM", SIGVTALRM}, {"PROF", SIGPROF}, {"WINCH", SIGWINCH},
    {"IO", SIGIO},         {"PWR", SIGPWR},   {"SYS", SIGSYS},
};

static int by_name(lua_State *L, int arg) {
  const char *given = lua_tostring(L, arg), *name = given;
  if (strncmp(name, "SIG", 3) == 0) name += 3;
  for (size_t i = 0; i < countof(names); i++)
    if (strcmp(names[i].name, name) == 0) return names[i].signal;
  lua_pushfstring(L, "unknown signal '%s'", given);
  return luaL_argerror(L, arg, lua_tostring(L, -1));
}

int signal_check(lua_State *L, int arg) {
  if (lua_type(L, arg) == LUA_TSTRING) return by_name(L, arg);
  if (!lua_isinteger(L, arg))
    return luaL_argerror(L, arg, "name of a signal expected");
  lua_Integer n = lua_tointeger(L, arg);
  luaL_argcheck(L, n >= 1 && n < SIGRTMAX + 1, arg, "no number of a signal");
  return (int)n;
}

void signal_push_name(lua_State *L, int signal) {
  for (size_t i = 0; i < countof(names); i++) {
    if (names[i].signal != signal) continue;
    lua_pushstring(L, names[i].name);
    return;
  }
  lua_pushinteger(L, signal);
}
