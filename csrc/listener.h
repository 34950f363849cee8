/* listener.h - a listening socket and the connections it holds for you.
 *
 * One multishot accept, armed at the first accept and kept armed. What comes
 * while nobody waits is parked for the next accept (O6), so a client whose
 * accept was cancelled or timed out is never lost; when too many are parked,
 * accepting stops and the kernel's backlog holds the rest. Who wants no more
 * than it asked for (serve with a limit) has one accept for each wait instead.
 * Owns its handle and the parked descriptors; frees itself when closed, or
 * when whoever takes the last connections afterwards lets go of it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LISTENER_H
#define PROA_LISTENER_H

#include "proactor.h"
#include "unix_path.h"

enum { LISTENER_PARK_MAX = 256 };

struct listener {
  struct proactor *p;
  struct handle *handle;
  struct op *accept; /* armed, or NULL */
  struct list waiters;
  struct list rooms; /* struct waiter: for room to serve another, or the end */
  int *parked;       /* ring of descriptors */
  unsigned parked_at, parked_n, parked_cap;
  int err; /* accepting failed with this; the next caller is told */
  struct deadline backoff;
  struct unix_path made; /* to be removed by close */
  bool once;             /* accept one for each who waits, do not keep on */
  bool closing;          /* the handle is */
  bool ended;            /* ... and has: nothing more will be parked */
  bool kept;             /* after that: until it is let go of */
};

struct listener *listener_new(struct proactor *p, struct handle *h);

/* The next parked connection (>= 0, the caller's), -EAGAIN: wait, or an
 * error that the caller is to be told. */
int listener_take(struct listener *l);
/* Back to the front: the caller could not use it. */
void listener_untake(struct listener *l, int fd);
/* Somebody waits now: see to it that connections come. */
void listener_arm(struct listener *l);
/* The same, but for that one connection alone. */
void listener_ask(struct listener *l);
/* A waiter that was woken leaves without taking: let another one look. */
void listener_pass_on(struct listener *l);

/* The path goes first: nobody finds it refused. Parked connections are closed
 * and counted, l is gone afterwards. But with `keep` it stays, with those who
 * are parked and whose accept ends with the listener, until listener_let_go. */
void listener_close(struct listener *l, bool keep);
/* Those that nobody took are closed and counted. */
void listener_let_go(struct listener *l);

#endif
