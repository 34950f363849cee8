/* resolver.c - looking names up. See resolver.h.
 *
 * SPDX-License-Identifier: MIT */
#include "resolver.h"

#include <stdlib.h>
#include <string.h>

#include "fault.h"

void resolver_init(struct resolver *r, struct proactor *p, unsigned max) {
  *r = (struct resolver){.p = p, .max = max};
  list_init(&r->asked);
}

static void lookup_free(struct lookup *k) {
  link_unlink(&k->link);
  free(k->at);
  free(k);
}

/* Those that a thread has are freed by their own end. */
void resolver_deinit(struct resolver *r) {
  struct link *k;
  while ((k = list_pop(&r->asked))) {
    struct lookup *l = container_of(k, struct lookup, link);
    if (!l->op) lookup_free(l);
  }
}

/* -- answers -- */

static void start_next(struct resolver *r);

static void finish(struct lookup *k, int res) {
  link_unlink(&k->link); /* who asks from now on asks anew */
  k->done = true;
  k->res = res;
  waiter_wake_all(&k->waiters);
}

static void answered(struct op *op, const struct op_result *result) {
  struct lookup *k = op->owner;
  struct resolver *r = k->resolver;
  if (result->res >= 0) {
    k->at = op->memory;
    op->memory = NULL;
  }
  k->op = NULL;
  r->running--;
  proactor_free(r->p, op);
  if (k->refs)
    finish(k, result->res);
  else
    lookup_free(k);
  start_next(r);
}

/* -- questions -- */

static int start(struct lookup *k) {
  struct resolver *r = k->resolver;
  struct op *op = proactor_op(r->p, &op_resolve);
  struct resolve_query *q = op ? malloc(sizeof *q) : NULL;
  if (!q) {
    if (op) proactor_free(r->p, op);
    return -ENOMEM;
  }
  *q = k->query;
  op->memory = q;
  op->sink = answered;
  op->owner = k;
  k->op = op;
  r->running++;
  proactor_submit(r->p, op);
  return 0;
}

static struct lookup *first_waiting(struct resolver *r) {
  list_each(&r->asked, l) {
    struct lookup *k = container_of(l, struct lookup, link);
    if (!k->op) return k;
  }
  return NULL;
}

static void start_next(struct resolver *r) {
  struct lookup *k;
  while (r->running < r->max && (k = first_waiting(r)))
    if (start(k) < 0) finish(k, -ENOMEM);
}

static struct lookup *find(struct resolver *r, const struct resolve_query *q) {
  list_each(&r->asked, l) {
    struct lookup *k = container_of(l, struct lookup, link);
    if (memcmp(&k->query, q, sizeof *q) == 0) return k;
  }
  return NULL;
}

static struct lookup *lookup_new(struct resolver *r,
                                 const struct resolve_query *q) {
  struct lookup *k = fault_point("lookup_new") ? NULL : calloc(1, sizeof *k);
  if (!k) return NULL;
  k->resolver = r;
  k->query = *q;
  list_init(&k->waiters);
  link_init(&k->link);
  list_push(&r->asked, &k->link);
  return k;
}

struct lookup *resolver_ask(struct resolver *r, const struct resolve_query *q) {
  struct lookup *k = find(r, q);
  if (!k) k = lookup_new(r, q);
  if (!k) return NULL;
  k->refs++;
  start_next(r);
  return k;
}

/* Nobody joins what is being dropped. */
void lookup_leave(struct lookup *k) {
  if (--k->refs) return;
  if (!k->op) {
    lookup_free(k);
    return;
  }
  link_unlink(&k->link);
  proactor_cancel(k->resolver->p, k->op);
}
