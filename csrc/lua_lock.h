/* lua_lock.h - mutexes, for condition variables, which let go of one and take
 * it again.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_LOCK_H
#define PROA_LUA_LOCK_H

#include "lua_task.h"

#define GUARD_CLASS "proa.guard"

struct guard;

/* A mutex or a semaphore. Its user value is a table of the guards that lookers
 * will be given, by the address of the looker; nil until there is one. */
struct lock {
  unsigned permits, max;
  bool exclusive;       /* a mutex: */
  uint32_t owner;       /* the task's id; the main chunk is 0 */
  struct guard *holder; /* the guard of its lock, if that is not collected */
  struct list waiters;  /* struct waiter: of tasks, or lookers */
};

/* Its user value is the lock, so that `lock` stays. It is the subject of the
 * wait that is for it. */
struct guard {
  struct lock *lock;
  unsigned n;
  bool held;
  bool notified; /* in a cond's wait: what woke it */
  bool again;    /* ... and it is to have its mutex again before it ends */
};

/* Raises, as `verb`, unless g holds a mutex for the task that runs. */
void guard_check_mutex(lua_State *L, const struct guard *g, const char *verb);
void guard_give_back(struct guard *g);
/* t waits with g and is in no list: woken when g holds its mutex again. */
void guard_take_again(struct guard *g, struct task *t);

#endif
