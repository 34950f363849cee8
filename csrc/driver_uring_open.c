/* driver_uring_open.c - make a ring, and prove that it works before use.
 *
 * The ladder: sizes from large to small while memory is refused; then a NOP
 * must come back (a sandbox can allow set-up and refuse enter), the provided
 * buffers must be accepted, and a preflight must receive the right bytes
 * through them. Every refusal ends in words for the user: which call, which
 * cause. Owns nothing once uring_open has returned.
 *
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "driver_uring.h"
#include "errname.h"
#include "fault.h"

enum {
  WORKERS = 4,
  IOWQ_BOUNDED = 8,    /* the kernel's workers for files ... */
  IOWQ_UNBOUNDED = 64, /* ... and for all else: its default is RLIMIT_NPROC */
  UNCHARGE_TRIES = 5,  /* memlock of a closed ring comes back late */
};

#define FEATURES                                                     \
  (IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP | \
   IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_RSRC_TAGS)

struct rung {
  unsigned sq, cq;
};

/* -- why not -- */

static int sysctl_disabled(void) {
  FILE *f = fopen("/proc/sys/kernel/io_uring_disabled", "re");
  int value = 0;
  if (!f) return 0;
  if (fscanf(f, "%d", &value) != 1) value = 0;
  fclose(f);
  return value;
}

static void explain_eperm(const char *call, char why[REASON_MAX]) {
  int disabled = sysctl_disabled();
  if (disabled)
    snprintf(why, REASON_MAX,
             "%s: EPERM: the sysctl kernel.io_uring_disabled is %d", call,
             disabled);
  else
    snprintf(why, REASON_MAX,
             "%s: EPERM: refused by a seccomp filter, as container runtimes "
             "do by default, or by another security module",
             call);
}

static void explain_enomem(const char *call, char why[REASON_MAX]) {
  struct rlimit r = {0};
  getrlimit(RLIMIT_MEMLOCK, &r);
  if (r.rlim_cur == RLIM_INFINITY)
    snprintf(why, REASON_MAX, "%s: ENOMEM: the kernel is out of memory", call);
  else
    snprintf(why, REASON_MAX,
             "%s: ENOMEM: RLIMIT_MEMLOCK (%llu bytes for all rings of this "
             "user) leaves no room for the smallest ring",
             call, (unsigned long long)r.rlim_cur);
}

static void explain(int err, const char *call, char why[REASON_MAX]) {
  struct utsname un = {0};
  char text[80];
  const char *name = err_name(-err);
  uname(&un);
  if (err == -EPERM || err == -EACCES)
    explain_eperm(call, why);
  else if (err == -ENOMEM)
    explain_enomem(call, why);
  else if (err == -ENOSYS)
    snprintf(why, REASON_MAX,
             "%s: ENOSYS: not implemented by this kernel (%s), or hidden by "
             "a seccomp filter",
             call, un.release);
  else if (err == -EINVAL)
    snprintf(why, REASON_MAX,
             "%s: EINVAL: this kernel (%s) lacks what is needed; 6.1 or "
             "later has it",
             call, un.release);
  else
    snprintf(why, REASON_MAX, "%s: %s: %s", call, name ? name : "error",
             err_text(-err, text, sizeof text));
}

/* -- the ring -- */

/* With these flags the kernel must be 6.1 or later; older ones would need
 * another driver (no buffer rings, no deferred work), so they get `poll`. */
static int try_rung(struct uring_driver *u, struct rung r) {
  struct io_uring_params p = {
      .flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
               IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
               IORING_SETUP_DEFER_TASKRUN,
      .cq_entries = r.cq,
  };
  FAULT_RETURN("uring_setup", ENOMEM);
  int e = io_uring_queue_init_params(r.sq, &u->ring, &p);
  if (e < 0) return e;
  u->ring_open = true;
  u->base.entries = p.sq_entries;
  u->base.cq_entries = p.cq_entries;
  if ((p.features & FEATURES) != FEATURES) return -EINVAL;
  if (p.features & IORING_FEAT_NO_IOWAIT)
    u->wait_flags = IORING_ENTER_NO_IOWAIT;
  /* Entry i of the queue is entry i of the array, for good. */
  for (unsigned i = 0; u->ring.sq.array && i < p.sq_entries; i++)
    u->ring.sq.array[i] = i;
  return 0;
}

static void close_ring(struct uring_driver *u) {
  if (u->ring_open) io_uring_queue_exit(&u->ring);
  if (u->provided) munmap(u->provided, u->provided_len);
  u->ring_open = false;
  u->provided = NULL;
}

/* Reap one completion of the set-up itself; its result. */
static int reap_one(struct uring_driver *u, uint32_t *flags) {
  struct io_uring_cqe *cqe;
  int r = 0;
  for (int i = 0; i < 100 && !io_uring_cq_ready(&u->ring); i++) {
    r = uring_enter(u, 1, 100 * NS_PER_MS);
    if (r < 0 && r != -EINTR && r != -ETIME) return r;
  }
  if (io_uring_peek_cqe(&u->ring, &cqe) < 0) return -ETIME;
  r = cqe->res;
  if (flags) *flags = cqe->flags;
  io_uring_cqe_seen(&u->ring, cqe);
  return r;
}

static int prove_nop(struct uring_driver *u) {
  io_uring_prep_nop(io_uring_get_sqe(&u->ring));
  return reap_one(u, NULL);
}

/* -- provided buffers -- */

static int map_provided(size_t len, struct io_uring_buf_ring **out) {
  FAULT_RETURN("map_provided", ENOMEM);
  void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE,
                 -1, 0);
  if (p == MAP_FAILED) return -ENOMEM;
  *out = p;
  return 0;
}

static int register_group(struct uring_driver *u, unsigned group,
                          unsigned entries, struct io_uring_buf_ring *br) {
  struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)(uintptr_t)br,
                                 .ring_entries = entries,
                                 .bgid = (uint16_t)group};
  FAULT_RETURN("uring_register", EINVAL);
  int r = io_uring_register_buf_ring(&u->ring, &reg, 0);
  if (r == 0) io_uring_buf_ring_init(br);
  return r;
}

static int provide_pool(struct uring_driver *u) {
  struct pool *pool = &u->base.pool;
  u->provided_len = pool->count * sizeof(struct io_uring_buf);
  int r = map_provided(u->provided_len, &u->provided);
  if (r == 0) r = register_group(u, POOL_GROUP, pool->count, u->provided);
  if (r < 0) return r;
  pool->driver = u;
  pool->on_give = uring_provide;
  for (uint32_t i = 0; i < pool->count; i++) uring_provide(pool, (uint16_t)i);
  return 0;
}

/* -- preflight: four messages through two buffers, so that the ring wraps;
 * some kernels register provided buffers and then mix them up -- */

struct preflight {
  struct io_uring_buf_ring *br;
  unsigned char bytes[2][16];
  int fds[2];
};

static void preflight_give(struct preflight *f, unsigned bid) {
  io_uring_buf_ring_add(f->br, f->bytes[bid], sizeof f->bytes[bid],
                        (unsigned short)bid, io_uring_buf_ring_mask(2), 0);
  io_uring_buf_ring_advance(f->br, 1);
}

static int preflight_message(struct uring_driver *u, struct preflight *f,
                             char letter) {
  char sent[8];
  uint32_t flags = 0;
  memset(sent, letter, sizeof sent);
  if (send(f->fds[1], sent, sizeof sent, MSG_NOSIGNAL) < 0) return -errno;
  int r = reap_one(u, &flags);
  if (r < 0) return r;
  unsigned bid = flags >> IORING_CQE_BUFFER_SHIFT;
  if (r != sizeof sent || !(flags & IORING_CQE_F_BUFFER) || bid > 1)
    return -EBADMSG;
  if (memcmp(f->bytes[bid], sent, sizeof sent) != 0) return -EBADMSG;
  preflight_give(f, bid);
  return 0;
}

static int preflight_run(struct uring_driver *u, struct preflight *f) {
  preflight_give(f, 0);
  preflight_give(f, 1);
  struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
  io_uring_prep_recv_multishot(sqe, f->fds[0], NULL, 0, 0);
  sqe->flags |= IOSQE_BUFFER_SELECT;
  sqe->buf_group = PREFLIGHT_GROUP;
  int r = 0;
  for (char c = 'a'; c < 'e' && r == 0; c++) r = preflight_message(u, f, c);
  if (r < 0) return r;
  shutdown(f->fds[1], SHUT_WR);
  return reap_one(u, NULL);
}

static int preflight(struct uring_driver *u) {
  struct preflight f = {0};
  size_t len = 2 * sizeof(struct io_uring_buf);
  FAULT_RETURN("preflight", EMFILE);
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, f.fds) < 0)
    return -errno;
  int r = map_provided(len, &f.br);
  if (r == 0) {
    r = register_group(u, PREFLIGHT_GROUP, 2, f.br);
    if (r == 0) r = preflight_run(u, &f);
    /* After a failure a receive may be armed: the ring goes first. */
    if (r < 0)
      close_ring(u);
    else
      io_uring_unregister_buf_ring(&u->ring, PREFLIGHT_GROUP);
    munmap(f.br, len);
  }
  close(f.fds[0]);
  close(f.fds[1]);
  return r;
}

/* -- all of it -- */

static int step(int r, const char *call, char why[REASON_MAX]) {
  if (r < 0) explain(r, call, why);
  return r;
}

static int build(struct uring_driver *u, struct rung rung,
                 char why[REASON_MAX]) {
  int r = step(try_rung(u, rung), "io_uring_setup", why);
  if (r >= 0) r = step(prove_nop(u), "io_uring_enter", why);
  if (r >= 0) r = step(provide_pool(u), "io_uring_register (buffers)", why);
  if (r >= 0) r = step(preflight(u), "io_uring preflight (receive)", why);
  if (r < 0) close_ring(u);
  return r;
}

/* Down the ladder while memory is refused. A ring that was closed a moment
 * ago is uncharged late, so the last rung is tried more than once. */
static int climb(struct uring_driver *u, const struct driver_options *o,
                 char why[REASON_MAX]) {
  const struct rung ladder[] = {{256, 4096}, {256, 1024}, {64, 256}, {32, 64}};
  int r = -ENOMEM;
  if (o->entries) {
    unsigned cq = o->cq_entries ? o->cq_entries : o->entries * 4;
    r = build(u, (struct rung){o->entries, cq}, why);
  }
  for (size_t i = 0; r == -ENOMEM && i < countof(ladder); i++)
    r = build(u, ladder[i], why);
  for (int i = 0; r == -ENOMEM && i < UNCHARGE_TRIES; i++) {
    struct timespec ten_ms = {0, 10 * (long)NS_PER_MS};
    struct rlimit memlock = {0};
    getrlimit(RLIMIT_MEMLOCK, &memlock);
    if (memlock.rlim_cur == 0) break;
    nanosleep(&ten_ms, NULL);
    r = build(u, ladder[countof(ladder) - 1], why);
  }
  return r;
}

/* What only makes things better; no failure is one. */
static void tune(struct uring_driver *u) {
  unsigned workers[2] = {IOWQ_BOUNDED, IOWQ_UNBOUNDED};
  io_uring_register_ring_fd(&u->ring);
  io_uring_register_iowq_max_workers(&u->ring, workers);
  io_uring_ring_dontfork(&u->ring);
}

static void wake_from_worker(void *arg) {
  uring_wake(arg);
}

static int make_parts(struct uring_driver *u, const struct driver_options *o,
                      char why[REASON_MAX]) {
  int r = wake_open(&u->wake);
  if (r < 0) return step(r, "eventfd", why);
  u->threads = threads_new(o->workers ? o->workers : WORKERS, wake_from_worker,
                           &u->base);
  if (!u->threads) return step(-ENOMEM, "threads", why);
  return step(pool_init(&u->base.pool, o->buffers, o->buffer_size), "buffers",
              why);
}

void uring_free(struct uring_driver *u) {
  close_ring(u);
  threads_free(u->threads);
  wake_close(&u->wake);
  wake_close(&u->notify);
  pool_deinit(&u->base.pool);
  free(u);
}

int uring_open(struct driver **out, struct op_table *ops,
               const struct driver_options *o, char why[REASON_MAX]) {
  struct uring_driver *u = calloc(1, sizeof *u);
  if (!u) return step(-ENOMEM, "calloc", why);
  u->base.class = &driver_uring;
  u->base.ops = ops;
  u->sys.class = &sys_posix;
  u->base.sys = &u->sys;
  u->wake.fd = u->notify.fd = -1;
  list_init(&u->base.finished);
  list_init(&u->pending);
  list_init(&u->later);
  int r = make_parts(u, o, why);
  if (r >= 0) r = climb(u, o, why);
  if (r < 0) {
    uring_free(u);
    return r;
  }
  tune(u);
  *out = &u->base;
  return 0;
}
