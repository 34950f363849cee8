/* driver_sim.c - a seeded, deterministic driver with a virtual clock.
 *
 * Owns a world (sim_net.h) and a record for every op in flight. An op becomes
 * runnable a random while after its submission, is performed, and its result
 * is held for another while before a wait hands it over: so results are late,
 * out of order between ops, short, and cross with cancels, as the kernel may
 * have it. What was performed is always delivered. The same seed and calls
 * give the same completions at the same virtual times.
 *
 * Real descriptors take part: files are performed on this thread, pipes and
 * foreign sockets when poll(2) says that they would not block. Only while
 * nothing simulated can happen does a wait really block. There are no worker
 * threads: what blocks is done by the loop itself.
 *
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver.h"
#include "fault.h"
#include "sim_fs.h"
#include "sim_outside.h"

enum {
  HELD_MAX = 4,        /* results of a multishot op before it pauses */
  TURN_NS = 1000,      /* what a wait takes at least */
  POLLING_NS = 10000,  /* what one takes that may not wait */
  BUFFERS = 64,        /* of the pool, unless the options say otherwise */
  BUFFER_BYTES = 4096, /* of each */
};

struct sim {
  struct driver driver;
  struct sim_net net;
  struct sim_outside outside;
  struct list due; /* struct sim_op.due: results that may go out */
  bool refused;    /* submit said -EBUSY: the next wait is short */
  bool overflown;  /* the last wait had more results than room for them */
  unsigned taken;  /* ops since the last wait */
};

/* What may happen to an op, and when; NEVER_NS: not planned. */
enum step { STEP_RUN, STEP_CANCEL, STEP_HAND_OVER, STEP_N };

/* An op in flight: op->job, from submit until its last result is delivered.
 * It is planned, or parked (its waiter is listed), or has results held. */
struct sim_op {
  struct sim *sim;
  struct op *op;
  uint64_t at_ns[STEP_N];
  struct deadline timer;    /* at the earliest of at_ns */
  struct sim_waiter waiter; /* parked at a socket, or outside */
  struct link due;
  bool final;  /* its last result is held */
  bool judged; /* whether its next result is to fail was asked already */
  int bid;     /* pool buffer of the last try, or -1 */
  unsigned held_n;
  struct op_result held[HELD_MAX + 1]; /* in order; one place for the end */
};

static struct sim *sim_of(struct driver *d) {
  return container_of(d, struct sim, driver);
}

struct sim_net *sim_net_of(struct driver *d) {
  assert(d->class == &driver_sim);
  return &sim_of(d)->net;
}

/* -- records -- */

static uint64_t soon(struct sim *sim) {
  return sim->net.now_ns + sim_delay_ns(&sim->net);
}

static void plan(struct sim_op *s, enum step step, uint64_t at_ns) {
  s->at_ns[step] = at_ns;
  uint64_t first = NEVER_NS;
  for (int i = 0; i < STEP_N; i++) first = min_u64(first, s->at_ns[i]);
  sim_timer_set(&s->sim->net, &s->timer, first);
}

static bool planned(const struct sim_op *s, enum step step) {
  return s->at_ns[step] != NEVER_NS;
}

static bool parked(const struct sim_op *s) {
  return link_listed(&s->waiter.link);
}

static void unpark(struct sim_op *s) {
  link_unlink(&s->waiter.link);
}

static void on_time(struct deadline *d);

static struct sim_op *sim_op_new(struct sim *sim, struct op *op) {
  struct sim_op *s = fault_point("sim_op") ? NULL : calloc(1, sizeof *s);
  if (!s) return NULL;
  s->sim = sim;
  s->op = op;
  s->timer.fire = on_time;
  for (int i = 0; i < STEP_N; i++) s->at_ns[i] = NEVER_NS;
  link_init(&s->waiter.link);
  link_init(&s->due);
  if (sim_timer_add(&sim->net, &s->timer) == 0) return s;
  free(s);
  return NULL;
}

static void sim_op_free(struct sim_op *s) {
  assert(s->final && !s->held_n && !parked(s) && !link_listed(&s->due));
  sim_timer_drop(&s->sim->net, &s->timer);
  s->op->job = NULL;
  free(s);
}

/* -- performing -- */

/* What a parked op waits for: op_ready asks itself, others by class. */
static short interest_of(const struct op *op) {
  short both = POLLIN | POLLOUT;
  return op->class->interest == both ? op->arg.events : op->class->interest;
}

static bool may_block(const struct op *op) {
  return op->handle && op->handle->kind != HANDLE_FILE && op->class->interest &&
         !sim_owns_fd(op->handle->fd);
}

/* A real pipe or socket: only when it would not block. pipe(7): one that is
 * writable takes PIPE_BUF bytes at once. */
static int perform_real(struct sim *sim, struct op *op) {
  size_t len = op->io.len, part = op->io.done + PIPE_BUF;
  int ready =
      sim->net.sys.class->poll(&sim->net.sys, op_fd(op), interest_of(op));
  if (ready <= 0) return ready < 0 ? ready : -EAGAIN;
  if (op->class->flags & OP_EMPTIES) op->io.len = min_size(len, part);
  int r = op->class->perform(op, &sim->net.sys);
  op->io.len = len;
  return r;
}

static int perform_select(struct sim_op *s) {
  struct op *op = s->op;
  struct pool *pool = &s->sim->driver.pool;
  if (sim_chance(&s->sim->net, 32)) return -ENOBUFS;
  int bid = pool_take(pool);
  if (bid < 0) return bid;
  op->io.ptr = pool_at(pool, (uint16_t)bid);
  op->io.len = pool->size;
  int r = may_block(op) ? perform_real(s->sim, op)
                        : op->class->perform(op, &s->sim->net.sys);
  op->io.ptr = NULL;
  op->io.len = 0;
  if (r > 0)
    s->bid = bid;
  else
    pool_give(pool, (uint16_t)bid);
  return r;
}

/* Does it have a result now? Whatever fails, fails in place of one. */
static bool is_ready(const struct sim_op *s) {
  const struct op *op = s->op;
  struct sim_sock *k = sim_sock_find(&s->sim->net, op_fd(op));
  return !k || !interest_of(op) || sim_poll(k, interest_of(op));
}

/* 0, or the error that it meets instead of its result. Some of them are the
 * end of the connection. */
static int disturb(struct sim_op *s) {
  struct sim_net *net = &s->sim->net;
  if (s->judged || !is_ready(s)) return 0;
  s->judged = true;
  int r = sim_fault(net, s->op->class->name);
  struct sim_sock *k = sim_sock_find(net, op_fd(s->op));
  if (k && sim_fault_breaks(r)) sim_break(k);
  return r;
}

static int perform(struct sim_op *s) {
  struct op *op = s->op;
  s->bid = -1;
  int r = disturb(s);
  if (r < 0) return r;
  if (op->class->flags & OP_SELECT) return perform_select(s);
  if (may_block(op)) return perform_real(s->sim, op);
  return op->class->perform(op, &s->sim->net.sys);
}

/* -- holding results -- */

static void hold(struct sim_op *s, int res, bool more) {
  assert(!s->final && s->held_n <= HELD_MAX);
  bool buffer = s->bid >= 0 && res > 0;
  struct op_result *r = &s->held[s->held_n++];
  r->res = res;
  r->flags =
      (uint16_t)((more ? RESULT_MORE : 0) | (buffer ? RESULT_BUFFER : 0));
  r->bid = buffer ? (uint16_t)s->bid : 0;
  s->bid = -1;
  s->judged = false;
  if (!planned(s, STEP_HAND_OVER) && !link_listed(&s->due))
    plan(s, STEP_HAND_OVER, soon(s->sim));
}

static void hold_last(struct sim_op *s, int res) {
  hold(s, res, false);
  s->final = true;
  unpark(s);
  s->at_ns[STEP_RUN] = NEVER_NS;
  plan(s, STEP_CANCEL, NEVER_NS);
}

/* A multishot op goes on after a success, unless the completion queue has
 * overflown or the kernel does not feel like it: the last result may carry
 * data (IO_URING.md, 1.5). */
static bool goes_on(struct sim_op *s, int res) {
  if (!(s->op->class->flags & OP_MULTISHOT) || res < 0) return false;
  bool ended = res == 0 && (s->op->class->flags & OP_SELECT);
  return !ended && !s->sim->overflown && !sim_chance(&s->sim->net, 16);
}

/* -- steps -- */

/* Until there is reason to try again. */
static void park(struct sim_op *s) {
  struct sim *sim = s->sim;
  struct sim_sock *k = sim_sock_find(&sim->net, op_fd(s->op));
  short events = interest_of(s->op);
  if (k && events)
    sim_sock_wait(k, &s->waiter, events);
  else
    sim_outside_wait(&sim->outside, &s->waiter, op_fd(s->op), events);
}

static bool is_no_result(int res) {
  return res == -EAGAIN || res == -EINTR || res == OP_LATER;
}

static void run(struct sim_op *s) {
  if (s->held_n == HELD_MAX) return; /* hand_over goes on with it */
  int r = perform(s);
  bool more = goes_on(s, r);
  if (r == -EAGAIN)
    park(s);
  else if (r == OP_LATER)
    sim_outside_wait(&s->sim->outside, &s->waiter, -1, 0);
  else if (r == -EINTR || more)
    plan(s, STEP_RUN, soon(s->sim));
  if (is_no_result(r)) return;
  if (more)
    hold(s, r, true);
  else
    hold_last(s, r);
}

/* The cancel has reached the op. Sometimes it comes a moment too late. */
static void cancel_now(struct sim_op *s) {
  int r = -EAGAIN;
  unpark(s);
  if (sim_chance(&s->sim->net, 2)) r = perform(s);
  hold_last(s, is_no_result(r) ? -ECANCELED : r);
}

/* A step that is due; an earlier one may have taken it back. */
static bool take_step(struct sim_op *s, enum step step) {
  if (s->at_ns[step] > s->sim->net.now_ns) return false;
  plan(s, step, NEVER_NS);
  return true;
}

static void on_time(struct deadline *d) {
  struct sim_op *s = container_of(d, struct sim_op, timer);
  if (take_step(s, STEP_RUN)) run(s);
  if (take_step(s, STEP_CANCEL)) cancel_now(s);
  if (take_step(s, STEP_HAND_OVER)) list_push(&s->sim->due, &s->due);
}

/* All that can happen at this moment of virtual time. */
static void run_due(struct sim *sim) {
  for (;;) {
    struct link *k = list_pop(&sim->net.woken);
    if (k) {
      struct sim_waiter *w = container_of(k, struct sim_waiter, link);
      plan(container_of(w, struct sim_op, waiter), STEP_RUN, soon(sim));
    } else if (!sim_timer_fire(&sim->net)) {
      return;
    }
  }
}

/* -- handing results over -- */

static bool has_room(const struct sim *sim) {
  const struct driver *d = &sim->driver;
  return driver_has_room(d) && d->done_n < sim->net.knobs.done_max;
}

static void resume(struct sim_op *s) {
  if (!s->final && !parked(s) && !planned(s, STEP_RUN))
    plan(s, STEP_RUN, soon(s->sim));
}

static uint64_t mixed(uint64_t hash, uint64_t with) {
  return (hash ^ with) * UINT64_C(0x100000001B3); /* FNV-1a, by words */
}

/* What happened, when: the same in every run of a seed. */
static void note(struct sim_net *net, const struct op *op,
                 const struct op_result *r) {
  uint64_t h = mixed(net->hash, net->now_ns);
  for (const char *c = op->class->name; *c; c++) h = mixed(h, (uint64_t)*c);
  h = mixed(h, op_user_data(op));
  h = mixed(h, (uint64_t)(uint32_t)r->res << 32 | (uint64_t)r->flags << 16);
  net->hash = mixed(h, r->bid);
  net->results++;
  if (!net->knobs.trace) return;
  fprintf(stderr, "%12.6f ms  %-12s op %u.%u%s -> %d%s", net->now_ns / 1e6,
          op->class->name, op->slot, op->gen, op->cancelled ? " (cancel)" : "",
          r->res, r->flags & RESULT_MORE ? ", more" : "");
  if (r->flags & RESULT_BUFFER) fprintf(stderr, ", buffer %u", r->bid);
  fputc('\n', stderr);
}

static void hand_over_first(struct sim_op *s) {
  struct driver *d = &s->sim->driver;
  struct op_result r = s->held[0];
  s->held_n--;
  for (unsigned i = 0; i < s->held_n; i++) s->held[i] = s->held[i + 1];
  struct op *op = s->op;
  note(&s->sim->net, op, &r);
  if (!(r.flags & RESULT_MORE)) sim_op_free(s);
  driver_deliver(d, op, r.res, r.flags, r.bid);
}

/* Some of the results of one op, in order; what is left stays due. */
static void hand_over(struct sim_op *s) {
  struct sim *sim = s->sim;
  unsigned n = s->held_n;
  if (sim->net.knobs.chaos) n = 1 + (unsigned)(sim_random(&sim->net) % n);
  for (; n > 0 && has_room(sim); n--) {
    bool last = !(s->held[0].flags & RESULT_MORE);
    hand_over_first(s);
    if (last) return;
  }
  if (s->held_n) list_push(&sim->due, &s->due);
  resume(s);
}

/* Which ops may hand over now: with chaos some of them, in any order. */
static void choose(struct sim *sim, struct list *chosen, bool must) {
  struct link *next;
  for (struct link *k = list_first(&sim->due); k; k = next) {
    next = list_next(&sim->due, k);
    if (sim_chance(&sim->net, 4)) continue;
    link_unlink(k);
    if (sim_chance(&sim->net, 3))
      list_push_front(chosen, k);
    else
      list_push(chosen, k);
  }
  if (!must || !list_empty(chosen) || list_empty(&sim->due)) return;
  list_push(chosen, list_pop(&sim->due));
}

static void deliver(struct sim *sim, bool must) {
  struct list chosen = LIST_INIT(&chosen);
  struct link *k;
  choose(sim, &chosen, must && !sim->driver.done_n);
  while (has_room(sim) && (k = list_pop(&chosen)))
    hand_over(container_of(k, struct sim_op, due));
  sim->overflown = !list_empty(&chosen);
  list_splice(&sim->due, &chosen);
}

/* -- time -- */

/* A turn takes time, so that no loop of them stands still in it. */
static void tick(struct sim *sim, uint64_t until_ns) {
  uint64_t now = sim->net.now_ns;
  if (until_ns > now)
    sim->net.now_ns = min_u64(until_ns, now + TURN_NS);
  else
    sim->net.now_ns = now + POLLING_NS;
}

static int look_outside(struct sim *sim, uint64_t limit_ns) {
  sim->driver.enters++;
  return sim_outside_look(&sim->outside, limit_ns);
}

/* Nothing simulated can happen: real time passes, and if a real descriptor is
 * waited for, the virtual clock goes with it. */
static int block(struct sim *sim, uint64_t until_ns) {
  uint64_t from = clock_ns(), now = sim->net.now_ns;
  bool clock_goes = sim_outside_pending(&sim->outside);
  int r = look_outside(sim, until_ns == NEVER_NS ? NEVER_NS : until_ns - now);
  if (clock_goes)
    sim->net.now_ns = min_u64(until_ns, now + (clock_ns() - from));
  return r;
}

/* To the next moment at which something happens. */
static int move_on(struct sim *sim, uint64_t until_ns) {
  uint64_t next = heap_next_ns(&sim->net.events);
  bool outside = until_ns == NEVER_NS || sim_outside_pending(&sim->outside);
  bool never = min_u64(next, until_ns) == NEVER_NS;
  if (never && sim->net.knobs.alone && !sim_outside_pending(&sim->outside)) {
    sim->driver.stuck = true;
    return 0;
  }
  if (next == NEVER_NS && outside) return block(sim, until_ns);
  sim->net.now_ns = min_u64(next, min_u64(until_ns, sim->net.knobs.end_ns));
  return 0;
}

/* Once: who ends what goes on needs time as well. */
static bool has_ended(struct sim *sim) {
  struct sim_net *net = &sim->net;
  if (net->now_ns < net->knobs.end_ns) return false;
  net->knobs.end_ns = NEVER_NS;
  return sim->driver.stuck = net->ended = true;
}

static bool is_over(struct sim *sim, uint64_t until_ns) {
  return has_ended(sim) || sim->driver.done_n ||
         sim_outside_take_wake(&sim->outside) || sim->driver.stuck ||
         sim->net.now_ns >= until_ns;
}

static int sim_wait(struct driver *d, uint64_t until_ns) {
  struct sim *sim = sim_of(d);
  int r = 0;
  if (sim->refused) until_ns = 0;
  sim->refused = sim->driver.stuck = false;
  sim->taken = 0;
  bool may_wait = until_ns > sim->net.now_ns;
  tick(sim, until_ns);
  driver_take_finished(d);
  if (sim_outside_pending(&sim->outside)) r = look_outside(sim, 0);
  while (r == 0) {
    run_due(sim);
    deliver(sim, may_wait);
    if (is_over(sim, until_ns)) break;
    r = move_on(sim, until_ns);
  }
  return r;
}

static void sim_wake(struct driver *d) {
  sim_outside_wake(&sim_of(d)->outside);
}

/* Its sockets are in memory: nobody outside can wait for them. */
static int sim_pollfd(struct driver *d) {
  (void)d;
  return -ENOTSUP;
}

static uint64_t sim_patience(struct driver *d) {
  struct sim *sim = sim_of(d);
  if (!list_empty(&d->finished) || !list_empty(&sim->due)) return 0;
  uint64_t next = heap_next_ns(&sim->net.events), now = sim->net.now_ns;
  if (next == NEVER_NS) return NEVER_NS;
  return next > now ? next - now : 0;
}

static uint64_t sim_now(struct driver *d) {
  return sim_of(d)->net.now_ns;
}

/* A close that fails has closed all the same: close(2). */
static int perform_inline(struct sim *sim, struct op *op) {
  int fault = sim_fault(&sim->net, op->class->name), r = 0;
  if (!fault || op->class->flags & OP_LAST)
    r = op->class->perform(op, &sim->net.sys);
  return fault ? fault : r;
}

/* -- the driver's table -- */

static int sim_submit(struct driver *d, struct op *op) {
  struct sim *sim = sim_of(d);
  assert(op->state == OP_QUEUED && op->class->perform && !op->job);
  assert(!link_listed(&op->queue));
  if (sim_chance(&sim->net, 64) || sim->taken >= sim->net.knobs.entries_max)
    sim->refused = true;
  if (sim->refused) return -EBUSY;
  sim->taken++;
  if (op->class->flags & OP_INLINE) {
    driver_finish(d, op, perform_inline(sim, op));
    return 0;
  }
  struct sim_op *s = sim_op_new(sim, op);
  if (!s) {
    driver_finish(d, op, -ENOMEM);
    return 0;
  }
  op->job = s;
  op_step(op, OP_SUBMITTED);
  plan(s, STEP_RUN, soon(sim));
  return 0;
}

static void sim_cancel(struct driver *d, struct op *op) {
  struct sim_op *s = op->job;
  if (!s || s->final || planned(s, STEP_CANCEL)) return;
  plan(s, STEP_CANCEL, soon(sim_of(d)));
}

static int sim_attach(struct driver *d, struct handle *h) {
  if (sim_is_file(h->fd)) {
    h->kind = HANDLE_FILE;
    return sim_file_find(&sim_of(d)->net, h->fd) ? 0 : -EBADF;
  }
  if (sim_owns_fd(h->fd)) {
    h->kind = HANDLE_SOCKET;
    return sim_sock_find(&sim_of(d)->net, h->fd) ? 0 : -EBADF;
  }
  int r = driver_kind_of(h->fd, &h->kind);
  if (r < 0 || !h->owned || h->kind == HANDLE_FILE) return r;
  int flags = fcntl(h->fd, F_GETFL);
  if (flags >= 0 && !(flags & O_NONBLOCK))
    r = fcntl(h->fd, F_SETFL, flags | O_NONBLOCK);
  return flags < 0 || r < 0 ? -errno : 0;
}

/* Ops know their handle; nothing else here does. */
static void sim_detach(struct driver *d, struct handle *h) {
  (void)d;
  (void)h;
}

static void sim_free(struct sim *sim) {
  sim_net_deinit(&sim->net);
  sim_outside_deinit(&sim->outside);
  pool_deinit(&sim->driver.pool);
  free(sim);
}

/* Not drained: ops still point here, so all of it stays. */
static void sim_close_driver(struct driver *d, bool drained) {
  if (drained) sim_free(sim_of(d));
}

static struct sim *sim_new(struct op_table *ops) {
  struct sim *sim = fault_point("driver_open") ? NULL : calloc(1, sizeof *sim);
  if (!sim) return NULL;
  sim->driver.class = &driver_sim;
  sim->driver.ops = ops;
  sim->driver.sys = &sim->net.sys;
  sim->outside.wake_fd = -1;
  list_init(&sim->driver.finished);
  list_init(&sim->due);
  return sim;
}

static int init_parts(struct sim *sim, const struct driver_options *o) {
  uint32_t count = o->buffers ? o->buffers : BUFFERS;
  uint32_t size = o->buffer_size ? o->buffer_size : BUFFER_BYTES;
  int r = sim_net_init(&sim->net, o->seed ? o->seed : 1);
  if (r == 0) r = pool_init(&sim->driver.pool, count, size);
  if (r == 0) r = sim_outside_init(&sim->outside, &sim->net.woken);
  return r;
}

static int sim_open(struct driver **out, struct op_table *ops,
                    const struct driver_options *o, char why[REASON_MAX]) {
  struct sim *sim = sim_new(ops);
  int r = sim ? init_parts(sim, o) : -ENOMEM;
  if (r == 0) {
    *out = &sim->driver;
    return 0;
  }
  snprintf(why, REASON_MAX, "sim driver: no %s",
           r == -ENOMEM ? "memory" : "eventfd");
  if (sim) sim_free(sim);
  return r;
}

const struct driver_class driver_sim = {
    .name = "sim",
    .open = sim_open,
    .close = sim_close_driver,
    .submit = sim_submit,
    .cancel = sim_cancel,
    .wait = sim_wait,
    .wake = sim_wake,
    .pollfd = sim_pollfd,
    .patience = sim_patience,
    .now = sim_now,
    .attach = sim_attach,
    .detach = sim_detach,
};
