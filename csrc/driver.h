/* driver.h - who carries ops out: the contract, stated once.
 *
 * A driver is one const table. The proactor calls it from one thread; only
 * `wake` may be called from others and from a signal handler. A driver never
 * calls back: results go to the `done` array, from inside `wait` only, and
 * what ends inside submit or cancel goes to the list `finished`, which the
 * next `wait` moves there. So nothing runs while reaping, and an op can't
 * complete inside its own submit.
 * Implementations: driver_uring.c, driver_poll.c, driver_sim.c.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_DRIVER_H
#define PROA_DRIVER_H

#include <stdatomic.h>

#include "op.h"
#include "pool.h"

enum { DONE_MAX = 1024, REASON_MAX = 240 };

struct completion {
  struct op *op;
  struct op_result result;
};

struct driver_options {
  unsigned entries;     /* submission queue; 0: the driver's own choice */
  unsigned cq_entries;  /* completion queue; 0: the same */
  unsigned buffers;     /* in the pool; a power of two */
  unsigned buffer_size; /* bytes each */
  unsigned workers;     /* threads for what blocks */
  uint64_t seed;        /* sim */
};

struct driver {
  const struct driver_class *class;
  struct op_table *ops;
  struct sys *sys;      /* the calls that perform and the layers above make */
  struct pool pool;     /* pool.count 0: this driver can't select buffers */
  struct list finished; /* struct op.queue, op->res: ended without waiting */
  unsigned done_n;
  struct completion done[DONE_MAX];
  unsigned entries, cq_entries; /* as they came out; 0: has none */
  uint64_t enters;              /* system calls made to submit or wait */
  bool stuck; /* sim: nothing in its world can happen any more */
};

struct driver_class {
  const char *name;

  /* Make one. `why` says precisely what failed, in words for the user. */
  int (*open)(struct driver **out, struct op_table *ops,
              const struct driver_options *o, char why[REASON_MAX]);

  /* Free it. The proactor has drained it, or tells with `drained` that it
   * could not; then the memory that ops in flight use must stay. */
  void (*close)(struct driver *d, bool drained);

  /* Take a QUEUED op: it is SUBMITTED afterwards, or QUEUED and `finished`.
   * -EBUSY: no room now; the proactor offers it again after the next wait.
   * Never fails otherwise: an error is the op's result. */
  int (*submit)(struct driver *d, struct op *op);

  /* A request for an op that is SUBMITTED and not reaped. Never dropped; the
   * answer is the op's own last result. */
  void (*cancel)(struct driver *d, struct op *op);

  /* Hand over what was submitted, wait until there is a result, a wake or
   * the time `until_ns` (0: don't wait), and append results to `done` while
   * it has room. 0, or -errno when the driver itself is broken. */
  int (*wait)(struct driver *d, uint64_t until_ns);

  /* From any thread, or a signal handler: end the current or next wait. */
  void (*wake)(struct driver *d);

  /* For a loop around ours: a descriptor that is readable when `wait` would
   * get something from outside; -ENOTSUP. */
  int (*pollfd)(struct driver *d);

  /* ... and how long, in ns, it may be left alone although it says nothing: 0
   * when something waits for the next `wait`, NEVER_NS when nothing does. */
  uint64_t (*patience)(struct driver *d);

  /* The clock of deadlines, in ns. */
  uint64_t (*now)(struct driver *d);

  /* A handle was made for h->fd: find its kind, prepare the descriptor. */
  int (*attach)(struct driver *d, struct handle *h);

  /* h->fd is about to be closed; no op uses it. */
  void (*detach)(struct driver *d, struct handle *h);
};

extern const struct driver_class driver_uring, driver_poll, driver_sim;

/* For drivers. */
static inline bool driver_has_room(const struct driver *d) {
  return d->done_n < DONE_MAX;
}

/* Append a result; there is room. */
static inline void driver_deliver(struct driver *d, struct op *op, int32_t res,
                                  uint16_t flags, uint16_t bid) {
  assert(driver_has_room(d) && !op->reaped);
  if (!(flags & RESULT_MORE)) op->reaped = true;
  if (flags & RESULT_BUFFER) pool_filled(&d->pool, bid, res > 0 ? res : 0);
  d->done[d->done_n++] = (struct completion){op, {res, flags, bid}};
}

/* The op ended without waiting. */
static inline void driver_finish(struct driver *d, struct op *op, int32_t res) {
  op->res = res;
  op->finished = true;
  list_push(&d->finished, &op->queue);
}

/* Results of `finished` to `done`, as many as there is room for. */
static inline void driver_take_finished(struct driver *d) {
  while (driver_has_room(d) && !list_empty(&d->finished)) {
    struct op *op = container_of(list_pop(&d->finished), struct op, queue);
    op->finished = false;
    driver_deliver(d, op, op->res, 0, 0);
  }
}

/* How other threads and signal handlers end a wait: an eventfd, written once
 * for any number of wakes until the loop has read it. */
struct wake {
  int fd;          /* -1: not open */
  atomic_bool set; /* written and not yet read */
};

int wake_open(struct wake *w); /* 0 or -errno */
void wake_close(struct wake *w);
void wake_set(struct wake *w); /* async-signal-safe */
/* The loop saw it readable. Whatever woke is looked at after this. */
void wake_clear(struct wake *w);

/* What a real descriptor is; -errno when it is none. */
int driver_kind_of(int fd, enum handle_kind *kind);

#endif
