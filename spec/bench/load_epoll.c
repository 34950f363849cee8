/* load_epoll.c - the load generator's engine for any kernel: epoll.
 *
 * Edge-triggered: one registration serves reading and writing. It is the only
 * engine for what opens and closes connections, and for a kernel that refuses
 * io_uring. See load.h.
 * SPDX-License-Identifier: MIT
 */
#include "load.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { EVENTS = 256 };

static int poller = -1;
static char chunk[CHUNK_MAX];

static int epoll_open(void) {
  poller = epoll_create1(EPOLL_CLOEXEC);
  return poller < 0 ? -errno : 0;
}

static int epoll_add(struct conn *c) {
  struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET,
                          .data.ptr = c};
  return epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e) < 0 ? -errno : 0;
}

/* EAGAIN needs no mark: the edge that reports room sends again. */
static void epoll_send(struct conn *c) {
  while (c->sent < c->asked) {
    ssize_t n = send(c->fd, conn_bytes(c, c->sent), c->asked - c->sent,
                     MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) {
      load_fail("connection %u: send: errno %d", c->id, errno);
      return;
    }
    c->sent += (uint64_t)n;
  }
}

/* Less than a full chunk: there was no more, and more comes with an edge. */
static void receive(struct conn *c) {
  ssize_t n;
  do {
    n = recv(c->fd, chunk, sizeof chunk, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (!conn_take(c, chunk, n < 0 ? -errno : (int)n)) return;
  } while (n == sizeof chunk);
}

static int epoll_turn(int timeout_ms) {
  struct epoll_event events[EVENTS];
  int n = epoll_wait(poller, events, EVENTS, timeout_ms);
  int error = errno;
  load_woke();
  if (n < 0) return error == EINTR ? 0 : -error;
  for (int i = 0; i < n; i++) {
    struct conn *c = events[i].data.ptr;
    if (c->fd < 0) continue;
    if (events[i].events & EPOLLOUT) epoll_send(c);
    if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(c);
  }
  return 0;
}

const struct engine engine_epoll = {
    .name = "epoll",
    .open = epoll_open,
    .add = epoll_add,
    .send = epoll_send,
    .turn = epoll_turn,
};
