/* sim_rig.h - drives driver_sim in tests as the proactor would, and no more.
 *
 * A rig owns an op table and a driver. rig_submit takes an op and offers it
 * again when the driver had no room; rig_turn waits, asks `finish`, submits
 * once more what wants it, and calls sinks. Every completion goes into a hash,
 * so that two runs can be compared. Ops are freed by whoever made them.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_SIM_RIG_H
#define PROA_SIM_RIG_H

#include <stdlib.h>

#include "check.h"
#include "driver.h"
#include "ops.h"
#include "sim_net.h"

struct rig {
  struct op_table ops;
  struct driver *driver;
  struct sim_net *net;
  struct sys *sys;
  struct list backlog; /* struct op.queue */
  unsigned inflight;
  uint64_t hash, completions, refusals, turns;
};

static struct rig rig;

static inline void rig_open_with(const struct driver_options *o,
                                 unsigned chaos) {
  char why[REASON_MAX];
  op_table_init(&rig.ops);
  if (driver_sim.open(&rig.driver, &rig.ops, o, why) < 0) abort();
  rig.net = sim_net_of(rig.driver);
  rig.net->knobs.chaos = chaos;
  rig.sys = rig.driver->sys;
  list_init(&rig.backlog);
  rig.inflight = 0;
  rig.hash = rig.completions = rig.refusals = rig.turns = 0;
}

static inline void rig_open(uint64_t seed, unsigned chaos) {
  rig_open_with(&(struct driver_options){.seed = seed}, chaos);
}

/* Nothing is left: no op, no socket, no buffer. */
static inline void rig_close(void) {
  CHECK_INT(rig.inflight, ==, 0);
  CHECK_INT(rig.ops.live, ==, 0);
  CHECK_INT(rig.net->sock_n, ==, 0);
  CHECK_INT(rig.driver->pool.free_n, ==, rig.driver->pool.count);
  driver_sim.close(rig.driver, true);
  op_table_deinit(&rig.ops);
}

static inline void rig_handle(struct handle *h, int fd) {
  *h = (struct handle){.fd = fd, .owned = true};
  list_init(&h->ops);
  int r = driver_sim.attach(rig.driver, h);
  CHECK_INT(r, ==, 0);
}

static inline struct op *rig_op(const struct op_class *class, struct handle *h,
                                op_sink *sink, void *owner) {
  struct op *op = op_new(&rig.ops, class);
  if (!op) abort();
  op->handle = h;
  op->sink = sink;
  op->owner = owner;
  return op;
}

static inline struct op *rig_io(const struct op_class *class, struct handle *h,
                                const void *p, size_t n) {
  struct op *op = rig_op(class, h, NULL, NULL);
  op->io.ptr = (unsigned char *)(uintptr_t)p;
  op->io.len = n;
  return op;
}

static inline void rig_offer(struct op *op) {
  bool taken = list_empty(&rig.backlog);
  if (taken && driver_sim.submit(rig.driver, op) == -EBUSY) {
    taken = false;
    rig.refusals++;
  }
  if (!taken) list_push(&rig.backlog, &op->queue);
}

static inline void rig_submit(struct op *op) {
  if (op->state == OP_COMPLETED) op_step(op, OP_IDLE);
  op->cancelled = op->reaped = false;
  op->io.done = 0;
  op_step(op, OP_QUEUED);
  rig.inflight++;
  rig_offer(op);
}

static inline void rig_cancel(struct op *op) {
  if (!op_in_flight(op) || op->cancelled || op->reaped) return;
  op->cancelled = true;
  if (op->finished) return;
  if (op->state == OP_SUBMITTED) {
    driver_sim.cancel(rig.driver, op);
  } else {
    link_unlink(&op->queue);
    driver_finish(rig.driver, op, -ECANCELED);
  }
}

static inline void rig_again(struct op *op) {
  op_step(op, OP_COMPLETED);
  op_step(op, OP_IDLE);
  op_step(op, OP_QUEUED);
  op->reaped = false;
  rig_offer(op);
}

static inline void rig_note(const struct op *op, const struct op_result *r) {
  uint64_t now = rig.driver->class->now(rig.driver);
  uint64_t all[] = {op->slot, (uint64_t)(uint32_t)r->res, r->flags, r->bid,
                    now};
  for (size_t i = 0; i < countof(all); i++)
    rig.hash = (rig.hash ^ all[i]) * UINT64_C(0x100000001b3);
  rig.completions++;
}

static inline void rig_complete(struct op *op, struct op_result r) {
  rig_note(op, &r);
  bool last = !(r.flags & RESULT_MORE);
  if (last && op->class->finish) r.res = op->class->finish(op, r.res);
  if (last && r.res == OP_AGAIN) {
    rig_again(op);
    return;
  }
  if (last) {
    CHECK(op->reaped && !op->job);
    op_step(op, OP_COMPLETED);
    op->res = r.res;
    rig.inflight--;
  } else {
    CHECK(op->state == OP_SUBMITTED);
  }
  if (op->sink) op->sink(op, &r);
}

static inline void rig_turn(uint64_t until_ns) {
  struct driver *d = rig.driver;
  struct list offered = LIST_INIT(&offered);
  struct link *k;
  list_splice(&offered, &rig.backlog);
  while ((k = list_pop(&offered))) rig_offer(container_of(k, struct op, queue));
  rig.turns++;
  int r = d->class->wait(d, until_ns);
  CHECK_INT(r, ==, 0);
  for (unsigned i = 0; i < d->done_n; i++)
    rig_complete(d->done[i].op, d->done[i].result);
  d->done_n = 0;
}

/* Until nothing is in flight. */
static inline void rig_drain(void) {
  for (int turns = 0; rig.inflight && turns < 1000000; turns++)
    rig_turn(NEVER_NS);
  CHECK_INT(rig.inflight, ==, 0);
}

/* There and back; the op is freed. */
static inline int rig_do(struct op *op) {
  rig_submit(op);
  while (op_in_flight(op)) rig_turn(NEVER_NS);
  int res = op->res;
  op_free(&rig.ops, op);
  return res;
}

static inline void rig_shut(struct handle *h) {
  driver_sim.detach(rig.driver, h);
  CHECK_INT(rig_do(rig_op(&op_close, h, NULL, NULL)), ==, 0);
}

static inline void rig_pair(struct handle h[2]) {
  int fds[2];
  CHECK_INT(rig.sys->class->pair(rig.sys, SOCK_STREAM, fds), ==, 0);
  rig_handle(&h[0], fds[0]);
  rig_handle(&h[1], fds[1]);
}

/* A socket that is bound to loopback and listens; its address in *at. */
static inline void rig_listen(struct handle *h, struct address *at,
                              int backlog) {
  const struct sys_class *c = rig.sys->class;
  *at = (struct address){.len = sizeof at->at.in};
  at->at.in.sin_family = AF_INET;
  at->at.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = c->socket(rig.sys, AF_INET, SOCK_STREAM, 0);
  CHECK_INT(c->bind(rig.sys, fd, &at->at.any, at->len), ==, 0);
  CHECK_INT(c->listen(rig.sys, fd, backlog), ==, 0);
  CHECK_INT(c->name(rig.sys, fd, false, &at->at.any, &at->len), ==, 0);
  rig_handle(h, fd);
}

static inline struct op *rig_connect_as(struct handle *h,
                                        const struct address *to) {
  struct op *op = rig_op(&op_connect, h, NULL, NULL);
  op->memory = op->arg.address = malloc(sizeof *to);
  if (!op->memory) abort();
  *op->arg.address = *to;
  return op;
}

static inline struct op *rig_connect(struct handle *h,
                                     const struct address *to) {
  int family = address_family(to);
  rig_handle(h, rig.sys->class->socket(rig.sys, family, SOCK_STREAM, 0));
  return rig_connect_as(h, to);
}

#endif
