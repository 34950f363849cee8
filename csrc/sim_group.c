/* sim_group.c - simulated multicast and broadcast: who hears what goes to many.
 *
 * A socket hears a group at its port when somebody has joined it, not itself
 * alone: so it is unless IP_MULTICAST_ALL is off, ip(7). There is one host and
 * one wire: an interface is kept with a membership, and otherwise makes no
 * difference. Broadcasts are those of 127.0.0.0/8 and 255.255.255.255. Owns the
 * memberships.
 *
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "sim_net.h"

struct membership {
  struct link link; /* in sim_sock.groups */
  struct address group;
  uint32_t interface; /* 0: any */
};

static bool is_v4(const struct address *a) {
  return address_family(a) == AF_INET;
}

/* Mapped IPv4 as IPv4: the form in which groups are compared. */
static struct address plain(const struct address *a) {
  bool mapped = address_family(a) == AF_INET6 &&
                IN6_IS_ADDR_V4MAPPED(&a->at.in6.sin6_addr);
  return mapped ? sim_name_in(a, AF_INET) : *a;
}

bool sim_is_group(const struct address *as) {
  struct address a = plain(as);
  if (is_v4(&a)) return IN_MULTICAST(ntohl(a.at.in.sin_addr.s_addr));
  return address_family(&a) == AF_INET6 &&
         IN6_IS_ADDR_MULTICAST(&a.at.in6.sin6_addr);
}

bool sim_is_broadcast(const struct address *as) {
  struct address a = plain(as);
  if (!is_v4(&a)) return false;
  uint32_t ip = ntohl(a.at.in.sin_addr.s_addr);
  return ip == INADDR_BROADCAST || ip == UINT32_C(0x7fffffff);
}

static bool same_group(const struct address *a, const struct address *b) {
  if (address_family(a) != address_family(b)) return false;
  return is_v4(a)
             ? a->at.in.sin_addr.s_addr == b->at.in.sin_addr.s_addr
             : IN6_ARE_ADDR_EQUAL(&a->at.in6.sin6_addr, &b->at.in6.sin6_addr);
}

static struct membership *find(const struct sim_sock *k,
                               const struct address *group) {
  list_each(&k->groups, l) {
    struct membership *m = container_of(l, struct membership, link);
    if (same_group(&m->group, group)) return m;
  }
  return NULL;
}

/* -- joining -- */

static int join(struct sim_sock *k, const struct address *group,
                uint32_t interface) {
  if (find(k, group)) return -EADDRINUSE;
  struct membership *m = calloc(1, sizeof *m);
  if (!m) return -ENOBUFS;
  m->group = *group;
  m->interface = interface;
  link_init(&m->link);
  list_push(&k->groups, &m->link);
  return 0;
}

static int leave(struct sim_sock *k, const struct address *group,
                 uint32_t interface) {
  struct membership *m = find(k, group);
  if (!m || (interface && m->interface && m->interface != interface))
    return -EADDRNOTAVAIL;
  link_unlink(&m->link);
  free(m);
  return 0;
}

int sim_group_change(struct sim_sock *k, int name, const void *p,
                     socklen_t len) {
  struct group_req req;
  struct address group = {.len = sizeof group.at.in6};
  if (len < sizeof req) return -EINVAL;
  memcpy(&req, p, sizeof req);
  memcpy(&group.at, &req.gr_group, sizeof group.at.in6);
  if (!sim_is_group(&group)) return -EINVAL;
  return name == MCAST_JOIN_GROUP ? join(k, &group, req.gr_interface)
                                  : leave(k, &group, req.gr_interface);
}

void sim_group_clear(struct sim_sock *k) {
  struct link *l;
  while ((l = list_pop(&k->groups)))
    free(container_of(l, struct membership, link));
}

/* -- hearing -- */

static bool anyone_joined(const struct sim_net *net,
                          const struct address *group) {
  for (uint32_t i = 0; i < net->sock_cap; i++)
    if (net->socks[i] && find(net->socks[i], group)) return true;
  return false;
}

/* A socket that is bound to the group itself is asked for no more. */
bool sim_group_hears(const struct sim_sock *k, const struct address *to) {
  struct address group = plain(to);
  if (!sim_is_group(&group)) return true;
  return find(k, &group) || anyone_joined(k->net, &group);
}

/* May it be sent there at all. */
int sim_group_check(const struct sim_sock *k, const struct address *to) {
  bool allowed = sim_option_int(k, SOL_SOCKET, SO_BROADCAST);
  return sim_is_broadcast(to) && !allowed ? -EACCES : 0;
}

/* Does what k sends come back to this host: all there is. */
bool sim_group_loops(const struct sim_sock *k, const struct address *to) {
  struct address a = plain(to);
  if (!sim_is_group(&a)) return true;
  return is_v4(&a) ? sim_option_int(k, IPPROTO_IP, IP_MULTICAST_LOOP)
                   : sim_option_int(k, IPPROTO_IPV6, IPV6_MULTICAST_LOOP);
}
