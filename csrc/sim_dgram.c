/* sim_dgram.c - simulated datagrams: UDP as udp(7), Unix as unix(7) has it.
 *
 * A datagram is there as soon as it was sent, whole and in order, unless the
 * world has latency (then UDP may overtake), loss, or a partition: those are
 * never seen again. One that finds no room at its receiver is lost, but over
 * Unix, where the sender waits. Nobody at a port: the sender learns of it by
 * its next call if it is connected, and not at all otherwise. See
 * sim_name.c for who is found by which name, sim_group.c for what goes to many.
 *
 * SPDX-License-Identifier: MIT */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "sim_net.h"

enum {
  UDP_MAX = 65507,
  GRAM_WEIGHT = 256, /* what the kernel counts beside the bytes, about */
};

struct gram {
  struct link link;
  uint64_t at_ns; /* in `coming`: when it lands */
  struct address from;
  struct sim_rights *rights; /* or NULL */
  size_t len;
  unsigned char bytes[];
};

static bool is_unix(const struct sim_sock *k) {
  return k->family == AF_UNIX;
}

/* -- names -- */

static int take_name(const struct sim_sock *k, const void *name, socklen_t len,
                     struct address *into) {
  *into = (struct address){.len = len};
  if (len < sizeof(sa_family_t) || len > sizeof into->at) return -EINVAL;
  memcpy(&into->at, name, len);
  int family = address_family(into);
  if (family == k->family) return 0;
  return is_unix(k) ? -EINVAL : -EAFNOSUPPORT;
}

int sim_dgram_connect(struct sim_sock *k, const struct sockaddr *a,
                      socklen_t len) {
  struct sim_sock *found;
  if (a->sa_family == AF_UNSPEC) {
    k->remote.len = 0;
    return 0;
  }
  struct address to;
  int r = is_unix(k) || k->local.len ? 0 : sim_bind_any(k);
  if (!is_unix(k)) return r < 0 ? r : sim_route(k, a, len);
  r = take_name(k, a, len, &to);
  if (r == 0) r = -sim_receiver_find(k, &to, &found);
  if (r == 0) k->remote = to;
  return r;
}

/* Where this message goes, or -errno. */
static int destination(struct sim_sock *k, const struct msghdr *m,
                       struct address *to) {
  *to = k->remote;
  if (!m->msg_namelen && k->peer) return 0;
  int r = 0;
  if (m->msg_namelen) r = take_name(k, m->msg_name, m->msg_namelen, to);
  if (r < 0) return r;
  if (!to->len) return is_unix(k) ? -ENOTCONN : -EDESTADDRREQ;
  return k->local.len || is_unix(k) ? 0 : sim_bind_any(k);
}

/* -- sending -- */

static struct gram *gram_new(const struct msghdr *m, size_t n) {
  struct gram *g = malloc(sizeof *g + n);
  if (!g) return NULL;
  *g = (struct gram){.len = n};
  link_init(&g->link);
  unsigned char *at = g->bytes;
  for (size_t i = 0; i < m->msg_iovlen; i++) {
    memcpy(at, m->msg_iov[i].iov_base, m->msg_iov[i].iov_len);
    at += m->msg_iov[i].iov_len;
  }
  return g;
}

static bool has_room(const struct sim_sock *to, size_t n) {
  return !to->grams_bytes || to->grams_bytes + n + GRAM_WEIGHT <= to->rcvbuf;
}

static struct address v4_loopback(in_port_t port) {
  struct address a = {.len = sizeof a.at.in};
  a.at.in.sin_family = AF_INET;
  a.at.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  a.at.in.sin_port = port;
  return a;
}

static bool v4_inside(const struct address *a) {
  return address_family(a) == AF_INET ||
         IN6_IS_ADDR_V4MAPPED(&a->at.in6.sin6_addr);
}

/* The name that the other end sees: of the wildcard or a group, the loopback of
 * the family that the datagram was sent by. */
static struct address seen_as(const struct sim_sock *k,
                              const struct address *to,
                              const struct sim_sock *by) {
  struct address a = k->local;
  if (!a.len || is_unix(k)) return a;
  bool group = sim_is_group(&a);
  if (address_family(&a) == AF_INET6 &&
      (group || IN6_IS_ADDR_UNSPECIFIED(&a.at.in6.sin6_addr))) {
    a.at.in6.sin6_addr = in6addr_loopback;
    if (v4_inside(to)) a = v4_loopback(a.at.in6.sin6_port);
  } else if (address_family(&a) == AF_INET &&
             (group || a.at.in.sin_addr.s_addr == INADDR_ANY)) {
    a.at.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  }
  return sim_name_in(&a, by->family);
}

/* -- on their way -- */

static void land(struct sim_sock *to, struct gram *g) {
  list_push(&to->grams, &g->link);
  sim_sock_wake(to, POLLIN);
}

static void plan_landing(struct sim_sock *to) {
  uint64_t at = NEVER_NS;
  list_each(&to->coming, l) {
    at = min_u64(at, container_of(l, struct gram, link)->at_ns);
  }
  sim_timer_set(to->net, &to->landing, at);
}

/* All that are due, the earliest first. */
void sim_dgram_land(struct sim_sock *to) {
  for (;;) {
    struct gram *first = NULL;
    list_each(&to->coming, l) {
      struct gram *g = container_of(l, struct gram, link);
      if (g->at_ns > to->net->now_ns) continue;
      if (!first || g->at_ns < first->at_ns) first = g;
    }
    if (!first) break;
    link_unlink(&first->link);
    land(to, first);
  }
  plan_landing(to);
}

static void fly(struct sim_sock *to, struct gram *g) {
  uint64_t late = is_unix(to) ? 0 : sim_wire_latency_ns(to->net);
  if (!late) {
    land(to, g);
    return;
  }
  g->at_ns = to->net->now_ns + late;
  list_push(&to->coming, &g->link);
  plan_landing(to);
}

static ssize_t deliver(struct sim_sock *k, const struct address *by,
                       struct sim_sock *to, const struct msghdr *m, size_t n) {
  if (!is_unix(k) && sim_wire_drops(k, to)) return (ssize_t)n;
  if (!has_room(to, n)) {
    if (is_unix(k)) return -EAGAIN;
    to->drops++;
    return (ssize_t)n;
  }
  struct gram *g = gram_new(m, n);
  if (!g) return -ENOBUFS;
  int r = is_unix(k) ? sim_rights_take(k->net, m, &g->rights) : 0;
  if (r < 0) {
    free(g);
    return r;
  }
  g->from = seen_as(k, by, to);
  to->grams_bytes += n + GRAM_WEIGHT;
  fly(to, g);
  return (ssize_t)n;
}

/* Each of those who hear it has its own chance to lose it. */
static ssize_t to_many(struct sim_sock *k, const struct address *by,
                       const struct msghdr *m, size_t n) {
  int r = sim_group_check(k, by);
  if (r < 0) return r;
  if (!sim_group_loops(k, by)) return (ssize_t)n;
  list_each(&k->net->bound, l) {
    struct sim_sock *to = container_of(l, struct sim_sock, bound);
    if (sim_hears(to, k, by)) deliver(k, by, to, m, n);
  }
  return (ssize_t)n;
}

/* ICMP says that nobody is there: the next call tells. */
static ssize_t nobody(struct sim_sock *k, size_t n) {
  if (k->remote.len) k->error = ECONNREFUSED;
  if (k->error) sim_sock_wake(k, POLLERR);
  return (ssize_t)n;
}

ssize_t sim_dgram_send(struct sim_sock *k, const struct msghdr *m) {
  size_t n = 0;
  for (size_t i = 0; i < m->msg_iovlen; i++) n += m->msg_iov[i].iov_len;
  if (k->error) return sim_error_take(k);
  if (n > (is_unix(k) ? k->sndbuf : UDP_MAX)) return -EMSGSIZE;
  struct address by;
  struct sim_sock *to = k->peer;
  int r = destination(k, m, &by);
  if (r < 0) return r;
  if (sim_is_group(&by) || sim_is_broadcast(&by)) return to_many(k, &by, m, n);
  if (m->msg_namelen || !to) r = -sim_receiver_find(k, &by, &to);
  if (r == -ECONNREFUSED && !is_unix(k)) return nobody(k, n);
  if (r < 0) return r;
  return to ? deliver(k, &by, to, m, n) : (ssize_t)n;
}

/* -- receiving -- */

static void gram_drop(struct sim_sock *k, struct gram *g) {
  link_unlink(&g->link);
  k->grams_bytes -= g->len + GRAM_WEIGHT;
  sim_rights_drop(k->net, g->rights);
  free(g);
}

static size_t scatter(const struct msghdr *m, const struct gram *g) {
  size_t n = 0;
  for (size_t i = 0; i < m->msg_iovlen && n < g->len; i++) {
    size_t part = min_size(m->msg_iov[i].iov_len, g->len - n);
    memcpy(m->msg_iov[i].iov_base, g->bytes + n, part);
    n += part;
  }
  return n;
}

/* Senders wait for room where they stand: each looks again. */
static void wake_senders(struct sim_sock *k) {
  struct sim_net *net = k->net;
  if (!is_unix(k)) return;
  for (uint32_t i = 0; i < net->sock_cap; i++)
    if (net->socks[i] && sim_is_dgram(net->socks[i]))
      sim_sock_wake(net->socks[i], POLLOUT);
}

ssize_t sim_dgram_recv(struct sim_sock *k, struct msghdr *m, int flags) {
  struct link *l = list_first(&k->grams);
  if (k->error) return sim_error_take(k);
  if (!l) return -EAGAIN;
  struct gram *g = container_of(l, struct gram, link);
  size_t full = g->len, n = scatter(m, g);
  if (m->msg_name)
    memcpy(m->msg_name, &g->from.at, min_size(m->msg_namelen, g->from.len));
  m->msg_namelen = g->from.len;
  m->msg_flags = n < full ? MSG_TRUNC : 0;
  bool peeks = flags & MSG_PEEK;
  sim_rights_give(k->net, peeks ? NULL : g->rights, m);
  if (peeks) return (ssize_t)(flags & MSG_TRUNC ? full : n);
  g->rights = NULL;
  gram_drop(k, g);
  wake_senders(k);
  return (ssize_t)(flags & MSG_TRUNC ? full : n);
}

/* -- readiness, the end -- */

/* A connected Unix socket waits for room at its peer; unix(7). */
static bool writable(const struct sim_sock *k) {
  return !is_unix(k) || !k->peer || has_room(k->peer, 1);
}

int sim_dgram_events(const struct sim_sock *k) {
  int r = writable(k) ? POLLOUT : 0;
  if (!list_empty(&k->grams) || k->error) r |= POLLIN;
  return k->error ? r | POLLERR : r;
}

void sim_dgram_close(struct sim_sock *k) {
  struct link *l;
  list_splice(&k->grams, &k->coming);
  while ((l = list_first(&k->grams)))
    gram_drop(k, container_of(l, struct gram, link));
  if (!k->peer) return;
  k->peer->peer = NULL;
  sim_sock_wake(k->peer, POLLERR);
  k->peer = NULL;
}
