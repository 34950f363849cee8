/* driver_poll.c - completions made from readiness: epoll and worker threads.
 *
 * An op is tried when its handle is ready, waits in the handle's queue when
 * the try says EAGAIN, and is tried again after an event; what blocks goes to
 * a worker. A handle is registered once, edge-triggered, at its first EAGAIN,
 * and readiness is remembered, so an op costs no epoll_ctl. Results appear in
 * `wait` only, as with a ring.
 * Owns the epoll and wake descriptors, the worker threads and the pool; the
 * handles belong to the proactor. See driver.h for the contract.
 *
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "driver.h"
#include "fault.h"
#include "ops.h"
#include "threads.h"

enum {
  EVENTS_MAX = 256,   /* taken from the kernel at once */
  TRIES_MAX = 16,     /* results of one op in one turn: fairness */
  PIPE_SAFE = 4096,   /* a writable pipe takes PIPE_BUF without blocking */
  LATER_NS = 1000000, /* between tries of what no event announces */
  WORKERS = 4,
};

struct poll_driver {
  struct driver base;
  struct sys sys;
  int epoll_fd;
  struct wake wake;
  struct list hot;   /* struct handle.wait.hot: to be tried */
  struct list later; /* struct op.queue: OP_LATER */
  struct threads *threads;
  bool no_pwait2; /* kernel or sandbox without epoll_pwait2 */
};

static struct poll_driver *self(struct driver *d) {
  return container_of(d, struct poll_driver, base);
}

/* -- trying ops -- */

static short op_interest(const struct op *op) {
  return op->class == &op_ready ? op->arg.events : op->class->interest;
}

static void make_hot(struct poll_driver *p, struct handle *h) {
  if (!link_listed(&h->wait.hot)) list_push(&p->hot, &h->wait.hot);
}

/* One try into a pool buffer of our choice. */
static int try_select(struct poll_driver *p, struct op *op, uint16_t *bid) {
  int id = pool_take(&p->base.pool);
  if (id < 0) return id;
  *bid = (uint16_t)id;
  op->io.ptr = pool_at(&p->base.pool, *bid);
  op->io.len = p->base.pool.size;
  int r = op->class->perform(op, p->base.sys);
  if (r <= 0) pool_give(&p->base.pool, *bid);
  return r;
}

/* A Unix socket's read ends where a message with descriptors does (unix(7)),
 * and what a borrowed number stands for may change. What else makes a read
 * stop is announced by an event. */
static bool reads_stop(struct poll_driver *p, struct handle *h) {
  int family = AF_UNIX;
  socklen_t len = sizeof family;
  if (h->wait.asked || !h->owned) return h->wait.stops || !h->owned;
  h->wait.asked = true;
  p->sys.class->getopt(&p->sys, h->fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
  return h->wait.stops |= family == AF_UNIX;
}

/* A stream that gave less than there was room for is drained, and an edge
 * will tell of more, unless its reads stop earlier. */
static void note_short(struct poll_driver *p, struct op *op, int res) {
  struct handle *h = op->handle;
  if (op->class == &op_recv_multi && res > 0 && (size_t)res < op->io.len &&
      !reads_stop(p, h))
    h->wait.in_ready = false;
}

/* A borrowed descriptor may be a blocking one, and its flags are not ours to
 * change: it is asked first, and a write is kept to what cannot block. */
static int try_borrowed(struct poll_driver *p, struct op *op) {
  struct handle *h = op->handle;
  int ready = p->sys.class->poll(&p->sys, h->fd, op->class->interest);
  if (ready <= 0) return ready ? ready : -EAGAIN;
  size_t len = op->io.len;
  if (op->class == &op_write)
    op->io.len = min_size(len, op->io.done + PIPE_SAFE);
  int r = op->class->perform(op, p->base.sys);
  op->io.len = len;
  return r;
}

static bool may_block(const struct op *op) {
  const struct handle *h = op->handle;
  return h && (!h->owned || h->shared) && h->kind != HANDLE_FILE &&
         (op->class == &op_read || op->class == &op_write ||
          op->class == &op_accept || op->class == &op_accept_multi);
}

static int try_plain(struct poll_driver *p, struct op *op) {
  return may_block(op) ? try_borrowed(p, op)
                       : op->class->perform(op, p->base.sys);
}

/* Try op; deliver what it gives. false: it waits for readiness. */
static bool try_multi(struct poll_driver *p, struct op *op) {
  for (int n = 0; n < TRIES_MAX && driver_has_room(&p->base); n++) {
    uint16_t bid = 0;
    bool select = op->class->flags & OP_SELECT;
    int r = select ? try_select(p, op, &bid) : try_plain(p, op);
    if (r == -EAGAIN) return false;
    if (r == -EINTR) continue;
    bool more = select ? r > 0 : r >= 0;
    if (!more) link_unlink(&op->queue);
    driver_deliver(&p->base, op, r,
                   (uint16_t)((more ? RESULT_MORE : 0) |
                              (select && r > 0 ? RESULT_BUFFER : 0)),
                   bid);
    if (!more) return true;
    note_short(p, op, r);
    if (!op->handle->wait.in_ready) return true;
  }
  return true;
}

static bool try_once(struct poll_driver *p, struct op *op) {
  int r = try_plain(p, op);
  if (r == -EAGAIN) return false;
  link_unlink(&op->queue);
  if (r == OP_LATER)
    list_push(&p->later, &op->queue);
  else
    driver_deliver(&p->base, op, r, 0, 0);
  return true;
}

/* Returns whether the queue may have more that can be done right now. */
static bool try_queue(struct poll_driver *p, struct list *queue, bool *ready) {
  for (int n = 0; n < TRIES_MAX && *ready; n++) {
    if (list_empty(queue) || !driver_has_room(&p->base)) break;
    struct op *op = container_of(list_first(queue), struct op, queue);
    bool multi = op->class->flags & OP_MULTISHOT;
    bool done = multi ? try_multi(p, op) : try_once(p, op);
    if (!done) *ready = false;
    if (multi && !op->reaped) break; /* its turn is over */
  }
  return *ready && !list_empty(queue);
}

static void try_watch(struct poll_driver *p, struct handle *h) {
  for (struct link *k = list_first(&h->wait.watch), *next; k; k = next) {
    next = list_next(&h->wait.watch, k);
    if (!driver_has_room(&p->base)) return;
    try_once(p, container_of(k, struct op, queue));
  }
}

static void fail_waiting(struct poll_driver *p, struct list *queue, int err) {
  struct link *k;
  while ((k = list_pop(queue)))
    driver_finish(&p->base, container_of(k, struct op, queue), err);
}

/* Something waits for an event: from now on epoll tells. Without memory or
 * watches for that, what waits fails. */
static void register_handle(struct poll_driver *p, struct handle *h) {
  struct epoll_event e = {.events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP |
                                    EPOLLET,
                          .data.ptr = h};
  int how = h->wait.registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  /* What is borrowed may have been closed and its number used again: asked
   * each time. A file that is registered tells what it is ready for now. */
  if (h->wait.registered && h->owned) return;
  int fault = fault_error("epoll_ctl", ENOSPC);
  int r = fault ? -1 : epoll_ctl(p->epoll_fd, how, h->fd, &e);
  if (fault) errno = -fault;
  if (r < 0 && errno == ENOENT)
    r = epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, h->fd, &e);
  h->wait.registered = r == 0;
  if (r == 0) return;
  int err = -errno;
  fail_waiting(p, &h->wait.in, err);
  fail_waiting(p, &h->wait.out, err);
  fail_waiting(p, &h->wait.watch, err);
}

static bool handle_waits(const struct handle *h) {
  return !list_empty(&h->wait.in) || !list_empty(&h->wait.out) ||
         !list_empty(&h->wait.watch);
}

static void try_handle(struct poll_driver *p, struct handle *h) {
  bool again = try_queue(p, &h->wait.in, &h->wait.in_ready);
  again |= try_queue(p, &h->wait.out, &h->wait.out_ready);
  try_watch(p, h);
  if (again)
    make_hot(p, h);
  else if (handle_waits(h))
    register_handle(p, h);
}

static void try_hot(struct poll_driver *p) {
  struct list now = LIST_INIT(&now);
  list_splice(&now, &p->hot);
  struct link *k;
  while (driver_has_room(&p->base) && (k = list_pop(&now)))
    try_handle(p, container_of(k, struct handle, wait.hot));
  list_splice(&now, &p->hot); /* what found no room goes first next time */
  list_splice(&p->hot, &now);
}

static void try_later(struct poll_driver *p) {
  struct list now = LIST_INIT(&now);
  list_splice(&now, &p->later);
  struct link *k;
  while ((k = list_pop(&now))) {
    struct op *op = container_of(k, struct op, queue);
    list_push(&op->handle->wait.out, &op->queue);
    make_hot(p, op->handle);
  }
}

/* -- submit and cancel -- */

/* A close must happen; better slowly than never. */
static void submit_to_worker(struct poll_driver *p, struct op *op) {
  int r = threads_submit(p->threads, op);
  if (r < 0 && (op->class->flags & OP_LAST))
    r = op->class->perform(op, p->base.sys);
  else if (r == 0)
    return;
  driver_finish(&p->base, op, r);
}

static void submit_to_handle(struct poll_driver *p, struct op *op) {
  struct handle *h = op->handle;
  short interest = op_interest(op);
  struct list *queue = op->class == &op_ready ? &h->wait.watch
                       : interest == POLLIN   ? &h->wait.in
                                              : &h->wait.out;
  list_push(queue, &op->queue);
  make_hot(p, h);
}

static bool wants_worker(const struct op *op) {
  if (op->class->flags & OP_WORKER) return true;
  if (!(op->class->flags & OP_BLOCKING)) return false;
  return !op->handle || op->handle->kind == HANDLE_FILE;
}

static int poll_submit(struct driver *d, struct op *op) {
  struct poll_driver *p = self(d);
  op_step(op, OP_SUBMITTED);
  if (wants_worker(op))
    submit_to_worker(p, op);
  else if (op->handle && op->class->interest)
    submit_to_handle(p, op);
  else
    driver_finish(d, op, op->class->perform(op, d->sys));
  return 0;
}

/* Still in `finished`, or running on a worker: its own result is the answer.
 * Else it waits in a queue, and ends here. */
static void poll_cancel(struct driver *d, struct op *op) {
  struct poll_driver *p = self(d);
  if (op->job) {
    if (threads_cancel(p->threads, op)) driver_finish(d, op, -ECANCELED);
    return;
  }
  if (op->finished) return;
  link_unlink(&op->queue);
  driver_finish(d, op, -ECANCELED);
}

/* -- waiting -- */

static void note_event(struct poll_driver *p, const struct epoll_event *e) {
  struct handle *h = e->data.ptr;
  if (!h) { /* the wake-up, and nothing else */
    wake_clear(&p->wake);
    return;
  }
  uint32_t end = EPOLLHUP | EPOLLERR;
  if (e->events & (EPOLLIN | EPOLLRDHUP | end)) h->wait.in_ready = true;
  if (e->events & (EPOLLOUT | end)) h->wait.out_ready = true;
  /* the last bytes and the end are one edge; urgent ones (tcp(7)) end a read */
  if (e->events & (EPOLLPRI | EPOLLRDHUP | end)) h->wait.stops = true;
  if (handle_waits(h)) make_hot(p, h);
}

static int wait_ms(uint64_t ns) {
  if (ns == NEVER_NS) return -1;
  uint64_t ms = (ns + NS_PER_MS - 1) / NS_PER_MS; /* never too early */
  return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

/* epoll_pwait2 has nanoseconds; old sandboxes refuse it. */
static int wait_events(struct poll_driver *p, struct epoll_event *e,
                       uint64_t ns) {
  p->base.enters++;
  /* As with a signal: what is ready is told, and nothing is waited for. */
  int fault = fault_error("epoll_wait", EINTR);
  if (fault) {
    int n = fault == -EINTR ? epoll_wait(p->epoll_fd, e, EVENTS_MAX, 0) : 0;
    errno = -fault;
    return n > 0 ? n : -1;
  }
  if (!p->no_pwait2 && ns != 0 && ns != NEVER_NS) {
    struct timespec t = {(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
    int n = epoll_pwait2(p->epoll_fd, e, EVENTS_MAX, &t, NULL);
    if (n >= 0 || errno == EINTR) return n;
    p->no_pwait2 = true;
  }
  return epoll_wait(p->epoll_fd, e, EVENTS_MAX, wait_ms(ns));
}

static uint64_t time_left(struct poll_driver *p, uint64_t until_ns) {
  if (p->base.done_n || until_ns == 0 || !list_empty(&p->hot) ||
      !list_empty(&p->base.finished))
    return 0;
  uint64_t left = NEVER_NS;
  if (until_ns != NEVER_NS) {
    uint64_t now = clock_ns();
    left = until_ns > now ? until_ns - now : 0;
  }
  return list_empty(&p->later) ? left : min_u64(left, LATER_NS);
}

static void reap_threads(struct poll_driver *p) {
  struct op *op;
  while (driver_has_room(&p->base) && (op = threads_reap(p->threads)))
    driver_deliver(&p->base, op, op->res, 0, 0);
}

static int poll_wait(struct driver *d, uint64_t until_ns) {
  struct poll_driver *p = self(d);
  struct epoll_event events[EVENTS_MAX];
  driver_take_finished(d);
  reap_threads(p);
  try_later(p);
  try_hot(p);
  int n = wait_events(p, events, time_left(p, until_ns));
  if (n < 0 && errno != EINTR) return -errno;
  for (int i = 0; i < n; i++) note_event(p, &events[i]);
  reap_threads(p);
  try_hot(p);
  driver_take_finished(d);
  return 0;
}

static void poll_wake(struct driver *d) {
  wake_set(&self(d)->wake);
}

static void wake_from_worker(void *arg) {
  poll_wake(arg);
}

/* An epoll descriptor is readable itself when it has events. */
static int poll_pollfd(struct driver *d) {
  return self(d)->epoll_fd;
}

static uint64_t poll_patience(struct driver *d) {
  struct poll_driver *p = self(d);
  if (!list_empty(&d->finished) || !list_empty(&p->hot)) return 0;
  return list_empty(&p->later) ? NEVER_NS : LATER_NS;
}

static uint64_t poll_now(struct driver *d) {
  (void)d;
  return clock_ns();
}

/* -- handles -- */

static int poll_attach(struct driver *d, struct handle *h) {
  (void)d;
  int r = driver_kind_of(h->fd, &h->kind);
  if (r < 0 || !h->owned || h->kind == HANDLE_FILE) return r;
  int flags = fcntl(h->fd, F_GETFL);
  if (flags < 0 || fcntl(h->fd, F_SETFL, flags | O_NONBLOCK) < 0) return -errno;
  return 0;
}

/* Before close: a duplicate of the descriptor would keep the registration. */
static void poll_detach(struct driver *d, struct handle *h) {
  struct poll_driver *p = self(d);
  assert(!handle_waits(h));
  link_unlink(&h->wait.hot);
  if (h->wait.registered) epoll_ctl(p->epoll_fd, EPOLL_CTL_DEL, h->fd, NULL);
  h->wait.registered = false;
}

/* -- open and close -- */

static void poll_free(struct poll_driver *p) {
  threads_free(p->threads);
  if (p->epoll_fd >= 0) close(p->epoll_fd);
  wake_close(&p->wake);
  pool_deinit(&p->base.pool);
  free(p);
}

/* Nothing but workers can be in flight here, and they own their memory. */
static void poll_close(struct driver *d, bool drained) {
  (void)drained;
  poll_free(self(d));
}

static int open_fds(struct poll_driver *p) {
  struct epoll_event e = {.events = EPOLLIN};
  FAULT_RETURN("epoll_create", EMFILE);
  p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (p->epoll_fd < 0) return -errno;
  int r = wake_open(&p->wake);
  if (r < 0) return r;
  r = epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, p->wake.fd, &e);
  return r < 0 ? -errno : 0;
}

static int poll_init(struct poll_driver *p, const struct driver_options *o) {
  int r = open_fds(p);
  if (r < 0) return r;
  p->threads = threads_new(o->workers ? o->workers : WORKERS, wake_from_worker,
                           &p->base);
  if (!p->threads) return -ENOMEM;
  return pool_init(&p->base.pool, o->buffers, o->buffer_size);
}

static int poll_open(struct driver **out, struct op_table *ops,
                     const struct driver_options *o, char why[REASON_MAX]) {
  struct poll_driver *p = calloc(1, sizeof *p);
  if (!p) return -ENOMEM;
  p->base.class = &driver_poll;
  p->base.ops = ops;
  p->sys.class = &sys_posix;
  p->base.sys = &p->sys;
  p->epoll_fd = p->wake.fd = -1;
  list_init(&p->base.finished);
  list_init(&p->hot);
  list_init(&p->later);
  int r = poll_init(p, o);
  if (r < 0) {
    why[0] = 0;
    poll_free(p);
    return r;
  }
  *out = &p->base;
  return 0;
}

const struct driver_class driver_poll = {
    .name = "poll",
    .open = poll_open,
    .close = poll_close,
    .submit = poll_submit,
    .cancel = poll_cancel,
    .wait = poll_wait,
    .wake = poll_wake,
    .pollfd = poll_pollfd,
    .patience = poll_patience,
    .now = poll_now,
    .attach = poll_attach,
    .detach = poll_detach,
};
