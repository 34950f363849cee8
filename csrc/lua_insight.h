/* lua_insight.h - what a task waits for, in words.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_INSIGHT_H
#define PROA_LUA_INSIGHT_H

#include "address.h"
#include "lua_task.h"

/* What one task waits for. */
struct subject {
  const char *verb;             /* "read", or the op's name */
  int fd;                       /* -1: none */
  char peer[ADDRESS_SHOWN_MAX]; /* of a socket; of a listener its own; "" */
  char text[ADDRESS_SHOWN_MAX + 160]; /* the whole, without the verb; "" */
};

/* Asked of a task that waits. Control characters are escaped. */
void subject_of(struct task *t, struct subject *s);

/* "127.0.0.1:80 (fd 5)"; "closed" for NULL. */
void describe_handle(struct proactor *p, struct handle *h, char *into,
                     size_t len);

/* Seconds since a time in ticks. */
double seconds_since(const struct runtime *rt, uint32_t tick);
/* Seconds that are left of a wait's limit, or a negative number: it has none.
 */
double seconds_left(const struct task *t);

#endif
