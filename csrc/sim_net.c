/* sim_net.c - the simulated world: clock, dice, sockets and connections.
 *
 * Owns the table of sockets. How they get their names, and who is found by a
 * name, is in sim_name.c; what happens on a connection in sim_sock.c.
 *
 * SPDX-License-Identifier: MIT */
#include "sim_net.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "sim_fs.h"

static const struct sim_knobs knobs_default = {
    .chaos = 1,
    .delay_max_ns = 200 * 1000,
    .buffer_bytes = 64 * 1024,
    .sockets_max = 1 << 16,
    .end_ns = NEVER_NS,
    .done_max = UINT32_MAX,
    .entries_max = UINT32_MAX,
};

/* -- dice and clock -- */

/* splitmix64 (Steele, Lea, Flood 2014) */
uint64_t sim_random(struct sim_net *net) {
  uint64_t x = net->dice += UINT64_C(0x9E3779B97F4A7C15);
  x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
  return x ^ (x >> 31);
}

bool sim_chance(struct sim_net *net, unsigned once_in) {
  if (!net->knobs.chaos) return false;
  unsigned most = (once_in + 1) / 2; /* the good end stays possible */
  return sim_random(net) % once_in < min_u64(net->knobs.chaos, most);
}

uint64_t sim_delay_ns(struct sim_net *net) {
  if (!net->knobs.chaos) return 0;
  uint64_t r = sim_random(net), max = net->knobs.delay_max_ns;
  return (r >> 8) % ((r & 3 ? max / 8 : max) + 1);
}

size_t sim_part(struct sim_net *net, size_t n) {
  return n > 1 && sim_chance(net, 3) ? 1 + sim_random(net) % n : n;
}

int sim_timer_add(struct sim_net *net, struct deadline *d) {
  return heap_push(&net->events, d, NEVER_NS);
}

void sim_timer_set(struct sim_net *net, struct deadline *d, uint64_t at_ns) {
  assert(deadline_set(d));
  heap_remove(&net->events, d);
  int r = heap_push(&net->events, d, at_ns);
  assert(r == 0); /* it had a place */
  (void)r;
}

void sim_timer_drop(struct sim_net *net, struct deadline *d) {
  heap_remove(&net->events, d);
}

bool sim_timer_fire(struct sim_net *net) {
  if (heap_next_ns(&net->events) > net->now_ns) return false;
  struct deadline *d = net->events.entries[0].deadline;
  sim_timer_set(net, d, NEVER_NS);
  d->fire(d);
  return true;
}

int sim_net_init(struct sim_net *net, uint64_t seed) {
  *net = (struct sim_net){
      .sys = {&sys_sim},
      .knobs = knobs_default,
      .now_ns = NS_PER_S,
      .dice = seed,
      .port_next = SIM_PORT_FIRST,
  };
  list_init(&net->woken);
  list_init(&net->bound);
  list_init(&net->partitions);
  list_init(&net->rules);
  net->port_uses = calloc(SIM_PORT_LAST + 1, sizeof *net->port_uses);
  return net->port_uses ? 0 : -ENOMEM;
}

void sim_net_deinit(struct sim_net *net) {
  for (uint32_t i = 0; i < net->sock_cap; i++)
    if (net->socks[i]) sim_close(net, SIM_FD_BASE + (int)i);
  assert(net->sock_n == 0);
  sim_fs_free(net->fs);
  net->fs = NULL;
  sim_heal(net, NULL);
  sim_rules_clear(net);
  heap_deinit(&net->events);
  free(net->socks);
  free(net->port_uses);
  net->socks = NULL;
  net->port_uses = NULL;
  net->sock_cap = 0;
}

/* -- the table of sockets -- */

struct sim_sock *sim_sock_find(const struct sim_net *net, int fd) {
  uint32_t i = (uint32_t)fd - SIM_FD_BASE;
  return fd >= SIM_FD_BASE && i < net->sock_cap ? net->socks[i] : NULL;
}

static int table_grow(struct sim_net *net) {
  uint32_t cap = net->sock_cap ? net->sock_cap * 2 : 64;
  void *p = realloc(net->socks, cap * sizeof *net->socks);
  if (!p) return -ENOMEM;
  net->socks = p;
  memset(net->socks + net->sock_cap, 0,
         (cap - net->sock_cap) * sizeof *net->socks);
  net->sock_cap = cap;
  return 0;
}

/* The lowest free number, as the kernel does: who uses a descriptor after its
 * close meets the next one. */
static int sock_number(struct sim_sock *k) {
  struct sim_net *net = k->net;
  if (net->sock_n >= net->knobs.sockets_max) return -EMFILE;
  uint32_t i = net->free_from;
  while (i < net->sock_cap && net->socks[i]) i++;
  if (i == net->sock_cap && table_grow(net) < 0) return -ENOMEM;
  net->socks[i] = k;
  net->free_from = i + 1;
  net->sock_n++;
  k->numbers++;
  return SIM_FD_BASE + (int)i;
}

static struct sim_sock *sock_unnumber(struct sim_net *net, int fd) {
  uint32_t i = (uint32_t)fd - SIM_FD_BASE;
  struct sim_sock *k = net->socks[i];
  net->socks[i] = NULL;
  net->sock_n--;
  if (i < net->free_from) net->free_from = i;
  k->numbers--;
  return k;
}

int sim_dup(struct sim_sock *k) {
  return sock_number(k);
}

static void on_arrival(struct deadline *d);

static struct sim_sock *sock_new(struct sim_net *net, int family, int type) {
  struct sim_sock *k = calloc(1, sizeof *k);
  if (!k) return NULL;
  k->net = net;
  k->path_fd = -1;
  k->family = family;
  k->type = type;
  list_init(&k->coming);
  list_init(&k->grams);
  list_init(&k->rights);
  list_init(&k->groups);
  k->mode = 0777;
  k->sndbuf = k->rcvbuf = net->knobs.buffer_bytes;
  k->arrival.fire = on_arrival;
  link_init(&k->bound);
  link_init(&k->link);
  list_init(&k->waiters);
  list_init(&k->pending);
  list_init(&k->knocking);
  if (sim_timer_add(net, &k->arrival) < 0) {
    free(k);
    return NULL;
  }
  if (sim_wire_init(k) == 0) return k;
  sim_timer_drop(net, &k->arrival);
  free(k);
  return NULL;
}

/* Nobody refers to k any more. */
static void sock_free(struct sim_sock *k) {
  assert(!k->numbers);
  sim_rights_clear(k);
  sim_group_clear(k);
  link_unlink(&k->bound);
  link_unlink(&k->link);
  if (k->port) k->net->port_uses[k->port]--;
  sim_path_drop(k);
  sim_timer_drop(k->net, &k->arrival);
  sim_wire_deinit(k);
  free(k->in.bytes);
  free(k);
}

void sim_sock_wait(struct sim_sock *k, struct sim_waiter *w, short events) {
  w->events = events;
  list_push(&k->waiters, &w->link);
}

void sim_sock_wake(struct sim_sock *k, short events) {
  struct link *next;
  for (struct link *l = list_first(&k->waiters); l; l = next) {
    next = list_next(&k->waiters, l);
    struct sim_waiter *w = container_of(l, struct sim_waiter, link);
    if (!(events & (w->events | POLLERR | POLLHUP))) continue;
    link_unlink(l);
    list_push(&k->net->woken, l);
  }
}

int sim_socket(struct sim_net *net, int family, int type) {
  if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
    return -EAFNOSUPPORT;
  type &= ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (type != SOCK_STREAM && type != SOCK_DGRAM) return -ESOCKTNOSUPPORT;
  if (fault_point("socket")) return -EMFILE;
  struct sim_sock *k = sock_new(net, family, type);
  if (!k) return -ENOMEM;
  int fd = sock_number(k);
  if (fd < 0) sock_free(k);
  return fd;
}

static void join(struct sim_sock *a, struct sim_sock *b) {
  a->peer = b;
  b->peer = a;
  if (sim_is_dgram(a)) return;
  a->state = b->state = SIM_CONNECTED;
}

int sim_pair(struct sim_net *net, int type, int fds[2]) {
  for (int i = 0; i < 2; i++) {
    fds[i] = sim_socket(net, AF_UNIX, type);
    if (fds[i] >= 0) continue;
    if (i) sim_close(net, fds[0]);
    return fds[i];
  }
  struct sim_sock *a = sim_sock_find(net, fds[0]);
  struct sim_sock *b = sim_sock_find(net, fds[1]);
  join(a, b);
  a->told = b->told = true;
  a->local.at.any.sa_family = b->local.at.any.sa_family = AF_UNIX;
  a->local.len = b->local.len = sizeof(sa_family_t);
  a->remote = b->remote = a->local;
  return 0;
}

/* -- connections -- */

static void connect_failed(struct sim_sock *k, int err) {
  k->state = SIM_FAILED;
  k->error = err;
  sim_sock_wake(k, POLLERR);
}

/* Connected now, accepted later. */
static void admit(struct sim_sock *l, struct sim_sock *k) {
  struct sim_sock *child = sock_new(l->net, l->family, SOCK_STREAM);
  if (!child) {
    connect_failed(k, ECONNREFUSED);
    return;
  }
  child->told = true;
  child->local = sim_name_in(&k->remote, l->family);
  child->remote = sim_name_in(&k->local, l->family);
  child->sndbuf = l->sndbuf;
  child->rcvbuf = l->rcvbuf;
  child->option_n = l->option_n;
  memcpy(child->options, l->options, sizeof child->options);
  join(k, child);
  list_push(&l->pending, &child->link);
  l->pending_n++;
  sim_sock_wake(l, POLLIN);
  sim_sock_wake(k, POLLOUT);
}

static void knock(struct sim_sock *l, struct sim_sock *k) {
  if (l->pending_n > l->backlog)
    list_push(&l->knocking, &k->link);
  else
    admit(l, k);
}

/* The SYN is there. */
static void on_arrival(struct deadline *d) {
  struct sim_sock *k = container_of(d, struct sim_sock, arrival), *l;
  int err = sim_listener_find(k->net, &k->remote, &l);
  if (l)
    knock(l, k);
  else if (err)
    connect_failed(k, err);
}

static int connect_begin(struct sim_sock *k, const struct sockaddr *a,
                         socklen_t len) {
  int r = sim_route(k, a, len);
  if (r < 0) return r;
  k->state = SIM_CONNECTING;
  uint64_t at = sim_wire_connect_ns(k);
  if (at != NEVER_NS) at += sim_delay_ns(k->net);
  sim_timer_set(k->net, &k->arrival, at);
  return -EINPROGRESS;
}

int sim_connect(struct sim_sock *k, const struct sockaddr *a, socklen_t len) {
  bool told = k->told;
  if (sim_is_dgram(k)) return sim_dgram_connect(k, a, len);
  switch (k->state) {
  case SIM_FRESH:
    return connect_begin(k, a, len);
  case SIM_LISTENING:
    return k->family == AF_UNIX ? -EINVAL : -EISCONN;
  case SIM_CONNECTING:
    return -EALREADY;
  case SIM_CONNECTED:
    k->told = true;
    return told ? -EISCONN : 0;
  case SIM_FAILED:
    k->state = SIM_FRESH;
    return k->error ? sim_error_take(k) : -ECONNABORTED;
  }
  return -EINVAL;
}

int sim_accept(struct sim_sock *k) {
  if (k->state != SIM_LISTENING || k->deaf) return -EINVAL;
  struct link *l = list_first(&k->pending);
  if (fault_point("accept")) return -EMFILE;
  if (!l) return -EAGAIN;
  struct sim_sock *child = container_of(l, struct sim_sock, link);
  int fd = sock_number(child);
  if (fd < 0) return fd; /* it stays where it is */
  link_unlink(l);
  k->pending_n--;
  struct link *next = list_pop(&k->knocking);
  if (next) admit(k, container_of(next, struct sim_sock, link));
  return fd;
}

/* -- closing -- */

static void close_listener(struct sim_sock *k) {
  struct link *l;
  while ((l = list_pop(&k->pending))) {
    struct sim_sock *child = container_of(l, struct sim_sock, link);
    if (child->peer) sim_hang_up(child->peer, true);
    sock_free(child);
  }
  while ((l = list_pop(&k->knocking)))
    connect_failed(container_of(l, struct sim_sock, link), ECONNREFUSED);
}

/* SO_LINGER of zero seconds breaks the connection, as socket(7) has it. */
static bool breaks_on_close(const struct sim_sock *k) {
  struct linger linger = {0};
  for (unsigned i = 0; i < k->option_n; i++)
    if (k->options[i].level == SOL_SOCKET && k->options[i].name == SO_LINGER)
      memcpy(&linger, k->options[i].value, sizeof linger);
  return k->in.len > 0 || (linger.l_onoff && linger.l_linger == 0);
}

void sim_close(struct sim_net *net, int fd) {
  struct sim_sock *k = sock_unnumber(net, fd);
  if (k->numbers) return;
  if (k->state == SIM_LISTENING) close_listener(k);
  if (sim_is_dgram(k))
    sim_dgram_close(k);
  else if (k->peer)
    sim_hang_up(k->peer, breaks_on_close(k));
  sim_sock_wake(k, POLLHUP);
  sock_free(k);
}
