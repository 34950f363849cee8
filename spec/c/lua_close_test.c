/* lua_close_test.c - a Lua state that is closed with reads in flight (O5).
 *
 * A host of its own loads proa, puts 64 direct reads of 1 MiB in flight and
 * closes the state, many times. Its malloc keeps every large block between
 * guard pages and, when it is freed, fills it and keeps it: a kernel or a
 * worker that writes late is seen. Blocks still allocated at the end are
 * counted, so that a leak is no way out. Each driver in turn.
 *
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

#if defined(__SANITIZE_ADDRESS__)
#define OWN_MALLOC 0 /* the sanitizer has its own */
#else
#define OWN_MALLOC 1
#endif
#ifdef PROA_DEBUG
#define GUARDED 1 /* buffers come from csrc/lent.c, which looks back itself */
#else
#define GUARDED 0
#endif

enum {
  MIB = 1 << 20,
  PAGE = 4096,
  READS = 64,
  ROUNDS = 50,
  WARM_UP = 5,
  FILL = 0x5a,
  KEPT_MAX = 4 * READS,
};

/* -- an allocator that looks back -- */

static atomic_long larges; /* large blocks ever made: is it really ours? */
static atomic_long live;   /* blocks allocated and not freed */
static atomic_long late;   /* bytes that changed after free */

#if OWN_MALLOC
#pragma GCC visibility push(default) /* they replace those of libc */
struct large {
  unsigned char *at; /* user's bytes; NULL: free slot */
  size_t len;
  bool freed;
};

static struct large kept[KEPT_MAX];
static atomic_flag busy = ATOMIC_FLAG_INIT;

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static void lock(void) {
  while (atomic_flag_test_and_set(&busy)) continue;
}

static void unlock(void) {
  atomic_flag_clear(&busy);
}

static size_t span(size_t len) {
  return (len + PAGE - 1) / PAGE * PAGE;
}

static void *large_new(size_t len) {
  unsigned char *p = mmap(NULL, span(len) + 2 * PAGE, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return NULL;
  mprotect(p + PAGE, span(len), PROT_READ | PROT_WRITE);
  lock();
  for (int i = 0; i < KEPT_MAX; i++) {
    if (kept[i].at) continue;
    kept[i] = (struct large){p + PAGE, len, false};
    unlock();
    live++;
    larges++;
    return p + PAGE;
  }
  unlock();
  munmap(p, span(len) + 2 * PAGE);
  return NULL;
}

static struct large *large_find(void *p) {
  for (int i = 0; i < KEPT_MAX; i++)
    if (kept[i].at == p && !kept[i].freed) return &kept[i];
  return NULL;
}

void *malloc(size_t n) {
  if (n >= MIB) return large_new(n);
  live++;
  return __libc_malloc(n);
}

void *calloc(size_t n, size_t size) {
  if (n * size >= MIB) return large_new(n * size);
  live++;
  return __libc_calloc(n, size);
}

int posix_memalign(void **out, size_t align, size_t n) {
  if (n < MIB) live++;
  *out = n >= MIB ? large_new(n) : __libc_memalign(align, n);
  return *out ? 0 : ENOMEM;
}

void free(void *p) {
  if (!p) return;
  live--;
  lock();
  struct large *l = large_find(p);
  if (l) {
    memset(l->at, FILL, l->len);
    l->freed = true;
  }
  unlock();
  if (!l) __libc_free(p);
}

void *realloc(void *p, size_t n) {
  if (!p) return malloc(n);
  lock();
  struct large *l = large_find(p);
  unlock();
  if (!l && n < MIB) return __libc_realloc(p, n);
  void *bigger = malloc(n);
  if (!bigger) return NULL;
  memcpy(bigger, p, l && l->len < n ? l->len : n);
  free(p);
  return bigger;
}

#pragma GCC visibility pop

/* What was freed is as it was left; then it may go. */
static void inspect(void) {
  for (int i = 0; i < KEPT_MAX; i++) {
    struct large *l = &kept[i];
    if (!l->at || !l->freed) continue;
    long changed = 0;
    for (size_t k = 0; k < l->len; k++) changed += l->at[k] != FILL;
    late += changed;
    munmap(l->at - PAGE, span(l->len) + 2 * PAGE);
    l->at = NULL;
  }
}
#else
static void inspect(void) {
}
#endif

/* -- the program -- */

static const char script[] =
    "local proa = require 'proa'\n"
    "local path, reads = ...\n"
    "proa.setup { workers = 1 }\n"
    "local fd = assert(proa.op.open(path, 'rd'):await())\n"
    "local keep = {}\n"
    "for i = 1, reads do\n"
    "  local b = proa.buffer(1 << 20)\n"
    "  keep[i] = proa.op.read(fd, b, 1, -1, (i - 1) << 20)\n"
    "end\n"
    "KEEP = keep\n"
    "if proa.info().driver == 'uring' then proa.yield() end\n"
    "return proa.stats().ops_in_flight, proa.info().driver\n";

static int traceback(lua_State *L) {
  luaL_traceback(L, L, lua_tostring(L, 1), 1);
  return 1;
}

/* Reads in flight when the state was closed, or -1. */
static int close_busy_state(const char *path) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  lua_pushcfunction(L, traceback);
  int r = luaL_loadstring(L, script);
  lua_pushstring(L, path);
  lua_pushinteger(L, READS);
  if (r == LUA_OK) r = lua_pcall(L, 2, 2, 1);
  int busy_reads = -1;
  if (r == LUA_OK)
    busy_reads = (int)lua_tointeger(L, -2);
  else
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
  lua_close(L);
  return busy_reads;
}

static void pause_ms(long ms) {
  struct timespec t = {ms / 1000, ms % 1000 * 1000000};
  nanosleep(&t, NULL);
}

/* Beside the program: direct reads want a disk, which /tmp may not be. */
static int temp_file(char *path, size_t len) {
  ssize_t n = readlink("/proc/self/exe", path, len - 32);
  if (n < 0) return -1;
  snprintf(path + n, len - (size_t)n, "-XXXXXX");
  return mkstemp(path);
}

static bool make_file(const char *path) {
  FILE *f = fopen(path, "w");
  static unsigned char block[MIB];
  memset(block, 0xee, sizeof block);
  for (int i = 0; f && i < READS; i++)
    if (fwrite(block, 1, sizeof block, f) != sizeof block) return false;
  return f && fclose(f) == 0;
}

/* Workers that were reading when the state closed free their copies when they
 * end; the count settles. */
static long settled(long want) {
  for (int i = 0; i < 200 && live > want; i++) pause_ms(10);
  return live;
}

static bool works(const char *driver) {
  setenv("PROA_DRIVER", driver, 1);
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  bool ok = luaL_dostring(L, "require('proa').info()") == LUA_OK;
  lua_close(L);
  return ok;
}

static void close_often(void) {
  char path[512];
  int fd = temp_file(path, sizeof path);
  REQUIRE(fd >= 0);
  close(fd);
  REQUIRE(make_file(path));
  long base = 0, in_flight = 0;
  for (int i = 0; i < ROUNDS; i++) {
    int n = close_busy_state(path);
    REQUIRE(n >= 0);
    in_flight += n;
    if (i == WARM_UP) base = settled(0);
    pause_ms(20);
    inspect();
  }
  unlink(path);
  pause_ms(200);
  inspect();
  printf("# %ld reads were in flight over %d closes\n", in_flight, ROUNDS);
  CHECK_INT(late, ==, 0);
  if (OWN_MALLOC) CHECK_INT(settled(base), <=, base);
  if (OWN_MALLOC && !GUARDED) CHECK_INT(larges, >=, READS * ROUNDS);
  CHECK(in_flight > 0);
}

TEST("uring: nothing writes or leaks after lua_close with reads in flight") {
  if (!works("uring")) SKIP("io_uring is refused here");
  close_often();
}

TEST("poll: nothing writes or leaks after lua_close with reads in flight") {
  REQUIRE(works("poll"));
  close_often();
}

TEST("sim: nothing writes or leaks after lua_close with reads in flight") {
  REQUIRE(works("sim"));
  close_often();
}
