/* resolver.h - looking names up: equal questions asked once, few at a time.
 *
 * getaddrinfo(3) blocks and can't be interrupted, so it runs on the worker
 * threads (op_resolve). Names share them with other work: at most `max` are
 * under way, the rest wait in order. Whoever asks what is being asked already
 * joins. Nobody is bound to a question: the last one to leave drops it, and
 * what a thread has begun is forgotten when it ends.
 * Owns the lookups. Does not know Lua. Next: ops_sys.c, lua_resolve.c.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_RESOLVER_H
#define PROA_RESOLVER_H

#include "proactor.h"

struct resolver {
  struct proactor *p;
  struct list asked; /* struct lookup: may be joined, in order */
  unsigned running, max;
};

struct lookup {
  struct link link; /* in resolver.asked until it is done or dropped */
  struct resolver *resolver;
  struct resolve_query query;
  struct op *op;       /* under way, or NULL */
  struct list waiters; /* struct waiter */
  unsigned refs;       /* who asked and has not left */
  bool done;
  int res; /* addresses, or an error of op_resolve */
  struct address *at;
};

void resolver_init(struct resolver *r, struct proactor *p, unsigned max);
/* The proactor has ended. */
void resolver_deinit(struct resolver *r);

/* NULL: no memory. */
struct lookup *resolver_ask(struct resolver *r, const struct resolve_query *q);
/* The caller has its answer, or wants none; its waiter is in no list. */
void lookup_leave(struct lookup *k);

#endif
