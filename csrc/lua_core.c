/* lua_core.c - the runtime of one Lua state: birth, opening, death.
 *
 * Owns struct runtime, in a userdata that luaopen makes first, so that its
 * finaliser comes after those of all handles. Also what the bindings share:
 * results, classes, limits. The parts open themselves in luaopen_proa_core.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_core.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "errname.h"
#include "lua_fd.h"
#include "lua_nested.h"
#include "malloc_hint.h"

static const char runtime_key = 0, module_key = 0;

#define DRAIN_NS (2 * NS_PER_S) /* O5: how long a dying state may take */

/* -- fork (O8): the child's copy of the ring is not to be touched -- */

atomic_uint rt_forks;

static void count_fork(void) {
  atomic_fetch_add(&rt_forks, 1);
}

/* -- access -- */

_Thread_local struct runtime *rt_running;

static struct runtime *find_runtime(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &runtime_key);
  struct runtime *rt = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return rt;
}

struct runtime *rt_find(lua_State *L) {
  struct runtime *rt = find_runtime(L);
  assert(rt && "luaopen_proa_core has run");
  return rt->active;
}

void rt_push(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &runtime_key);
}

static bool forked(const struct runtime *rt) {
  return rt->forks != atomic_load_explicit(&rt_forks, memory_order_relaxed);
}

bool rt_gone(const struct runtime *rt) {
  return rt->closed || (rt->open && forked(rt));
}

static int open_failed(lua_State *L, struct runtime *rt, int r) {
  char text[80];
  if (rt->proactor.refused[0])
    return luaL_error(L, "proa cannot start: %s", rt->proactor.refused);
  return luaL_error(L, "proa cannot start: %s",
                    err_text(-r, text, sizeof text));
}

static void choose_driver(struct runtime *rt) {
  const char *env = getenv("PROA_DRIVER"), *seed = getenv("PROA_SIM_SEED");
  if (!rt->options.driver && env && env[0]) {
    snprintf(rt->driver, sizeof rt->driver, "%s", env);
    rt->options.driver = rt->driver;
  }
  if (!rt->options.with.seed && seed)
    rt->options.with.seed = strtoull(seed, NULL, 10);
}

static void say_driver(struct runtime *rt) {
  const char *name = rt->proactor.driver->class->name;
  const char *refused = rt->proactor.refused;
  log_say(rt->proactor.log,
          LOG_ENTRY(.level = refused[0] ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
                    .event = "driver", .driver = name),
          "the driver is %s%s%s", name, refused[0] ? ": " : "", refused);
}

#ifdef PROA_DEBUG
/* The innermost line of Lua that runs: who submits an op. */
static void say_where(void *arg, char *into, size_t len) {
  const struct runtime *rt = arg;
  lua_State *L = rt->top ? rt->top : rt->L;
  lua_Debug ar;
  for (int level = 0; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0) continue;
    snprintf(into, len, "%.50s:%d", ar.short_src, ar.currentline);
    return;
  }
}

static void tell_where(struct runtime *rt) {
  rt->proactor.where = say_where;
  rt->proactor.where_arg = rt;
}
#else
#define tell_where(rt) ((void)0)
#endif

void runtime_open(lua_State *L, struct runtime *rt) {
  int r = proactor_open(&rt->proactor, &rt->options);
  if (r < 0) open_failed(L, rt, r);
  rt->forks = atomic_load(&rt_forks);
  rt->open = true;
  tell_where(rt);
  rt->proactor.log = lua_log_of(rt);
  say_driver(rt);
  rt_tick(rt);
  malloc_hint_reuse();
  signals_open(rt);
}

struct runtime *rt_open_now(lua_State *L) {
  struct runtime *rt = rt_get(L);
  if (rt->closed && rt != rt->main)
    luaL_error(L, "proa: testing.run has ended, and what it made is closed");
  if (rt->closed) luaL_error(L, "proa: this Lua state is closing");
  if (rt->open && forked(rt))
    luaL_error(L, "proa: this process was forked after proa had started; the "
                  "child cannot use its parent's ring (start a new process "
                  "instead)");
  if (rt->open) return rt;
  choose_driver(rt);
  runtime_open(L, rt);
  return rt;
}

struct proactor *rt_proactor(lua_State *L) {
  return &rt_open(L)->proactor;
}

enum {
  TELL_BYTES = 256 * 1024, /* growth that is worth a step */
  STREAM_BYTES = 2048,     /* a stream's records, its handle, its ops */
};

static size_t outside_bytes(const struct runtime *rt) {
  const struct proactor *p = &rt->proactor;
  return buf_bytes_live() + p->queues.bytes + p->streams * STREAM_BYTES;
}

void rt_tell_collector(lua_State *L) {
  struct runtime *rt = rt_get(L);
  size_t now = outside_bytes(rt);
  if (now > rt->told_bytes + TELL_BYTES) {
    lua_gc(L, LUA_GCSTEP, (int)min_size((now - rt->told_bytes) >> 10, 1 << 20));
    now = outside_bytes(rt);
    rt->told_bytes = now;
  } else if (now < rt->told_bytes) {
    rt->told_bytes = now;
  }
}

/* -- results -- */

int push_fail(lua_State *L, const char *message, const char *code) {
  lua_pushnil(L);
  lua_pushstring(L, message);
  lua_pushstring(L, code);
  return 3;
}

int push_errno(lua_State *L, const char *what, int err) {
  char text[80];
  const char *name = err_name(-err);
  err_text(-err, text, sizeof text);
  if (err == -ECANCELED) snprintf(text, sizeof text, "cancelled");
  lua_pushnil(L);
  if (what)
    lua_pushfstring(L, "%s: %s", what, text);
  else
    lua_pushstring(L, text);
  if (err == -ECANCELED)
    lua_pushliteral(L, "CANCELLED");
  else if (name)
    lua_pushstring(L, name);
  else
    lua_pushfstring(L, "E%d", -err);
  return 3;
}

uint64_t opt_limit(lua_State *L, int arg) {
  if (lua_isnoneornil(L, arg)) return NEVER_NS;
  return ns_from_seconds(luaL_checknumber(L, arg));
}

void *new_object(lua_State *L, size_t size, const char *name, int uservalues) {
  void *object = lua_newuserdatauv(L, size, uservalues);
  memset(object, 0, size);
  luaL_setmetatable(L, name);
  if (atomic_load_explicit(&nested_live, memory_order_relaxed))
    nested_object(L, name);
  return object;
}

void make_field_class(lua_State *L, const char *name, const luaL_Reg *methods,
                      const luaL_Reg *meta, lua_CFunction field) {
  luaL_newmetatable(L, name);
  add_functions(L, meta);
  rt_push(L);
  lua_newtable(L);
  add_functions(L, methods);
  if (field)
    lua_pushcclosure(L, field, 2);
  else
    lua_remove(L, -2);
  lua_setfield(L, -2, "__index");
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0); /* getmetatable gives false: not to be changed */
  lua_setfield(L, -2, "__metatable");
  lua_pop(L, 1);
  nested_class(L, name);
}

void make_class(lua_State *L, const char *name, const luaL_Reg *methods,
                const luaL_Reg *meta) {
  make_field_class(L, name, methods, meta, NULL);
}

/* Registry: record -> its userdata, weak. */
static const char objects_key = 0;

void object_register(lua_State *L, const void *record) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &objects_key);
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, record);
  lua_pop(L, 1);
}

void object_push(lua_State *L, const void *record) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &objects_key);
  lua_rawgetp(L, -1, record);
  lua_remove(L, -2);
}

static void make_objects(lua_State *L) {
  lua_newtable(L);
  lua_newtable(L);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &objects_key);
}

void release_anchor(void *arg, int anchor) {
  struct runtime *rt = arg;
  if (anchor && lua_checkstack(rt->L, 4))
    luaL_unref(rt->L, LUA_REGISTRYINDEX, anchor);
}

/* -- setup, info -- */

static unsigned opt_count(lua_State *L, const char *key, unsigned max) {
  lua_Integer n = luaL_checkinteger(L, -1);
  if (n < 1 || n > (lua_Integer)max)
    luaL_error(L, "setup: %s is out of range (1 to %d)", key, (int)max);
  return (unsigned)n;
}

static size_t opt_bytes(lua_State *L, const char *key) {
  lua_Integer n = luaL_checkinteger(L, -1);
  if (n < 1) luaL_error(L, "setup: %s is a number of bytes", key);
  return (size_t)n;
}

static unsigned opt_power(lua_State *L, const char *key, unsigned max) {
  unsigned n = opt_count(L, key, max);
  if (n & (n - 1)) luaL_error(L, "setup: %s must be a power of two", key);
  return n;
}

static void setup_driver(lua_State *L, struct proactor_options *o,
                         char driver[16]) {
  static const char *const names[] = {"auto", "uring", "poll", "sim", NULL};
  const char *name = luaL_checkstring(L, -1);
  for (int i = 0; names[i]; i++) {
    if (strcmp(name, names[i]) != 0) continue;
    snprintf(driver, 16, "%s", name);
    o->driver = driver;
    return;
  }
  luaL_error(L, "setup: unknown driver '%s' (auto, uring, poll, sim)", name);
}

/* One key and value on top of L. false: no such key. */
bool setup_option(lua_State *L, const char *key, struct proactor_options *o,
                  char driver[16]) {
  struct driver_options *with = &o->with;
  if (strcmp(key, "driver") == 0)
    setup_driver(L, o, driver);
  else if (strcmp(key, "entries") == 0)
    with->entries = opt_power(L, key, 32768);
  else if (strcmp(key, "cq_entries") == 0)
    with->cq_entries = opt_power(L, key, 65536);
  else if (strcmp(key, "buffers") == 0)
    with->buffers = opt_power(L, key, 32768);
  else if (strcmp(key, "buffer_size") == 0)
    with->buffer_size = opt_count(L, key, 16 << 20);
  else if (strcmp(key, "memory") == 0)
    o->memory = opt_bytes(L, key);
  else if (strcmp(key, "workers") == 0)
    with->workers = opt_count(L, key, 1024);
  else if (strcmp(key, "seed") == 0)
    with->seed = (uint64_t)luaL_checkinteger(L, -1);
  else
    return false;
  return true;
}

/* setup{driver=, entries=, cq_entries=, buffers=, buffer_size=, workers=,
 * memory=, seed=}: before first use. */
static int l_setup(lua_State *L) {
  struct runtime *rt = rt_get(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  if (rt->open)
    return luaL_error(L, "setup comes before the first use of proa");
  lua_pushnil(L);
  while (lua_next(L, 1)) {
    const char *key =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    if (!setup_option(L, key, &rt->options, rt->driver))
      return luaL_error(L, "setup: unknown option '%s'", key);
    lua_pop(L, 1);
  }
  return 0;
}

static void set_integer(lua_State *L, const char *key, uint64_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, key);
}

static int l_info(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  struct utsname un = {0};
  uname(&un);
  lua_newtable(L);
  lua_pushliteral(L, PROA_VERSION);
  lua_setfield(L, -2, "version");
  lua_pushstring(L, p->driver->class->name);
  lua_setfield(L, -2, "driver");
  if (p->refused[0]) {
    lua_pushstring(L, p->refused);
    lua_setfield(L, -2, "refused");
  }
  lua_pushstring(L, un.release);
  lua_setfield(L, -2, "kernel");
  if (p->driver->entries) {
    set_integer(L, "entries", p->driver->entries);
    set_integer(L, "cq_entries", p->driver->cq_entries);
  }
  set_integer(L, "buffers", p->driver->pool.count);
  set_integer(L, "buffer_size", p->driver->pool.size);
  return 1;
}

/* -- birth and death -- */

struct runtime *runtime_new(lua_State *L) {
  struct runtime *rt = new_object(L, sizeof *rt, "proa.runtime", 2);
  rt->main = rt->active = rt;
  rt->live_ref = rt->class_ref = rt->on_error_ref = LUA_NOREF;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
  rt->L = lua_tothread(L, -1);
  lua_pop(L, 1);
  lua_newtable(L);
  rt->live_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  list_init(&rt->signal_waiters);
  list_init(&rt->signal_watches);
  list_init(&rt->loading);
  executor_init(rt);
  peek_init(rt);
  lua_log_init(rt);
  return rt;
}

/* What closes in the background gets its time, by its own linger limits. */
static void wait_lingering(struct proactor *p) {
  while (!list_empty(&p->lingering) && !p->broken)
    if (proactor_turn(p, NEVER_NS) < 0) return;
}

/* What the registry has of it; at lua_close nobody asks for that any more. */
static void drop_refs(lua_State *L, struct runtime *rt) {
  forget_fds(L, &rt->proactor);
  luaL_unref(L, LUA_REGISTRYINDEX, rt->live_ref);
  luaL_unref(L, LUA_REGISTRYINDEX, rt->class_ref);
  luaL_unref(L, LUA_REGISTRYINDEX, rt->on_error_ref);
  luaL_unref(L, LUA_REGISTRYINDEX, rt->peek.dump_ref);
  rt->live_ref = rt->class_ref = LUA_NOREF;
  rt->on_error_ref = rt->peek.dump_ref = LUA_NOREF;
}

/* O5: end the tasks, let closing streams finish, drain. A child of fork leaves
 * the ring alone. */
void runtime_end(lua_State *L, struct runtime *rt) {
  if (rt->closed) return;
  peek_close(rt);
  watchdog_close(rt);
  if (!rt->open || forked(rt)) {
    rt->closed = true;
    return;
  }
  rt->L = L;
  signals_close(rt);
  stdio_forget(rt);
  executor_shutdown(rt);
  rt->closed = true;
  wait_lingering(&rt->proactor);
  if (rt != rt->main) drop_refs(L, rt);
  proactor_close(&rt->proactor, DRAIN_NS);
  if (rt->resolver.p) resolver_deinit(&rt->resolver);
  ptrmap_deinit(&rt->inner);
  ptrmap_deinit(&rt->detached);
  places_deinit(&rt->places);
  lua_log_deinit(rt);
  rt->open = false;
}

/* lua_close, or a nested one that nobody refers to any more. */
static int runtime_gc(lua_State *L) {
  struct runtime *rt = luaL_checkudata(L, 1, "proa.runtime");
  runtime_end(L, rt);
  nested_gone(L, rt);
  return 0;
}

static void open_runtime(lua_State *L) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", runtime_gc}, {NULL, NULL}};
  make_class(L, "proa.runtime", none, meta);
  runtime_new(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &runtime_key);
}

static void register_fork(void) {
  pthread_atfork(NULL, NULL, count_fork);
}

__attribute__((visibility("default"))) int luaopen_proa_core(lua_State *L) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  static const luaL_Reg functions[] = {
      {"setup", l_setup}, {"info", l_info}, {NULL, NULL}};
  pthread_once(&once, register_fork);
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &module_key) == LUA_TTABLE)
    return 1; /* required again: there is one runtime in a state */
  open_runtime(L);
  make_objects(L);
  lua_newtable(L);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &module_key);
  add_functions(L, functions);
  open_executor(L);
  open_run(L);
  open_report(L);
  open_testing(L);
  open_traceback(L);
  open_raise(L);
  open_insight(L);
  open_stats(L);
  open_trace(L);
  open_peek(L);
  open_log(L);
  open_watchdog(L);
  open_task(L);
  open_cancel(L);
  open_timeout(L);
  open_nursery(L);
  open_local(L);
  open_coroutine(L);
  open_require(L);
  open_future(L);
  open_buffer(L);
  open_fd(L);
  open_op(L);
  open_net(L);
  open_ready(L);
  open_loop(L);
  open_passed(L);
  open_udp(L);
  open_resolve(L);
  open_stream(L);
  open_served(L);
  open_seam(L);
  open_listener(L);
  open_proactor(L);
  open_signal(L);
  open_signal_each(L);
  open_process(L);
  open_process_stdio(L);
  open_stdio(L);
  open_select(L);
  open_watch(L);
  open_fs(L);
  open_file(L);
  open_stream_hold(L);
  open_message(L);
  open_channel(L);
  open_broadcast(L);
  open_lock(L);
  open_sync(L);
  open_rate(L);
  return 1;
}
