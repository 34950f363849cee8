/* host.c - runs random programs on the simulation, each in a Lua state of its
 * own; `make sim SEED=n N=1000`.
 *
 * What a program does must follow from its seed alone, so that it can be
 * repeated by it. The simulation sees to that for the world; this host does
 * for Lua, whose hashes depend on the time and on three addresses when a state
 * is made (luai_makeseed): the address of the state, of a variable on the
 * stack, and of lua_newstate. So Lua's memory comes from an arena at a fixed
 * place, emptied for each program; everything runs on a thread whose stack is
 * at a fixed place; time() stands still; and the process starts itself once
 * more without address randomisation and with an allocator that keeps no
 * caches. `--replay` proves it: it runs each program twice, the second time
 * after another one, and compares every completion of the two.
 *
 * What holds within a program is checked by spec/sim/runner.lua, what holds
 * around one is checked here: no warning (an error in a finaliser is one), no
 * malloced block and no descriptor left when the state is closed, and that it
 * ends. A failure prints the seed and how to repeat it.
 * Read next: spec/sim/runner.lua, spec/sim/programs/.
 *
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <dlfcn.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

enum {
  STACK_BYTES = 16 << 20,
  KINDS_MAX = 64,
  CACHED_MAX = 128,
  REASON_MAX = 4000,
  FAILURES_MAX = 10,
  LIMIT_S = SANITIZED ? 120 : 30, /* of real time, for one program */
};
#define ARENA_BYTES ((size_t)1 << 30)
/* where AddressSanitizer has nothing: its heap is at 0x500000000000 in gcc 14,
 * at 0x600000000000 in older ones */
#define ARENA_AT ((void *)0x200000000000)
#define STACK_AT ((void *)0x210000000000)

/* -- what Lua's hash seed is made of -- */

/* Instead of libc's: Lua asks for it when it makes a state. */
time_t time(time_t *into) {
  time_t now = 1000000000;
  if (into) *into = now;
  return now;
}

/* Once more, with every address where it was the last time. A kernel that does
 * not let us is no reason to stop: --replay tells whether it matters. */
static void settle_addresses(char **argv) {
  int now = personality(0xffffffff);
  if (getenv("PROA_SIM_SETTLED")) return;
  setenv("PROA_SIM_SETTLED", "1", 1);
  setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
  if (now >= 0) (void)personality((unsigned)now | ADDR_NO_RANDOMIZE);
  execv("/proc/self/exe", argv);
}

/* -- Lua's memory -- */

/* Blocks of a size class are kept in a list of their own; large ones too. Only
 * what happens in one state decides which address comes next. */
enum { CLASS_BYTES = 16, CLASSES = 128, LARGE_CLASSES = 40 };

struct block {
  struct block *next;
};

static struct {
  unsigned char *base;
  size_t used, most;
  struct block *free[CLASSES + LARGE_CLASSES];
} arena;

static void *map_at(void *at, size_t len) {
  void *p = mmap(
      at, len, PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (p == at) return p;
  fprintf(stderr, "sim: no memory at %p\n", at);
  exit(2);
}

/* The class that holds len bytes, and how many it has. */
static unsigned class_of(size_t len, size_t *cap) {
  if (len <= (size_t)CLASSES * CLASS_BYTES) {
    unsigned i = (unsigned)((len + CLASS_BYTES - 1) / CLASS_BYTES);
    *cap = (size_t)i * CLASS_BYTES;
    return i - 1;
  }
  unsigned i = CLASSES;
  for (*cap = (size_t)CLASSES * CLASS_BYTES * 2; *cap < len; i++) *cap *= 2;
  return i;
}

static void *arena_take(size_t len) {
  size_t cap;
  unsigned i = class_of(len, &cap);
  struct block *b = arena.free[i];
  if (b) {
    arena.free[i] = b->next;
    return b;
  }
  if (arena.used + cap > ARENA_BYTES) return NULL;
  b = (struct block *)(void *)(arena.base + arena.used);
  arena.used += cap;
  return b;
}

static void arena_give(void *p, size_t len) {
  size_t cap;
  unsigned i = class_of(len, &cap);
  struct block *b = p;
  b->next = arena.free[i];
  arena.free[i] = b;
}

static void *arena_move(void *p, size_t from, size_t to) {
  size_t has, wants;
  class_of(from, &has);
  class_of(to, &wants);
  if (has == wants) return p;
  void *q = arena_take(to);
  if (!q) return NULL;
  memcpy(q, p, from < to ? from : to);
  arena_give(p, from);
  return q;
}

/* Under AddressSanitizer its own allocator sees more; then the state alone is
 * at a fixed place, as its hash seed wants it. */
static void *lua_memory(void *ud, void *p, size_t from, size_t to) {
  (void)ud;
  bool first = !p && from == LUA_TTHREAD && !arena.used;
  bool ours = !SANITIZED || first || (p && p == arena.base);
  if (to == 0) {
    if (p && ours) arena_give(p, from);
    if (p && !ours) free(p);
    return NULL;
  }
  if (!ours) return realloc(p, to);
  return p ? arena_move(p, from, to) : arena_take(to);
}

static void arena_empty(void) {
  if (arena.used > arena.most) arena.most = arena.used;
  if (arena.used > (size_t)64 << 20)
    madvise(arena.base, arena.used, MADV_DONTNEED);
  arena.used = 0;
  memset(arena.free, 0, sizeof arena.free);
}

/* -- modules: read and compiled once, not in each state -- */

struct cached {
  char name[80];
  char *bytes; /* NULL: of a library, and `open` makes it */
  size_t len;
  lua_CFunction open;
};

static struct cached cache[CACHED_MAX];
static int cached_n;
static size_t cache_bytes; /* malloced for it */

static struct cached *cache_find(const char *name) {
  for (int i = 0; i < cached_n; i++)
    if (strcmp(cache[i].name, name) == 0) return &cache[i];
  return NULL;
}

static int cache_write(lua_State *L, const void *p, size_t len, void *ud) {
  struct cached *c = ud;
  (void)L;
  c->bytes = realloc(c->bytes, c->len + len);
  if (!c->bytes) abort();
  memcpy(c->bytes + c->len, p, len);
  c->len += len;
  return 0;
}

/* package.searchpath(name, package[field]) */
static const char *search_path(lua_State *L, const char *name,
                               const char *field) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchpath");
  lua_pushstring(L, name);
  lua_getfield(L, -3, field);
  lua_call(L, 2, 1);
  return lua_tostring(L, -1);
}

static lua_CFunction find_open(const char *file, const char *name) {
  char symbol[100] = "luaopen_";
  strncat(symbol, name, sizeof symbol - 10);
  for (char *c = symbol; *c; c++)
    if (*c == '.') *c = '_';
  void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL), *f = NULL;
  if (library) f = dlsym(library, symbol);
  lua_CFunction open;
  memcpy(&open, &f, sizeof open); /* ISO C has no such cast */
  return open;
}

/* In a state of its own, so that whoever asks first is like all others. */
static int l_fill(lua_State *L) {
  struct cached *c = lua_touserdata(L, 1);
  const char *file = search_path(L, c->name, "path");
  if (file) {
    if (luaL_loadfile(L, file) != LUA_OK) lua_error(L);
    lua_dump(L, cache_write, c, 0);
    return 0;
  }
  file = search_path(L, c->name, "cpath");
  if (file) c->open = find_open(file, c->name);
  if (!c->open) luaL_error(L, "sim: no module '%s'", c->name);
  return 0;
}

static size_t malloced(void);

/* What it takes is not what a program has left. */
static void cache_fill(lua_State *L, struct cached *c) {
  size_t before = malloced();
  lua_State *own = luaL_newstate();
  if (!own) abort();
  luaL_openlibs(own);
  lua_pushcfunction(own, l_fill);
  lua_pushlightuserdata(own, c);
  bool filled = lua_pcall(own, 1, 0, 0) == LUA_OK;
  if (!filled) lua_pushstring(L, lua_tostring(own, -1));
  lua_close(own);
  cache_bytes += malloced() - before;
  if (!filled) lua_error(L);
}

/* The only searcher: the states differ in nothing, not even in this. */
static int search_cache(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  struct cached *c = cache_find(name);
  if (!c) {
    if (cached_n == CACHED_MAX) return luaL_error(L, "sim: too many modules");
    c = &cache[cached_n];
    snprintf(c->name, sizeof c->name, "%s", name);
    cache_fill(L, c);
    cached_n++;
  }
  if (c->open)
    lua_pushcfunction(L, c->open);
  else if (luaL_loadbuffer(L, c->bytes, c->len, name) != LUA_OK)
    return lua_error(L);
  lua_pushstring(L, name);
  return 2;
}

static void use_cache(lua_State *L) {
  lua_getglobal(L, "package");
  lua_createtable(L, 1, 0);
  lua_pushcfunction(L, search_cache);
  lua_rawseti(L, -2, 1);
  lua_setfield(L, -2, "searchers");
  lua_pop(L, 1);
}

/* -- one program -- */

static struct {
  char *names[KINDS_MAX]; /* of spec/sim/programs, sorted */
  int n;
  const char *only; /* NULL: all */
  bool trace;
} kinds;

struct outcome {
  char reason[REASON_MAX]; /* "": all was well */
  char kind[40];
  uint64_t hash; /* of every completion, in order */
  lua_Integer ops;
};

static struct {
  uint64_t seed;
  struct outcome *outcome;
} now;

static void failed(struct outcome *o, const char *text) {
  if (!o->reason[0]) snprintf(o->reason, sizeof o->reason, "%s", text);
}

static void on_warning(void *ud, const char *text, int more) {
  (void)ud;
  size_t n = strlen(now.outcome->reason);
  (void)more;
  snprintf(now.outcome->reason + n, REASON_MAX - n, "%s", text);
}

static int message(lua_State *L) {
  luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
  return 1;
}

/* tell(kind): known before it runs, should it crash. */
static int l_tell(lua_State *L) {
  snprintf(now.outcome->kind, sizeof now.outcome->kind, "%s",
           luaL_checkstring(L, 1));
  return 0;
}

/* runner(seed, names, only, trace, tell) -> hash, ops; raises what is wrong */
static void call_runner(lua_State *L, struct outcome *o) {
  lua_pushcfunction(L, message);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "spec.sim.runner");
  int r = lua_pcall(L, 1, 1, 1);
  if (r == LUA_OK) {
    lua_pushinteger(L, (lua_Integer)now.seed);
    lua_createtable(L, kinds.n, 0);
    for (int i = 0; i < kinds.n; i++) {
      lua_pushstring(L, kinds.names[i]);
      lua_rawseti(L, -2, i + 1);
    }
    lua_pushstring(L, kinds.only);
    lua_pushboolean(L, kinds.trace);
    lua_pushcfunction(L, l_tell);
    r = lua_pcall(L, 5, 2, 1);
  }
  if (r != LUA_OK) {
    failed(o, lua_tostring(L, -1));
    return;
  }
  o->hash = (uint64_t)lua_tointeger(L, -2);
  o->ops = lua_tointeger(L, -1);
}

static size_t malloced(void) {
#if SANITIZED
  return 0; /* the leak checker knows better */
#else
  struct mallinfo2 m = mallinfo2();
  return m.uordblks + m.hblkhd;
#endif
}

static int lowest_descriptor(void) {
  int fd = dup(0);
  if (fd >= 0) close(fd);
  return fd;
}

static void check_left(struct outcome *o, size_t bytes, int fd) {
  char text[100];
  size_t now_bytes = malloced() - cache_bytes;
  if (now_bytes != bytes) {
    snprintf(text, sizeof text, "closing the state left %ld bytes allocated",
             (long)(now_bytes - bytes));
    failed(o, text);
  }
  if (lowest_descriptor() != fd) failed(o, "a descriptor was left open");
}

static void run_state(struct outcome *o) {
  lua_State *L = lua_newstate(lua_memory, NULL);
  if (!L) abort();
  lua_setwarnf(L, on_warning, NULL);
  luaL_openlibs(L);
  use_cache(L);
  call_runner(L, o);
  lua_close(L);
  arena_empty();
}

static void run_program(uint64_t seed, struct outcome *o, bool warm) {
  memset(o, 0, sizeof *o);
  now.seed = seed;
  now.outcome = o;
  alarm(LIMIT_S);
  size_t bytes = malloced() - cache_bytes;
  int fd = lowest_descriptor();
  run_state(o);
  if (!warm) check_left(o, bytes, fd);
  alarm(0);
}

/* -- many of them -- */

static struct {
  uint64_t seed, n;
  bool replay, hashes;
  unsigned passed, failed;
} all;

static void tell_failure(uint64_t seed, const struct outcome *o,
                         const char *reason) {
  printf("not ok - seed %llu (%s): %s\n", (unsigned long long)seed, o->kind,
         reason);
  printf("  again: make sim SEED=%llu N=1%s%s\n", (unsigned long long)seed,
         kinds.only ? " KIND=" : "", kinds.only ? kinds.only : "");
  fflush(stdout);
  all.failed++;
}

/* async-signal-safe: nothing is known about the process any more */
static void say(const char *text) {
  ssize_t r = write(1, text, strlen(text));
  (void)r;
}

static void on_crash(int signal) {
  char digits[24], *at = digits + sizeof digits - 1;
  uint64_t seed = now.seed;
  *at = 0;
  do *--at = (char)('0' + seed % 10);
  while (seed /= 10);
  say("not ok - seed ");
  say(at);
  say(" (");
  say(now.outcome->kind);
  say(signal == SIGALRM ? "): it does not end" : "): it crashed");
  say("\n  again: make sim SEED=");
  say(at);
  say(" N=1");
  if (kinds.only) say(" KIND=");
  if (kinds.only) say(kinds.only);
  say("\n");
  _exit(1);
}

static void catch_crashes(void) {
  struct sigaction a = {.sa_handler = on_crash, .sa_flags = SA_ONSTACK};
  sigaction(SIGALRM, &a, NULL);
  if (SANITIZED) return; /* it tells more, on a stack of its own */
  static char stack[64 << 10];
  stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&own, NULL);
  sigaction(SIGABRT, &a, NULL);
  sigaction(SIGSEGV, &a, NULL);
  sigaction(SIGBUS, &a, NULL);
  sigaction(SIGFPE, &a, NULL);
}

/* The same program after another one: nothing of that may show. */
static void replay(uint64_t seed, const struct outcome *first) {
  static struct outcome again;
  run_program(seed * 7919 + 13, &again, false);
  run_program(seed, &again, false);
  if (again.hash == first->hash && !strcmp(again.reason, first->reason)) return;
  tell_failure(seed, first, "a second run of the same seed went another way");
}

static void *run_all(void *unused) {
  static struct outcome o;
  (void)unused;
  catch_crashes();
  run_program(1, &o, true); /* reads the modules, and grows what grows once */
  run_program(2, &o, true);
  for (uint64_t i = 0; i < all.n && all.failed < FAILURES_MAX; i++) {
    uint64_t seed = all.seed + i;
    unsigned failed_before = all.failed;
    run_program(seed, &o, false);
    if (o.reason[0]) tell_failure(seed, &o, o.reason);
    if (kinds.trace || all.hashes)
      printf("seed %llu (%s): %lld ops, hash %016llx\n",
             (unsigned long long)seed, o.kind, (long long)o.ops,
             (unsigned long long)o.hash);
    if (all.replay) replay(seed, &o);
    all.passed += all.failed == failed_before;
  }
  return NULL;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_kinds(const char *directory) {
  DIR *d = opendir(directory);
  struct dirent *e;
  while (d && (e = readdir(d)) && kinds.n < KINDS_MAX) {
    size_t len = strlen(e->d_name);
    if (len < 5 || strcmp(e->d_name + len - 4, ".lua") != 0) continue;
    kinds.names[kinds.n++] = strndup(e->d_name, len - 4);
  }
  if (d) closedir(d);
  qsort(kinds.names, (size_t)kinds.n, sizeof *kinds.names, by_name);
}

static uint64_t number_or(const char *text, uint64_t otherwise) {
  return text && text[0] ? strtoull(text, NULL, 10) : otherwise;
}

/* Environment: SEED (the first), N (how many), KIND (only this one), TRACE=1
 * (every completion). Argument: --replay (each program twice), --hashes (what
 * each did, in short, for comparing two processes). */
int main(int argc, char **argv) {
  settle_addresses(argv);
  all.seed = number_or(getenv("SEED"), 1);
  all.n = number_or(getenv("N"), 1000);
  all.replay = argc > 1 && strcmp(argv[1], "--replay") == 0;
  all.hashes = argc > 1 && strcmp(argv[1], "--hashes") == 0;
  kinds.only = getenv("KIND");
  if (kinds.only && !kinds.only[0]) kinds.only = NULL;
  kinds.trace = number_or(getenv("TRACE"), 0) != 0;
  list_kinds("spec/sim/programs");
  arena.base = map_at(ARENA_AT, ARENA_BYTES);
  pthread_attr_t attr;
  pthread_t thread;
  pthread_attr_init(&attr);
  pthread_attr_setstack(&attr, map_at(STACK_AT, STACK_BYTES), STACK_BYTES);
  if (pthread_create(&thread, &attr, run_all, NULL) != 0) return 2;
  pthread_join(thread, NULL);
  printf("%u passed, %u failed\n", all.passed, all.failed);
  return all.failed > 0 || all.passed == 0;
}
