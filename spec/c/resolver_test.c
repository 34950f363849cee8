/* resolver_test.c - looking names up: joining, the limit, leaving.
 *
 * Over the simulated driver, which performs a look-up itself, later; all names
 * here are numbers, so nobody is asked.
 *
 * SPDX-License-Identifier: MIT */
#include "resolver.h"

#include <string.h>

#include "check.h"

static struct proactor p;
static struct resolver r;

static void begin(unsigned max) {
  struct proactor_options o = {.driver = "sim", .with = {.seed = 7}};
  CHECK_INT(proactor_open(&p, &o), ==, 0);
  resolver_init(&r, &p, max);
}

static void end(void) {
  CHECK(proactor_close(&p, NS_PER_S));
  resolver_deinit(&r);
}

static struct resolve_query numbered(int n) {
  struct resolve_query q;
  memset(&q, 0, sizeof q);
  snprintf(q.host, sizeof q.host, "127.0.0.%d", n);
  strcpy(q.service, "80");
  return q;
}

static struct lookup *ask(int n) {
  struct resolve_query q = numbered(n);
  return resolver_ask(&r, &q);
}

static void finish(struct lookup *k) {
  for (int i = 0; i < 10000 && !k->done; i++)
    proactor_turn(&p, ns_after(proactor_now(&p), NS_PER_MS));
}

TEST("equal questions are one, different ones are not") {
  begin(4);
  struct lookup *a = ask(1), *b = ask(1), *c = ask(2);
  CHECK(a == b && a != c);
  CHECK_INT(r.running, ==, 2);
  finish(a);
  finish(c);
  CHECK_INT(a->res, ==, 1);
  CHECK_INT(ntohs(a->at[0].at.in.sin_port), ==, 80);
  struct lookup *later = ask(1);
  CHECK(later != a);
  lookup_leave(a);
  lookup_leave(b);
  lookup_leave(c);
  finish(later);
  lookup_leave(later);
  end();
}

TEST("at most so many are under way, in the order in which they were asked") {
  begin(2);
  struct lookup *k[6];
  for (int i = 0; i < 6; i++) k[i] = ask(i);
  CHECK_INT(r.running, ==, 2);
  CHECK(k[0]->op && k[1]->op && !k[2]->op);
  for (int i = 0; i < 6; i++) {
    finish(k[i]);
    CHECK(k[i]->done && r.running <= 2);
    lookup_leave(k[i]);
  }
  CHECK_INT(r.running, ==, 0);
  end();
}

TEST("what nobody waits for any more is dropped, and the next begins") {
  begin(1);
  struct lookup *first = ask(1), *second = ask(2), *third = ask(3);
  lookup_leave(second); /* has not begun */
  lookup_leave(first);  /* has: nobody joins it any more */
  struct lookup *again = ask(1);
  CHECK(again != first);
  finish(third);
  finish(again);
  CHECK_INT(again->res, ==, 1);
  lookup_leave(third);
  lookup_leave(again);
  end();
}

TEST("leaving and closing in any order loses nothing") {
  begin(2);
  struct lookup *k[4];
  for (int i = 0; i < 4; i++) k[i] = ask(i);
  lookup_leave(k[3]);
  lookup_leave(k[0]);
  CHECK(proactor_end(&p, NS_PER_S));
  for (int i = 1; i < 3; i++) {
    CHECK(k[i]->done);
    lookup_leave(k[i]);
  }
  end();
}
