/* sim_test.c - the simulated driver: its clock, its chaos, what it keeps.
 *
 * Most tests run over many seeds; a failure prints the seed. The network
 * itself is tested in sim_net_test.c.
 *
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "fault.h"
#include "sim_rig.h"

static void say_seed(uint64_t seed, int misses_before) {
  if (check_misses > misses_before)
    printf("  seed %llu\n", (unsigned long long)seed);
}

/* Runs `body` for every seed, until one fails. */
#define SEEDS(n) \
  for (uint64_t seed = 1; seed <= (n) && !check_misses; say_seed(seed++, 0))

/* -- the clock -- */

TEST("the clock starts at one second and jumps to the time that is waited "
     "for") {
  rig_open(1, 1);
  uint64_t now = driver_sim.now(rig.driver);
  CHECK_INT(now, ==, NS_PER_S);
  rig_turn(now + 3600 * NS_PER_S);
  CHECK_INT(driver_sim.now(rig.driver) - now, ==, 3600 * NS_PER_S);
  rig_close();
}

TEST("a turn that may not wait takes a little time, so loops end") {
  rig_open(1, 1);
  uint64_t before = driver_sim.now(rig.driver);
  rig_turn(0);
  uint64_t took = driver_sim.now(rig.driver) - before;
  CHECK(took > 0 && took < NS_PER_MS);
  struct op *op = rig_op(&op_nop, NULL, NULL, NULL);
  rig_submit(op);
  int turns = 0;
  for (; op_in_flight(op) && turns < 1000; turns++) rig_turn(0);
  CHECK_INT(turns, <, 200);
  op_free(&rig.ops, op);
  rig_close();
}

TEST("a result comes before the time that is waited for") {
  SEEDS(50) {
    rig_open(seed, 1);
    uint64_t before = driver_sim.now(rig.driver);
    CHECK_INT(rig_do(rig_op(&op_nop, NULL, NULL, NULL)), ==, 0);
    CHECK_INT(driver_sim.now(rig.driver) - before, <, NS_PER_MS);
    rig_close();
  }
}

static void *wake_soon(void *driver) {
  driver_sim.wake(driver);
  return NULL;
}

TEST("with nothing to come a wait blocks until it is woken") {
  rig_open(1, 1);
  pthread_t other;
  CHECK_INT(pthread_create(&other, NULL, wake_soon, rig.driver), ==, 0);
  rig_turn(NEVER_NS);
  pthread_join(other, NULL);
  CHECK_INT(driver_sim.now(rig.driver), <, 2 * NS_PER_S);
  driver_sim.wake(rig.driver); /* before the wait is as good */
  rig_turn(NEVER_NS);
  rig_close();
}

/* -- order and chaos -- */

static int order[8], order_n;

static void note_order(struct op *op, const struct op_result *r) {
  (void)r;
  order[order_n++] = (int)(intptr_t)op->owner;
}

static void run_nops(void) {
  struct op *ops[8];
  order_n = 0;
  for (int i = 0; i < 8; i++) {
    ops[i] = rig_op(&op_nop, NULL, note_order, (void *)(intptr_t)i);
    rig_submit(ops[i]);
  }
  rig_drain();
  for (int i = 0; i < 8; i++) op_free(&rig.ops, ops[i]);
}

TEST("without chaos all is done at once and in order") {
  rig_open(7, 0);
  run_nops();
  for (int i = 0; i < 8; i++) CHECK_INT(order[i], ==, i);
  CHECK_INT(driver_sim.now(rig.driver) - NS_PER_S, <, 10000);
  rig_close();
}

TEST("with chaos ops end in any order") {
  int changed = 0;
  SEEDS(20) {
    rig_open(seed, 1);
    run_nops();
    for (int i = 0; i < 8; i++)
      if (order[i] != i) changed++;
    rig_close();
  }
  CHECK_INT(changed, >, 20);
}

/* -- streams of bytes -- */

static unsigned char pattern(size_t at) {
  return (unsigned char)(at * 2654435761u >> 11);
}

static const unsigned char *pattern_bytes(size_t n) {
  static unsigned char bytes[1 << 18];
  for (size_t i = 0; i < n; i++) bytes[i] = pattern(i);
  return bytes;
}

/* Somebody who reads to the end and compares. */
struct reader {
  struct handle *h;
  struct op *op;
  size_t got;
  unsigned ends, early, enobufs; /* last results; of them with bytes */
  bool eof;
  unsigned char room[3000];
};

static void reader_take(struct reader *r, const unsigned char *p, int n) {
  for (int i = 0; i < n; i++)
    if (p[i] != pattern(r->got++)) CHECK_INT(r->got, ==, -1);
}

static void on_recv(struct op *op, const struct op_result *res) {
  struct reader *r = op->owner;
  CHECK_INT(res->res, >=, 0);
  reader_take(r, r->room, res->res);
  r->eof = res->res == 0;
  if (res->res > 0) rig_submit(op);
}

static void on_recv_multi(struct op *op, const struct op_result *res) {
  struct reader *r = op->owner;
  struct pool *pool = &rig.driver->pool;
  bool more = res->flags & RESULT_MORE;
  CHECK((res->res > 0) == !!(res->flags & RESULT_BUFFER));
  if (res->res > 0) reader_take(r, pool_at(pool, res->bid), res->res);
  if (res->flags & RESULT_BUFFER) pool_give(pool, res->bid);
  if (res->res == -ENOBUFS) r->enobufs++;
  CHECK(res->res >= 0 || (res->res == -ENOBUFS && !more));
  r->eof = res->res == 0;
  if (more) return;
  r->ends++;
  if (res->res > 0) r->early++;
  if (!r->eof) rig_submit(op);
}

static void reader_begin(struct reader *r, struct handle *h, bool multi) {
  *r = (struct reader){.h = h};
  r->op = rig_op(multi ? &op_recv_multi : &op_recv, h,
                 multi ? on_recv_multi : on_recv, r);
  if (!multi) {
    r->op->io.ptr = r->room;
    r->op->io.len = sizeof r->room;
  }
  rig_submit(r->op);
}

/* `total` bytes through a pair; the reader's record tells how it went. */
static struct reader transfer(size_t total, bool multi) {
  struct handle h[2];
  struct reader r;
  rig_pair(h);
  reader_begin(&r, &h[1], multi);
  struct op *send = rig_io(&op_send, &h[0], pattern_bytes(total), total);
  CHECK_INT(rig_do(send), ==, total);
  struct op *end = rig_op(&op_shutdown, &h[0], NULL, NULL);
  end->arg.how = SHUT_WR;
  CHECK_INT(rig_do(end), ==, 0);
  rig_drain();
  CHECK(r.eof);
  CHECK_INT(r.got, ==, total);
  op_free(&rig.ops, r.op);
  rig_shut(&h[0]);
  rig_shut(&h[1]);
  return r;
}

TEST("bytes arrive intact over 1000 seeds, one receive at a time") {
  SEEDS(1000) {
    rig_open(seed, 1 + seed % 3);
    transfer(1 + seed * 37 % 20000, false);
    rig_close();
  }
}

TEST("bytes arrive intact over 1000 seeds, by multishot receives") {
  unsigned early = 0, enobufs = 0;
  SEEDS(1000) {
    struct driver_options o = {.seed = seed, .buffers = 8, .buffer_size = 512};
    rig_open_with(&o, 1 + seed % 3);
    struct reader r = transfer(1 + seed * 37 % 20000, true);
    early += r.early;
    enobufs += r.enobufs;
    rig_close();
  }
  CHECK_INT(early, >, 1000); /* they do end early */
  CHECK_INT(enobufs, >, 1000);
}

TEST("more than the queue holds goes through, in parts") {
  rig_open(3, 0);
  transfer(1 << 18, true);
  CHECK_INT(rig.completions, >, 4);
  rig_close();
}

static int results_n;
static struct op_result results[16];

static void keep_result(struct op *op, const struct op_result *r) {
  (void)op;
  if (results_n < 16) results[results_n++] = *r;
}

TEST("an empty pool ends a multishot receive, and no byte is lost") {
  struct driver_options o = {.seed = 1, .buffers = 2, .buffer_size = 10};
  struct handle h[2];
  rig_open_with(&o, 0);
  rig_pair(h);
  results_n = 0;
  struct op *send = rig_io(&op_send, &h[0], pattern_bytes(25), 25);
  CHECK_INT(rig_do(send), ==, 25);
  struct op *op = rig_op(&op_recv_multi, &h[1], keep_result, NULL);
  rig_submit(op);
  rig_drain();
  REQUIRE(results_n == 3);
  CHECK_INT(results[0].res, ==, 10);
  CHECK_INT(results[0].flags, ==, RESULT_MORE | RESULT_BUFFER);
  CHECK_INT(results[1].res, ==, 10);
  CHECK_INT(results[2].res, ==, -ENOBUFS);
  CHECK_INT(results[2].flags, ==, 0);
  pool_give(&rig.driver->pool, results[0].bid);
  pool_give(&rig.driver->pool, results[1].bid);
  unsigned char rest[10];
  CHECK_INT(rig_do(rig_io(&op_recv, &h[1], rest, 10)), ==, 5);
  CHECK_INT(rest[0], ==, pattern(20));
  op_free(&rig.ops, op);
  rig_shut(&h[0]);
  rig_shut(&h[1]);
  rig_close();
}

/* -- replay -- */

static uint64_t trace(uint64_t seed) {
  rig_open(seed, 1);
  transfer(30000, true);
  uint64_t hash = rig.hash ^ driver_sim.now(rig.driver);
  rig_close();
  return hash;
}

TEST("the same seed gives the same completions at the same times") {
  int differ = 0;
  SEEDS(50) {
    uint64_t first = trace(seed);
    CHECK(trace(seed) == first);
    if (trace(seed + 1) != first) differ++;
  }
  CHECK_INT(differ, ==, 50);
  CHECK(trace(0) == trace(1)); /* 0 is the default seed */
}

/* -- connections -- */

TEST("a connection is accepted and refused as the listener has it") {
  SEEDS(100) {
    struct handle l, c, s;
    struct address at;
    rig_open(seed, 1);
    rig_listen(&l, &at, 5);
    struct op *accept = rig_op(&op_accept, &l, NULL, NULL);
    rig_submit(accept);
    CHECK_INT(rig_do(rig_connect(&c, &at)), ==, 0);
    rig_drain();
    CHECK_INT(accept->res, >=, SIM_FD_BASE);
    rig_handle(&s, accept->res);
    op_free(&rig.ops, accept);
    rig_shut(&l);
    rig_shut(&s);
    rig_shut(&c);
    CHECK_INT(rig_do(rig_connect(&c, &at)), ==, -ECONNREFUSED);
    rig_shut(&c);
    rig_close();
  }
}

/* Ten clients and a multishot accept that is armed again when it ends. */
struct server {
  struct op *op;
  int fds[10], n;
};

static void on_accept(struct op *op, const struct op_result *r) {
  struct server *s = op->owner;
  if (r->res >= 0)
    s->fds[s->n++] = r->res;
  else
    CHECK_INT(r->res, ==, -ECANCELED);
  if (r->flags & RESULT_MORE) return;
  if (!op->cancelled && s->n < 10) rig_submit(op);
}

TEST("a multishot accept gets every connection once, in their order") {
  SEEDS(200) {
    struct handle l, c[10];
    struct address at;
    struct server s = {.n = 0};
    struct op *connects[10];
    rig_open(seed, 1);
    rig_listen(&l, &at, 3);
    s.op = rig_op(&op_accept_multi, &l, on_accept, &s);
    rig_submit(s.op);
    for (int i = 0; i < 10; i++) {
      connects[i] = rig_connect(&c[i], &at);
      rig_submit(connects[i]);
    }
    for (int i = 0; s.n < 10 && i < 10000; i++) rig_turn(NEVER_NS);
    rig_cancel(s.op);
    rig_drain();
    CHECK_INT(s.n, ==, 10);
    op_free(&rig.ops, s.op);
    for (int i = 0; i < 10; i++) {
      CHECK_INT(connects[i]->res, ==, 0);
      op_free(&rig.ops, connects[i]);
      rig.sys->class->close(rig.sys, s.fds[i]);
      rig_shut(&c[i]);
    }
    rig_shut(&l);
    rig_close();
  }
}

TEST("a connect that nobody answers ends by its cancel") {
  struct handle c;
  struct address at = {.len = sizeof at.at.in};
  at.at.in.sin_family = AF_INET;
  at.at.in.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1 */
  at.at.in.sin_port = htons(80);
  rig_open(1, 1);
  struct op *op = rig_connect(&c, &at);
  rig_submit(op);
  rig_turn(driver_sim.now(rig.driver) + 60 * NS_PER_S);
  CHECK(op_in_flight(op));
  rig_cancel(op);
  rig_drain();
  CHECK_INT(op->res, ==, -ECANCELED);
  op_free(&rig.ops, op);
  rig_shut(&c);
  rig_close();
}

/* -- cancelling -- */

/* Turns until about when something happens. */
static void some_turns(void) {
  uint64_t n = sim_random(rig.net) % 12;
  for (uint64_t i = 0; i < n; i++)
    rig_turn(driver_sim.now(rig.driver) + sim_random(rig.net) % 40000);
}

TEST("a cancelled accept either has its connection or leaves it") {
  int late = 0, cancelled = 0;
  SEEDS(1000) {
    struct handle l, c;
    struct address at;
    rig_open(seed, 1);
    rig_listen(&l, &at, 5);
    struct op *accept = rig_op(&op_accept, &l, NULL, NULL);
    struct op *connect = rig_connect(&c, &at);
    rig_submit(accept);
    rig_submit(connect);
    some_turns();
    while (accept->state == OP_QUEUED) rig_turn(0);
    bool asked = op_in_flight(accept);
    rig_cancel(accept);
    rig_drain();
    int fd = accept->res;
    if (fd < 0) CHECK_INT(fd, ==, -ECANCELED);
    if (asked && fd >= 0) late++;
    if (fd < 0) cancelled++;
    if (fd < 0) fd = rig.sys->class->accept(rig.sys, l.fd);
    CHECK_INT(fd, >=, SIM_FD_BASE);
    CHECK_INT(rig.sys->class->close(rig.sys, fd), ==, 0);
    op_free(&rig.ops, accept);
    op_free(&rig.ops, connect);
    rig_shut(&c);
    rig_shut(&l);
    rig_close();
  }
  CHECK_INT(late, >, 50); /* both things do happen */
  CHECK_INT(cancelled, >, 50);
}

/* A little more of a stream of 1000 bytes; then its end. */
static void send_some(struct handle *h, size_t *sent) {
  size_t n = min_size(sim_random(rig.net) % 60, 1000 - *sent);
  const unsigned char *p = pattern_bytes(1000) + *sent;
  const struct sys_class *c = rig.sys->class;
  ssize_t r = n ? c->send(rig.sys, h->fd, p, n, 0) : 0;
  if (r > 0) *sent += (size_t)r;
  if (*sent == 1000) c->shutdown(rig.sys, h->fd, SHUT_WR);
}

static void take_results(struct reader *r) {
  struct pool *pool = &rig.driver->pool;
  for (int i = 0; i < results_n; i++) {
    int n = results[i].res;
    bool in_pool = results[i].flags & RESULT_BUFFER;
    const unsigned char *p = in_pool ? pool_at(pool, results[i].bid) : r->room;
    if (n > 0) reader_take(r, p, n);
    if (in_pool) pool_give(pool, results[i].bid);
    if (n == 0) r->eof = true;
    if (n == -ECANCELED) r->ends++;
  }
}

/* One receive that is cancelled at any moment. */
static void receive_and_cancel(struct reader *r, const struct op_class *class,
                               struct handle *from, size_t *sent) {
  results_n = 0;
  struct op *op = rig_io(class, r->h, NULL, 0);
  op->sink = keep_result;
  if (class == &op_recv) {
    op->io.ptr = r->room;
    op->io.len = 100;
  }
  rig_submit(op);
  some_turns();
  send_some(from, sent);
  some_turns();
  rig_cancel(op);
  while (op_in_flight(op)) rig_turn(NEVER_NS);
  take_results(r);
  op_free(&rig.ops, op);
}

TEST("no byte is lost to a cancelled receive, over 1000 seeds") {
  unsigned cancelled[2] = {0, 0};
  SEEDS(1000) {
    bool multi = seed % 2;
    struct handle h[2];
    size_t sent = 0;
    rig_open(seed, 1);
    rig_pair(h);
    struct reader r = {.h = &h[1]};
    while (!r.eof && !check_misses)
      receive_and_cancel(&r, multi ? &op_recv_multi : &op_recv, &h[0], &sent);
    CHECK_INT(r.got, ==, 1000);
    cancelled[multi] += r.ends;
    rig_shut(&h[0]);
    rig_shut(&h[1]);
    rig_close();
  }
  CHECK_INT(cancelled[0], >, 500);
  CHECK_INT(cancelled[1], >, 2000);
}

TEST("a cancel that comes first loses now and then") {
  int done = 0;
  SEEDS(1000) {
    struct handle h[2];
    char byte;
    rig_open(seed, 1);
    rig_pair(h);
    rig.sys->class->send(rig.sys, h[0].fd, "x", 1, 0);
    struct op *op = rig_io(&op_recv, &h[1], &byte, 1);
    rig_submit(op);
    while (op->state == OP_QUEUED) rig_turn(0);
    rig_cancel(op);
    rig_drain();
    CHECK(op->res == 1 || op->res == -ECANCELED);
    if (op->res == 1) done++;
    op_free(&rig.ops, op);
    rig_shut(&h[0]);
    rig_shut(&h[1]);
    rig_close();
  }
  CHECK(done > 650 && done < 850); /* half of those that it came before */
}

TEST("without chaos a cancel is answered, and what is done stays done") {
  struct handle h[2];
  char byte;
  rig_open(1, 0);
  rig_pair(h);
  struct op *op = rig_io(&op_recv, &h[0], &byte, 1);
  rig_submit(op);
  rig_turn(0);
  rig_cancel(op);
  CHECK(op_in_flight(op)); /* a cancel is a request */
  rig_drain();
  CHECK_INT(op->res, ==, -ECANCELED);
  op_free(&rig.ops, op);
  rig_shut(&h[0]);
  rig_shut(&h[1]);
  rig_close();
}

/* -- real descriptors -- */

TEST("a real pipe is waited for in real time") {
  int fds[2];
  char room[10];
  struct handle h;
  rig_open(1, 1);
  REQUIRE(pipe(fds) == 0);
  pid_t child = fork();
  if (child == 0) _exit(write(fds[1], "hello", 5) == 5 ? 0 : 1);
  rig_handle(&h, fds[0]);
  CHECK_INT(h.kind, ==, HANDLE_PIPE);
  CHECK_INT(rig_do(rig_io(&op_read, &h, room, sizeof room)), ==, 5);
  waitpid(child, NULL, 0);
  close(fds[1]);
  CHECK_INT(rig_do(rig_io(&op_read, &h, room, sizeof room)), ==, 0);
  rig_shut(&h);
  rig_close();
}

TEST("a pipe that nobody reads blocks neither the loop nor a cancel") {
  int fds[2];
  struct handle h = {.kind = HANDLE_PIPE, .owned = false};
  rig_open(1, 1);
  REQUIRE(pipe(fds) == 0);
  h.fd = fds[1]; /* foreign: it stays blocking */
  list_init(&h.ops);
  struct op *op = rig_io(&op_write, &h, pattern_bytes(1 << 18), 1 << 18);
  rig_submit(op);
  for (int i = 0; i < 300; i++) rig_turn(0);
  CHECK(op_in_flight(op));
  rig_cancel(op);
  rig_drain();
  CHECK_INT(op->res, ==, 65536); /* pipe(7): what it holds */
  op_free(&rig.ops, op);
  close(fds[0]);
  close(fds[1]);
  rig_close();
}

TEST("waiting for a pipe with a limit takes real time") {
  int fds[2];
  char byte;
  struct handle h;
  rig_open(1, 0);
  REQUIRE(pipe(fds) == 0);
  rig_handle(&h, fds[0]);
  struct op *op = rig_io(&op_read, &h, &byte, 1);
  rig_submit(op);
  rig_turn(0);
  uint64_t real = clock_ns(), now = driver_sim.now(rig.driver);
  rig_turn(now + 5 * NS_PER_MS);
  CHECK_INT(clock_ns() - real, >=, 4 * NS_PER_MS);
  CHECK_INT(driver_sim.now(rig.driver) - now, ==, 5 * NS_PER_MS);
  rig_cancel(op);
  rig_drain();
  op_free(&rig.ops, op);
  close(fds[1]);
  rig_shut(&h);
  rig_close();
}

TEST("files are written and read where the op says") {
  char path[] = "/tmp/proa_sim_XXXXXX", room[20] = "";
  struct handle h;
  rig_open(1, 1);
  rig_handle(&h, mkstemp(path));
  CHECK_INT(h.kind, ==, HANDLE_FILE);
  struct op *op = rig_io(&op_write, &h, "hello world", 11);
  op->io.off = 5;
  CHECK_INT(rig_do(op), ==, 11);
  op = rig_io(&op_read, &h, room, sizeof room);
  op->io.off = 11;
  CHECK_INT(rig_do(op), ==, 5);
  CHECK_STRING(room, "world");
  CHECK_INT(rig_do(rig_op(&op_fsync, &h, NULL, NULL)), ==, 0);
  rig_shut(&h);
  unlink(path);
  rig_close();
}

TEST("a full real Unix listener is tried again until it has room") {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  struct handle a, b;
  struct address to = {.len = sizeof at};
  rig_open(1, 1);
  snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "proa%d", (int)getpid());
  memcpy(&to.at, &at, sizeof at);
  int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(bind(l, &to.at.any, to.len) == 0 && listen(l, 0) == 0);
  rig_handle(&a, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  rig_handle(&b, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK_INT(a.kind, ==, HANDLE_SOCKET);
  CHECK_INT(rig_do(rig_connect_as(&a, &to)), ==, 0);
  struct op *second = rig_connect_as(&b, &to);
  rig_submit(second);
  for (int i = 0; i < 50; i++) rig_turn(0);
  CHECK(op_in_flight(second));
  int accepted = accept(l, NULL, NULL);
  rig_drain();
  CHECK_INT(second->res, ==, 0);
  op_free(&rig.ops, second);
  close(accepted);
  close(l);
  rig_shut(&a);
  rig_shut(&b);
  rig_close();
}

static struct op *open_op(const char *path, int flags) {
  struct op *op = rig_op(&op_open, NULL, NULL, NULL);
  op->arg.open.path = path;
  op->arg.open.flags = flags;
  return op;
}

TEST("opening a FIFO waits for a reader without blocking the loop") {
  char dir[] = "/tmp/proa_sim_XXXXXX", path[64];
  rig_open(1, 1);
  REQUIRE(mkdtemp(dir));
  snprintf(path, sizeof path, "%s/fifo", dir);
  REQUIRE(mkfifo(path, 0600) == 0);
  struct op *write_end = open_op(path, O_WRONLY);
  rig_submit(write_end);
  for (int i = 0; i < 50; i++) rig_turn(0);
  CHECK(op_in_flight(write_end));
  int reader = rig_do(open_op(path, O_RDONLY));
  CHECK_INT(reader, >=, 0);
  rig_drain();
  CHECK_INT(write_end->res, >=, 0);
  close(reader);
  close(write_end->res);
  op_free(&rig.ops, write_end);
  unlink(path);
  rmdir(dir);
  rig_close();
}

/* -- many, and anything -- */

TEST("a thousand waiting receives cost nothing while one pair talks") {
  enum { N = 1000 };
  static struct handle idle[N][2];
  static struct op *ops[N];
  static char room[N];
  rig_open(1, 1);
  for (int i = 0; i < N; i++) {
    rig_pair(idle[i]);
    ops[i] = rig_io(&op_recv, &idle[i][0], &room[i], 1);
    rig_submit(ops[i]);
  }
  for (int i = 0; i < 200; i++) rig_turn(0);
  uint64_t before = rig.completions;
  struct handle h[2];
  struct reader r;
  rig_pair(h);
  reader_begin(&r, &h[1], false);
  for (int i = 0; i < 1000; i++) {
    struct op *send = rig_io(&op_send, &h[0], pattern_bytes(1000) + i, 1);
    CHECK_INT(rig_do(send), ==, 1);
  }
  rig_shut(&h[0]);
  while (!r.eof) rig_turn(NEVER_NS);
  CHECK_INT(r.got, ==, 1000);
  CHECK_INT(rig.completions - before, <, 2500); /* none of them was touched */
  CHECK_INT(rig.driver->enters, ==, 0);         /* and no system call made */
  op_free(&rig.ops, r.op);
  rig_shut(&h[1]);
  for (int i = 0; i < N; i++) rig_cancel(ops[i]);
  rig_drain();
  for (int i = 0; i < N; i++) {
    CHECK_INT(ops[i]->res, ==, -ECANCELED);
    op_free(&rig.ops, ops[i]);
    rig_shut(&idle[i][0]);
    rig_shut(&idle[i][1]);
  }
  rig_close();
}

static void give_back(struct op *op, const struct op_result *r) {
  (void)op;
  if (r->flags & RESULT_BUFFER) pool_give(&rig.driver->pool, r->bid);
}

static struct op *random_op(struct handle *h) {
  static const struct op_class *const classes[] = {
      &op_recv, &op_recv_multi, &op_send, &op_ready, &op_nop,
  };
  static char room[100];
  const struct op_class *class = classes[sim_random(rig.net) % 5];
  struct op *op = rig_io(class, h, NULL, 0);
  op->sink = give_back;
  if (class == &op_ready) op->arg.events = POLLIN;
  if (class == &op_nop) op->handle = NULL;
  if (class != &op_recv && class != &op_send) return op;
  op->io.ptr = (unsigned char *)room;
  op->io.len = 1 + sim_random(rig.net) % sizeof room;
  return op;
}

TEST("whatever is submitted and cancelled, every op ends exactly once") {
  SEEDS(300) {
    struct handle h[2];
    struct op *ops[60];
    rig_open(seed, 1 + seed % 4);
    rig_pair(h);
    for (int i = 0; i < 60; i++) {
      ops[i] = random_op(&h[sim_random(rig.net) % 2]);
      rig_submit(ops[i]);
      if (sim_random(rig.net) % 3 == 0) some_turns();
      rig_cancel(ops[sim_random(rig.net) % (uint64_t)(i + 1)]);
    }
    for (int round = 0; rig.inflight && round < 1000; round++) {
      for (int i = 0; i < 60; i++)
        if (ops[i]->state == OP_SUBMITTED) rig_cancel(ops[i]);
      rig_turn(0);
    }
    rig_drain();
    for (int i = 0; i < 60; i++) op_free(&rig.ops, ops[i]);
    rig_shut(&h[0]);
    rig_shut(&h[1]);
    rig_close();
  }
}

TEST("a driver that could not be drained leaves what its ops use") {
  struct driver_options o = {.seed = 1};
  char byte;
  struct handle h[2];
  static struct driver *leaked; /* still reachable */
  rig_open_with(&o, 1);
  rig_pair(h);
  struct op *op = rig_io(&op_recv, &h[0], &byte, 1);
  rig_submit(op);
  rig_turn(0);
  leaked = rig.driver;
  driver_sim.close(rig.driver, false);
  CHECK(leaked->class == &driver_sim && op->job);
  driver_sim.cancel(leaked, op); /* to end the test without a leak */
  while (!op->reaped) driver_sim.wait(leaked, NEVER_NS);
  op_step(op, OP_COMPLETED);
  op_free(&rig.ops, op);
  driver_sim.close(leaked, true);
  op_table_deinit(&rig.ops);
}

TEST("without memory an op ends with ENOMEM, and a driver does not open") {
#ifdef PROA_DEBUG
  static const char *const points[] = {"sim_op", "heap_grow"};
  char why[REASON_MAX] = "";
  struct driver *d;
  for (size_t i = 0; i < countof(points); i++) {
    rig_open(1, 0);
    fault_arm(points[i], 1, false);
    CHECK_INT(rig_do(rig_op(&op_nop, NULL, NULL, NULL)), ==, -ENOMEM);
    CHECK_INT(rig_do(rig_op(&op_nop, NULL, NULL, NULL)), ==, 0);
    rig_close();
  }
  struct driver_options o = {.seed = 1};
  fault_arm("driver_open", 1, false);
  CHECK_INT(driver_sim.open(&d, &rig.ops, &o, why), ==, -ENOMEM);
  CHECK_STRING(why, "sim driver: no memory");
#else
  SKIP("fault points are in debug builds");
#endif
}
