/* lua_stdio.c - the standard streams, and what terminals can do.
 *
 * What stands at 0, 1 and 2 is shared with whoever started this process, and
 * with children; its flags are never changed. A terminal, a pipe or a device
 * is opened once more, which gives a description of our own; where that can't
 * be done the descriptor is borrowed as it is, and the drivers take care. The
 * numbers 0, 1 and 2 stay open. Owns raw modes. See terminal.h.
 *
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lua_core.h"
#include "lua_net.h"
#include "lua_signal.h"
#include "lua_stream.h"
#include "stream_pipe.h"
#include "terminal.h"

#define RAW_CLASS "proa.raw"
#define EXIT_NS NS_PER_S /* how long unsent output may keep a process */

/* -- when exit is called: os.exit closes no Lua state -- */

static struct {
  pid_t pid; /* that registered it; a child of fork has nothing to put back */
  struct runtime *rt;        /* of the standard streams, while it lives ... */
  pthread_t thread;          /* ... and in which its loop may run */
  struct lua_stream *out[3]; /* 1, 2: kept in the registry, or NULL */
} leaving;

static void flush(struct lua_stream *o, uint64_t until) {
  if (!o) return;
  struct proactor *p = &o->rt->proactor;
  while (o->s && !stream_flushed(o->s) && proactor_now(p) < until)
    if (proactor_turn(p, until) < 0) return;
}

static void on_exit_called(void) {
  struct runtime *rt = leaving.rt;
  if (getpid() != leaving.pid) return;
  terminal_restore_all();
  if (!rt || rt_gone(rt) || !pthread_equal(pthread_self(), leaving.thread))
    return;
  uint64_t until = ns_after(proactor_now(&rt->proactor), EXIT_NS);
  for (int i = 1; i < 3; i++) flush(leaving.out[i], until);
}

static void watch_exit(void) {
  if (!leaving.pid) atexit(on_exit_called);
  leaving.pid = getpid();
}

/* The stream on top is to have its output gone before the process ends. */
static void flush_at_exit(lua_State *L, int n) {
  struct lua_stream *o = stream_check(L, -1);
  if (leaving.rt != o->rt) leaving.out[1] = leaving.out[2] = NULL;
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &leaving.out[n]);
  watch_exit();
  leaving.rt = o->rt;
  leaving.thread = pthread_self();
  leaving.out[n] = o;
}

void stdio_forget(struct runtime *rt) {
  if (leaving.rt == rt) leaving.rt = NULL;
}

/* -- opening -- */

/* Were they open when this was loaded? If not, their numbers are somebody
 * else's by now, perhaps the ring's. */
static bool was_open[3];
static pthread_once_t looked = PTHREAD_ONCE_INIT;

static void look(void) {
  for (int n = 0; n < 3; n++) was_open[n] = fcntl(n, F_GETFD) >= 0;
}

static bool same_again(mode_t mode) {
  return S_ISFIFO(mode) || S_ISCHR(mode);
}

/* A description of our own of what stands at n, or -errno. */
static int open_again(int n) {
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", n);
  int fd = open(path, (n == 0 ? O_RDONLY : O_WRONLY) | O_NONBLOCK | O_NOCTTY |
                          O_CLOEXEC);
  return fd < 0 ? -errno : fd;
}

bool stdio_was_open(int n) {
  return was_open[n] && fcntl(n, F_GETFD) >= 0;
}

/* *out NULL: nothing stands there. */
static int open_standard(struct proactor *p, int n, struct handle **out) {
  struct stat st;
  *out = NULL;
  if (!stdio_was_open(n) || fstat(n, &st) < 0) return 0;
  int fd = same_again(st.st_mode) ? open_again(n) : -1;
  int r = handle_open(p, fd < 0 ? n : fd, fd >= 0, out);
  if (r < 0 && fd >= 0) close(fd);
  return r;
}

/* stdio(n) -> the stream of descriptor n, made anew */
static int l_stdio(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  int n = (int)luaL_checkinteger(L, 1);
  struct handle *h;
  luaL_argcheck(L, n >= 0 && n <= 2, 1, "0, 1 or 2 expected");
  struct lua_stream *o = push_stream_object(L);
  int r = open_standard(p, n, &h);
  if (r >= 0)
    r = stream_object_open_pipes(o, p, n == 0 ? h : NULL, n == 0 ? NULL : h);
  if (r < 0) return push_errno(L, "stdio", r);
  o->s->shy = n == 0; /* a child may be the one to read */
  if (n > 0) flush_at_exit(L, n);
  return 1;
}

/* -- terminals -- */

static int check_fileno(lua_State *L) {
  struct handle *h = stream_handle(stream_check_open(L, 1)->s);
  return h ? h->fd : -1;
}

/* isatty() -> boolean */
static int l_isatty(lua_State *L) {
  lua_pushboolean(L, isatty(check_fileno(L)));
  return 1;
}

/* window_size() -> columns, rows | nil, message, code */
static int l_window_size(lua_State *L) {
  int columns, rows;
  int r = terminal_size(check_fileno(L), &columns, &rows);
  if (r < 0) return push_errno(L, "window size", r);
  lua_pushinteger(L, columns);
  lua_pushinteger(L, rows);
  return 2;
}

struct raw {
  struct runtime *rt;
  int number; /* -1: put back */
};

static int raw_close(lua_State *L) {
  struct raw *raw = luaL_checkudata(L, 1, RAW_CLASS);
  if (raw->number < 0) return 0;
  terminal_restore(raw->number);
  raw->number = -1;
  if (!terminal_any_raw()) signals_guard(false);
  return 0;
}

static bool check_signals(lua_State *L) {
  bool signals = false;
  if (lua_isnoneornil(L, 2)) return false;
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_pushnil(L);
  while (lua_next(L, 2)) {
    const char *key =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    if (strcmp(key, "signals") != 0)
      luaL_error(L, "raw: unknown option '%s'", key);
    signals = lua_toboolean(L, -1);
    lua_pop(L, 1);
  }
  return signals;
}

/* raw([{signals =}]) -> an object whose <close> puts the terminal back */
static int l_raw(lua_State *L) {
  int fd = check_fileno(L);
  bool signals = check_signals(L);
  struct raw *raw = new_object(L, sizeof *raw, RAW_CLASS, 0);
  raw->rt = rt_get(L);
  raw->number = terminal_raw(fd, signals);
  if (raw->number < 0) {
    int err = raw->number;
    return push_errno(L, "raw", err);
  }
  watch_exit();
  signals_guard(true);
  return 1;
}

static int raw_tostring(lua_State *L) {
  struct raw *raw = luaL_checkudata(L, 1, RAW_CLASS);
  lua_pushfstring(L, "proa.raw%s", raw->number < 0 ? " (closed)" : "");
  return 1;
}

void open_stdio(lua_State *L) {
  static const luaL_Reg methods[] = {{"close", raw_close}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__close", raw_close},
                                  {"__gc", raw_close},
                                  {"__tostring", raw_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg functions[] = {{"stdio", l_stdio}, {NULL, NULL}};
  static const luaL_Reg of_streams[] = {{"isatty", l_isatty},
                                        {"window_size", l_window_size},
                                        {"raw", l_raw},
                                        {NULL, NULL}};
  pthread_once(&looked, look);
  make_class(L, RAW_CLASS, methods, meta);
  add_functions(L, functions);
  lua_getfield(L, -1, "stream_methods");
  add_functions(L, of_streams);
  lua_pop(L, 1);
}
