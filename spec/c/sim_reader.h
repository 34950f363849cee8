/* sim_reader.h - what tests of the simulation share: seeds, streams, results.
 *
 * A stream is bytes of `pattern`, which tells each place from its neighbours;
 * a reader receives one and compares.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_SIM_READER_H
#define PROA_SIM_READER_H

#include "sim_rig.h"

static inline void say_seed(uint64_t seed) {
  if (check_misses) printf("  seed %llu\n", (unsigned long long)seed);
}

/* Runs `body` for every seed, until one fails. */
#define SEEDS(n) \
  for (uint64_t seed = 1; seed <= (n) && !check_misses; say_seed(seed++))

static inline unsigned char pattern(size_t at) {
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

static inline void reader_take(struct reader *r, const unsigned char *p,
                               int n) {
  for (int i = 0; i < n; i++)
    if (p[i] != pattern(r->got++)) CHECK_INT(r->got, ==, -1);
}

static inline void on_recv(struct op *op, const struct op_result *res) {
  struct reader *r = op->owner;
  CHECK_INT(res->res, >=, 0);
  reader_take(r, r->room, res->res);
  r->eof = res->res == 0;
  if (res->res > 0) rig_submit(op);
}

static inline void on_recv_multi(struct op *op, const struct op_result *res) {
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

static inline void reader_begin(struct reader *r, struct handle *h,
                                bool multi) {
  *r = (struct reader){.h = h};
  r->op = rig_op(multi ? &op_recv_multi : &op_recv, h,
                 multi ? on_recv_multi : on_recv, r);
  if (!multi) {
    r->op->io.ptr = r->room;
    r->op->io.len = sizeof r->room;
  }
  rig_submit(r->op);
}

/* The results of one op, for ops that nobody else takes care of. */
static int results_n;
static struct op_result results[16];

static inline void keep_result(struct op *op, const struct op_result *r) {
  (void)op;
  if (results_n < 16) results[results_n++] = *r;
}

/* Turns until about when something happens. */
static inline void some_turns(void) {
  uint64_t n = sim_random(rig.net) % 12;
  for (uint64_t i = 0; i < n; i++)
    rig_turn(driver_sim.now(rig.driver) + sim_random(rig.net) % 40000);
}

#endif
