/* sim_name.c - names of simulated sockets: who has which, who is found by it.
 *
 * Owns the ports and the list of bound sockets. The only host is this one:
 * 127.0.0.0/8, ::1, and Unix names: abstract ones are free again when their
 * socket is closed, paths are files (sim_path.c). The documentation networks
 * (RFC 5737, RFC 3849: 192.0.2.0/24, 2001:db8::/32) swallow every SYN, which is
 * how a connect that never ends is tested; other hosts are unreachable.
 *
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "sim_net.h"

enum { BACKLOG_MAX = 4096 };

/* -- inet addresses -- */

/* Both families in one form: IPv4 as ::ffff:a.b.c.d. */
struct end {
  struct in6_addr ip;
  uint16_t port;
  bool v4, any;
};

static struct end end_of(const struct address *a) {
  struct end e = {.ip = a->at.in6.sin6_addr};
  if (address_family(a) == AF_INET) {
    e.ip = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(e.ip.s6_addr + 12, &a->at.in.sin_addr, 4);
    e.port = ntohs(a->at.in.sin_port);
  } else {
    e.port = ntohs(a->at.in6.sin6_port);
  }
  static const unsigned char zero[16];
  e.v4 = IN6_IS_ADDR_V4MAPPED(&e.ip);
  e.any = memcmp(e.ip.s6_addr + (e.v4 ? 12 : 0), zero, e.v4 ? 4 : 16) == 0;
  return e;
}

static struct address address_of(const struct end *e, int family) {
  struct address a = {.len = 0};
  if (family == AF_INET) {
    a.len = sizeof a.at.in;
    a.at.in.sin_family = AF_INET;
    a.at.in.sin_port = htons(e->port);
    memcpy(&a.at.in.sin_addr, e->ip.s6_addr + 12, 4);
  } else {
    a.len = sizeof a.at.in6;
    a.at.in6.sin6_family = AF_INET6;
    a.at.in6.sin6_port = htons(e->port);
    a.at.in6.sin6_addr = e->ip;
  }
  return a;
}

static bool is_loopback(const struct end *e) {
  return e->v4 ? e->ip.s6_addr[12] == 127 : IN6_IS_ADDR_LOOPBACK(&e->ip);
}

static void make_loopback(struct end *e) {
  static const unsigned char v4[4] = {127, 0, 0, 1};
  if (e->v4)
    memcpy(e->ip.s6_addr + 12, v4, sizeof v4);
  else
    e->ip = in6addr_loopback;
  e->any = false;
}

static bool is_black_hole(const struct end *e) {
  static const unsigned char v4[3] = {192, 0, 2};
  static const unsigned char v6[4] = {0x20, 0x01, 0x0d, 0xb8};
  return e->v4 ? memcmp(e->ip.s6_addr + 12, v4, sizeof v4) == 0
               : memcmp(e->ip.s6_addr, v6, sizeof v6) == 0;
}

/* -- whose name is it -- */

/* The same abstract name. Of two paths the file system knows. */
static bool unix_equal(const struct address *a, const struct address *b) {
  if (sim_is_path(a) || sim_is_path(b)) return false;
  return a->len == b->len && memcmp(&a->at, &b->at, a->len) == 0;
}

/* A packet to `to` may reach k. */
static bool inet_covers(const struct sim_sock *k, const struct end *to) {
  struct end own = end_of(&k->local);
  if (own.port != to->port) return false;
  if (memcmp(&own.ip, &to->ip, sizeof own.ip) == 0) return true;
  if (!own.any) return false;
  if (own.v4) return to->v4;
  return !to->v4 || !sim_option_int(k, IPPROTO_IPV6, IPV6_V6ONLY);
}

static bool names_overlap(const struct sim_sock *a, const struct sim_sock *b) {
  if ((a->family == AF_UNIX) != (b->family == AF_UNIX)) return false;
  if (a->family != AF_UNIX && a->type != b->type) return false;
  if (a->family == AF_UNIX) return unix_equal(&a->local, &b->local);
  struct end ea = end_of(&a->local), eb = end_of(&b->local);
  return inet_covers(a, &eb) || inet_covers(b, &ea);
}

static bool both_set(const struct sim_sock *a, const struct sim_sock *b,
                     int name) {
  return sim_option_int(a, SOL_SOCKET, name) &&
         sim_option_int(b, SOL_SOCKET, name);
}

/* socket(7): SO_REUSEADDR shares a name unless the one that has it listens. */
static bool may_share(const struct sim_sock *k, const struct sim_sock *has) {
  if (k->family == AF_UNIX) return false;
  if (both_set(k, has, SO_REUSEPORT)) return true;
  return has->state != SIM_LISTENING && both_set(k, has, SO_REUSEADDR);
}

static bool name_is_free(const struct sim_sock *k) {
  list_each(&k->net->bound, l) {
    struct sim_sock *other = container_of(l, struct sim_sock, bound);
    if (other == k || !names_overlap(k, other)) continue;
    if (!may_share(k, other)) return false;
  }
  return true;
}

/* -- giving names -- */

/* A port that nobody uses, or 0. */
static uint16_t port_pick(struct sim_net *net) {
  for (int i = SIM_PORT_FIRST; i <= SIM_PORT_LAST; i++) {
    uint16_t port = net->port_next;
    net->port_next =
        port == SIM_PORT_LAST ? SIM_PORT_FIRST : (uint16_t)(port + 1);
    if (!net->port_uses[port]) return port;
  }
  return 0;
}

static void port_hold(struct sim_sock *k, uint16_t port) {
  k->port = port;
  k->net->port_uses[port]++;
}

/* Copy a caller's address; Unix names come out with one length each. */
static int address_take(struct address *into, const struct sim_sock *k,
                        const struct sockaddr *a, socklen_t len) {
  size_t head = offsetof(struct sockaddr_un, sun_path);
  size_t min = k->family == AF_INET    ? sizeof into->at.in
               : k->family == AF_INET6 ? sizeof into->at.in6
                                       : head + 1;
  if (len < min || len > sizeof into->at) return -EINVAL;
  if (a->sa_family != k->family)
    return k->family == AF_UNIX ? -EINVAL : -EAFNOSUPPORT;
  *into = (struct address){.len = len};
  memcpy(&into->at, a, len);
  if (k->family != AF_UNIX) return 0;
  if (len > sizeof into->at.un) return -EINVAL;
  size_t room = sizeof into->at.un.sun_path - 1;
  if (into->at.un.sun_path[0])
    into->len = (socklen_t)(head + strnlen(into->at.un.sun_path, room) + 1);
  return 0;
}

static int bind_inet(struct sim_sock *k) {
  struct end e = end_of(&k->local);
  bool group = sim_is_dgram(k) && sim_is_group(&k->local);
  if (!e.any && !is_loopback(&e) && !group) return -EADDRNOTAVAIL;
  if (e.port == 0) e.port = port_pick(k->net);
  if (e.port == 0) return -EADDRINUSE;
  k->local = address_of(&e, k->family);
  if (!name_is_free(k)) return -EADDRINUSE;
  port_hold(k, e.port);
  return 0;
}

/* unix(7): bound to nothing but its family, a socket gets an abstract name. */
static int bind_unix_any(struct sim_sock *k) {
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  uint32_t n = (uint32_t)sim_random(k->net);
  for (int tries = 0; tries < 1000; tries++, n++) {
    int len = snprintf(un.sun_path + 1, 6, "%05x", n & 0xfffff);
    len += 1 + (int)offsetof(struct sockaddr_un, sun_path);
    int r = sim_bind(k, (struct sockaddr *)&un, (socklen_t)len);
    if (r != -EADDRINUSE) return r;
  }
  return -ENOSPC;
}

int sim_bind(struct sim_sock *k, const struct sockaddr *a, socklen_t len) {
  if (k->state != SIM_FRESH || k->local.len) return -EINVAL;
  bool any = k->family == AF_UNIX && len == sizeof(sa_family_t);
  if (any && a->sa_family == AF_UNIX) return bind_unix_any(k);
  int r = address_take(&k->local, k, a, len);
  if (r == 0 && k->family != AF_UNIX) r = bind_inet(k);
  if (r == 0 && k->family == AF_UNIX && !name_is_free(k)) r = -EADDRINUSE;
  if (r == 0 && sim_is_path(&k->local)) r = sim_path_make(k);
  if (r < 0)
    k->local.len = 0;
  else
    list_push(&k->net->bound, &k->bound);
  return r;
}

int sim_bind_any(struct sim_sock *k) {
  struct address any = {.at.any.sa_family = (sa_family_t)k->family};
  socklen_t len = k->family == AF_INET ? sizeof any.at.in : sizeof any.at.in6;
  return sim_bind(k, &any.at.any, len);
}

/* Linux keeps one more than the backlog says. */
int sim_listen(struct sim_sock *k, int backlog) {
  if (sim_is_dgram(k)) return -EOPNOTSUPP;
  if (k->state != SIM_FRESH && k->state != SIM_LISTENING) return -EINVAL;
  if (!k->local.len && k->family == AF_UNIX) return -EINVAL;
  int r = k->local.len ? 0 : sim_bind_any(k);
  if (r < 0) return r;
  enum sim_state before = k->state;
  k->state = SIM_LISTENING;
  if (!name_is_free(k)) {
    k->state = before;
    return -EADDRINUSE;
  }
  if (!link_listed(&k->bound)) list_push(&k->net->bound, &k->bound);
  bool above = backlog < 0 || backlog > BACKLOG_MAX;
  k->backlog = above ? BACKLOG_MAX : (unsigned)backlog;
  k->deaf = false;
  return 0;
}

int sim_name(const struct sim_sock *k, bool peer, struct sockaddr *a,
             socklen_t *len) {
  bool connected =
      sim_is_dgram(k) ? k->peer || k->remote.len : k->state == SIM_CONNECTED;
  if (peer && !connected) return -ENOTCONN;
  struct address name = peer ? k->remote : k->local;
  if (!name.len) { /* the wildcard, or no name at all */
    name.at.any.sa_family = (sa_family_t)k->family;
    name.len = k->family == AF_INET    ? sizeof name.at.in
               : k->family == AF_INET6 ? sizeof name.at.in6
                                       : sizeof(sa_family_t);
  }
  memcpy(a, &name.at, min_size(*len, name.len));
  *len = name.len;
  return 0;
}

/* -- who is found -- */

/* Those that name the address come before the wildcards; among equals
 * (SO_REUSEPORT) the dice decide. */
static struct sim_sock *listener_inet(struct sim_net *net,
                                      const struct end *to) {
  struct sim_sock *best = NULL;
  unsigned equals = 0;
  list_each(&net->bound, l) {
    struct sim_sock *k = container_of(l, struct sim_sock, bound);
    if (k->family == AF_UNIX || k->state != SIM_LISTENING || k->deaf) continue;
    if (!inet_covers(k, to)) continue;
    bool any = end_of(&k->local).any;
    bool best_any = best && end_of(&best->local).any;
    if (best && any && !best_any) continue;
    equals = best && any == best_any ? equals + 1 : 1;
    if (equals == 1 || sim_random(net) % equals == 0) best = k;
  }
  return best;
}

/* Whoever is bound to it. */
static int bound_unix(struct sim_net *net, const struct address *to,
                      struct sim_sock **found) {
  *found = NULL;
  if (sim_is_path(to)) return sim_path_find(net, to, found);
  list_each(&net->bound, l) {
    struct sim_sock *k = container_of(l, struct sim_sock, bound);
    if (k->family == AF_UNIX && unix_equal(&k->local, to)) *found = k;
  }
  return *found ? 0 : ECONNREFUSED;
}

int sim_probe(struct sim_net *net, const struct sockaddr *a, socklen_t len) {
  struct sim_sock probe = {.family = AF_UNIX}, *found;
  struct address to;
  int r = address_take(&to, &probe, a, len);
  return r < 0 ? r : -bound_unix(net, &to, &found);
}

static int find_unix(struct sim_net *net, const struct address *to,
                     struct sim_sock **l) {
  int err = bound_unix(net, to, l);
  if (err) return err;
  if ((*l)->state == SIM_LISTENING && !(*l)->deaf) return 0;
  *l = NULL;
  return ECONNREFUSED;
}

int sim_listener_find(struct sim_net *net, const struct address *to,
                      struct sim_sock **l) {
  *l = NULL;
  if (address_family(to) == AF_UNIX) return find_unix(net, to, l);
  struct end e = end_of(to);
  if (is_black_hole(&e)) return 0;
  *l = listener_inet(net, &e);
  if (*l) return 0;
  return is_loopback(&e) ? ECONNREFUSED : ENETUNREACH;
}

/* A connected socket takes only what its peer sends. */
static bool takes_from(const struct sim_sock *k, const struct end *from) {
  if (!k->remote.len) return true;
  struct end peer = end_of(&k->remote);
  return peer.port == from->port &&
         memcmp(&peer.ip, &from->ip, sizeof peer.ip) == 0;
}

/* What the wildcard is to the other end. */
static struct end loopback_like(const struct end *to, uint16_t port) {
  struct end e = *to;
  e.port = port;
  make_loopback(&e);
  return e;
}

/* The one that says most about what it takes: its peer, its address. */
static struct sim_sock *receiver_inet(struct sim_net *net,
                                      const struct end *from,
                                      const struct end *to) {
  struct sim_sock *best = NULL;
  int most = -1;
  list_each(&net->bound, l) {
    struct sim_sock *k = container_of(l, struct sim_sock, bound);
    if (k->family == AF_UNIX || !sim_is_dgram(k)) continue;
    if (!inet_covers(k, to) || !takes_from(k, from)) continue;
    int says = 2 * (k->remote.len != 0) + !end_of(&k->local).any;
    if (says > most) best = k;
    if (says > most) most = says;
  }
  return best;
}

bool sim_hears(const struct sim_sock *k, const struct sim_sock *from,
               const struct address *to) {
  struct end e = end_of(to), source = end_of(&from->local);
  if (k->family == AF_UNIX || !sim_is_dgram(k)) return false;
  if (source.any || sim_is_group(&from->local)) {
    source = (struct end){.ip = e.ip, .port = source.port, .v4 = e.v4};
    make_loopback(&source);
  }
  return inet_covers(k, &e) && takes_from(k, &source) && sim_group_hears(k, to);
}

static int receiver_unix(struct sim_net *net, const struct address *to,
                         struct sim_sock **found) {
  int err = bound_unix(net, to, found);
  if (err) return err;
  if (sim_is_dgram(*found)) return 0;
  *found = NULL;
  return EPROTOTYPE;
}

int sim_receiver_find(struct sim_sock *k, const struct address *to,
                      struct sim_sock **found) {
  *found = NULL;
  if (k->family == AF_UNIX) return receiver_unix(k->net, to, found);
  struct end e = end_of(to), from = end_of(&k->local);
  if (e.any) make_loopback(&e);
  if (from.any) from = loopback_like(&e, from.port);
  if (is_black_hole(&e)) return 0;
  if (!is_loopback(&e)) return ENETUNREACH;
  *found = receiver_inet(k->net, &from, &e);
  return *found ? 0 : ECONNREFUSED;
}

/* Where the packets go, and from where: the host itself. */
static int route_inet(struct sim_sock *k) {
  struct end to = end_of(&k->remote);
  if (to.any) make_loopback(&to);
  k->remote = address_of(&to, k->family);
  struct end from = to;
  from.port = k->local.len ? end_of(&k->local).port : port_pick(k->net);
  if (from.port == 0) return -EADDRNOTAVAIL;
  if (!k->port) port_hold(k, from.port);
  if (k->local.len && !end_of(&k->local).any) return 0;
  make_loopback(&from);
  k->local = address_of(&from, k->family);
  return 0;
}

int sim_route(struct sim_sock *k, const struct sockaddr *a, socklen_t len) {
  int r = address_take(&k->remote, k, a, len);
  return r < 0 || k->family == AF_UNIX ? r : route_inet(k);
}

struct address sim_name_in(const struct address *as, int family) {
  if (family == AF_UNIX) return *as;
  struct end e = end_of(as);
  return address_of(&e, family);
}
