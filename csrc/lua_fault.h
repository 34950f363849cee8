/* lua_fault.h - the way in for tests of a debug build.
 *
 * core.so of a debug build exports luaopen_proa_core_fault, which gives a
 * table: `api`, a light userdata that points to this struct, for hosts in C.
 * It can be had before proa is loaded, so that loading may fail too.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_FAULT_H
#define PROA_LUA_FAULT_H

#include <stdbool.h>
#include <stddef.h>

#include "fault.h"

struct lua_State;

#ifdef PROA_DEBUG
/* Between two resumes, where a task is suspended at its await: PROA_GC_STRESS
 * "full" or "full:20" makes every, or every 20th, a full collection, "young" a
 * young one in generational mode. */
void fault_collect(struct lua_State *L);
#else
#define fault_collect(L) ((void)0)
#endif

struct fault_api {
  bool (*point)(const char *name);
  void (*arm)(const char *name, unsigned nth, unsigned count, int err);
  unsigned (*disarm)(void);
  void (*note)(bool on);
  const struct fault_seen *(*seen)(unsigned i);
  size_t (*blocks)(void);
  void (*print_blocks)(void);
};

#endif
