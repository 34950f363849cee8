/* sim_calls.h - the simulated network by its calls, without a driver.
 *
 * For its tests: a world without chaos, and short forms of the calls. A test
 * begins and ends one; end checks that it closed what it opened.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_SIM_CALLS_H
#define PROA_SIM_CALLS_H

#include <poll.h>
#include <stdlib.h>

#include "check.h"
#include "sim_net.h"

static struct sim_net net;
static struct sys *sys = &net.sys;
static const struct sys_class *call = &sys_sim;

static inline void begin(uint64_t seed) {
  if (sim_net_init(&net, seed) < 0) abort();
  net.knobs.chaos = 0;
}

/* Everything that was opened was closed. */
static inline void end(void) {
  CHECK_INT(net.sock_n, ==, 0);
  sim_net_deinit(&net);
}

/* Until nothing more is on its way. */
static inline void pass(void) {
  while (heap_next_ns(&net.events) != NEVER_NS) {
    net.now_ns = heap_next_ns(&net.events);
    sim_timer_fire(&net);
  }
}

static inline struct address at(const char *text) {
  struct address a;
  char host[256], service[32];
  const char *why;
  int r = address_parse(text, strlen(text), ADDRESS_LISTEN, &a, host, service,
                        &why);
  if (r != 0) abort();
  return a;
}

static inline int socket_for(const struct address *a) {
  return call->socket(sys, address_family(a), SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static inline int bind_to(int fd, const char *text) {
  struct address a = at(text);
  return call->bind(sys, fd, &a.at.any, a.len);
}

static inline int shut(int fd) {
  return call->close(sys, fd);
}

/* A listening socket, or -errno. */
static inline int listener(const char *text, int backlog) {
  struct address a = at(text);
  int fd = socket_for(&a);
  int r = call->bind(sys, fd, &a.at.any, a.len);
  if (r == 0) r = call->listen(sys, fd, backlog);
  if (r == 0) return fd;
  shut(fd);
  return r;
}

static inline const char *name(int fd, bool peer) {
  static char text[4][ADDRESS_TEXT_MAX];
  static int turn;
  struct address a = {.len = sizeof a.at};
  char *into = text[turn++ % 4];
  int r = call->name(sys, fd, peer, &a.at.any, &a.len);
  if (r < 0) return "(no name)";
  address_format(&a, into);
  return into;
}

static inline int connect_to(int fd, const char *text) {
  struct address a = at(text);
  return call->connect(sys, fd, &a.at.any, a.len);
}

/* Connects and waits: the socket, or -errno. */
static inline int dial(const char *text) {
  struct address a = at(text);
  int fd = socket_for(&a);
  int r = connect_to(fd, text);
  CHECK_INT(r, ==, -EINPROGRESS);
  CHECK_INT(connect_to(fd, text), ==, -EALREADY);
  pass();
  r = connect_to(fd, text);
  if (r == 0) return fd;
  shut(fd);
  return r;
}

static inline int send_text(int fd, const char *text) {
  return (int)call->send(sys, fd, text, strlen(text), 0);
}

/* What comes, as text; "-errno" when nothing does. */
static inline const char *recv_text(int fd) {
  static char text[100];
  int n = (int)call->recv(sys, fd, text, sizeof text - 1, 0);
  if (n < 0)
    snprintf(text, sizeof text, "%d", n);
  else
    text[n] = 0;
  return text;
}

static inline int events(int fd) {
  return call->poll(sys, fd, POLLIN | POLLOUT | POLLRDHUP);
}

static inline int option(int fd, int level, int what) {
  int value = -1;
  socklen_t len = sizeof value;
  int r = call->getopt(sys, fd, level, what, &value, &len);
  return r < 0 ? r : value;
}

static inline int set_option(int fd, int level, int what, int value) {
  return call->setopt(sys, fd, level, what, &value, sizeof value);
}

#endif
