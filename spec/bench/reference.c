/*
 * reference - the floor: what an echo server costs in C on raw io_uring.
 *
 *   reference [port [buffers [bytes of each]]]      default 0 128 65536
 *
 * One thread, one system call a turn: multishot accept into direct
 * descriptors, multishot recv into provided buffers, the answer sent from
 * where it was received. What comes while a send is under way waits behind it
 * and goes out as one. It trusts its peer to read, bounds nothing, times
 * nothing out: a yardstick, no server. Used by run.lua.
 *
 * SPDX-License-Identifier: MIT
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "ring.h"

enum { ENTRIES = 4096, SLOTS = 65536, BATCH = 16, NONE = -1 };

/* user_data: what it is in the lowest byte, the slot above, then a buffer */
enum what { ACCEPT, RECV, SEND, GATHER, CLOSE };

/* Buffers that are sent together: what the kernel reads until it is done. */
struct gather {
  struct msghdr message;
  struct iovec piece[BATCH];
  int id[BATCH];
  struct gather *next; /* of the spare ones */
};

static struct conn {
  int first, last; /* received buffers that wait, NONE: no one */
  bool reading;    /* a recv is armed */
  bool sending;
  bool starved;      /* no buffer was free: to be armed again */
  struct gather *of; /* the send under way, if it gathers */
} conns[SLOTS];

static struct io_uring ring;
static struct buffers buffers;
static int *next_of, *length_of; /* of a buffer */
static struct gather *spare;
static int listener;
static unsigned starved_n;

static void check(int r, const char *what) {
  if (r >= 0) return;
  fprintf(stderr, "reference: %s: %s\n", what, strerror(-r));
  exit(1);
}

static void label(struct io_uring_sqe *sqe, enum what what, unsigned slot,
                  unsigned id) {
  sqe->user_data = what | (uint64_t)slot << 8 | (uint64_t)id << 32;
}

static void arm_accept(void) {
  struct io_uring_sqe *sqe = ring_entry(&ring);
  io_uring_prep_multishot_accept_direct(sqe, listener, NULL, NULL, 0);
  label(sqe, ACCEPT, 0, 0);
}

static void arm_recv(unsigned slot) {
  struct io_uring_sqe *sqe = ring_entry(&ring);
  io_uring_prep_recv_multishot(sqe, (int)slot, NULL, 0, 0);
  sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
  label(sqe, RECV, slot, 0);
  conns[slot].reading = true;
}

static void send_one(unsigned slot, unsigned id) {
  struct io_uring_sqe *sqe = ring_entry(&ring);
  io_uring_prep_send(sqe, (int)slot, buffers_at(&buffers, id),
                     (size_t)length_of[id], MSG_WAITALL | MSG_NOSIGNAL);
  sqe->flags |= IOSQE_FIXED_FILE;
  label(sqe, SEND, slot, id);
}

static struct gather *gather_new(void) {
  struct gather *g = spare;
  if (g) spare = g->next;
  if (!g) g = malloc(sizeof *g);
  check(g ? 0 : -ENOMEM, "gather");
  return g;
}

static void send_many(struct conn *c, unsigned slot) {
  struct gather *g = c->of = gather_new();
  size_t n = 0;
  for (int id = c->first; id != NONE && n < BATCH; id = next_of[id], n++) {
    g->id[n] = id;
    g->piece[n] = (struct iovec){buffers_at(&buffers, (unsigned)id),
                                 (size_t)length_of[id]};
  }
  c->first = next_of[g->id[n - 1]];
  g->message = (struct msghdr){.msg_iov = g->piece, .msg_iovlen = n};
  struct io_uring_sqe *sqe = ring_entry(&ring);
  io_uring_prep_sendmsg(sqe, (int)slot, &g->message,
                        MSG_WAITALL | MSG_NOSIGNAL);
  sqe->flags |= IOSQE_FIXED_FILE;
  label(sqe, GATHER, slot, 0);
}

/* Whatever waits goes out now. */
static void send_next(struct conn *c, unsigned slot) {
  int id = c->first;
  c->sending = id != NONE;
  if (!c->sending) return;
  if (next_of[id] != NONE) {
    send_many(c, slot);
    return;
  }
  c->first = NONE;
  send_one(slot, (unsigned)id);
}

/* Nothing is armed and nothing under way: the slot may be used again. */
static void close_if_over(struct conn *c, unsigned slot) {
  if (c->reading || c->sending || c->starved) return;
  struct io_uring_sqe *sqe = ring_entry(&ring);
  io_uring_prep_close_direct(sqe, slot);
  label(sqe, CLOSE, slot, 0);
}

static void accepted(const struct io_uring_cqe *cqe) {
  if (cqe->res >= 0) {
    conns[cqe->res] = (struct conn){.first = NONE, .last = NONE};
    arm_recv((unsigned)cqe->res);
  }
  if (!(cqe->flags & IORING_CQE_F_MORE)) arm_accept();
}

static void received(struct conn *c, unsigned slot,
                     const struct io_uring_cqe *cqe) {
  c->reading = cqe->flags & IORING_CQE_F_MORE;
  if (cqe->res == -ENOBUFS) {
    c->starved = true;
    starved_n++;
  } else if (cqe->res > 0) {
    int id = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    length_of[id] = cqe->res;
    next_of[id] = NONE;
    if (c->first == NONE)
      c->first = id;
    else
      next_of[c->last] = id;
    c->last = id;
    if (!c->sending) send_next(c, slot);
    if (!c->reading) arm_recv(slot);
  } else {
    close_if_over(c, slot);
  }
}

static void give_back(struct conn *c, enum what what, unsigned id) {
  if (what == SEND) {
    buffers_give(&buffers, id);
    return;
  }
  for (size_t i = 0; i < c->of->message.msg_iovlen; i++)
    buffers_give(&buffers, (unsigned)c->of->id[i]);
  c->of->next = spare;
  spare = c->of;
}

/* A peer that is gone says so to the recv as well; what waits is dropped. */
static void sent(struct conn *c, unsigned slot, const struct io_uring_cqe *cqe,
                 enum what what) {
  give_back(c, what, (unsigned)(cqe->user_data >> 32));
  while (cqe->res < 0 && c->first != NONE) {
    buffers_give(&buffers, (unsigned)c->first);
    c->first = next_of[c->first];
  }
  send_next(c, slot);
  close_if_over(c, slot);
}

static void completed(const struct io_uring_cqe *cqe) {
  enum what what = (enum what)(cqe->user_data & 0xff);
  unsigned slot = (unsigned)(cqe->user_data >> 8) & 0xffffff;
  if (what == ACCEPT) accepted(cqe);
  if (what == RECV) received(&conns[slot], slot, cqe);
  if (what == SEND || what == GATHER) sent(&conns[slot], slot, cqe, what);
}

static void feed_starved(void) {
  for (unsigned slot = 0; slot < SLOTS && starved_n > 0; slot++) {
    if (!conns[slot].starved) continue;
    conns[slot].starved = false;
    starved_n--;
    arm_recv(slot);
  }
}

static void serve(void) {
  for (;;) {
    struct io_uring_cqe *cqe;
    unsigned head, n = 0;
    int r = io_uring_submit_and_wait(&ring, 1);
    if (r != -EINTR) check(r, "io_uring_enter");
    io_uring_for_each_cqe(&ring, head, cqe) {
      completed(cqe);
      n++;
    }
    io_uring_cq_advance(&ring, n);
    if (buffers_flush(&buffers) && starved_n > 0) feed_starved();
  }
}

static void listen_on(uint16_t port) {
  struct sockaddr_in at = {.sin_family = AF_INET,
                           .sin_port = htons(port),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t n = sizeof at;
  int one = 1;
  listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  check(listener < 0 ? -errno : 0, "socket");
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  int r = bind(listener, (struct sockaddr *)&at, n);
  check(r < 0 ? -errno : 0, "bind");
  check(listen(listener, 4096) < 0 ? -errno : 0, "listen");
  getsockname(listener, (struct sockaddr *)&at, &n);
  printf("listening on 127.0.0.1:%u\n", ntohs(at.sin_port));
  fflush(stdout);
}

static unsigned number(int argc, char **argv, int i, unsigned otherwise) {
  return argc > i ? (unsigned)strtoul(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv) {
  unsigned count = number(argc, argv, 2, 128);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files); /* as many slots as it allows */
  unsigned slots = files.rlim_cur < SLOTS ? (unsigned)files.rlim_cur : SLOTS;
  next_of = calloc(count, sizeof *next_of);
  length_of = calloc(count, sizeof *length_of);
  check(next_of && length_of ? 0 : -ENOMEM, "buffers");
  check(ring_open(&ring, ENTRIES), "io_uring_setup");
  check(io_uring_register_files_sparse(&ring, slots), "direct descriptors");
  check(buffers_open(&buffers, &ring, count, number(argc, argv, 3, 65536)),
        "buffers");
  listen_on((uint16_t)number(argc, argv, 1, 0));
  arm_accept();
  serve();
}
