/* driver_uring.h - what the two files of the io_uring driver share.
 *
 * driver_uring_open.c makes the ring and proves that it works;
 * driver_uring.c runs it. Only these two and ops_*.c know liburing.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_DRIVER_URING_H
#define PROA_DRIVER_URING_H

#include <liburing.h>

#include "driver.h"
#include "threads.h"

/* What liburing 2.3 does not define yet; plain constants of the kernel. */
#ifndef IORING_ENTER_NO_IOWAIT
#define IORING_ENTER_NO_IOWAIT (1U << 7)
#endif
#ifndef IORING_FEAT_NO_IOWAIT
#define IORING_FEAT_NO_IOWAIT (1U << 17)
#endif

enum { POOL_GROUP = 0, PREFLIGHT_GROUP = 1 };

struct uring_driver {
  struct driver base;
  struct sys sys;
  struct io_uring ring;
  bool ring_open;
  unsigned wait_flags;                /* NO_IOWAIT where the kernel has it */
  struct io_uring_buf_ring *provided; /* the pool's entries, mapped */
  size_t provided_len;
  struct wake wake;
  bool wake_armed;
  struct wake notify;  /* for a loop around ours; usually not open */
  struct list pending; /* struct op.queue: wait for room in the queue */
  struct list later;   /* struct op.queue: to be tried again after a tick */
  struct threads *threads;
};

/* The enter call of our own: hands over what is prepared, runs the kernel's
 * deferred work, waits for min_done results or until `left_ns` passed
 * (NEVER_NS: no limit). >= 0 or -errno. */
int uring_enter(struct uring_driver *u, unsigned min_done, uint64_t left_ns);

/* Room for one more entry, flushing if need be; NULL: none now. */
struct io_uring_sqe *uring_sqe(struct uring_driver *u);

int uring_open(struct driver **out, struct op_table *ops,
               const struct driver_options *o, char why[REASON_MAX]);
void uring_free(struct uring_driver *u);

/* driver_uring.c's, for open: give a pool buffer to the kernel. */
void uring_provide(struct pool *pool, uint16_t id);

void uring_wake(struct driver *d);

#endif
