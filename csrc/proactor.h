/* proactor.h - owns the ops in flight: submit, cancel, deadlines, drain.
 *
 * One proactor belongs to one thread. A turn of the loop is
 *
 *   hand over and wait · reap (nothing runs) · dispatch to sinks · timers
 *
 * and only proactor_turn runs sinks and deadlines, so no completion runs
 * inside a submit or a cancel. Does not know Lua; tasks are made ready by
 * sinks of the layers above. Next: stream.h, listener.h, lua_executor.c.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_PROACTOR_H
#define PROA_PROACTOR_H

#include "driver.h"
#include "log.h"
#include "ops.h"
#include "outq.h"

/* Somebody who wants to know once. Woken by being taken off its list. */
struct waiter {
  struct link link;
  void (*wake)(struct waiter *);
  bool looks; /* only looks: what it is woken for stays unclaimed */
};

/* To be run once: before the next hand-over (output that coalesces), or when
 * the results of this turn have been given out (codecs). */
struct hook {
  struct link link;
  void (*run)(struct hook *);
};

/* Told of every op, while a trace is written. `result` comes before the sink,
 * which may end the op. */
struct tracer {
  void (*submitted)(struct tracer *, const struct op *);
  void (*result)(struct tracer *, const struct op *, const struct op_result *);
};

struct proactor_stats {
  uint64_t submitted, completed, cancels; /* ops */
  uint64_t turns;
  uint64_t accepts_parked;  /* arrived while nobody waited: kept for the next */
  uint64_t accepts_dropped; /* closed with their listener */
  uint64_t served_idle;     /* ended by serve's idle limit */
  uint64_t bytes_in, bytes_out;
  uint64_t enobufs; /* receives that found the pool empty */
};

struct proactor {
  struct driver *driver;
  struct op_table ops;
  struct heap deadlines;
  struct list backlog; /* struct op.queue: QUEUED, the driver had no room */
  struct list hooks;   /* struct hook: before the next hand-over */
  struct list works;   /* struct hook: after the results */
  struct list handles; /* struct handle.link */
  struct list unended; /* the same: to be closed when `close_op` is back */
  struct op *close_op; /* kept for a close without memory; NULL: under way */
  struct list
      objects; /* layer 4: what holds a handle and must learn of the end */
  struct list lingering; /* link of a stream or process: ends by itself */
  struct list greedy;    /* struct stream.greedy: want more than their floor */
  unsigned inflight;     /* ops */
  unsigned ending;       /* handles that close, and are not closed yet */
  bool closing;          /* new ops end with -ECANCELED at once */
  bool woke;             /* a waiter was, in this turn: do not sleep */
  int broken;            /* the driver's wait failed with this */
  unsigned streams;      /* records that are not freed */
  unsigned handles_n;
  unsigned parked;           /* connections, in all listeners */
  struct outq_shared queues; /* bytes in the queues of all streams ... */
  size_t queued_max;         /* ... from which on they get no more (O9) */
  uint64_t handed_over;      /* of stats.submitted, before the last wait */
  struct proactor_stats stats;
#ifdef PROA_DEBUG
  void (*where)(void *arg, char *into, size_t len); /* the line that submits */
  void *where_arg;
#endif
  char refused[REASON_MAX]; /* why not the better driver; "" */
  struct log *log;          /* who listens, or NULL */
  struct tracer *tracer;    /* or NULL */
};

struct proactor_options {
  const char *driver; /* "uring", "poll", "sim", or NULL: the best there is */
  struct driver_options with;
  size_t memory; /* bytes, for queued_max; 0: a quarter of the machine's */
};

/* -errno with p->refused telling why; then p needs no close. */
int proactor_open(struct proactor *p, const struct proactor_options *o);

/* Everything must have been closed. Cancels what is still in flight and
 * reaps until it has ended, at most limit_ns; false: it has not, and what it
 * uses was leaked (O5). */
bool proactor_close(struct proactor *p, uint64_t limit_ns);

/* The first half: refuse new ops, cancel, reap until nothing is in flight.
 * Results that were not taken are still with their sinks. */
bool proactor_end(struct proactor *p, uint64_t limit_ns);

static inline uint64_t proactor_now(struct proactor *p) {
  return p->driver->class->now(p->driver);
}
static inline struct sys *proactor_sys(struct proactor *p) {
  return p->driver->sys;
}
/* Ops wait for the next turn: one more is handed over with them. */
static inline bool proactor_has_batch(const struct proactor *p) {
  return p->handed_over != p->stats.submitted;
}
static inline void proactor_wake(struct proactor *p) {
  p->driver->class->wake(p->driver);
}

/* One turn; waits until there is something to do, until_ns at the latest
 * (0: does not wait). -errno: the driver is broken, see p->broken. */
int proactor_turn(struct proactor *p, uint64_t until_ns);

/* How long, in ns, a turn may be put off while the driver's pollfd is not
 * readable; NEVER_NS: for ever. */
uint64_t proactor_patience(struct proactor *p);

/* -- ops: take one, fill it, submit it -- */

static inline struct op *proactor_op(struct proactor *p,
                                     const struct op_class *class) {
  return op_new(&p->ops, class);
}
static inline void proactor_free(struct proactor *p, struct op *op) {
  op_free(&p->ops, op);
}

/* op->sink gets the result, later, always. */
void proactor_submit(struct proactor *p, struct op *op);
/* A request; an op that has ended or is being cancelled is left alone. */
void proactor_cancel(struct proactor *p, struct op *op);
/* Nobody will collect: the result is put away, the record freed. */
void proactor_orphan(struct proactor *p, struct op *op);
/* Put away one result as an orphan's would be. */
void proactor_discard(struct proactor *p, struct op *op,
                      const struct op_result *r);
/* Its result was known at submit and is handed out now instead of by the next
 * turn; false: it is not known. The sink is not called. */
bool proactor_take_finished(struct proactor *p, struct op *op,
                            struct op_result *r);

/* -- handles -- */

/* For fd; owned: to be closed with the handle. On error fd is untouched. */
int handle_open(struct proactor *p, int fd, bool owned, struct handle **out);
/* O4: cancels its ops, closes when they have ended. `sink` learns how it
 * ended, with op->owner = owner; NULL: nobody cares. */
void handle_close(struct proactor *p, struct handle *h, op_sink *sink,
                  void *owner);
/* Ask all its ops to end. */
void handle_cancel(struct proactor *p, struct handle *h);

/* -- deadlines -- */

/* Set, or set anew. -ENOMEM. */
int deadline_at(struct proactor *p, struct deadline *d, uint64_t at_ns);
static inline void deadline_clear(struct proactor *p, struct deadline *d) {
  heap_remove(&p->deadlines, d);
}

/* -- waiters and hooks -- */

void waiter_wake_first(struct list *waiters);
void waiter_wake_all(struct list *waiters);

static inline void hook_add(struct proactor *p, struct hook *hook) {
  if (!link_listed(&hook->link)) list_push(&p->hooks, &hook->link);
}
static inline void work_add(struct proactor *p, struct hook *hook) {
  if (!link_listed(&hook->link)) list_push(&p->works, &hook->link);
}

#endif
