/* passing.h - the descriptors that pass through a Unix stream, in order.
 *
 * Those on their way out are duplicates, tied to the position of a byte: they
 * go with the send that begins with it, and are closed then. Those that came
 * are tied to the first byte of what they came with, and wait until somebody
 * takes them; a limit bounds how many. What nobody takes is closed with the
 * stream (O6). Owns its descriptors. Used by stream_socket.c; udp.c has those
 * of a datagram as a struct passed.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_PASSING_H
#define PROA_PASSING_H

#include "list.h"
#include "message.h"

struct passed {
  struct link link; /* of a stream: in struct passing */
  uint64_t at;      /* ... position of the byte it belongs to */
  unsigned n;
  int fds[]; /* -1: taken */
};

struct passing {
  struct sys *sys;
  struct list in, out; /* struct passed, by position */
  bool wanted;         /* received ones are kept */
  unsigned held, max;  /* in `in` */
  bool cut;            /* some of them were closed: no room */
  uint64_t came, gone; /* bytes so far */
};

/* Take over n descriptors. NULL: no memory, and they are the caller's. */
struct passed *passed_new(const int *fds, unsigned n);
/* Close those that are not taken; NULL is fine. No sys: the real one, as the
 * world is gone. */
void passed_free(struct sys *sys, struct passed *x);
void passed_close(struct sys *sys, const int *fds, unsigned n);

struct passing *passing_new(struct sys *sys);
/* NULL is fine. */
void passing_free(struct passing *g);

/* Take over n descriptors, to go with the byte at `at`. -ENOMEM: they are the
 * caller's. */
int passing_send(struct passing *g, uint64_t at, const int *fds, unsigned n);
/* Those to go with the next byte, or NULL; *until: bytes that may go before
 * others are due. */
struct passed *passing_due(struct passing *g, size_t *until);
/* n bytes have gone, and `with`, or NULL, with the first. */
void passing_went(struct passing *g, struct passed *with, size_t n);

/* What came with a message, whose bytes are counted now. */
void passing_came(struct passing *g, const struct message *m);
/* How many of the unread bytes may be taken together, and what comes with
 * them, or NULL. */
size_t passing_next(struct passing *g, size_t unread, struct passed **with);
/* All of it was taken, or is to be closed. */
void passing_drop(struct passing *g, struct passed *with);

#endif
