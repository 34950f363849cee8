/* sim_outside.c - poll(2) for a simulation that real descriptors take part
 * in. See sim_outside.h.
 *
 * SPDX-License-Identifier: MIT */
#include "sim_outside.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fault.h"

enum { RETRY_NS = 1000 * 1000 }; /* between tries that nothing asks for */

int sim_outside_init(struct sim_outside *o, struct list *woken) {
  list_init(&o->real);
  list_init(&o->later);
  o->woken = woken;
  o->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return o->wake_fd < 0 ? -errno : 0;
}

void sim_outside_deinit(struct sim_outside *o) {
  if (o->wake_fd >= 0) close(o->wake_fd);
  o->wake_fd = -1;
  free(o->polled);
  o->polled = NULL;
  o->polled_cap = 0;
}

void sim_outside_wait(struct sim_outside *o, struct sim_waiter *w, int fd,
                      short events) {
  w->fd = fd;
  w->events = events;
  list_push(events ? &o->real : &o->later, &w->link);
}

static int polled_reserve(struct sim_outside *o) {
  size_t need = 1;
  list_each(&o->real, k) need++;
  if (need <= o->polled_cap) return 0;
  void *p = fault_point("sim_polled")
                ? NULL
                : realloc(o->polled, 2 * need * sizeof *o->polled);
  if (!p) return -ENOMEM;
  o->polled = p;
  o->polled_cap = 2 * need;
  return 0;
}

static nfds_t polled_fill(struct sim_outside *o) {
  nfds_t n = 0;
  o->polled[n++] = (struct pollfd){.fd = o->wake_fd, .events = POLLIN};
  list_each(&o->real, k) {
    struct sim_waiter *w = container_of(k, struct sim_waiter, link);
    o->polled[n++] = (struct pollfd){.fd = w->fd, .events = w->events};
  }
  return n;
}

static void polled_take(struct sim_outside *o) {
  if (o->polled[0].revents) atomic_store(&o->awake, true);
  struct link *k = list_first(&o->real), *next;
  for (nfds_t i = 1; k; i++, k = next) {
    next = list_next(&o->real, k);
    if (!o->polled[i].revents) continue;
    link_unlink(k);
    list_push(o->woken, k);
  }
}

/* A signal ends the wait as a wake does. */
int sim_outside_look(struct sim_outside *o, uint64_t limit_ns) {
  if (polled_reserve(o) < 0) list_splice(&o->later, &o->real);
  if (!o->polled) return -ENOMEM;
  if (!list_empty(&o->later)) limit_ns = min_u64(limit_ns, RETRY_NS);
  struct timespec t = {(time_t)(limit_ns / NS_PER_S),
                       (long)(limit_ns % NS_PER_S)};
  int r =
      ppoll(o->polled, polled_fill(o), limit_ns == NEVER_NS ? NULL : &t, NULL);
  if (r < 0 && errno != EINTR) return -errno;
  if (r < 0) atomic_store(&o->awake, true);
  if (r > 0) polled_take(o);
  list_splice(o->woken, &o->later);
  return 0;
}

/* Only a store and a write(2): a signal handler may come here. */
void sim_outside_wake(struct sim_outside *o) {
  uint64_t one = 1;
  int before = errno;
  atomic_store(&o->awake, true);
  ssize_t r = write(o->wake_fd, &one, sizeof one);
  (void)r; /* EAGAIN: it is awake already */
  errno = before;
}

bool sim_outside_take_wake(struct sim_outside *o) {
  uint64_t count;
  if (!atomic_exchange(&o->awake, false)) return false;
  ssize_t r = read(o->wake_fd, &count, sizeof count);
  (void)r; /* EAGAIN: the waker is about to write; a short wait follows */
  return true;
}
