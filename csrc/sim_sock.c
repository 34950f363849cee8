/* sim_sock.c - a simulated connection: its bytes, its end, its options.
 *
 * Semantics are those of TCP on Linux (tcp(7)), and of unix(7) where the two
 * differ: bytes arrive in order, in parts; a closed peer is met by reading to
 * the end of its bytes; one that left bytes unread broke the connection. See
 * sim_net.c for how a connection comes to be.
 *
 * SPDX-License-Identifier: MIT */
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sim_net.h"

enum {
  SNDBUF_MIN = 4608,
  RCVBUF_MIN = 2304,
  BUFFER_MAX = 4 << 20,
  QUEUE_MIN = 512,
};

/* -- the queue -- */

static int queue_reserve(struct sim_queue *q, size_t need) {
  if (need <= q->cap) return 0;
  size_t cap = q->cap ? q->cap : QUEUE_MIN;
  while (cap < need) cap *= 2;
  unsigned char *bytes = malloc(cap);
  if (!bytes) return -ENOBUFS;
  size_t first = min_size(q->len, q->cap - q->head);
  if (q->len) memcpy(bytes, q->bytes + q->head, first);
  if (q->len > first) memcpy(bytes + first, q->bytes, q->len - first);
  free(q->bytes);
  *q = (struct sim_queue){bytes, cap, 0, q->len};
  return 0;
}

/* There is room. */
static void queue_put(struct sim_queue *q, const unsigned char *p, size_t n) {
  assert(q->len + n <= q->cap);
  if (!n) return;
  size_t tail = (q->head + q->len) & (q->cap - 1);
  size_t first = min_size(n, q->cap - tail);
  memcpy(q->bytes + tail, p, first);
  memcpy(q->bytes, p + first, n - first);
  q->len += n;
}

static void queue_copy(const struct sim_queue *q, unsigned char *p, size_t n) {
  size_t first = min_size(n, q->cap - q->head);
  memcpy(p, q->bytes + q->head, first);
  memcpy(p + first, q->bytes, n - first);
}

/* An empty queue keeps no memory: thousands of them are idle. */
static void queue_drop(struct sim_queue *q, size_t n) {
  q->head = (q->head + n) & (q->cap - 1);
  q->len -= n;
  if (q->len || q->cap == QUEUE_MIN) return;
  free(q->bytes);
  *q = (struct sim_queue){0};
}

/* -- receiving -- */

int sim_error_take(struct sim_sock *k) {
  int err = k->error;
  k->error = 0;
  return -err;
}

static bool is_unix(const struct sim_sock *k) {
  return k->family == AF_UNIX;
}

/* What recv says when no bytes are queued. TCP that has seen the end goes on
 * saying so, whatever came later; a Unix socket tells its error first. */
static int recv_empty(struct sim_sock *k) {
  if (k->state == SIM_CONNECTING) return -EAGAIN;
  if (k->eof && !is_unix(k)) return 0;
  if (k->error) return sim_error_take(k);
  if (k->state != SIM_CONNECTED) return is_unix(k) ? -EINVAL : -ENOTCONN;
  return k->eof || k->in_shut || k->hung ? 0 : -EAGAIN;
}

static void take(struct sim_sock *k, size_t n, struct msghdr *m) {
  queue_drop(&k->in, n);
  k->landed -= n;
  k->got += n;
  sim_rights_give(k->net, sim_rights_next(k), m);
  if (k->peer) sim_sock_wake(k->peer, POLLOUT);
}

/* The room in m stays as it is when nothing was received: the next try. */
static ssize_t receive(struct sim_sock *k, void *p, size_t n, int flags,
                       struct msghdr *m) {
  if (!k->landed) return recv_empty(k);
  n = sim_rights_until(k, min_size(n, k->landed));
  if (!n) return 0;
  n = sim_part(k->net, n);
  queue_copy(&k->in, p, n);
  if (!(flags & MSG_PEEK)) take(k, n, m);
  return (ssize_t)n;
}

ssize_t sim_recv(struct sim_sock *k, void *p, size_t n, int flags,
                 struct msghdr *m) {
  struct msghdr none = {0};
  uint64_t got = k->got;
  if (!m) m = &none;
  ssize_t r = receive(k, p, n, flags, m);
  if (r >= 0 && k->got == got) m->msg_controllen = 0;
  return r;
}

/* -- sending -- */

static size_t room_at_peer(const struct sim_sock *k) {
  size_t cap = min_size(k->sndbuf, k->peer->rcvbuf);
  return k->peer->in.len < cap ? cap - k->peer->in.len : 0;
}

/* Bytes for a peer that is gone. As long as nobody knows, they fill the
 * buffer; then TCP takes them once, and only the answer to them tells. */
static ssize_t send_to_nobody(struct sim_sock *k, size_t n) {
  if (!k->hung) {
    n = min_size(n, k->sndbuf - min_size(k->sndbuf, k->unheard));
    k->unheard += n;
    return n ? (ssize_t)n : -EAGAIN;
  }
  if (is_unix(k) || k->reset || !sim_chance(k->net, 2)) return -EPIPE;
  k->reset = true;
  return (ssize_t)n;
}

/* An error, or 0: it may go on. */
static int send_check(struct sim_sock *k) {
  if (k->state == SIM_CONNECTING) return -EAGAIN;
  if (k->error) return sim_error_take(k);
  if (k->state != SIM_CONNECTED) return is_unix(k) ? -ENOTCONN : -EPIPE;
  if (k->out_shut) return -EPIPE;
  if (is_unix(k) && k->peer && k->peer->in_shut) return -EPIPE;
  return 0;
}

static size_t vec_len(const struct iovec *v, size_t count) {
  size_t n = 0;
  for (size_t i = 0; i < count; i++) n += v[i].iov_len;
  return n;
}

static ssize_t send_bytes(struct sim_sock *k, const struct iovec *v,
                          size_t count) {
  size_t n = vec_len(v, count);
  int r = send_check(k);
  if (r < 0) return r;
  if (!k->peer) return send_to_nobody(k, n);
  if (!n) return 0;
  size_t room = room_at_peer(k);
  if (!room) return -EAGAIN;
  n = sim_part(k->net, min_size(n, room));
  struct sim_queue *q = &k->peer->in;
  r = sim_wire_reserve(k->peer);
  if (r == 0) r = queue_reserve(q, q->len + n);
  if (r < 0) return r;
  for (size_t left = n; left > 0; v++) {
    size_t part = min_size(left, v->iov_len);
    queue_put(q, v->iov_base, part);
    left -= part;
  }
  k->peer->put += n;
  sim_wire_send(k->peer, SIM_DATA, n);
  return (ssize_t)n;
}

/* Descriptors go with the first byte, or not at all. */
ssize_t sim_send(struct sim_sock *k, const struct msghdr *m) {
  struct sim_rights *x = NULL;
  int r = is_unix(k) ? sim_rights_take(k->net, m, &x) : 0;
  if (r < 0) return r;
  struct sim_sock *to = k->peer;
  uint64_t at = to ? to->put : 0;
  ssize_t n = send_bytes(k, m->msg_iov, m->msg_iovlen);
  if (x && n > 0 && to)
    sim_rights_add(to, x, at);
  else
    sim_rights_drop(k->net, x);
  return n;
}

/* -- the end -- */

void sim_hang_up(struct sim_sock *k, bool broken) {
  k->peer = NULL;
  sim_wire_send(k, broken ? SIM_RESET : SIM_CLOSED, 0);
}

/* An op is about to tell k's user why. */
void sim_break(struct sim_sock *k) {
  if (k->state != SIM_CONNECTED) return;
  if (k->peer) sim_hang_up(k->peer, true);
  k->peer = NULL;
  k->landed = k->in.len = 0;
  sim_rights_clear(k);
  k->flight_n = 0;
  k->eof = k->reset = k->hung = true;
  sim_sock_wake(k, POLLHUP);
}

static int shutdown_listener(struct sim_sock *k, int how) {
  if (how == SHUT_WR) return is_unix(k) ? 0 : -ENOTCONN;
  k->deaf = true;
  sim_sock_wake(k, POLLHUP);
  return 0;
}

int sim_shutdown(struct sim_sock *k, int how) {
  if (sim_is_dgram(k)) return -ENOTCONN;
  if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return -EINVAL;
  if (k->state == SIM_LISTENING) return shutdown_listener(k, how);
  if (k->state != SIM_CONNECTED) return -ENOTCONN;
  if (k->reset && !is_unix(k)) return -ENOTCONN;
  bool shut = k->out_shut;
  if (how != SHUT_WR) k->in_shut = true;
  if (how != SHUT_RD) k->out_shut = true;
  if (k->peer && k->out_shut && !shut) sim_wire_send(k->peer, SIM_FIN, 0);
  if (k->peer && is_unix(k)) sim_sock_wake(k->peer, POLLHUP);
  sim_sock_wake(k, POLLHUP);
  return 0;
}

/* -- readiness -- */

/* May bytes be sent; the peer may be gone without our knowing it. */
static bool room(const struct sim_sock *k) {
  return k->peer ? room_at_peer(k) > 0 : k->unheard < k->sndbuf;
}

static int connected_events(const struct sim_sock *k) {
  int r = 0;
  bool no_more = k->eof || k->in_shut || k->hung;
  if (k->landed || no_more || k->error) r |= POLLIN;
  if (no_more) r |= POLLRDHUP;
  if (k->error) r |= POLLERR;
  if (k->reset || (no_more && k->out_shut)) r |= POLLHUP;
  if (k->hung || k->out_shut || room(k)) r |= POLLOUT;
  return r;
}

static int all_events(const struct sim_sock *k) {
  if (sim_is_dgram(k)) return sim_dgram_events(k);
  switch (k->state) {
  case SIM_FRESH:
    return POLLOUT | POLLHUP;
  case SIM_LISTENING:
    return k->deaf ? POLLIN | POLLHUP : list_empty(&k->pending) ? 0 : POLLIN;
  case SIM_CONNECTING:
    return 0;
  case SIM_CONNECTED:
    return connected_events(k);
  case SIM_FAILED:
    return POLLIN | POLLOUT | POLLERR | POLLHUP;
  }
  return 0;
}

int sim_poll(const struct sim_sock *k, short events) {
  return all_events(k) & (events | POLLERR | POLLHUP);
}

/* -- options -- */

static struct sim_option *option_find(const struct sim_sock *k, int level,
                                      int name) {
  for (unsigned i = 0; i < k->option_n; i++) {
    const struct sim_option *o = &k->options[i];
    if (o->level == level && o->name == name) return (struct sim_option *)o;
  }
  return NULL;
}

/* tcp(7), ip(7) and ipv6(7) tell what a fresh socket says. */
static int default_int(int level, int name) {
  if (level == IPPROTO_TCP) {
    switch (name) {
    case TCP_KEEPIDLE:
      return 7200;
    case TCP_KEEPINTVL:
      return 75;
    case TCP_KEEPCNT:
      return 9;
    }
  }
  if (level == IPPROTO_IP && name == IP_TTL) return 64;
  if (level == IPPROTO_IP)
    return name == IP_MULTICAST_TTL || name == IP_MULTICAST_LOOP;
  if (level == IPPROTO_IPV6 && name == IPV6_UNICAST_HOPS) return 64;
  if (level == IPPROTO_IPV6)
    return name == IPV6_MULTICAST_HOPS || name == IPV6_MULTICAST_LOOP;
  return level == SOL_SOCKET && name == SO_RCVLOWAT;
}

int sim_option_int(const struct sim_sock *k, int level, int name) {
  const struct sim_option *o = option_find(k, level, name);
  int value = default_int(level, name);
  if (o) memcpy(&value, o->value, min_size(sizeof value, o->len));
  return value;
}

/* The kernel doubles what it is given, and says so: socket(7). */
static uint32_t buffer_limit(const void *p, int min) {
  int asked;
  memcpy(&asked, p, sizeof asked);
  if (asked < min / 2) return (uint32_t)min;
  return asked > BUFFER_MAX / 2 ? BUFFER_MAX : (uint32_t)asked * 2;
}

static int set_buffer(struct sim_sock *k, int name, const void *p) {
  if (name == SO_SNDBUF)
    k->sndbuf = buffer_limit(p, SNDBUF_MIN);
  else
    k->rcvbuf = buffer_limit(p, RCVBUF_MIN);
  sim_sock_wake(k, POLLOUT);
  if (k->peer) sim_sock_wake(k->peer, POLLOUT);
  return 0;
}

static int level_check(const struct sim_sock *k, int level) {
  if (level == SOL_SOCKET) return 0;
  if (is_unix(k)) return -EOPNOTSUPP;
  bool known = level == IPPROTO_TCP || level == IPPROTO_IP ||
               (level == IPPROTO_IPV6 && k->family == AF_INET6);
  return known ? 0 : -EOPNOTSUPP;
}

static bool is_buffer(int level, int name) {
  return level == SOL_SOCKET && (name == SO_SNDBUF || name == SO_RCVBUF);
}

/* The kernel keeps these as a bit, and says 1 whatever was set. */
static bool is_flag(int level, int name) {
  if (level == IPPROTO_TCP)
    return name == TCP_NODELAY || name == TCP_CORK ||
           name == TCP_FASTOPEN_CONNECT;
  if (level == IPPROTO_IPV6) return name == IPV6_V6ONLY;
  return level == SOL_SOCKET && (name == SO_KEEPALIVE || name == SO_REUSEADDR ||
                                 name == SO_REUSEPORT || name == SO_BROADCAST);
}

static bool is_read_only(int level, int name) {
  return level == SOL_SOCKET &&
         (name == SO_ERROR || name == SO_TYPE || name == SO_DOMAIN ||
          name == SO_PROTOCOL || name == SO_ACCEPTCONN);
}

int sim_setopt(struct sim_sock *k, int level, int name, const void *p,
               socklen_t len) {
  int r = level_check(k, level), one = 1;
  if (r < 0) return r;
  if (len < sizeof(int)) return -EINVAL;
  if (is_read_only(level, name)) return -ENOPROTOOPT;
  bool group = level == IPPROTO_IP || level == IPPROTO_IPV6;
  if (group && (name == MCAST_JOIN_GROUP || name == MCAST_LEAVE_GROUP))
    return sim_group_change(k, name, p, len);
  if (is_buffer(level, name)) return set_buffer(k, name, p);
  bool v6only = level == IPPROTO_IPV6 && name == IPV6_V6ONLY;
  if (v6only && k->local.len) return -EINVAL;
  struct sim_option *o = option_find(k, level, name);
  if (len > sizeof o->value) return -EINVAL;
  if (!o && k->option_n == SIM_OPTIONS_MAX) return -ENOBUFS;
  if (!o) o = &k->options[k->option_n++];
  *o = (struct sim_option){.level = level, .name = name, .len = len};
  memcpy(o->value, p, len);
  if (is_flag(level, name) && sim_option_int(k, level, name))
    memcpy(o->value, &one, sizeof one);
  return 0;
}

/* What no one can set, or what is not simply what was set. */
static bool live_int(struct sim_sock *k, int name, int *value) {
  switch (name) {
  case SO_ERROR:
    *value = -sim_error_take(k);
    return true;
  case SO_TYPE:
    *value = k->type;
    return true;
  case SO_DOMAIN:
    *value = k->family;
    return true;
  case SO_PROTOCOL:
    *value = is_unix(k) ? 0 : sim_is_dgram(k) ? IPPROTO_UDP : IPPROTO_TCP;
    return true;
  case SO_ACCEPTCONN:
    *value = k->state == SIM_LISTENING;
    return true;
  case SO_SNDBUF:
    *value = (int)k->sndbuf;
    return true;
  case SO_RCVBUF:
    *value = (int)k->rcvbuf;
    return true;
  default:
    return false;
  }
}

static int get_struct(void *p, socklen_t *len, const void *from, size_t n) {
  *len = (socklen_t)min_size(*len, n);
  memcpy(p, from, *len);
  return 0;
}

/* The peer of a Unix socket is this process. */
static int get_credentials(const struct sim_sock *k, void *p, socklen_t *len) {
  struct ucred mine = {getpid(), getuid(), getgid()};
  struct ucred none = {0, (uid_t)-1, (gid_t)-1};
  bool known = is_unix(k) && (k->state == SIM_CONNECTED || k->peer);
  return get_struct(p, len, known ? &mine : &none, sizeof mine);
}

static int get_memory(const struct sim_sock *k, void *p, socklen_t *len) {
  uint32_t info[SK_MEMINFO_VARS] = {[SK_MEMINFO_DROPS] = k->drops};
  return get_struct(p, len, info, sizeof info);
}

int sim_getopt(struct sim_sock *k, int level, int name, void *p,
               socklen_t *len) {
  int r = level_check(k, level), value;
  if (r < 0) return r;
  if (level == SOL_SOCKET && name == SO_PEERCRED)
    return get_credentials(k, p, len);
  if (level == SOL_SOCKET && name == SO_MEMINFO) return get_memory(k, p, len);
  bool live = level == SOL_SOCKET && live_int(k, name, &value);
  const struct sim_option *o = live ? NULL : option_find(k, level, name);
  struct sim_option unset = {.len = sizeof(int)};
  if (!o) {
    if (!live) value = default_int(level, name);
    memcpy(unset.value, &value, sizeof value);
    if (level == SOL_SOCKET && name == SO_LINGER)
      unset.len = sizeof(struct linger);
    o = &unset;
  }
  *len = (socklen_t)min_size(*len, o->len);
  memcpy(p, o->value, *len);
  return 0;
}
