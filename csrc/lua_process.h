/* lua_process.h - proa.process for the other bindings.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_PROCESS_H
#define PROA_LUA_PROCESS_H

#include <lauxlib.h>

#include "process.h"

#define PROCESS_CLASS "proa.process"

struct lua_process {
  struct runtime *rt;
  struct process *k; /* until it is collected */
  pid_t pid;
  uint64_t grace_ns;
};

struct lua_process *process_check(lua_State *L, int arg);

/* Our ends of pipes, and what to close when the child has its own. A userdata,
 * so that all is closed when memory runs out on the way. */
struct stdio {
  int child[3];  /* its descriptors */
  int ours[3];   /* the other end of its pipe, or -1 */
  bool close[3]; /* child[i] was made here */
};

/* Push one with nothing in it. */
struct stdio *stdio_push(lua_State *L);
/* What the child gets, from three arguments: "pipe", "null", "inherit",
 * "stdout" (for stderr) or a number. -errno. */
int stdio_open(lua_State *L, int first, struct stdio *io);
/* Streams over our ends, into the table on top; what was made so far is closed
 * by its objects when the rest fails. -errno. */
int stdio_set_streams(lua_State *L, struct proactor *p, struct stdio *io);
/* The child has its own. Idempotent. */
void stdio_close(struct stdio *io);

#endif
