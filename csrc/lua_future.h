/* lua_future.h - futures for the other bindings.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_FUTURE_H
#define PROA_LUA_FUTURE_H

#include "lua_task.h"
#include "proactor.h"

#define FUTURE_CLASS "proa.future"

enum future_state {
  FUTURE_PENDING,
  FUTURE_DONE,      /* op: completed, its result not collected yet */
  FUTURE_SET,       /* values in the user value */
  FUTURE_FAILED,    /* the error there */
  FUTURE_CANCELLED, /* hand-made, and cancelled */
};

struct future {
  struct runtime *rt;
  struct proactor *p;
  struct op *op; /* until collected; NULL: hand-made */
  int32_t res;
  uint8_t state;
  struct list waiters;
};

/* Push a future for an op that is submitted now. */
struct future *future_submit(lua_State *L, struct runtime *rt,
                             struct proactor *p, const struct op_class *class,
                             int first);
/* Push its results as await returns them; it is not pending. */
int future_push_results(lua_State *L, int idx);
/* Of a wait whose subject is a struct future. */
const struct op *future_wait_op(struct task *t);
/* Its one waiter gives up: let go of the op, giving a lent buffer back. false:
 * the op holds the user's memory and must end first. */
bool future_detach(struct future *f);
static inline bool future_done(const struct future *f) {
  return f->state != FUTURE_PENDING;
}

#endif
