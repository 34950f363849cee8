/* lua_select.h - what can be waited for together with others: the way in.
 *
 * Any userdata can be an entry of select, all, any and race. Its class says
 * how by a const struct select_class, registered once with its metatable:
 *
 *     static const struct select_class selects_thing = {
 *         .ready = thing_ready, .link = thing_link, .take = thing_take};
 *     make_class(L, THING_CLASS, methods, meta);
 *     select_register(L, THING_CLASS, &selects_thing);
 *
 * Who waits for several only looks. Its looker stands in the list of each
 * entry; whoever makes one ready wakes the looker as any other waiter, and
 * gives it nothing. The task then looks again which entry is ready, takes
 * from that one alone and leaves the rest. So what is not chosen has lost
 * nothing; and where two looked at one item, the one that comes too late
 * finds nothing ready and waits again. Used by lua_select.c (the first of
 * several) and lua_watch.c (one after another).
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_SELECT_H
#define PROA_LUA_SELECT_H

#include <lua.h>

#include "lua_task.h"

/* An entry's place in the list of what it waits for. */
struct looker {
  struct waiter waiter; /* .looks is set: by that a list can tell */
  struct task *const *task;
  void *wait;   /* of which it is a part; its lookers never meet each other */
  bool claimed; /* until it has been taken */
  /* Decide the wait for this entry, from outside, while looker_waits: it is
   * woken and takes this one, whatever else gets ready. For lists where the
   * other side may be one that only looks as well (a rendezvous). */
  void (*claim)(struct looker *);
};

static inline struct looker *looker_of(struct waiter *w) {
  return container_of(w, struct looker, waiter);
}

/* Is nothing decided yet? If not, it can only be woken, to look again. */
static inline bool looker_waits(const struct looker *k) {
  const struct task *t = *k->task;
  return t && t->state == TASK_WAITING && t->wait.subject == k->wait;
}

/* The object is the userdata at idx, which may be closed meanwhile: then it is
 * ready, and take gives nil, message, "CLOSED". None of these awaits; all but
 * `ready` may raise for lack of memory, having changed nothing. */
struct select_class {
  /* Would take find something? Changes nothing. */
  bool (*ready)(lua_State *L, int idx);
  /* It is not ready: put the looker into the list that is woken when it may
   * be, and see to it that it will (arm what has to be). Does not wake it. */
  void (*link)(lua_State *L, int idx, struct looker *k);
  /* May something outside this Lua state make it ready (the kernel, a signal,
   * a thread)? NULL: no. What only tasks can do is a deadlock when none is
   * left. */
  bool (*external)(lua_State *L, int idx);
  /* It was linked, or was to be, and is not taken now; the looker is in no list
   * any more, and may have been woken: pass on what another waiter may take.
   * NULL: nothing to do. */
  void (*leave)(lua_State *L, int idx, struct looker *k);
  /* It was ready just now: take, without awaiting. Pushes what awaiting it
   * would return (a failure as nil, message, code), and nothing below it, and
   * returns how many, or -1 when another has been quicker; raises only what
   * awaiting would. The looker is NULL unless it was linked; when it is
   * claimed, what was decided is there. */
  int (*take)(lua_State *L, int idx, struct looker *k);
};

/* `class` is static; the metatable is that of make_class(L, name, ...). */
void select_register(lua_State *L, const char *name,
                     const struct select_class *class);

/* -- for who waits -- */

/* NULL: the value at idx can't be waited for. */
const struct select_class *select_class_of(lua_State *L, int idx);
/* Raises unless it can. */
void select_check(lua_State *L, int idx);
bool select_external(lua_State *L, int idx);
/* Tell of the tasks among the first n of the list on top, which is taken. */
struct task_visitor;
void select_visit(lua_State *L, int n, struct task_visitor *v);
void select_leave(lua_State *L, int idx, struct looker *k);

#endif
