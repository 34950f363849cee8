/* lua_process.c - children as Lua sees them: the object, waiting, killing.
 *
 * The object holds a struct process until it is collected; the child does not
 * end with it, only with close. What spawn{} takes is checked and put together
 * in lua/proa/process.lua; here are the strings as exec wants them. Its
 * standard streams are lua_process_stdio.c's.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_process.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lua_core.h"
#include "lua_select.h"
#include "lua_signal.h"

#define GRACE_NS (5 * NS_PER_S)

struct lua_process *process_check(lua_State *L, int arg) {
  return luaL_checkudata(L, arg, PROCESS_CLASS);
}

static struct process *check_live(lua_State *L) {
  struct lua_process *o = process_check(L, 1);
  if (!o->k || rt_gone(o->rt)) luaL_error(L, "proa: this Lua state is closing");
  return o->k;
}

/* -- results -- */

static void set_boolean(lua_State *L, const char *key, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, key);
}

/* {code =, signal =, ok =}, or nil, message, code */
static int push_result(lua_State *L, const struct process *k) {
  if (k->err) return push_errno(L, "wait", k->err);
  lua_createtable(L, 0, 4);
  if (k->status.signal)
    signal_push_name(L, k->status.signal);
  else
    lua_pushinteger(L, k->status.code);
  lua_setfield(L, -2, k->status.signal ? "signal" : "code");
  set_boolean(L, "ok", !k->status.signal && !k->status.code);
  return 1;
}

/* -- waiting -- */

static void describe(struct task *t, char *into, size_t len) {
  const struct process *k = t->wait.subject;
  snprintf(into, len, "process %d", (int)k->pid);
}

static const struct wait_class waits_process = {
    .verb = "wait", .external = true, .describe = describe};

static int wait_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  if (await_end(L) == WAIT_TIMEOUT)
    return push_fail(L, "wait: timed out", "TIMEOUT");
  struct process *k = check_live(L);
  if (!k->ended) return push_fail(L, "wait: the process was left", "CLOSED");
  return push_result(L, k);
}

/* wait([timeout]) -> {code | signal, ok} | nil, message, code */
static int l_wait(lua_State *L) {
  struct process *k = check_live(L);
  uint64_t limit = opt_limit(L, 2);
  if (k->ended) return push_result(L, k);
  struct task *t = await_begin(L);
  list_push(&k->waiters, &t->wait.waiter.link);
  return await_yield(L, t, &waits_process, k, await_until(t->rt, limit), 0,
                     wait_k);
}

/* -- as one of several -- */

static bool process_ready(lua_State *L, int idx) {
  const struct process *k = process_check(L, idx)->k;
  return !k || k->ended;
}

static void process_link(lua_State *L, int idx, struct looker *k) {
  list_push(&process_check(L, idx)->k->waiters, &k->waiter.link);
}

static bool process_external(lua_State *L, int idx) {
  (void)L;
  (void)idx;
  return true;
}

static int process_take(lua_State *L, int idx, struct looker *k) {
  const struct process *child = process_check(L, idx)->k;
  (void)k;
  return child ? push_result(L, child)
               : push_fail(L, "wait: the process was left", "CLOSED");
}

static const struct select_class selects_process = {.ready = process_ready,
                                                    .link = process_link,
                                                    .external =
                                                        process_external,
                                                    .take = process_take};

/* -- ending -- */

/* kill([signal[, group]]) -> true | nil, message, code */
static int l_kill(lua_State *L) {
  struct process *k = check_live(L);
  int signal = lua_isnoneornil(L, 2) ? SIGTERM : signal_check(L, 2);
  bool group = lua_toboolean(L, 3);
  luaL_argcheck(L, !group || k->group, 3,
                "a group needs spawn{new_session = true}");
  int r = process_kill(k, signal, group);
  if (r == -ESRCH) return push_fail(L, "kill: the process has ended", "ESRCH");
  if (r < 0) return push_errno(L, "kill", r);
  lua_pushboolean(L, 1);
  return 1;
}

/* end(): TERM, and KILL when the grace is over; does not wait */
static int l_end(lua_State *L) {
  struct lua_process *o = process_check(L, 1);
  if (o->k && !rt_gone(o->rt)) process_end(o->k, o->grace_ns);
  return 0;
}

/* The child lives on, and is reaped when it ends. At lua_close tasks go after
 * handles, and their <close> variables may still come with this object. */
static int l_gc(lua_State *L) {
  struct lua_process *o = process_check(L, 1);
  struct process *k = o->k;
  o->k = NULL;
  if (!k) return 0;
  if (!rt_gone(o->rt) || (o->rt->closed && k->ended)) process_leave(k);
  return 0;
}

/* take_stream(process, key) -> its stream, which it does not have any more */
static int l_take_stream(lua_State *L) {
  process_check(L, 1);
  lua_settop(L, 2);
  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, 2);
  lua_rawget(L, 3);
  lua_pushvalue(L, 2);
  lua_pushnil(L);
  lua_rawset(L, 3);
  return 1;
}

/* -- what it is -- */

/* state(process) -> pid, "running" | "exited" | "killed" | "ended"[, how] */
static int l_state(lua_State *L) {
  const struct lua_process *o = process_check(L, 1);
  const struct process *k = o->k;
  lua_pushinteger(L, o->pid);
  if (!k || !k->ended || k->err) {
    lua_pushstring(L, !k ? "left" : k->ended ? "ended" : "running");
    return 2;
  }
  lua_pushstring(L, k->status.signal ? "killed" : "exited");
  if (k->status.signal)
    signal_push_name(L, k->status.signal);
  else
    lua_pushinteger(L, k->status.code);
  return 3;
}

static int l_tostring(lua_State *L) {
  lua_settop(L, 1);
  int n = l_state(L);
  const char *state = lua_tostring(L, 3);
  if (strcmp(state, "killed") == 0) state = "killed by";
  if (n == 3)
    lua_pushfstring(L, "proa.process %d (%s %s)", (int)lua_tointeger(L, 2),
                    state, lua_tostring(L, 4));
  else
    lua_pushfstring(L, "proa.process %d (%s)", (int)lua_tointeger(L, 2), state);
  return 1;
}

/* A method, or one of its own fields: pid, stdin, stdout, stderr. */
static int l_index(lua_State *L) {
  struct lua_process *o = process_check(L, 1);
  lua_settop(L, 2);
  if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "pid") == 0) {
    lua_pushinteger(L, o->pid);
    return 1;
  }
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL) return 1;
  lua_getiuservalue(L, 1, 1);
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  return 1;
}

/* <close>: the method that process.lua adds */
static int l_close(lua_State *L) {
  lua_getfield(L, lua_upvalueindex(2), "close");
  lua_pushvalue(L, 1);
  lua_call(L, 1, 0);
  return 0;
}

/* -- making -- */

/* The strings of the list at arg, ended by NULL; they stay in the list, the
 * array is a userdata, pushed. */
static char **push_strings(lua_State *L, int arg) {
  lua_Integer n = luaL_len(L, arg);
  char **list = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *list, 0);
  for (lua_Integer i = 0; i < n; i++) {
    lua_rawgeti(L, arg, i + 1);
    list[i] = (char *)(uintptr_t)lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  list[n] = NULL;
  return list;
}

static const char *const steps[] = {"clone", "stdio", "session", "group",
                                    "user",  "cwd",   "exec"};

/* false, the step, then nil, message, code */
static int push_failure(lua_State *L, enum spawn_step step, int err) {
  lua_pushboolean(L, false);
  lua_pushstring(L, steps[step]);
  return 2 + push_errno(L, NULL, err);
}

enum {
  ARG_ARGV = 1,
  ARG_ENV,
  ARG_CWD,
  ARG_STDIN,
  ARG_UID = 7,
  ARG_GID,
  ARG_SESSION,
  ARG_GRACE,
  ARG_LAST = ARG_GRACE
};

static void fill(lua_State *L, struct spawn *s) {
  s->argv = push_strings(L, ARG_ARGV);
  s->envp = push_strings(L, ARG_ENV);
  s->cwd = lua_tostring(L, ARG_CWD);
  s->set_uid = !lua_isnil(L, ARG_UID);
  s->uid = (uid_t)lua_tointeger(L, ARG_UID);
  s->set_gid = !lua_isnil(L, ARG_GID);
  s->gid = (gid_t)lua_tointeger(L, ARG_GID);
  s->new_session = lua_toboolean(L, ARG_SESSION);
}

static struct lua_process *push_empty(lua_State *L) {
  struct lua_process *o = new_object(L, sizeof *o, PROCESS_CLASS, 1);
  o->rt = rt_get(L);
  o->grace_ns = lua_isnil(L, ARG_GRACE)
                    ? GRACE_NS
                    : ns_from_seconds(lua_tonumber(L, ARG_GRACE));
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_setiuservalue(L, -3, 1);
  return o;
}

/* process_spawn(argv, env, cwd, stdin, stdout, stderr, uid, gid, new_session,
 * grace) -> process | false, step, nil, message, code. All that can raise for
 * want of memory is made before the child, so that none is lost. */
static int l_spawn(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  struct spawn s = {0};
  enum spawn_step step = SPAWN_STDIO;
  lua_settop(L, ARG_LAST);
  rt_tell_collector(L);
  fill(L, &s);
  struct stdio *io = stdio_push(L);
  struct lua_process *o = push_empty(L);
  int r = stdio_open(L, ARG_STDIN, io);
  if (r >= 0) r = stdio_set_streams(L, p, io);
  memcpy(s.fds, io->child, sizeof s.fds);
  if (r >= 0) r = process_spawn(p, &s, &o->k, &step);
  stdio_close(io);
  if (r < 0) return push_failure(L, step, r);
  o->pid = o->k->pid;
  lua_pop(L, 1);
  return 1;
}

/* environ() -> "NAME=value", ...  of this process */
static int l_environ(lua_State *L) {
  lua_newtable(L);
  for (int i = 0; environ && environ[i]; i++) {
    lua_pushstring(L, environ[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* Metamethods that know the methods: __index has the object's own fields,
 * too. */
static void set_metas(lua_State *L) {
  luaL_getmetatable(L, PROCESS_CLASS);
  lua_getfield(L, -1, "__index");
  lua_setfield(L, -3, "process_methods");
  lua_getfield(L, -1, "__index");
  for (int i = 0; i < 2; i++) {
    rt_push(L);
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, i ? l_index : l_close, 2);
    lua_setfield(L, -3, i ? "__index" : "__close");
  }
  lua_pop(L, 2);
}

void open_process(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"wait", l_wait}, {"kill", l_kill}, {NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__gc", l_gc}, {"__tostring", l_tostring}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"process_spawn", l_spawn}, {"process_end", l_end},
      {"process_state", l_state}, {"take_stream", l_take_stream},
      {"environ", l_environ},     {NULL, NULL}};
  make_class(L, PROCESS_CLASS, methods, meta);
  add_functions(L, functions);
  select_register(L, PROCESS_CLASS, &selects_process);
  set_metas(L);
}
