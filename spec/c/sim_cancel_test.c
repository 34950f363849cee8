/* sim_cancel_test.c - what a cancel may do to an op of the simulated driver.
 *
 * It is answered once, by the op itself; what the op took is never lost. Also
 * connections, which are what a late success hands out.
 *
 * SPDX-License-Identifier: MIT */
#include <poll.h>

#include "sim_reader.h"

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

/* -- anything -- */

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
