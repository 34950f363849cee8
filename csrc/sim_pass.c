/* sim_pass.c - descriptors that pass between simulated Unix sockets.
 *
 * A struct sim_rights is what one message carries: duplicates, real ones and
 * those of this world alike, with the receiver until it takes the message.
 * What is not taken is closed: with its bytes where there was no room for it,
 * or with the socket. Two differences from unix(7): while they are on their
 * way they count among the open descriptors, and a socket that is on its way
 * to itself is not found by a collector; it ends with the world.
 *
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "sim_net.h"

void sim_rights_drop(struct sim_net *net, struct sim_rights *x) {
  if (!x) return;
  link_unlink(&x->link);
  for (unsigned i = 0; i < x->n; i++)
    net->sys.class->close(&net->sys, x->fds[i]);
  free(x);
}

/* As unix(7) has it, all or none. */
static int dup_all(struct sim_net *net, struct sim_rights *x, const int *fds,
                   unsigned n) {
  for (; x->n < n; x->n++) {
    int r = net->sys.class->dup(&net->sys, fds[x->n]);
    if (r < 0) return r;
    x->fds[x->n] = r;
  }
  return 0;
}

int sim_rights_take(struct sim_net *net, const struct msghdr *m,
                    struct sim_rights **taken) {
  struct message with = {.control = m->msg_control,
                         .control_len = m->msg_controllen};
  int fds[MESSAGE_FDS_MAX];
  unsigned n = message_fds(&with, fds);
  *taken = NULL;
  if (!n) return 0;
  struct sim_rights *x = calloc(1, sizeof *x + n * sizeof *fds);
  if (!x) return -ENOMEM;
  link_init(&x->link);
  int r = dup_all(net, x, fds, n);
  if (r == 0)
    *taken = x;
  else
    sim_rights_drop(net, x);
  return r;
}

static unsigned room_for(const struct msghdr *m) {
  size_t room = m->msg_control ? m->msg_controllen : 0;
  return room < CMSG_LEN(sizeof(int))
             ? 0
             : (unsigned)((room - CMSG_LEN(0)) / sizeof(int));
}

void sim_rights_give(struct sim_net *net, struct sim_rights *x,
                     struct msghdr *m) {
  unsigned n = x ? (unsigned)min_size(x->n, room_for(m)) : 0;
  if (x && n < x->n) m->msg_flags |= MSG_CTRUNC;
  m->msg_controllen = n ? message_put_fds(m->msg_control, x->fds, n) : 0;
  if (!x) return;
  x->n -= n;
  memmove(x->fds, x->fds + n, x->n * sizeof *x->fds);
  sim_rights_drop(net, x); /* those that had no room */
}

/* -- of a stream: by the byte that they came with -- */

static struct sim_rights *first(const struct sim_sock *k) {
  struct link *l = list_first(&k->rights);
  return l ? container_of(l, struct sim_rights, link) : NULL;
}

void sim_rights_add(struct sim_sock *k, struct sim_rights *x, uint64_t at) {
  x->at = at;
  list_push(&k->rights, &x->link);
}

size_t sim_rights_until(const struct sim_sock *k, size_t n) {
  struct sim_rights *x = first(k);
  struct link *l = x ? list_next(&k->rights, &x->link) : NULL;
  if (!l) return n;
  uint64_t next = container_of(l, struct sim_rights, link)->at;
  return min_size(n, (size_t)(next - k->got));
}

struct sim_rights *sim_rights_next(struct sim_sock *k) {
  struct sim_rights *x = first(k);
  if (!x || x->at >= k->got) return NULL;
  link_unlink(&x->link);
  return x;
}

void sim_rights_clear(struct sim_sock *k) {
  struct sim_rights *x;
  while ((x = first(k))) sim_rights_drop(k->net, x);
}
