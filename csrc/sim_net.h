/* sim_net.h - the simulated world: a clock, dice, and sockets in memory.
 *
 * A struct sim_net owns all three. It is deterministic: what happens follows
 * from the seed and from the order of the calls, never from addresses or real
 * time. Its descriptors are numbers from SIM_FD_BASE up, lowest free first;
 * smaller ones are real, and its calls hand them to sys_posix. It knows no
 * ops: who waits for a socket leaves a struct sim_waiter there.
 * sim_net.c: the world, connections. sim_name.c: names. sim_path.c: those that
 * are paths. sim_sock.c: bytes and options. sim_wire.c: what is on its way.
 * sim_dgram.c: datagrams. sim_pass.c: descriptors that go with them.
 * sim_group.c: to many.
 * sim_fault.c: what fails. sim_fs.h: files. sim_sys.c: all as a sys.h table.
 * Next: driver_sim.c, which uses it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_SIM_NET_H
#define PROA_SIM_NET_H

#include "address.h"
#include "heap.h"
#include "list.h"
#include "sys.h"

struct driver;
struct sim_fs;
struct sim_node;

enum {
  SIM_FD_BASE = 1 << 20,
  SIM_PORT_FIRST = 40000, /* of those given to who asks for any */
  SIM_PORT_LAST = 65535,
  SIM_OPTIONS_MAX = 12,
};

/* May be changed at any time. */
struct sim_knobs {
  unsigned chaos;          /* 0: at once, in order, in full; 1: the default;
                              more: everything that goes wrong, more often */
  uint64_t delay_max_ns;   /* of one step of an op, in virtual time */
  uint32_t buffer_bytes;   /* SO_SNDBUF and SO_RCVBUF of new sockets */
  uint32_t sockets_max;    /* open at once; beyond it, EMFILE */
  unsigned done_max;       /* completion queue: results of one wait */
  unsigned entries_max;    /* submission queue: ops between two waits */
  uint64_t latency_min_ns; /* of a packet, there */
  uint64_t latency_max_ns;
  uint32_t loss;   /* of 65536 packets */
  unsigned errors; /* an op fails once in so many times; 0: never */
  uint64_t end_ns; /* the time at which it is stuck, whatever goes on */
  bool files;      /* paths are those of the world (sim_fs.h), not real */
  bool alone;      /* nothing real will ever wake it: when nothing can
                           happen any more, it is stuck (driver.h) */
  bool trace;      /* every result to stderr */
};

struct sim_net;

/* Waits in a list of its socket; an event moves it to net->woken. */
struct sim_waiter {
  struct link link;
  short events; /* POLLIN, POLLOUT; trouble wakes every waiter */
  int fd;       /* of a real descriptor (sim_outside.h) */
};

/* Bytes on their way, in a ring that grows up to what its users allow. */
struct sim_queue {
  unsigned char *bytes;
  size_t cap, head, len;
};

/* On its way to a socket (sim_wire.c). */
enum sim_packet_kind {
  SIM_DATA,
  SIM_FIN,    /* nothing comes after it */
  SIM_CLOSED, /* the other end is gone */
  SIM_RESET,  /* ... and did not read all */
};

struct sim_packet {
  uint64_t at_ns; /* lands then */
  size_t len;     /* DATA: bytes of the receiver's queue */
  enum sim_packet_kind kind;
};

struct sim_option {
  int level, name;
  socklen_t len;
  unsigned char value[16];
};

enum sim_state {
  SIM_FRESH,      /* perhaps bound; may connect or listen */
  SIM_LISTENING,  /* has `pending`; stays so until it is closed */
  SIM_CONNECTING, /* on its way, or `knocking`; then CONNECTED or FAILED */
  SIM_CONNECTED,  /* stays so; peer NULL: the other end is closed */
  SIM_FAILED,     /* connect(2) tells why, once; then FRESH */
};

/* Descriptors that go with a message; a node of one list (sim_pass.c). */
struct sim_rights {
  struct link link; /* stream: in sim_sock.rights */
  uint64_t at;      /* stream: the byte that they came with */
  unsigned n;
  int fds[];
};

struct sim_sock {
  struct sim_net *net;
  unsigned numbers; /* that name it; 0: connected, but not accepted yet */
  int family;
  enum sim_state state;
  struct address local, remote; /* len 0: none */
  uint16_t port;                /* held in net->port_uses, or 0 */
  struct link bound;            /* in net->bound: has a name of its own */
  int path_fd;                  /* O_PATH, of its own path; or -1 */
  dev_t path_dev;               /* ... which file that is */
  ino_t path_ino;
  struct sim_node *path_node; /* the same, in the world's own files */
  unsigned mode;              /* that its path is made with */
  struct list waiters;        /* struct sim_waiter */
  int error;                  /* pending, as SO_ERROR; positive */

  /* LISTENING */
  struct list pending;  /* struct sim_sock.link: to be accepted */
  struct list knocking; /* struct sim_sock.link: found `pending` full */
  unsigned pending_n, backlog;
  bool deaf; /* was shut down */

  /* CONNECTING, and in its listener's `pending` */
  struct deadline arrival; /* of its SYN; set from birth to death */
  struct link link;
  bool told; /* connect(2) has returned 0 once */

  /* CONNECTED */
  struct sim_sock *peer; /* NULL: closed; `hung` says whether it is known */
  struct sim_queue in;
  size_t landed;             /* of `in`: the rest is on its way */
  struct sim_packet *flight; /* in order; the last bytes of `in` are theirs */
  unsigned flight_n, flight_cap;
  struct deadline landing; /* of the first; set from birth to death */
  size_t unheard;          /* bytes sent to a peer that is gone */
  bool hung;               /* knows that the peer is gone */
  bool eof;                /* nothing comes after `in` */
  bool in_shut;            /* shutdown(SHUT_RD) */
  bool out_shut;           /* shutdown(SHUT_WR) */
  bool reset;              /* the peer has broken the connection */
  uint64_t put, got;       /* bytes through `in` so far */
  struct list rights;      /* struct sim_rights, in order: with bytes in `in` */

  /* SOCK_DGRAM: FRESH for ever; connected when `remote` or `peer` is set */
  int type;
  struct list coming; /* struct gram: on their way */
  struct list grams;  /* struct gram: received, in order (sim_dgram.c) */
  size_t grams_bytes; /* ... their weight against rcvbuf */
  uint32_t drops;     /* found no room */
  struct list groups; /* that it has joined (sim_group.c) */

  uint32_t sndbuf, rcvbuf;
  unsigned option_n;
  struct sim_option options[SIM_OPTIONS_MAX];
};

struct sim_net {
  struct sys sys;
  struct sim_knobs knobs;
  uint64_t now_ns, dice;
  struct heap events;      /* struct deadline, NEVER_NS while idle */
  struct list woken;       /* struct sim_waiter: worth another try */
  struct list bound;       /* struct sim_sock.bound */
  struct sim_sock **socks; /* by fd - SIM_FD_BASE; NULL: free */
  uint32_t sock_cap, sock_n, free_from; /* below free_from none is free */
  uint16_t port_next;
  uint16_t *port_uses;    /* by port */
  struct sim_fs *fs;      /* its files, once asked for */
  struct list partitions; /* sim_wire.c */
  struct list rules;      /* sim_fault.c */
  bool ended;             /* end_ns has come */
  uint64_t failed;        /* results that were made to fail */
  uint64_t hash;          /* of all results, in order: two runs are the same */
  uint64_t results;       /* how many */
};

extern const struct sys_class sys_sim;

/* The world of a driver that driver_sim has opened. */
struct sim_net *sim_net_of(struct driver *d);

int sim_net_init(struct sim_net *net, uint64_t seed);
/* Closes every socket that is still open. */
void sim_net_deinit(struct sim_net *net);

/* -- dice -- */

uint64_t sim_random(struct sim_net *net);
/* True once in so many times; never without chaos. */
bool sim_chance(struct sim_net *net, unsigned once_in);
/* How long the next step takes; mostly short. */
uint64_t sim_delay_ns(struct sim_net *net);
/* 1 to n: how much of n is moved at once. */
size_t sim_part(struct sim_net *net, size_t n);

/* -- timers: in the heap from add to drop, so that setting never fails -- */

int sim_timer_add(struct sim_net *net, struct deadline *d);
void sim_timer_set(struct sim_net *net, struct deadline *d, uint64_t at_ns);
void sim_timer_drop(struct sim_net *net, struct deadline *d);
/* Fire one timer that is due; false: none is. */
bool sim_timer_fire(struct sim_net *net);

/* -- the wire -- */

int sim_wire_init(struct sim_sock *k);
void sim_wire_deinit(struct sim_sock *k);
/* Room for bytes to be sent to k; -ENOBUFS. */
int sim_wire_reserve(struct sim_sock *k);
/* To k; DATA: len bytes that were put into its queue, room was reserved. */
void sim_wire_send(struct sim_sock *k, enum sim_packet_kind kind, size_t len);
/* How long a packet takes; 0 unless the world has latency. */
uint64_t sim_wire_latency_ns(struct sim_net *net);
/* Does a datagram get lost between the two? */
bool sim_wire_drops(struct sim_sock *from, struct sim_sock *to);
/* When a connect that starts now is answered. */
uint64_t sim_wire_connect_ns(const struct sim_sock *k);
/* Nothing passes between this address and its peers until then. -ENOMEM. */
int sim_partition(struct sim_net *net, const struct address *a,
                  uint64_t until_ns);
/* End those of the address, or all (NULL). */
void sim_heal(struct sim_net *net, const struct address *a);

/* -- faults -- */

enum { SIM_OP_NAME_MAX = 24 };

/* 0, or the error that this op or call meets now; asked once for each. */
int sim_fault(struct sim_net *net, const char *op);
bool sim_fault_breaks(int err);
/* The nth from now on fails, and so many in all. -ENOMEM. */
int sim_rule_add(struct sim_net *net, const char *op, int err, unsigned nth,
                 unsigned times);
void sim_rules_clear(struct sim_net *net);

/* -- sockets -- */

static inline bool sim_owns_fd(int fd) {
  return fd >= SIM_FD_BASE;
}

/* The socket with this number, or NULL. */
struct sim_sock *sim_sock_find(const struct sim_net *net, int fd);

void sim_sock_wait(struct sim_sock *k, struct sim_waiter *w, short events);
void sim_sock_wake(struct sim_sock *k, short events);

int sim_socket(struct sim_net *net, int family, int type);
int sim_pair(struct sim_net *net, int type, int fds[2]);
int sim_bind(struct sim_sock *k, const struct sockaddr *a, socklen_t len);
int sim_listen(struct sim_sock *k, int backlog);
int sim_accept(struct sim_sock *k);
int sim_connect(struct sim_sock *k, const struct sockaddr *a, socklen_t len);
int sim_name(const struct sim_sock *k, bool peer, struct sockaddr *a,
             socklen_t *len);
/* Another number for it. */
int sim_dup(struct sim_sock *k);
/* Ends with its last number. */
void sim_close(struct sim_net *net, int fd);

/* The names at both ends of a connection to be. */
int sim_route(struct sim_sock *k, const struct sockaddr *a, socklen_t len);
/* Who answers at `to`; without one, the errno, or 0 for silence. */
int sim_listener_find(struct sim_net *net, const struct address *to,
                      struct sim_sock **l);
/* As sys.h has it. */
int sim_probe(struct sim_net *net, const struct sockaddr *a, socklen_t len);

/* Unix names that are paths: make the file of k->local; let go of it, which
 * leaves the file; who is bound to one, or the errno. */
int sim_path_make(struct sim_sock *k);
void sim_path_drop(struct sim_sock *k);
int sim_path_find(struct sim_net *net, const struct address *to,
                  struct sim_sock **found);
static inline bool sim_is_path(const struct address *a) {
  return address_family(a) == AF_UNIX && a->at.un.sun_path[0];
}

/* The same name in a family that has a form for it. */
struct address sim_name_in(const struct address *as, int family);

/* Who is bound to `to` and takes datagrams from k; NULL with 0: nobody, and
 * silence; or the errno. */
int sim_receiver_find(struct sim_sock *k, const struct address *to,
                      struct sim_sock **found);

/* k is one of those who receive what `from` sends to a group or to all. */
bool sim_hears(const struct sim_sock *k, const struct sim_sock *from,
               const struct address *to);

/* Give an unbound socket a name, as its first datagram needs one. */
int sim_bind_any(struct sim_sock *k);

/* -- datagrams, sim_dgram.c -- */

static inline bool sim_is_dgram(const struct sim_sock *k) {
  return k->type == SOCK_DGRAM;
}
int sim_dgram_connect(struct sim_sock *k, const struct sockaddr *a,
                      socklen_t len);
ssize_t sim_dgram_send(struct sim_sock *k, const struct msghdr *m);
ssize_t sim_dgram_recv(struct sim_sock *k, struct msghdr *m, int flags);
int sim_dgram_events(const struct sim_sock *k);
void sim_dgram_close(struct sim_sock *k);
/* Those on their way that are due. */
void sim_dgram_land(struct sim_sock *k);

/* -- to many, sim_group.c -- */

bool sim_is_group(const struct address *a);
bool sim_is_broadcast(const struct address *a);
/* MCAST_JOIN_GROUP or MCAST_LEAVE_GROUP. */
int sim_group_change(struct sim_sock *k, int name, const void *p,
                     socklen_t len);
void sim_group_clear(struct sim_sock *k);
/* True as well for a broadcast. */
bool sim_group_hears(const struct sim_sock *k, const struct address *to);
int sim_group_check(const struct sim_sock *k, const struct address *to);
bool sim_group_loops(const struct sim_sock *k, const struct address *to);

/* -- descriptors on their way, sim_pass.c -- */

/* Duplicates of those in a message that is sent; NULL: there are none. */
int sim_rights_take(struct sim_net *net, const struct msghdr *m,
                    struct sim_rights **taken);
/* Into the room of a message that is received; x, or NULL, is gone. */
void sim_rights_give(struct sim_net *net, struct sim_rights *x,
                     struct msghdr *m);
/* Close them; NULL is fine. */
void sim_rights_drop(struct sim_net *net, struct sim_rights *x);
/* k's from now on, with the byte at `at`. */
void sim_rights_add(struct sim_sock *k, struct sim_rights *x, uint64_t at);
/* How many of n bytes may be read together: they come one after another. */
size_t sim_rights_until(const struct sim_sock *k, size_t n);
/* The caller's: those whose byte has been read, or NULL. */
struct sim_rights *sim_rights_next(struct sim_sock *k);
void sim_rights_clear(struct sim_sock *k);

/* m, or NULL, has room for descriptors. */
ssize_t sim_recv(struct sim_sock *k, void *p, size_t n, int flags,
                 struct msghdr *m);
ssize_t sim_send(struct sim_sock *k, const struct msghdr *m);
int sim_shutdown(struct sim_sock *k, int how);
int sim_poll(const struct sim_sock *k, short events);
/* The other end is closed; `broken`: with bytes it never read. */
void sim_hang_up(struct sim_sock *k, bool broken);
/* The connection is no more, for either end. */
void sim_break(struct sim_sock *k);
/* The pending error, negative, and forget it. */
int sim_error_take(struct sim_sock *k);

int sim_getopt(struct sim_sock *k, int level, int name, void *p,
               socklen_t *len);
int sim_setopt(struct sim_sock *k, int level, int name, const void *p,
               socklen_t len);
/* An option's value as an integer, also when it was never set. */
int sim_option_int(const struct sim_sock *k, int level, int name);

#endif
