/* threads.h - worker threads for what blocks.
 *
 * A worker runs an op's `perform` on a copy of the op with memory of its own
 * (O5: a worker owns the memory of its work), so it can outlive everything
 * else. A job that has begun ends by itself; cancelling it interrupts the
 * system call that it waits in (interrupt.h), which not all calls heed.
 * Threads start when there is work and have all other signals blocked.
 * Owned by a driver, which learns by `wake` that there is something to reap.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_THREADS_H
#define PROA_THREADS_H

#include "op.h"

struct threads;

struct threads *threads_new(unsigned max, void (*wake)(void *), void *arg);

/* Refuse more, drop what has not begun, interrupt the rest. */
void threads_free(struct threads *t);

/* -ENOMEM or -EAGAIN (no thread can be made) leave the op as it was. */
int threads_submit(struct threads *t, struct op *op);

/* true: it had not begun, and now never will. Else its result will come: a
 * real one, or -ECANCELED. */
bool threads_cancel(struct threads *t, struct op *op);

/* The next op whose work is done, its result in op->res and in its memory;
 * NULL: none. */
struct op *threads_reap(struct threads *t);

#endif
