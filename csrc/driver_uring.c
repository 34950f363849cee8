/* driver_uring.c - ops carried out by io_uring.
 *
 * Submitting fills an entry of the ring; one io_uring_enter in `wait` hands
 * all of them over, runs the kernel's deferred work and waits. Entries name
 * ops by slot and generation (O7). What the kernel can't do asynchronously
 * goes to worker threads, whose wake-ups arrive on an eventfd.
 * Owns the ring, the provided-buffer ring, the eventfd and the workers.
 * See driver_uring_open.c for the set-up, driver.h for the contract.
 *
 * SPDX-License-Identifier: MIT */
#include "driver_uring.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault.h"
#include "lent.h"
#include "ops.h"

/* user_data of entries that are not ops: no table has that many slots. */
#define UD_NONE UINT64_C(0x00000000ffffffff)
#define UD_WAKE UINT64_C(0x00000001ffffffff)
#define UD_CANCEL UINT64_C(0x80000000) /* with the name of the op to cancel */

enum pending {
  PENDING_NONE,
  PENDING_CANCEL,     /* the kernel has it; an entry that cancels it */
  PENDING_POLL,       /* an entry that waits for readiness */
  PENDING_PREP,       /* its own entry, once more */
  PENDING_PREP_LATER, /* the same, but not before the next tick */
  PENDING_CANCEL_LATER,
};

#define LATER_NS NS_PER_MS

static struct uring_driver *self(struct driver *d) {
  return container_of(d, struct uring_driver, base);
}

/* -- the ring -- */

/* Publish what was prepared; how many entries the kernel has not taken. */
static unsigned flush(struct io_uring *ring) {
  struct io_uring_sq *sq = &ring->sq;
  unsigned tail = sq->sqe_tail;
  if (sq->sqe_head != tail) {
    sq->sqe_head = tail;
    io_uring_smp_store_release(sq->ktail, tail);
  }
  return tail - io_uring_smp_load_acquire(sq->khead);
}

/* Our own, because liburing 2.3 can't say NO_IOWAIT and polls by a timeout
 * of zero, which sleeps (15 us; this takes 0.3). */
int uring_enter(struct uring_driver *u, unsigned min_done, uint64_t left_ns) {
  struct io_uring *ring = &u->ring;
  unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
  struct __kernel_timespec ts = {(int64_t)(left_ns / NS_PER_S),
                                 (long long)(left_ns % NS_PER_S)};
  struct io_uring_getevents_arg arg = {.sigmask_sz = _NSIG / 8};
  if (min_done && left_ns != NEVER_NS) arg.ts = (uint64_t)(uintptr_t)&ts;
  if (min_done) flags |= u->wait_flags;
  if (ring->enter_ring_fd != ring->ring_fd)
    flags |= IORING_ENTER_REGISTERED_RING;
  u->base.enters++;
  /* As with a signal: what is there is taken, and nothing is waited for. */
  int fault = fault_error("uring_enter", EINTR);
  if (fault && fault != -EINTR) return fault;
  long r = syscall(__NR_io_uring_enter, ring->enter_ring_fd, flush(ring),
                   fault ? 0 : min_done, flags, &arg, sizeof arg);
  if (fault) return fault;
  return r < 0 ? -errno : (int)r;
}

/* Full: let the kernel take what is there. It may refuse (EBUSY) until
 * completions are reaped; then there is no room in this turn. */
struct io_uring_sqe *uring_sqe(struct uring_driver *u) {
  struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
  if (sqe) return sqe;
  uring_enter(u, 0, 0);
  return io_uring_get_sqe(&u->ring);
}

void uring_provide(struct pool *pool, uint16_t id) {
  struct uring_driver *u = pool->driver;
  io_uring_buf_ring_add(u->provided, pool_at(pool, id), pool->size, id,
                        io_uring_buf_ring_mask(pool->count), 0);
  io_uring_buf_ring_advance(u->provided, 1);
}

static bool arm_wake(struct uring_driver *u) {
  struct io_uring_sqe *sqe = uring_sqe(u);
  if (!sqe) return false;
  io_uring_prep_poll_multishot(sqe, u->wake.fd, POLLIN);
  io_uring_sqe_set_data64(sqe, UD_WAKE);
  return u->wake_armed = true;
}

/* -- submit and cancel -- */

static bool try_prep(struct uring_driver *u, struct op *op) {
  struct io_uring_sqe *sqe = uring_sqe(u);
  if (!sqe) return false;
  op->class->prep(op, sqe);
  io_uring_sqe_set_data64(sqe, op_user_data(op));
  return true;
}

/* EAGAIN from the kernel (a non-blocking descriptor that others made so, on
 * kernels that heed it): wait for readiness, then prepare again. */
static bool try_poll(struct uring_driver *u, struct op *op) {
  struct io_uring_sqe *sqe = uring_sqe(u);
  if (!sqe) return false;
  io_uring_prep_poll_add(sqe, op_fd(op), (unsigned short)op->class->interest);
  io_uring_sqe_set_data64(sqe, op_user_data(op));
  op->polling = true;
  return true;
}

static bool try_cancel(struct uring_driver *u, struct op *op) {
  struct io_uring_sqe *sqe = uring_sqe(u);
  if (!sqe) return false;
  io_uring_prep_cancel64(sqe, op_user_data(op), 0);
  io_uring_sqe_set_data64(sqe, op_user_data(op) | UD_CANCEL);
  return true;
}

static bool try_pending(struct uring_driver *u, struct op *op,
                        enum pending what) {
  switch (what) {
  case PENDING_CANCEL:
    return try_cancel(u, op);
  case PENDING_POLL:
    return try_poll(u, op);
  case PENDING_PREP:
    return try_prep(u, op);
  default:
    return true;
  }
}

/* Do it now, or when there is room: never dropped. */
static void do_or_pend(struct uring_driver *u, struct op *op,
                       enum pending what) {
  if (try_pending(u, op, what)) return;
  op->pending = (uint8_t)what;
  list_push(&u->pending, &op->queue);
}

static void pend_later(struct uring_driver *u, struct op *op,
                       enum pending what) {
  op->pending = (uint8_t)what;
  list_push(&u->later, &op->queue);
}

static void take_later(struct uring_driver *u) {
  struct link *k;
  while ((k = list_pop(&u->later))) {
    struct op *op = container_of(k, struct op, queue);
    bool cancel = op->pending == PENDING_CANCEL_LATER;
    op->pending = cancel ? PENDING_CANCEL : PENDING_PREP;
    list_push(&u->pending, &op->queue);
  }
}

static void try_all_pending(struct uring_driver *u) {
  struct link *k;
  while ((k = list_first(&u->pending))) {
    struct op *op = container_of(k, struct op, queue);
    if (!try_pending(u, op, op->pending)) return;
    op->pending = PENDING_NONE;
    link_unlink(k);
  }
  if (!u->wake_armed) arm_wake(u);
}

static bool runs_inline(const struct op *op) {
  return (op->class->flags & OP_INLINE) && op->handle->kind != HANDLE_FILE;
}

static int uring_submit(struct driver *d, struct op *op) {
  struct uring_driver *u = self(d);
  int r = 0;
  if (runs_inline(op)) {
    driver_finish(d, op, op->class->perform(op, d->sys));
  } else if (!op->class->prep) {
    if ((r = threads_submit(u->threads, op)) < 0) driver_finish(d, op, r);
  } else if (!try_prep(u, op)) {
    return -EBUSY;
  }
  op_step(op, OP_SUBMITTED);
  return 0;
}

/* An entry that was to be prepared again and has not been yet is not in the
 * kernel: it ends here. */
static void uring_cancel(struct driver *d, struct op *op) {
  struct uring_driver *u = self(d);
  if (op->finished) return;
  if (op->job) {
    if (threads_cancel(u->threads, op)) driver_finish(d, op, -ECANCELED);
  } else if (op->pending == PENDING_NONE) {
    do_or_pend(u, op, PENDING_CANCEL);
  } else if (op->pending != PENDING_CANCEL) {
    op->pending = PENDING_NONE;
    link_unlink(&op->queue);
    driver_finish(d, op, -ECANCELED);
  }
}

/* -- reaping -- */

/* Kernel-internal restart codes leak out of io-wq after a cancel. */
static int32_t clean_res(int32_t res) {
  return res <= -512 && res >= -516 ? -EINTR : res;
}

/* A stand-in has ended: readiness came, or the op was cancelled. */
static int32_t end_polling(struct uring_driver *u, struct op *op, int32_t res) {
  op->polling = false;
  if (res < 0) return res;
  if (op->cancelled) return -ECANCELED;
  do_or_pend(u, op, PENDING_PREP);
  return -EAGAIN;
}

/* Not now: wait for readiness and prepare again. A Unix socket that finds its
 * listener's or receiver's queue full is writable all the time; it is tried
 * again at the pace of a clock. */
static void try_again(struct uring_driver *u, struct op *op) {
  if (op->class == &op_connect || op_full_elsewhere(op)) {
    pend_later(u, op, PENDING_PREP_LATER);
  } else {
    do_or_pend(u, op, PENDING_POLL);
  }
}

static void reap_op(struct uring_driver *u, struct op *op,
                    const struct io_uring_cqe *cqe) {
  int32_t res = clean_res(cqe->res);
  bool more = cqe->flags & IORING_CQE_F_MORE;
  uint16_t flags = more ? RESULT_MORE : 0, bid = 0;
  if (op->polling) {
    res = end_polling(u, op, res);
    if (res == -EAGAIN) return;
  } else if (res == -EAGAIN && op->class->interest) {
    if (op->cancelled)
      res = -ECANCELED;
    else {
      try_again(u, op);
      return;
    }
  }
  if ((cqe->flags & IORING_CQE_F_BUFFER) && (op->class->flags & OP_SELECT)) {
    bid = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    flags |= RESULT_BUFFER;
    pool_took(&u->base.pool, bid);
  }
  if (!more && op->pending) { /* its cancel is not needed any more */
    op->pending = PENDING_NONE;
    link_unlink(&op->queue);
  }
  if (res > 0 && (op->class->flags & OP_FILLS) && !(flags & RESULT_BUFFER))
    lent_defined(op->io.ptr, res);
  driver_deliver(&u->base, op, res, flags, bid);
}

/* How a cancel went. Not found, or too late: the op was on its way between
 * two places of the kernel, or blocks in one of its workers. As long as it
 * has not ended the request stands, and is made again after a tick. */
static void reap_cancel(struct uring_driver *u, uint64_t user_data,
                        int32_t res) {
  struct op *op = op_find(u->base.ops, user_data & ~UD_CANCEL);
  if (res >= 0 || !op || !op->cancelled || op->reaped || op->pending) return;
  if (op->state == OP_SUBMITTED) pend_later(u, op, PENDING_CANCEL_LATER);
}

static void reap_cqe(struct uring_driver *u, const struct io_uring_cqe *cqe) {
  if (cqe->user_data == UD_NONE) return;
  if (cqe->user_data == UD_WAKE) {
    wake_clear(&u->wake);
    if (!(cqe->flags & IORING_CQE_F_MORE)) u->wake_armed = false;
    return;
  }
  if (cqe->user_data & UD_CANCEL) {
    reap_cancel(u, cqe->user_data, cqe->res);
    return;
  }
  struct op *op = op_find(u->base.ops, cqe->user_data);
  assert(op && "a completion of no op");
  if (op) reap_op(u, op, cqe);
}

static void reap(struct uring_driver *u) {
  struct io_uring_cqe *cqe;
  unsigned head, n = 0;
  io_uring_for_each_cqe(&u->ring, head, cqe) {
    if (!driver_has_room(&u->base)) break;
    reap_cqe(u, cqe);
    n++;
  }
  io_uring_cq_advance(&u->ring, n);
}

static bool overflowed(struct uring_driver *u) {
  return IO_URING_READ_ONCE(*u->ring.sq.kflags) & IORING_SQ_CQ_OVERFLOW;
}

static void reap_threads(struct uring_driver *u) {
  struct op *op;
  while (driver_has_room(&u->base) && (op = threads_reap(u->threads)))
    driver_deliver(&u->base, op, op->res, 0, 0);
}

/* -- waiting -- */

static uint64_t time_left(struct uring_driver *u, uint64_t until_ns) {
  if (u->base.done_n || until_ns == 0 || !list_empty(&u->pending) ||
      !u->wake_armed || io_uring_cq_ready(&u->ring))
    return 0;
  if (until_ns == NEVER_NS) return NEVER_NS;
  uint64_t now = clock_ns();
  return until_ns > now ? until_ns - now : 0;
}

/* What enter may say without being broken: a signal, the time is up, the
 * completion queue must be emptied first, memory is short for the moment. */
static bool harmless(int r) {
  return r >= 0 || r == -EINTR || r == -ETIME || r == -EBUSY || r == -EAGAIN ||
         r == -ENOMEM;
}

static int uring_wait(struct driver *d, uint64_t until_ns) {
  struct uring_driver *u = self(d);
  driver_take_finished(d);
  reap_threads(u);
  try_all_pending(u);
  uint64_t left = time_left(u, until_ns);
  if (!list_empty(&u->later)) left = min_u64(left, LATER_NS);
  if (u->notify.fd >= 0) wake_clear(&u->notify); /* what comes now is reaped */
  int r = uring_enter(u, left ? 1 : 0, left);
  if (!harmless(r)) return r;
  take_later(u);
  reap(u);
  while (overflowed(u) && driver_has_room(d)) {
    if (!harmless(r = uring_enter(u, 0, 0))) return r;
    reap(u);
  }
  reap_threads(u);
  driver_take_finished(d);
  return 0;
}

void uring_wake(struct driver *d) {
  wake_set(&self(d)->wake);
}

/* The ring's own descriptor would not do: with DEFER_TASKRUN nobody who polls
 * it is woken by work that has yet to make its completions (Linux 6.18); an
 * eventfd is written then. From the first time that it is asked for. */
static int uring_pollfd(struct driver *d) {
  struct uring_driver *u = self(d);
  if (u->notify.fd >= 0) return u->notify.fd;
  int r = wake_open(&u->notify);
  if (r >= 0) r = io_uring_register_eventfd(&u->ring, u->notify.fd);
  if (r >= 0) return u->notify.fd;
  wake_close(&u->notify);
  return r;
}

static uint64_t uring_patience(struct driver *d) {
  struct uring_driver *u = self(d);
  if (!list_empty(&d->finished) || !list_empty(&u->pending) ||
      io_uring_sq_ready(&u->ring) || io_uring_cq_ready(&u->ring))
    return 0;
  return list_empty(&u->later) ? NEVER_NS : LATER_NS;
}

static uint64_t uring_now(struct driver *d) {
  (void)d;
  return clock_ns();
}

/* -- handles, closing -- */

static int uring_attach(struct driver *d, struct handle *h) {
  (void)d;
  return driver_kind_of(h->fd, &h->kind);
}

static void uring_detach(struct driver *d, struct handle *h) {
  (void)d;
  (void)h;
}

/* The armed poll of the wake descriptor holds the ring's file references
 * until it is reaped; a ring that goes with it is torn down late. */
static void cancel_wake(struct uring_driver *u) {
  struct io_uring_sqe *sqe = uring_sqe(u);
  if (!sqe || !u->wake_armed) return;
  io_uring_prep_cancel64(sqe, UD_WAKE, 0);
  io_uring_sqe_set_data64(sqe, UD_NONE);
  for (int i = 0; i < 8 && u->wake_armed; i++) {
    uring_enter(u, 1, 10 * NS_PER_MS);
    u->base.done_n = 0;
    reap(u);
  }
}

/* Not drained: the kernel may still write into the pool and use the ring's
 * memory, so both stay mapped for good (O5). */
static void uring_close(struct driver *d, bool drained) {
  struct uring_driver *u = self(d);
  if (drained) {
    cancel_wake(u);
    uring_free(u);
  } else {
    threads_free(u->threads);
  }
}

const struct driver_class driver_uring = {
    .name = "uring",
    .open = uring_open,
    .close = uring_close,
    .submit = uring_submit,
    .cancel = uring_cancel,
    .wait = uring_wait,
    .wake = uring_wake,
    .pollfd = uring_pollfd,
    .patience = uring_patience,
    .now = uring_now,
    .attach = uring_attach,
    .detach = uring_detach,
};
