/* udp.h - a socket of datagrams, UDP or Unix: what came and was not taken.
 *
 * Receiving is armed by the first who wants something and stays armed; what
 * comes while nobody waits is queued, up to a limit in bytes. Then receiving
 * pauses, and the kernel's own queue is the next to fill; what finds no room
 * here is dropped and counted (O9). Owns its handle, its receive, its queue
 * and the path that it was bound to. Sending is an op for each datagram, which
 * has a copy of it. Over Unix sockets descriptors may come with datagrams:
 * while they are wanted each receive is one of its own, with room for them,
 * and what nobody takes is closed with its datagram (O6). Does not know Lua.
 * Next: message.h, lua_udp.c.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_UDP_H
#define PROA_UDP_H

#include "message.h"
#include "passing.h"
#include "proactor.h"
#include "unix_path.h"

enum {
  UDP_QUOTA = 256 * 1024, /* received and not taken, unless it is set */
  UDP_SIZE_MAX = 65507,   /* no UDP datagram is larger */
};

/* One that came. */
struct datagram {
  struct link link; /* in udp.queue */
  struct address from;
  size_t len, full;    /* full > len: truncated */
  struct passed *with; /* descriptors that came with it, or NULL */
  bool cut;            /* some of them were closed: no room */
  unsigned char bytes[];
};

struct udp {
  struct proactor *p;
  struct handle *handle; /* NULL once it is closing */
  int family;
  size_t size;          /* of the largest datagram that is received whole */
  bool in_pool;         /* ... and it fits into a buffer of the pool */
  size_t quota, queued; /* bytes with what each takes beside them */
  struct list queue;    /* struct datagram */
  uint64_t dropped;     /* came and found no room in `queue` */
  bool wants_fds;       /* descriptors that come are kept */
  unsigned fds_held, fds_max; /* in `queue` */
  int err;               /* -errno of a receive; after what is queued; once */
  struct op *recv;       /* armed, or NULL */
  struct datagram *room; /* what a one-shot receive fills */
  bool starved;          /* the last receive found the pool empty */
  struct list waiters;   /* struct waiter */
  struct unix_path made;
};

/* Owns h from now on. size 0: as much as the pool's buffers hold. NULL: no
 * memory, and h is the caller's. */
struct udp *udp_new(struct proactor *p, struct handle *h, int family,
                    size_t size, size_t quota);

/* See to it that datagrams come. -ENOMEM; wakes nobody. */
int udp_receive(struct udp *u);

static inline bool udp_ready(const struct udp *u) {
  return !list_empty(&u->queue) || u->err;
}
/* The next one, malloced and the caller's; NULL: none, or only an error. */
struct datagram *udp_take(struct udp *u);
/* With its descriptors; NULL is fine. */
void datagram_free(struct sys *sys, struct datagram *d);
/* From now on so many descriptors are kept with what is queued. */
void udp_take_fds(struct udp *u, unsigned max);
/* The error of a receive, once. */
int udp_take_error(struct udp *u);
/* A waiter that was woken leaves: the next may take what there is. */
void udp_pass_on(struct udp *u);

/* The peer is another now: what others sent is forgotten. */
void udp_forget(struct udp *u);

/* What would not fit, here and in the kernel. */
uint64_t udp_dropped(const struct udp *u);

/* An op that sends a copy of n bytes, to the peer when there is no `to`; the
 * sink is the caller's. NULL: no memory. */
struct op *udp_send_op(struct udp *u, const void *bytes, size_t n,
                       const struct address *to);
/* The same with descriptors, which are the op's, but not when it is NULL. */
struct op *udp_send_fds_op(struct udp *u, const void *bytes, size_t n,
                           const struct address *to, struct passed *with);

/* u is not to be touched afterwards. */
void udp_close(struct udp *u);

#endif
