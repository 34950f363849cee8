/* sim_wire.c - what is on its way between two simulated sockets.
 *
 * Without latency, loss and partitions nothing ever is: it arrives at once.
 * Otherwise a struct sim_packet says what is coming and when; those of a
 * socket land in order. Bytes lie in the receiver's queue already, behind the
 * ones that have landed, so that they count against its buffer. A lost packet
 * is one that comes late, as TCP has it: the next try is after 200 ms, then
 * 400, and so on. A partition holds back all that passes between an address
 * and its peers until it is over; nobody is told.
 *
 * SPDX-License-Identifier: MIT */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "sim_net.h"

#define RETRY_NS (200 * NS_PER_MS) /* TCP's least timeout on Linux */
#define RETRY_MAX_NS (60 * NS_PER_S)
#define SYN_RETRY_NS ((uint64_t)NS_PER_S) /* tcp_syn_retries */

/* -- partitions -- */

struct partition {
  struct link link; /* net->partitions */
  struct address address;
  uint64_t until_ns;
};

/* The same name; a wildcard or a port alone is not looked for. */
static bool same_name(const struct address *a, const struct address *b) {
  struct address as = *a;
  if (!a->len || !b->len) return false;
  if (address_family(a) != AF_UNIX && address_family(b) != AF_UNIX)
    as = sim_name_in(a, address_family(b));
  return as.len == b->len && memcmp(&as.at, &b->at, b->len) == 0;
}

static bool concerns(const struct partition *p, const struct sim_sock *k) {
  return same_name(&k->local, &p->address) ||
         same_name(&k->remote, &p->address);
}

/* When what passes between the ends of k may do so; now at the earliest. */
static uint64_t open_at(const struct sim_sock *k) {
  uint64_t at = k->net->now_ns;
  list_each(&k->net->partitions, l) {
    struct partition *p = container_of(l, struct partition, link);
    if (concerns(p, k) && p->until_ns > at) at = p->until_ns;
  }
  return at;
}

int sim_partition(struct sim_net *net, const struct address *a,
                  uint64_t until_ns) {
  struct partition *p = fault_point("partition") ? NULL : calloc(1, sizeof *p);
  if (!p) return -ENOMEM;
  p->address = *a;
  p->until_ns = until_ns;
  link_init(&p->link);
  list_push(&net->partitions, &p->link);
  return 0;
}

/* -- when it lands -- */

uint64_t sim_wire_latency_ns(struct sim_net *net) {
  uint64_t min = net->knobs.latency_min_ns, max = net->knobs.latency_max_ns;
  return max > min ? min + sim_random(net) % (max - min + 1) : min;
}

static bool is_lost(struct sim_net *net) {
  return net->knobs.loss && (sim_random(net) & 0xffff) < net->knobs.loss;
}

/* A datagram from `from` to `to`. */
bool sim_wire_drops(struct sim_sock *from, struct sim_sock *to) {
  if (open_at(from) > from->net->now_ns) return true;
  return open_at(to) > to->net->now_ns || is_lost(to->net);
}

/* How much later than without loss. */
static uint64_t lost_ns(struct sim_net *net, uint64_t retry_ns) {
  uint64_t late = 0;
  while (retry_ns < RETRY_MAX_NS && is_lost(net)) {
    late += retry_ns;
    retry_ns *= 2;
  }
  return late;
}

static uint64_t lands_at(const struct sim_sock *k) {
  struct sim_net *net = k->net;
  uint64_t at =
      ns_after(open_at(k), sim_wire_latency_ns(net) + lost_ns(net, RETRY_NS));
  if (k->flight_n) {
    uint64_t before = k->flight[k->flight_n - 1].at_ns;
    if (before > at) at = before;
  }
  return at;
}

/* There and back: whoever connects knows when the answer is there. */
uint64_t sim_wire_connect_ns(const struct sim_sock *k) {
  struct sim_net *net = k->net;
  uint64_t late = sim_wire_latency_ns(net) + lost_ns(net, SYN_RETRY_NS) +
                  sim_wire_latency_ns(net);
  return ns_after(open_at(k), late);
}

static bool is_direct(const struct sim_sock *k) {
  const struct sim_knobs *o = &k->net->knobs;
  return !k->flight_n && !o->latency_max_ns && !o->loss &&
         list_empty(&k->net->partitions);
}

/* -- landing -- */

static void land(struct sim_sock *k, const struct sim_packet *p) {
  switch (p->kind) {
  case SIM_DATA:
    k->landed += p->len;
    sim_sock_wake(k, POLLIN);
    return;
  case SIM_FIN:
    k->eof = true;
    break;
  case SIM_CLOSED:
    k->eof = k->hung = true;
    break;
  case SIM_RESET: /* behind a FIN it is an EPIPE (tcp_reset) */
    k->error = k->eof && k->family != AF_UNIX ? EPIPE : ECONNRESET;
    k->reset = k->hung = true;
    break;
  }
  sim_sock_wake(k, POLLHUP);
}

static void plan_landing(struct sim_sock *k) {
  uint64_t at = k->flight_n ? k->flight[0].at_ns : NEVER_NS;
  sim_timer_set(k->net, &k->landing, at);
}

static void on_landing(struct deadline *d) {
  struct sim_sock *k = container_of(d, struct sim_sock, landing);
  if (sim_is_dgram(k)) {
    sim_dgram_land(k);
    return;
  }
  unsigned n = 0;
  while (n < k->flight_n && k->flight[n].at_ns <= k->net->now_ns)
    land(k, &k->flight[n++]);
  k->flight_n -= n;
  memmove(k->flight, k->flight + n, k->flight_n * sizeof *k->flight);
  plan_landing(k);
}

int sim_wire_init(struct sim_sock *k) {
  k->landing.fire = on_landing;
  return sim_timer_add(k->net, &k->landing);
}

void sim_wire_deinit(struct sim_sock *k) {
  sim_timer_drop(k->net, &k->landing);
  free(k->flight);
  k->flight = NULL;
  k->flight_n = k->flight_cap = 0;
}

/* -- sending -- */

int sim_wire_reserve(struct sim_sock *k) {
  if (is_direct(k)) return 0;
  unsigned need = k->flight_n + 3; /* a FIN and a reset still fit */
  if (need <= k->flight_cap) return 0;
  void *p = realloc(k->flight, 2 * need * sizeof *k->flight);
  if (!p) return -ENOBUFS;
  k->flight = p;
  k->flight_cap = 2 * need;
  return 0;
}

/* Without memory for it there is no delay: what closes a connection can't
 * fail. */
void sim_wire_send(struct sim_sock *k, enum sim_packet_kind kind, size_t len) {
  struct sim_packet p = {.kind = kind, .len = len};
  bool direct = is_direct(k) || sim_wire_reserve(k) < 0;
  if (direct) {
    land(k, &p);
    return;
  }
  p.at_ns = lands_at(k);
  struct sim_packet *last = k->flight_n ? &k->flight[k->flight_n - 1] : NULL;
  if (last && kind == SIM_DATA && last->kind == kind && last->at_ns == p.at_ns)
    last->len += len;
  else
    k->flight[k->flight_n++] = p;
  plan_landing(k);
}

/* What was held back goes on; it may have been sent twice meanwhile, which
 * nobody sees. */
static void resume(struct sim_sock *k) {
  uint64_t at = ns_after(open_at(k), sim_wire_latency_ns(k->net));
  for (unsigned i = 0; i < k->flight_n; i++)
    if (k->flight[i].at_ns > at) k->flight[i].at_ns = at;
  plan_landing(k);
  if (k->state == SIM_CONNECTING && !link_listed(&k->link))
    sim_timer_set(k->net, &k->arrival, at);
}

void sim_heal(struct sim_net *net, const struct address *a) {
  struct link *next;
  for (struct link *l = list_first(&net->partitions); l; l = next) {
    next = list_next(&net->partitions, l);
    struct partition *p = container_of(l, struct partition, link);
    if (a && !same_name(a, &p->address)) continue;
    link_unlink(l);
    free(p);
  }
  for (uint32_t i = 0; i < net->sock_cap; i++)
    if (net->socks[i]) resume(net->socks[i]);
}
