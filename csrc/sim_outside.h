/* sim_outside.h - the part of the world that the simulation does not own.
 *
 * Real descriptors, signals and other threads. A struct sim_outside owns the
 * set of those who wait for a real descriptor, and the eventfd by which a
 * wait that really blocks is ended. Whoever is worth another try moves to the
 * same list as the waiters of simulated sockets. Used by driver_sim.c.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_SIM_OUTSIDE_H
#define PROA_SIM_OUTSIDE_H

#include <poll.h>
#include <stdatomic.h>

#include "sim_net.h"

struct sim_outside {
  struct list real;   /* struct sim_waiter: for readiness of their fd */
  struct list later;  /* struct sim_waiter: nothing tells when */
  struct list *woken; /* where they go */
  struct pollfd *polled;
  size_t polled_cap;
  int wake_fd;
  atomic_bool awake; /* a wake was asked for and not yet taken */
};

int sim_outside_init(struct sim_outside *o, struct list *woken);
void sim_outside_deinit(struct sim_outside *o);

/* Wait for a real descriptor; events 0: for a little while. */
void sim_outside_wait(struct sim_outside *o, struct sim_waiter *w, int fd,
                      short events);

static inline bool sim_outside_pending(const struct sim_outside *o) {
  return !list_empty(&o->real) || !list_empty(&o->later);
}

/* Block for at most limit_ns of real time, 0 not at all, until something is
 * ready, a wake or a signal. 0 or -errno. */
int sim_outside_look(struct sim_outside *o, uint64_t limit_ns);

/* From any thread, or a signal handler. */
void sim_outside_wake(struct sim_outside *o);
/* True once for each wake, or for several. */
bool sim_outside_take_wake(struct sim_outside *o);

#endif
