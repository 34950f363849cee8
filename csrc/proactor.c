/* proactor.c - the ops in flight. See proactor.h.
 *
 * SPDX-License-Identifier: MIT */
#include "proactor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "errname.h"
#include "fault.h"
#include "ledger.h"
#include "unix_path.h"

/* -- opening: choose a driver -- */

enum { BUFFERS = 128, BUFFER_SIZE = 65536 };

static int open_driver(struct proactor *p, const struct driver_class *class,
                       const struct driver_options *o) {
  char why[REASON_MAX] = "", text[80];
  int r = class->open(&p->driver, &p->ops, o, why);
  if (r >= 0) return 0;
  if (!why[0]) {
    const char *name = err_name(-r);
    snprintf(why, sizeof why, "%s driver: %s: %s", class->name,
             name ? name : "error", err_text(-r, text, sizeof text));
  }
  memcpy(p->refused, why, sizeof why);
  return r;
}

/* EMFILE is not a reason to be slower: it is reported. */
static int open_best(struct proactor *p, const struct driver_options *o) {
  int r = open_driver(p, &driver_uring, o);
  if (r == 0 || r == -EMFILE || r == -ENFILE) return r;
  char why[REASON_MAX];
  memcpy(why, p->refused, sizeof why);
  r = open_driver(p, &driver_poll, o);
  if (r == 0) memcpy(p->refused, why, sizeof why);
  return r;
}

static int open_named(struct proactor *p, const char *name,
                      const struct driver_options *o) {
  static const struct driver_class *const all[] = {&driver_uring, &driver_poll,
                                                   &driver_sim};
  if (!name || strcmp(name, "auto") == 0) return open_best(p, o);
  for (size_t i = 0; i < countof(all); i++)
    if (strcmp(all[i]->name, name) == 0) return open_driver(p, all[i], o);
  snprintf(p->refused, sizeof p->refused,
           "unknown driver \"%.40s\": expected uring, poll, sim or auto", name);
  return -EINVAL;
}

static size_t quarter_of_memory(void) {
  long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? (size_t)pages / 4 * (size_t)size : SIZE_MAX;
}

int proactor_open(struct proactor *p, const struct proactor_options *o) {
  *p = (struct proactor){0};
  op_table_init(&p->ops);
  list_init(&p->backlog);
  list_init(&p->hooks);
  list_init(&p->works);
  list_init(&p->handles);
  list_init(&p->unended);
  list_init(&p->lingering);
  list_init(&p->greedy);
  list_init(&p->objects);
  struct driver_options with = o->with;
  if (!with.buffers) with.buffers = BUFFERS;
  if (!with.buffer_size) with.buffer_size = BUFFER_SIZE;
  p->queued_max = o->memory ? o->memory : quarter_of_memory();
  p->close_op = proactor_op(p, &op_close);
  int r = p->close_op ? open_named(p, o->driver, &with) : -ENOMEM;
  if (r < 0) op_table_deinit(&p->ops);
  return r;
}

/* -- submitting -- */

static void timer_fire(struct deadline *d);

static void finish_now(struct proactor *p, struct op *op, int32_t res) {
  driver_finish(p->driver, op, res);
}

static void submit_timer(struct proactor *p, struct op *op) {
  op->deadline.fire = timer_fire;
  int r = deadline_at(p, &op->deadline,
                      ns_after(proactor_now(p), op->arg.delay_ns));
  op_step(op, OP_SUBMITTED);
  if (r < 0) finish_now(p, op, r);
}

static bool offer(struct proactor *p, struct op *op) {
  if (p->driver->class->submit(p->driver, op) == 0) return true;
  assert(op->state == OP_QUEUED);
  return false;
}

/* The error that a test wants this op to meet, or 0; a close must happen. */
static int planned_error(const struct op *op) {
  (void)op;
  return op->class->flags & OP_LAST
             ? 0
             : fault_error_of("op", op->class->name, EIO);
}

static void start(struct proactor *p, struct op *op) {
  ledger_enter(p, op);
  int err = planned_error(op);
  if (p->closing && !(op->class->flags & OP_LAST))
    finish_now(p, op, -ECANCELED);
  else if (err)
    finish_now(p, op, err);
  else if (op->class->flags & OP_TIMER)
    submit_timer(p, op);
  else if (!list_empty(&p->backlog) || !offer(p, op))
    list_push(&p->backlog, &op->queue);
}

/* Out of the way of those that are not traced. */
#define COLD __attribute__((noinline, cold))

static bool traced(const struct proactor *p) {
  return __builtin_expect(p->tracer != NULL, 0);
}

COLD static void tell_submitted(struct proactor *p, const struct op *op) {
  p->tracer->submitted(p->tracer, op);
}

COLD static void tell_result(struct proactor *p, const struct op *op,
                             const struct op_result *r) {
  p->tracer->result(p->tracer, op, r);
}

static inline void enlist(struct proactor *p, struct op *op) {
  p->inflight++;
  if (traced(p)) tell_submitted(p, op);
  if (op->other) op->other->inflight++;
  if (!op->handle) return;
  op->handle->inflight++;
  list_push(&op->handle->ops, &op->link);
}

static void delist(struct proactor *p, struct op *op) {
  p->inflight--;
  if (op->other) op->other->inflight--;
  if (!op->handle) return;
  op->handle->inflight--;
  link_unlink(&op->link);
}

static bool closes(const struct op *op) {
  return (op->handle && op->handle->closing) ||
         (op->other && op->other->closing);
}

void proactor_submit(struct proactor *p, struct op *op) {
  assert(op->sink);
  if (op->state == OP_COMPLETED) op_step(op, OP_IDLE);
  op->cancelled = op->reaped = false;
  op->io.done = 0;
  op_step(op, OP_QUEUED);
  enlist(p, op);
  p->stats.submitted++;
  if (closes(op) && !(op->class->flags & OP_LAST))
    finish_now(p, op, -ECANCELED);
  else
    start(p, op);
}

/* Once more, with what was moved so far in io.done. */
static void submit_again(struct proactor *p, struct op *op) {
  op_step(op, OP_COMPLETED);
  op_step(op, OP_IDLE);
  op_step(op, OP_QUEUED);
  op->reaped = false;
  if (op->cancelled)
    finish_now(p, op, -ECANCELED);
  else
    start(p, op);
}

static void submit_backlog(struct proactor *p) {
  struct link *k;
  while ((k = list_first(&p->backlog))) {
    struct op *op = container_of(k, struct op, queue);
    link_unlink(k);
    if (offer(p, op)) continue;
    list_push_front(&p->backlog, k);
    return;
  }
}

void proactor_cancel(struct proactor *p, struct op *op) {
  if (!op_in_flight(op) || op->cancelled) return;
  if (op->class->flags & OP_LAST) return; /* a close is not taken back */
  op->cancelled = true;
  p->stats.cancels++;
  if (op->finished || op->reaped) return;
  if (op->state == OP_QUEUED) {
    link_unlink(&op->queue);
    finish_now(p, op, -ECANCELED);
  } else if (op->class->flags & OP_TIMER) {
    deadline_clear(p, &op->deadline);
    finish_now(p, op, -ECANCELED);
  } else {
    p->driver->class->cancel(p->driver, op);
  }
}

/* A file is not closed on the loop's thread, where that could wait for a disk.
 * false: it must be, after all. */
static bool close_file(struct proactor *p, const struct op *op, int fd) {
  struct handle *h;
  if (!(op->class->flags & OP_FILE) || fd < 0 || p->closing) return false;
  if (handle_open(p, fd, true, &h) < 0) return false;
  handle_close(p, h, NULL, NULL);
  return true;
}

void proactor_discard(struct proactor *p, struct op *op,
                      const struct op_result *r) {
  if (r->flags & RESULT_BUFFER) pool_give(&p->driver->pool, r->bid);
  if (close_file(p, op, r->res)) return;
  if (op->class->dispose) op->class->dispose(op, r->res, p->driver->sys);
}

static void orphan_sink(struct op *op, const struct op_result *r) {
  struct proactor *p = op->owner;
  if (r->res >= 0)
    log_say(p->log,
            LOG_ENTRY(.level = LOG_LEVEL_DEBUG, .event = "late",
                      .op = op->class->name, .has_fd = op->handle != NULL,
                      .fd = op_fd(op)),
            "%s has ended well, and nobody waits for it any more",
            op->class->name);
  proactor_discard(p, op, r);
  if (!(r->flags & RESULT_MORE)) proactor_free(p, op);
}

void proactor_orphan(struct proactor *p, struct op *op) {
  op->sink = orphan_sink;
  op->owner = p;
}

bool proactor_take_finished(struct proactor *p, struct op *op,
                            struct op_result *r) {
  if (!op->finished || op->class->finish) return false;
  op->finished = false;
  link_unlink(&op->queue);
  delist(p, op);
  op_step(op, OP_COMPLETED);
  p->stats.completed++;
  *r = (struct op_result){.res = op->res};
  if (traced(p)) tell_result(p, op, r);
  return true;
}

/* -- completing -- */

static void handle_end(struct proactor *p, struct handle *h);

/* The result as the op's class wants it seen, or OP_AGAIN. */
static int32_t final_res(struct op *op, int32_t res) {
  if (op->class->finish) res = op->class->finish(op, res);
  if (res == -EINTR) res = op->cancelled ? -ECANCELED : OP_AGAIN;
  return res;
}

static void end_unused(struct proactor *p, struct handle *h) {
  if (h && h->closing && !h->inflight) handle_end(p, h);
}

static void complete(struct proactor *p, struct op *op, struct op_result r) {
  struct handle *h = op->handle, *other = op->other;
  if (r.flags & RESULT_MORE) {
    if (traced(p)) tell_result(p, op, &r);
    op->sink(op, &r);
    return;
  }
  ledger_leave(p, op, r.res);
  r.res = final_res(op, r.res);
  if (r.res == OP_AGAIN) {
    submit_again(p, op);
    return;
  }
  bool last = op->class->flags & OP_LAST;
  op->closed = closes(op) && r.res == -ECANCELED;
  delist(p, op);
  op_step(op, OP_COMPLETED);
  p->stats.completed++;
  if (traced(p)) tell_result(p, op, &r);
  op->sink(op, &r); /* from here on op may be gone */
  if (!last) end_unused(p, h);
  end_unused(p, other);
}

static void dispatch(struct proactor *p) {
  struct driver *d = p->driver;
  for (unsigned i = 0; i < d->done_n; i++)
    complete(p, d->done[i].op, d->done[i].result);
  d->done_n = 0;
}

static void timer_fire(struct deadline *d) {
  struct op *op = container_of(d, struct op, deadline);
  op->reaped = true;
  op->res = 0;
}

static void fire_deadlines(struct proactor *p) {
  uint64_t now = heap_next_ns(&p->deadlines) == NEVER_NS ? 0 : proactor_now(p);
  struct deadline *d;
  while ((d = heap_pop_due(&p->deadlines, now))) {
    if (d->fire != timer_fire) {
      d->fire(d);
      continue;
    }
    d->fire(d);
    complete(p, container_of(d, struct op, deadline), (struct op_result){0});
  }
}

static void run_all(struct list *hooks) {
  struct link *k;
  while ((k = list_pop(hooks))) {
    struct hook *hook = container_of(k, struct hook, link);
    hook->run(hook);
  }
}

/* Codecs and what they send to each other in memory, until all rest. */
static void run_hooks(struct proactor *p) {
  do {
    run_all(&p->works);
    run_all(&p->hooks);
  } while (!list_empty(&p->works));
}

int proactor_turn(struct proactor *p, uint64_t until_ns) {
  assert(!p->driver->done_n && "a turn inside a turn");
  if (p->broken) return p->broken;
  p->woke = false;
  run_hooks(p);
  submit_backlog(p);
  uint64_t until = min_u64(until_ns, heap_next_ns(&p->deadlines));
  if (p->woke || !list_empty(&p->backlog)) until = 0;
  p->handed_over = p->stats.submitted;
  int r = p->driver->class->wait(p->driver, until);
  p->stats.turns++;
  dispatch(p); /* what was reaped before the driver broke, too */
  run_all(&p->works);
  if (r < 0) return p->broken = r;
  fire_deadlines(p);
  return 0;
}

uint64_t proactor_patience(struct proactor *p) {
  if (p->broken || p->woke || !list_empty(&p->hooks) ||
      !list_empty(&p->works) || !list_empty(&p->backlog))
    return 0;
  uint64_t next = heap_next_ns(&p->deadlines);
  uint64_t left = p->driver->class->patience(p->driver);
  if (next == NEVER_NS) return left;
  uint64_t now = proactor_now(p);
  return min_u64(left, next > now ? next - now : 0);
}

/* -- handles -- */

static void handle_init(struct handle *h, int fd, bool owned) {
  h->fd = fd;
  h->owned = owned;
  list_init(&h->ops);
  link_init(&h->link);
  list_init(&h->wait.in);
  list_init(&h->wait.out);
  list_init(&h->wait.watch);
  link_init(&h->wait.hot);
  h->wait.in_ready = h->wait.out_ready = true;
}

int handle_open(struct proactor *p, int fd, bool owned, struct handle **out) {
  struct handle *h = fault_point("handle_open") ? NULL : calloc(1, sizeof *h);
  if (!h) return -ENOMEM;
  handle_init(h, fd, owned);
  int r = p->driver->class->attach(p->driver, h);
  if (r < 0) {
    free(h);
    return r;
  }
  list_push(&p->handles, &h->link);
  p->handles_n++;
  *out = h;
  return 0;
}

static void handle_free(struct handle *h) {
  assert(!h->inflight && list_empty(&h->ops) && !h->made);
  link_unlink(&h->link);
  free(h);
}

static void end_with(struct proactor *p, struct handle *h, struct op *op);

/* A close is over: its op is kept for the next one that finds no memory. */
static void keep_close_op(struct proactor *p, struct op *op) {
  proactor_free(p, op);
  if (p->close_op) return;
  p->close_op = proactor_op(p, &op_close); /* the record that was just freed */
  struct link *k = list_pop(&p->unended);
  if (k) end_with(p, container_of(k, struct handle, link), NULL);
}

/* The sink of every close op: first whoever asked, then the end. */
static void close_sink(struct op *op, const struct op_result *r) {
  struct proactor *p = op->owner;
  struct handle *h = op->handle;
  op->owner = h->closer;
  if (h->on_closed) h->on_closed(op, r);
  p->ending--;
  p->handles_n--;
  handle_free(h);
  keep_close_op(p, op);
}

/* Closing can't fail for want of memory: one op is kept for that, and who finds
 * it under way waits until it is back. */
static void end_with(struct proactor *p, struct handle *h, struct op *op) {
  if (!op) {
    op = p->close_op;
    p->close_op = NULL;
  }
  if (!op) {
    link_unlink(&h->link);
    list_push(&p->unended, &h->link);
    return;
  }
  op->handle = h;
  op->sink = close_sink;
  op->owner = p;
  if (h->owned) {
    proactor_submit(p, op);
    return;
  }
  op_step(op, OP_QUEUED);
  enlist(p, op);
  finish_now(p, op, 0);
}

/* Its last op has ended. What is not ours to close is let go of. */
static void handle_end(struct proactor *p, struct handle *h) {
  if (h->ending) return;
  h->ending = true;
  p->driver->class->detach(p->driver, h);
  end_with(p, h, proactor_op(p, &op_close));
}

void handle_cancel(struct proactor *p, struct handle *h) {
  for (struct link *k = list_first(&h->ops), *next; k; k = next) {
    next = list_next(&h->ops, k);
    proactor_cancel(p, container_of(k, struct op, link));
  }
}

void handle_close(struct proactor *p, struct handle *h, op_sink *sink,
                  void *owner) {
  assert(!h->closing);
  h->closing = true;
  p->ending++;
  h->on_closed = sink;
  h->closer = owner;
  if (h->made) unix_path_remove(proactor_sys(p), h->made);
  free(h->made);
  h->made = NULL;
  handle_cancel(p, h);
  if (!h->inflight) handle_end(p, h);
}

/* -- deadlines, waiters -- */

int deadline_at(struct proactor *p, struct deadline *d, uint64_t at_ns) {
  heap_remove(&p->deadlines, d);
  if (at_ns == NEVER_NS) return 0;
  return heap_push(&p->deadlines, d, at_ns);
}

void waiter_wake_first(struct list *waiters) {
  struct link *k = list_pop(waiters);
  if (!k) return;
  struct waiter *w = container_of(k, struct waiter, link);
  w->wake(w);
}

/* Those that come back to the list while it is emptied wait for the next. */
void waiter_wake_all(struct list *waiters) {
  struct list now = LIST_INIT(&now);
  list_splice(&now, waiters);
  while (!list_empty(&now)) waiter_wake_first(&now);
}

/* -- closing -- */

static void cancel_all(struct proactor *p) {
  struct op_table *t = &p->ops;
  for (uint32_t slot = 0; slot < t->slab_n * OP_SLAB; slot++) {
    struct op *op = op_at(t, slot);
    if (op->class) proactor_cancel(p, op);
  }
}

static void close_handles(struct proactor *p) {
  for (struct link *k = list_first(&p->handles), *next; k; k = next) {
    next = list_next(&p->handles, k);
    struct handle *h = container_of(k, struct handle, link);
    if (!h->closing) handle_close(p, h, NULL, NULL);
  }
}

/* By the real clock: a bound for the user, not for the simulation. */
static bool drain(struct proactor *p, uint64_t limit_ns) {
  uint64_t until = ns_after(clock_ns(), limit_ns);
  while (p->inflight && !p->broken) {
    if (clock_ns() >= until) return false;
    proactor_turn(p, ns_after(proactor_now(p), 10 * NS_PER_MS));
  }
  return !p->inflight;
}

static void leak_loudly(struct proactor *p) {
  fprintf(stderr,
          "proa: %u operations did not end; their memory is leaked so that "
          "the kernel cannot write into it\n",
          p->inflight);
}

bool proactor_end(struct proactor *p, uint64_t limit_ns) {
  p->closing = true;
  cancel_all(p);
  close_handles(p);
  return drain(p, limit_ns);
}

bool proactor_close(struct proactor *p, uint64_t limit_ns) {
  bool drained = proactor_end(p, limit_ns);
  if (p->close_op) proactor_free(p, p->close_op);
  p->close_op = NULL;
  ledger_close(p, drained);
  p->driver->class->close(p->driver, drained);
  if (drained)
    op_table_deinit(&p->ops);
  else
    leak_loudly(p);
  heap_deinit(&p->deadlines);
  outq_shared_deinit(&p->queues);
  p->driver = NULL;
  return drained;
}
