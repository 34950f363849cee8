/* ledger_test.c - planted bugs that the debug build has to find.
 *
 * Each is committed in a child, which must die of it and say what it was:
 * memory taken back while the kernel has it, bytes that change while they are
 * sent, a write behind a block, into a pool buffer, an op that is never given
 * back. And their innocent twins, which must live.
 *
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <sys/socket.h>

#include "check.h"
#include "dies.h"
#include "ledger.h"
#include "lent.h"

#ifdef PROA_DEBUG
struct rig {
  struct proactor p;
  struct handle *h;
  int fds[2];
  bool done;
};

static void sink(struct op *op, const struct op_result *r) {
  struct rig *rig = op->owner;
  (void)r;
  rig->done = true;
  proactor_free(&rig->p, op);
}

static bool rig_open(struct rig *rig, const char *driver) {
  struct proactor_options o = {.driver = driver};
  *rig = (struct rig){0};
  return proactor_open(&rig->p, &o) == 0 &&
         socketpair(AF_UNIX, SOCK_STREAM, 0, rig->fds) == 0 &&
         handle_open(&rig->p, rig->fds[0], true, &rig->h) == 0;
}

static void rig_close(struct rig *rig) {
  proactor_close(&rig->p, NS_PER_S);
  close(rig->fds[1]);
}

static void wait_done(struct rig *rig) {
  for (int i = 0; i < 100 && !rig->done; i++)
    proactor_turn(&rig->p, clock_ns() + 10 * NS_PER_MS);
}

static struct op *submit(struct rig *rig, const struct op_class *class,
                         struct buf *b) {
  struct op *op = proactor_op(&rig->p, class);
  op->handle = rig->h;
  op->sink = sink;
  op->owner = rig;
  if (b) {
    op_borrow(op, b);
    op->io.ptr = b->data;
    op->io.len = b->len;
  }
  proactor_submit(&rig->p, op);
  return op;
}

static const char *driver; /* of the test that runs */

/* A receive is handed over, and its buffer taken back and freed or not. */
static void receive(bool early) {
  struct rig rig;
  if (!rig_open(&rig, driver)) return;
  struct buf *b = buf_new(10000);
  struct op *op = submit(&rig, &op_recv, b);
  proactor_turn(&rig.p, 0);
  if (early) {
    op_give_back(op);
    buf_unref(b);
  }
  if (write(rig.fds[1], "late", 4) != 4) return;
  wait_done(&rig);
  if (!early) buf_unref(b);
  rig_close(&rig);
}

static void receive_early(void *arg) {
  (void)arg;
  receive(true);
}

static void receive_well(void *arg) {
  (void)arg;
  receive(false);
}

/* A send that waits, because nobody reads, and meanwhile its bytes change. */
static void change_sent(void *arg) {
  struct rig rig;
  if (!rig_open(&rig, driver)) return;
  struct buf *b = buf_new(8 << 20);
  submit(&rig, &op_send, b);
  proactor_turn(&rig.p, 0);
  if (arg) b->data[b->len - 1] ^= 1;
  handle_cancel(&rig.p, rig.h);
  wait_done(&rig);
  buf_unref(b);
  rig_close(&rig);
}

static void write_behind(void *arg) {
  unsigned char *p = lent_alloc(5000);
  p[5000] = arg ? 0 : p[5000];
  lent_free(p);
}

static void write_into_pool(void *arg) {
  struct pool pool;
  if (pool_init(&pool, 2, 4096) < 0) return;
  uint16_t id = (uint16_t)pool_take(&pool);
  unsigned char *at = pool_at(&pool, id);
  memcpy(at, "message", 7);
  pool_filled(&pool, id, 7);
  if (arg) at[2000] = 1;
  pool_give(&pool, id);
  pool_deinit(&pool);
}

static void keep_op(void *arg) {
  struct rig rig;
  if (!rig_open(&rig, driver)) return;
  if (arg) (void)proactor_op(&rig.p, &op_nop);
  rig_close(&rig);
}

/* What the call says before it dies. */
static void complaint_of(void (*call)(void *), char *into, size_t len) {
  int fds[2];
  ssize_t n = 0, r;
  if (pipe(fds) < 0) return;
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_DUMPABLE, 0);
    dup2(fds[1], STDERR_FILENO);
    call(&fds);
    _exit(0);
  }
  close(fds[1]);
  while ((r = read(fds[0], into + n, len - 1 - (size_t)n)) > 0) n += r;
  into[n] = 0;
  close(fds[0]);
  waitpid(child, NULL, 0);
}

static int planted = 1; /* its address means: do it */

static bool works(const char *name) {
  struct rig rig;
  driver = name;
  if (!rig_open(&rig, name)) return false;
  rig_close(&rig);
  return true;
}

TEST("freed memory is a guard: the kernel gets EFAULT") {
  int fds[2];
  REQUIRE(pipe(fds) == 0 && write(fds[1], "x", 1) == 1);
  unsigned char *p = lent_alloc(64);
  CHECK_INT(p[0], ==, LENT_POISON);
  CHECK(!lent_is_freed(p));
  lent_free(p);
  CHECK(lent_is_freed(p));
  CHECK(read(fds[0], p, 1) < 0 && errno == EFAULT);
  close(fds[0]);
  close(fds[1]);
}

TEST("a buffer of an op that is freed too early is found: uring") {
  if (!works("uring")) SKIP("io_uring is refused here");
  char text[2000] = "";
  CHECK(dies(receive_early, NULL));
  CHECK(!dies(receive_well, NULL));
  complaint_of(receive_early, text, sizeof text);
  CHECK(strstr(text, "freed while it was lent"));
  CHECK(strstr(text, "op recv (fd "));
}

TEST("a buffer of an op that is freed too early is found: poll") {
  REQUIRE(works("poll"));
  CHECK(dies(receive_early, NULL));
  CHECK(!dies(receive_well, NULL));
}

TEST("bytes that change while they are sent are found") {
  static const char *const all[] = {"uring", "poll"};
  for (size_t i = 0; i < countof(all); i++) {
    if (!works(all[i])) continue;
    CHECK(dies(change_sent, &planted));
    CHECK(!dies(change_sent, NULL));
  }
}

TEST("a write behind a block is found when it is freed") {
  CHECK(dies(write_behind, &planted));
  CHECK(!dies(write_behind, NULL));
}

TEST("a write into a pool buffer that is taken is found when it is given") {
  CHECK(dies(write_into_pool, &planted));
  CHECK(!dies(write_into_pool, NULL));
}

TEST("an op that is never given back is named at close") {
  char text[2000] = "";
  REQUIRE(works("poll"));
  CHECK(dies(keep_op, &planted));
  CHECK(!dies(keep_op, NULL));
  complaint_of(keep_op, text, sizeof text);
  CHECK(strstr(text, "op nop (fd -1, idle)"));
}
#else
TEST("planted bugs are found") {
  (void)dies;
  (void)check_miss;
  SKIP("ledgers are in debug builds");
}
#endif
