/* listener.c - accepting without loss. See listener.h.
 *
 * SPDX-License-Identifier: MIT */
#include "listener.h"

#include <stdlib.h>
#include <string.h>

#include "errname.h"
#include "fault.h"

enum { BACKOFF_MS = 50 };

static void backoff_over(struct deadline *d);

struct listener *listener_new(struct proactor *p, struct handle *h) {
  struct listener *l =
      fault_point("listener_new") ? NULL : calloc(1, sizeof *l);
  if (!l) return NULL;
  l->p = p;
  l->handle = h;
  list_init(&l->waiters);
  list_init(&l->rooms);
  l->backoff.fire = backoff_over;
  return l;
}

/* -- the ring of parked descriptors -- */

static int grow(struct listener *l) {
  unsigned cap = l->parked_cap ? l->parked_cap * 2 : 16;
  int *bigger = fault_point("listener_grow") ? NULL : calloc(cap, sizeof(int));
  if (!bigger) return -ENOMEM;
  for (unsigned i = 0; i < l->parked_n; i++)
    bigger[i] = l->parked[(l->parked_at + i) % l->parked_cap];
  free(l->parked);
  l->parked = bigger;
  l->parked_cap = cap;
  l->parked_at = 0;
  return 0;
}

/* Without memory for it, -ENOMEM, the client is turned away, and counted. */
static int park(struct listener *l, int fd) {
  if (l->parked_n == l->parked_cap && grow(l) < 0) {
    struct sys *sys = proactor_sys(l->p);
    sys->class->close(sys, fd);
    l->p->stats.accepts_dropped++;
    return -ENOMEM;
  }
  l->parked[(l->parked_at + l->parked_n++) % l->parked_cap] = fd;
  l->p->parked++;
  return 0;
}

static int unpark(struct listener *l) {
  int fd = l->parked[l->parked_at];
  l->parked_at = (l->parked_at + 1) % l->parked_cap;
  l->parked_n--;
  l->p->parked--;
  return fd;
}

/* -- accepting -- */

/* accept(2): errors of the network under a new connection are to be tried
 * again, like EAGAIN; the firewall's EPERM and a client that has left too. */
static bool passing(int res) {
  switch (-res) {
  case ECONNABORTED:
  case EPERM:
  case EPROTO:
  case ENETDOWN:
  case ENOPROTOOPT:
  case EHOSTDOWN:
  case ENONET:
  case EHOSTUNREACH:
  case EOPNOTSUPP:
  case ENETUNREACH:
    return true;
  default:
    return false;
  }
}

/* Descriptors or memory are short: trying at once would spin. */
static void failed(struct listener *l, int res) {
  uint64_t at = ns_after(proactor_now(l->p), BACKOFF_MS * NS_PER_MS);
  l->err = res;
  log_say(l->p->log,
          LOG_ENTRY(.level = LOG_LEVEL_WARN, .event = "accept", .has_fd = true,
                    .fd = l->handle->fd, .err = res),
          "accepting has failed (%s); it is tried again in %d ms",
          err_name(-res) ? err_name(-res) : "?", BACKOFF_MS);
  if (deadline_at(l->p, &l->backoff, at) == 0)
    waiter_wake_first(&l->waiters);
  else
    waiter_wake_all(&l->waiters); /* nothing would arm it again for them */
}

static void accepted(struct listener *l, int fd) {
  int r = park(l, fd);
  if (r < 0 && !l->closing)
    failed(l, r);
  else if (list_empty(&l->waiters))
    l->p->stats.accepts_parked++;
  else
    waiter_wake_first(&l->waiters);
}

static void arm(struct listener *l);

static void accept_sink(struct op *op, const struct op_result *r) {
  struct listener *l = op->owner;
  bool more = r->flags & RESULT_MORE;
  if (r->res >= 0) accepted(l, r->res);
  bool enough = l->once || l->parked_n >= LISTENER_PARK_MAX;
  if (more && enough) proactor_cancel(l->p, op);
  if (more) return;
  l->accept = NULL;
  proactor_free(l->p, op);
  if (l->closing) return;
  if (r->res < 0 && r->res != -ECANCELED && !passing(r->res))
    failed(l, r->res);
  else if ((r->res >= 0 && !l->once) || !list_empty(&l->waiters))
    arm(l);
}

static void arm(struct listener *l) {
  if (l->accept || l->closing || deadline_set(&l->backoff)) return;
  if (l->parked_n >= LISTENER_PARK_MAX) return;
  struct op *op = proactor_op(l->p, l->once ? &op_accept : &op_accept_multi);
  if (!op) {
    failed(l, -ENOMEM);
    return;
  }
  op->handle = l->handle;
  op->sink = accept_sink;
  op->owner = l;
  l->accept = op;
  proactor_submit(l->p, op);
}

void listener_arm(struct listener *l) {
  l->once = false;
  arm(l);
}

void listener_ask(struct listener *l) {
  l->once = true;
  if (l->accept && l->accept->class == &op_accept_multi)
    proactor_cancel(l->p, l->accept); /* its end arms anew */
  arm(l);
}

static void backoff_over(struct deadline *d) {
  struct listener *l = container_of(d, struct listener, backoff);
  if (!list_empty(&l->waiters)) arm(l);
}

int listener_take(struct listener *l) {
  if (l->parked_n) {
    int fd = unpark(l);
    if (!l->once && l->parked_n < LISTENER_PARK_MAX / 2) arm(l);
    return fd;
  }
  int err = l->err;
  l->err = 0;
  return err ? err : -EAGAIN;
}

void listener_untake(struct listener *l, int fd) {
  (void)park(l, fd); /* there is room: it was just taken */
  for (unsigned i = l->parked_n - 1; i > 0; i--) {
    unsigned a = (l->parked_at + i) % l->parked_cap;
    unsigned b = (l->parked_at + i - 1) % l->parked_cap;
    l->parked[a] = l->parked[b];
  }
  l->parked[l->parked_at] = fd;
}

void listener_pass_on(struct listener *l) {
  if (l->parked_n || l->err) waiter_wake_first(&l->waiters);
}

/* -- closing -- */

static void wake_all(struct listener *l) {
  waiter_wake_all(&l->waiters);
  waiter_wake_all(&l->rooms);
}

static void listener_free(struct listener *l) {
  struct sys *sys = proactor_sys(l->p);
  while (l->parked_n) {
    sys->class->close(sys, unpark(l));
    l->p->stats.accepts_dropped++;
  }
  free(l->parked);
  free(l);
}

/* What came while it closed is parked as well. */
static void closed_sink(struct op *op, const struct op_result *r) {
  struct listener *l = op->owner;
  (void)r;
  l->ended = true;
  if (l->kept)
    wake_all(l);
  else
    listener_free(l);
}

void listener_close(struct listener *l, bool keep) {
  l->closing = true;
  l->kept = keep;
  unix_path_remove(proactor_sys(l->p), &l->made);
  deadline_clear(l->p, &l->backoff);
  wake_all(l);
  handle_close(l->p, l->handle, closed_sink, l);
}

void listener_let_go(struct listener *l) {
  assert(l->closing && l->kept);
  l->kept = false;
  wake_all(l);
  if (l->ended) listener_free(l);
}
