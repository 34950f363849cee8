/* lua_peek.h - asks the code that runs, from a signal handler, to tell.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_PEEK_H
#define PROA_LUA_PEEK_H

#include <lua.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

struct runtime;

enum peek_what {
  PEEK_DUMP = 1 << 0, /* proa.dump() */
  PEEK_HOG = 1 << 1,  /* the watchdog's report */
};

/* One in each runtime. */
struct peek {
  volatile sig_atomic_t asked; /* enum peek_what, not answered yet */
  pthread_t thread;            /* the loop's: handlers run there */
  /* what the coroutine had before the hook that answers */
  lua_Hook hook;
  int mask, count;
  int dump_ref;    /* registry: what prints; LUA_NOREF */
  int dump_signal; /* 0: none */
};

void peek_init(struct runtime *rt);
/* Async-signal-safe, on the loop's thread. What runs will answer at its next
 * instruction, or the loop in its next turn, which is woken. */
void peek_ask(struct runtime *rt, enum peek_what what);
/* Answer what was asked; errors are printed. */
void peek_answer(lua_State *L, struct runtime *rt);
/* Print the error on top, and take it. */
void peek_tell_error(lua_State *L, const char *what);
/* No handler of ours remains. */
void peek_close(struct runtime *rt);

#endif
