/* sim_net_test.c - the simulated network by its calls, without a driver.
 *
 * What it must have in common with tcp(7) and unix(7): names, connections,
 * bytes, ends, readiness, options. Chaos is off unless a test turns it on.
 *
 * SPDX-License-Identifier: MIT */
#include "sim_net.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/uio.h>

#include "check.h"
#include "fault.h"

static struct sim_net net;
static struct sys *sys = &net.sys;
static const struct sys_class *call = &sys_sim;
static unsigned char big[1 << 20];

static void begin(uint64_t seed) {
  if (sim_net_init(&net, seed) < 0) abort();
  net.knobs.chaos = 0;
}

/* Everything that was opened was closed. */
static void end(void) {
  CHECK_INT(net.sock_n, ==, 0);
  sim_net_deinit(&net);
}

/* Until nothing more is on its way. */
static void pass(void) {
  while (heap_next_ns(&net.events) != NEVER_NS) {
    net.now_ns = heap_next_ns(&net.events);
    sim_timer_fire(&net);
  }
}

static struct address at(const char *text) {
  struct address a;
  char host[256], service[32];
  const char *why;
  int r = address_parse(text, strlen(text), ADDRESS_LISTEN, &a, host, service,
                        &why);
  if (r != 0) abort();
  return a;
}

static int socket_for(const struct address *a) {
  return call->socket(sys, address_family(a), SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int bind_to(int fd, const char *text) {
  struct address a = at(text);
  return call->bind(sys, fd, &a.at.any, a.len);
}

static int shut(int fd) {
  return call->close(sys, fd);
}

/* A listening socket, or -errno. */
static int listener(const char *text, int backlog) {
  struct address a = at(text);
  int fd = socket_for(&a);
  int r = call->bind(sys, fd, &a.at.any, a.len);
  if (r == 0) r = call->listen(sys, fd, backlog);
  if (r == 0) return fd;
  shut(fd);
  return r;
}

static const char *name(int fd, bool peer) {
  static char text[4][ADDRESS_TEXT_MAX];
  static int turn;
  struct address a = {.len = sizeof a.at};
  char *into = text[turn++ % 4];
  int r = call->name(sys, fd, peer, &a.at.any, &a.len);
  if (r < 0) return "(no name)";
  address_format(&a, into);
  return into;
}

static int connect_to(int fd, const char *text) {
  struct address a = at(text);
  return call->connect(sys, fd, &a.at.any, a.len);
}

/* Connects and waits: the socket, or -errno. */
static int dial(const char *text) {
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

static int send_text(int fd, const char *text) {
  return (int)call->send(sys, fd, text, strlen(text), 0);
}

/* What comes, as text; "-errno" when nothing does. */
static const char *recv_text(int fd) {
  static char text[100];
  int n = (int)call->recv(sys, fd, text, sizeof text - 1, 0);
  if (n < 0)
    snprintf(text, sizeof text, "%d", n);
  else
    text[n] = 0;
  return text;
}

static int events(int fd) {
  return call->poll(sys, fd, POLLIN | POLLOUT | POLLRDHUP);
}

static int option(int fd, int level, int what) {
  int value = -1;
  socklen_t len = sizeof value;
  int r = call->getopt(sys, fd, level, what, &value, &len);
  return r < 0 ? r : value;
}

static int set_option(int fd, int level, int what, int value) {
  return call->setopt(sys, fd, level, what, &value, sizeof value);
}

/* -- names -- */

TEST("a connection has the names of both ends") {
  begin(1);
  int l = listener("127.0.0.1:0", 5);
  CHECK_STRING(name(l, false), "127.0.0.1:40000");
  int c = dial("127.0.0.1:40000");
  int s = call->accept(sys, l);
  CHECK_STRING(name(c, false), "127.0.0.1:40001");
  CHECK_STRING(name(c, true), "127.0.0.1:40000");
  CHECK_STRING(name(s, false), "127.0.0.1:40000");
  CHECK_STRING(name(s, true), "127.0.0.1:40001");
  CHECK_STRING(name(l, true), "(no name)");
  shut(l), shut(c), shut(s);
  end();
}

TEST("a listener on :: takes IPv4 too, unless it is told not to") {
  begin(1);
  int l = listener(":80", 5);
  int c = dial("127.0.0.1:80");
  int s = call->accept(sys, l);
  REQUIRE(c >= 0 && s >= 0);
  struct address a = {.len = sizeof a.at};
  CHECK_INT(call->name(sys, s, true, &a.at.any, &a.len), ==, 0);
  CHECK_INT(address_family(&a), ==, AF_INET6);
  CHECK(IN6_IS_ADDR_V4MAPPED(&a.at.in6.sin6_addr));
  CHECK_STRING(name(s, false), "127.0.0.1:80");
  int c6 = dial("[::1]:80");
  REQUIRE(c6 >= 0);
  CHECK_STRING(name(c6, true), "[::1]:80");
  CHECK_INT(set_option(l, IPPROTO_IPV6, IPV6_V6ONLY, 1), ==, -EINVAL);
  shut(l), shut(c), shut(s), shut(c6);
  l = call->socket(sys, AF_INET6, SOCK_STREAM, 0);
  CHECK_INT(set_option(l, IPPROTO_IPV6, IPV6_V6ONLY, 1), ==, 0);
  CHECK_INT(bind_to(l, ":80"), ==, 0);
  CHECK_INT(call->listen(sys, l, 1), ==, 0);
  CHECK_INT(dial("127.0.0.1:80"), ==, -ECONNREFUSED);
  int v4 = listener("0.0.0.0:80", 1); /* there is room for it */
  CHECK_INT(v4, >=, 0);
  shut(l), shut(v4);
  end();
}

TEST("connecting to the wildcard is connecting to loopback") {
  begin(1);
  int l = listener("127.0.0.1:80", 5);
  int c = dial("0.0.0.0:80");
  REQUIRE(c >= 0);
  CHECK_STRING(name(c, true), "127.0.0.1:80");
  shut(l), shut(c);
  end();
}

TEST("a Unix socket has a name without a file, or an abstract one") {
  static const char *const names[] = {"unix:/no/such/dir/x", "unix:@x"};
  for (size_t i = 0; i < countof(names); i++) {
    begin(1);
    int l = listener(names[i], 5);
    REQUIRE(l >= 0);
    int c = dial(names[i]);
    int s = call->accept(sys, l);
    CHECK_STRING(name(l, false), names[i]);
    CHECK_STRING(name(c, true), names[i]);
    CHECK_STRING(name(s, false), names[i]);
    CHECK_STRING(name(c, false), "unix:");
    CHECK_STRING(name(s, true), "unix:");
    CHECK_INT(listener(names[i], 5), ==, -EADDRINUSE);
    shut(l);
    l = listener(names[i], 5); /* free again at once */
    CHECK_INT(l, >=, 0);
    shut(l), shut(c), shut(s);
    end();
  }
}

TEST("a name is taken while its socket is open") {
  begin(1);
  int l = listener("127.0.0.1:80", 5);
  CHECK_INT(listener("127.0.0.1:80", 5), ==, -EADDRINUSE);
  CHECK_INT(listener("0.0.0.0:80", 5), ==, -EADDRINUSE);
  CHECK_INT(listener(":80", 5), ==, -EADDRINUSE);
  int other = listener("127.0.0.2:80", 5); /* another address */
  int v6 = listener("[::1]:80", 5);
  CHECK_INT(other, >=, 0);
  CHECK_INT(v6, >=, 0);
  int c = dial("127.0.0.1:80"), s = call->accept(sys, l);
  shut(l);
  l = listener("127.0.0.1:80", 5); /* connections do not keep it */
  CHECK_INT(l, >=, 0);
  shut(l), shut(other), shut(v6), shut(c), shut(s);
  end();
}

TEST("SO_REUSEADDR shares a name until one listens, SO_REUSEPORT beyond") {
  static const int options[] = {SO_REUSEADDR, SO_REUSEPORT};
  for (int i = 0; i < 2; i++) {
    begin(1);
    struct address a = at("127.0.0.1:80");
    int x = socket_for(&a), y = socket_for(&a);
    set_option(x, SOL_SOCKET, options[i], 1);
    set_option(y, SOL_SOCKET, options[i], 1);
    CHECK_INT(bind_to(x, "127.0.0.1:80"), ==, 0);
    CHECK_INT(bind_to(y, "127.0.0.1:80"), ==, 0);
    CHECK_INT(call->listen(sys, x, 1), ==, 0);
    CHECK_INT(call->listen(sys, y, 1), ==, i ? 0 : -EADDRINUSE);
    shut(x), shut(y);
    end();
  }
}

TEST("listening without a name takes one; a Unix socket needs it") {
  begin(1);
  int l = call->socket(sys, AF_INET6, SOCK_STREAM, 0);
  CHECK_INT(call->listen(sys, l, 1), ==, 0);
  CHECK_STRING(name(l, false), "[::]:40000");
  CHECK_INT(connect_to(l, "[::1]:40000"), ==, -EISCONN);
  CHECK_INT(call->listen(sys, l, 2), ==, 0); /* another backlog */
  shut(l);
  l = call->socket(sys, AF_UNIX, SOCK_STREAM, 0);
  CHECK_INT(call->listen(sys, l, 1), ==, -EINVAL);
  shut(l);
  end();
}

TEST("an address that is not ours cannot be bound") {
  begin(1);
  CHECK_INT(listener("192.0.2.1:80", 1), ==, -EADDRNOTAVAIL);
  CHECK_INT(listener("8.8.8.8:80", 1), ==, -EADDRNOTAVAIL);
  struct address a = at("[::1]:80");
  int fd = call->socket(sys, AF_INET, SOCK_STREAM, 0);
  CHECK_INT(call->bind(sys, fd, &a.at.any, a.len), ==, -EAFNOSUPPORT);
  CHECK_INT(call->bind(sys, fd, &a.at.any, 1), ==, -EINVAL);
  shut(fd);
  fd = call->socket(sys, AF_INET6, SOCK_STREAM, 0);
  CHECK_INT(bind_to(fd, ":80"), ==, 0);
  CHECK_INT(bind_to(fd, ":81"), ==, -EINVAL); /* it has a name */
  shut(fd);
  end();
}

TEST("only stream sockets of three families are simulated") {
  begin(1);
  CHECK_INT(call->socket(sys, AF_INET, SOCK_DGRAM, 0), ==, -ESOCKTNOSUPPORT);
  CHECK_INT(call->socket(sys, AF_NETLINK, SOCK_STREAM, 0), ==, -EAFNOSUPPORT);
  end();
}

/* -- connections -- */

TEST("nobody listening refuses, a missing path does not exist") {
  begin(1);
  CHECK_INT(dial("127.0.0.1:80"), ==, -ECONNREFUSED);
  CHECK_INT(dial("[::1]:80"), ==, -ECONNREFUSED);
  CHECK_INT(dial("unix:@nobody"), ==, -ECONNREFUSED);
  CHECK_INT(dial("unix:/nobody"), ==, -ENOENT);
  CHECK_INT(dial("8.8.8.8:80"), ==, -ENETUNREACH);
  struct address a = at("127.0.0.1:80");
  int bound = socket_for(&a); /* bound is not listening */
  bind_to(bound, "127.0.0.1:80");
  CHECK_INT(dial("127.0.0.1:80"), ==, -ECONNREFUSED);
  shut(bound);
  bound = call->socket(sys, AF_UNIX, SOCK_STREAM, 0);
  bind_to(bound, "unix:/bound");
  CHECK_INT(dial("unix:/bound"), ==, -ECONNREFUSED);
  shut(bound);
  end();
}

TEST("a refused socket tells why once and may try again") {
  begin(1);
  struct address a = at("127.0.0.1:80");
  int fd = socket_for(&a);
  CHECK_INT(connect_to(fd, "127.0.0.1:80"), ==, -EINPROGRESS);
  CHECK_INT(events(fd), ==, 0);
  pass();
  CHECK_INT(events(fd), &, POLLERR);
  CHECK_INT(events(fd), &, POLLOUT);
  CHECK_INT(option(fd, SOL_SOCKET, SO_ERROR), ==, ECONNREFUSED);
  CHECK_INT(option(fd, SOL_SOCKET, SO_ERROR), ==, 0);
  CHECK_INT(connect_to(fd, "127.0.0.1:80"), ==, -ECONNABORTED);
  int l = listener("127.0.0.1:80", 1);
  CHECK_INT(connect_to(fd, "127.0.0.1:80"), ==, -EINPROGRESS);
  pass();
  CHECK_INT(connect_to(fd, "127.0.0.1:80"), ==, 0);
  CHECK_INT(connect_to(fd, "127.0.0.1:80"), ==, -EISCONN);
  shut(fd), shut(l);
  end();
}

TEST("the documentation networks never answer") {
  begin(1);
  struct address a = at("192.0.2.7:80"), b = at("[2001:db8::7]:80");
  int v4 = socket_for(&a), v6 = socket_for(&b);
  CHECK_INT(connect_to(v4, "192.0.2.7:80"), ==, -EINPROGRESS);
  CHECK_INT(connect_to(v6, "[2001:db8::7]:80"), ==, -EINPROGRESS);
  pass();
  CHECK_INT(connect_to(v4, "192.0.2.7:80"), ==, -EALREADY);
  CHECK_INT(connect_to(v6, "[2001:db8::7]:80"), ==, -EALREADY);
  shut(v4), shut(v6);
  end();
}

TEST("connections are accepted in the order in which they came") {
  begin(1);
  int l = listener("127.0.0.1:80", 10), c[5];
  CHECK_INT(call->accept(sys, l), ==, -EAGAIN);
  CHECK_INT(events(l), ==, 0);
  for (int i = 0; i < 5; i++) c[i] = dial("127.0.0.1:80");
  CHECK_INT(events(l), ==, POLLIN);
  for (int i = 0; i < 5; i++) {
    int s = call->accept(sys, l);
    CHECK_STRING(name(s, true), name(c[i], false));
    shut(s), shut(c[i]);
  }
  CHECK_INT(call->accept(sys, l), ==, -EAGAIN);
  CHECK_INT(call->accept(sys, c[0]), ==, -EBADF);
  shut(l);
  end();
}

TEST("a full backlog lets connections wait until one is accepted") {
  begin(1);
  int l = listener("127.0.0.1:80", 1), c[5];
  struct address a = at("127.0.0.1:80");
  for (int i = 0; i < 5; i++) {
    c[i] = socket_for(&a);
    connect_to(c[i], "127.0.0.1:80");
    pass();
  }
  for (int i = 0; i < 5; i++)
    CHECK_INT(connect_to(c[i], "127.0.0.1:80"), ==, i < 2 ? 0 : -EALREADY);
  shut(c[4]); /* it went away without having been heard */
  for (int i = 0; i < 4; i++) {
    int s = call->accept(sys, l);
    CHECK_STRING(name(s, true), name(c[i], false));
    CHECK_INT(connect_to(c[i], "127.0.0.1:80"), ==, i < 2 ? -EISCONN : 0);
    shut(s), shut(c[i]);
  }
  CHECK_INT(call->accept(sys, l), ==, -EAGAIN);
  shut(l);
  end();
}

TEST("a listener that closes resets who was not accepted") {
  begin(1);
  int l = listener("127.0.0.1:80", 0), c = dial("127.0.0.1:80");
  struct address a = at("127.0.0.1:80");
  int knocking = socket_for(&a);
  connect_to(knocking, "127.0.0.1:80");
  pass();
  shut(l);
  char byte;
  CHECK_INT(call->recv(sys, c, &byte, 1, 0), ==, -ECONNRESET);
  CHECK_INT(connect_to(knocking, "127.0.0.1:80"), ==, -ECONNREFUSED);
  shut(c), shut(knocking);
  end();
}

TEST("a listener that was shut down is deaf") {
  begin(1);
  int l = listener("127.0.0.1:80", 5);
  CHECK_INT(call->shutdown(sys, l, SHUT_RDWR), ==, 0);
  CHECK_INT(call->accept(sys, l), ==, -EINVAL);
  CHECK_INT(dial("127.0.0.1:80"), ==, -ECONNREFUSED);
  shut(l);
  end();
}

/* -- descriptors -- */

TEST("the lowest free descriptor is given") {
  begin(1);
  int fds[6];
  for (int i = 0; i < 3; i++) call->pair(sys, SOCK_STREAM, fds + 2 * i);
  for (int i = 0; i < 6; i++) CHECK_INT(fds[i], ==, SIM_FD_BASE + i);
  shut(fds[4]), shut(fds[1]), shut(fds[3]);
  CHECK_INT(call->socket(sys, AF_UNIX, SOCK_STREAM, 0), ==, fds[1]);
  CHECK_INT(call->socket(sys, AF_UNIX, SOCK_STREAM, 0), ==, fds[3]);
  CHECK_INT(call->socket(sys, AF_UNIX, SOCK_STREAM, 0), ==, fds[4]);
  CHECK_INT(call->socket(sys, AF_UNIX, SOCK_STREAM, 0), ==, SIM_FD_BASE + 6);
  for (int i = 0; i < 7; i++) CHECK_INT(shut(SIM_FD_BASE + i), ==, 0);
  CHECK_INT(shut(fds[0]), ==, -EBADF);
  end();
}

TEST("with too many open, a connection stays to be accepted") {
  begin(1);
  int l = listener("127.0.0.1:80", 5), c = dial("127.0.0.1:80"), fds[2];
  net.knobs.sockets_max = 3;
  CHECK_INT(call->pair(sys, SOCK_STREAM, fds), ==, -EMFILE);
  CHECK_INT(net.sock_n, ==, 2);
  net.knobs.sockets_max = 2;
  CHECK_INT(call->accept(sys, l), ==, -EMFILE);
  net.knobs.sockets_max = 3;
  int s = call->accept(sys, l);
  CHECK_STRING(name(s, true), name(c, false));
  shut(l), shut(c), shut(s);
  end();
}

TEST("what was left open is closed with the world") {
  begin(1);
  int fds[2];
  call->pair(sys, SOCK_STREAM, fds);
  listener("127.0.0.1:80", 5);
  dial("127.0.0.1:80");
  sim_net_deinit(&net);
  CHECK_INT(net.sock_n, ==, 0);
}

/* -- bytes -- */

static int ends[2];

static void begin_tcp(void) {
  begin(1);
  int l = listener("127.0.0.1:80", 5);
  ends[0] = dial("127.0.0.1:80");
  ends[1] = call->accept(sys, l);
  shut(l);
}

static void begin_unix(void) {
  begin(1);
  call->pair(sys, SOCK_STREAM, ends);
}

static void end_both(void) {
  shut(ends[0]), shut(ends[1]);
  end();
}

TEST("bytes arrive in both directions") {
  begin_tcp();
  CHECK_STRING(recv_text(ends[1]), "-11"); /* EAGAIN */
  CHECK_INT(send_text(ends[0], "hello "), ==, 6);
  CHECK_INT(send_text(ends[0], "world"), ==, 5);
  CHECK_INT(send_text(ends[1], "back"), ==, 4);
  CHECK_STRING(recv_text(ends[1]), "hello world");
  CHECK_STRING(recv_text(ends[0]), "back");
  end_both();
}

TEST("a vector of parts arrives as one, peeking leaves it") {
  begin_unix();
  struct iovec v[3] = {{"one ", 4}, {NULL, 0}, {"two", 3}};
  struct msghdr m = {.msg_iov = v, .msg_iovlen = 3};
  char peeked[20] = "";
  CHECK_INT(call->sendmsg(sys, ends[0], &m, 0), ==, 7);
  CHECK_INT(call->recv(sys, ends[1], peeked, 3, MSG_PEEK), ==, 3);
  CHECK_STRING(peeked, "one");
  CHECK_STRING(recv_text(ends[1]), "one two");
  end_both();
}

TEST("a direction holds 64 KiB, and room makes it writable again") {
  begin_tcp();
  size_t sent = 0;
  ssize_t n;
  while ((n = call->send(sys, ends[0], big, 10000, 0)) > 0) sent += (size_t)n;
  CHECK_INT(n, ==, -EAGAIN);
  CHECK_INT(sent, ==, 65536);
  CHECK_INT(events(ends[0]), ==, 0);
  CHECK_INT(events(ends[1]), ==, POLLIN | POLLOUT);
  CHECK_INT(call->recv(sys, ends[1], big, 100, 0), ==, 100);
  CHECK_INT(events(ends[0]), ==, POLLOUT);
  CHECK_INT(call->send(sys, ends[0], big, 10000, 0), ==, 100);
  while (call->recv(sys, ends[1], big, sizeof big, 0) > 0) continue;
  end_both();
}

TEST("SO_SNDBUF and SO_RCVBUF bound it, doubled as Linux does") {
  begin_unix();
  CHECK_INT(set_option(ends[0], SOL_SOCKET, SO_SNDBUF, 5000), ==, 0);
  CHECK_INT(option(ends[0], SOL_SOCKET, SO_SNDBUF), ==, 10000);
  CHECK_INT(call->send(sys, ends[0], big, 65536, 0), ==, 10000);
  set_option(ends[0], SOL_SOCKET, SO_SNDBUF, 1 << 30);
  set_option(ends[1], SOL_SOCKET, SO_RCVBUF, 10000);
  CHECK_INT(call->send(sys, ends[0], big, 65536, 0), ==, 10000);
  set_option(ends[1], SOL_SOCKET, SO_RCVBUF, 1);
  CHECK_INT(option(ends[1], SOL_SOCKET, SO_RCVBUF), ==, 2304);
  CHECK_INT(call->send(sys, ends[0], big, 1, 0), ==, -EAGAIN);
  CHECK_INT(call->recv(sys, ends[1], big, sizeof big, 0), ==, 20000);
  end_both();
}

TEST("moving nothing is no end, and waits for something to be there") {
  begin_tcp();
  char byte = 'x';
  CHECK_INT(call->send(sys, ends[0], &byte, 0, 0), ==, 0);
  CHECK_INT(call->recv(sys, ends[1], &byte, 0, 0), ==, -EAGAIN);
  CHECK_INT(call->send(sys, ends[0], &byte, 1, 0), ==, 1);
  CHECK_INT(call->recv(sys, ends[1], &byte, 0, 0), ==, 0);
  CHECK_STRING(recv_text(ends[1]), "x");
  end_both();
}

TEST("a stream is intact however it is cut") {
  for (uint64_t seed = 1; seed <= 50; seed++) {
    begin(seed);
    net.knobs.chaos = 1 + (unsigned)(seed % 3);
    call->pair(sys, SOCK_STREAM, ends);
    unsigned sent = 0, got = 0;
    while (got < 200000 && !check_misses) {
      unsigned char out[700], in[900];
      for (size_t i = 0; i < sizeof out; i++)
        out[i] = (unsigned char)((sent + i) * 31 >> 3);
      ssize_t n = call->send(sys, ends[0], out, sizeof out, 0);
      if (n > 0) sent += (unsigned)n;
      size_t most = 1 + (size_t)(sim_random(&net) % sizeof in);
      n = call->recv(sys, ends[1], in, most, 0);
      for (ssize_t i = 0; i < n; i++, got++)
        if (in[i] != (unsigned char)(got * 31 >> 3)) CHECK_INT(got, ==, -1);
    }
    shut(ends[0]), shut(ends[1]);
    end();
  }
}

/* -- ends -- */

TEST("a peer that closes is met behind its last byte") {
  begin_tcp();
  send_text(ends[0], "last");
  shut(ends[0]);
  CHECK_INT(events(ends[1]), ==, POLLIN | POLLOUT | POLLRDHUP);
  CHECK_STRING(recv_text(ends[1]), "last");
  CHECK_STRING(recv_text(ends[1]), "");
  CHECK_STRING(recv_text(ends[1]), "");
  CHECK_INT(send_text(ends[1], "x"), ==, -EPIPE);
  CHECK_STRING(name(ends[1], true), "127.0.0.1:40000"); /* still known */
  shut(ends[1]);
  end();
}

TEST("half a close ends one direction") {
  begin_tcp();
  send_text(ends[0], "last");
  CHECK_INT(call->shutdown(sys, ends[0], SHUT_WR), ==, 0);
  CHECK_INT(send_text(ends[0], "x"), ==, -EPIPE);
  CHECK_STRING(recv_text(ends[1]), "last");
  CHECK_STRING(recv_text(ends[1]), "");
  CHECK_INT(send_text(ends[1], "answer"), ==, 6);
  CHECK_STRING(recv_text(ends[0]), "answer");
  CHECK_INT(call->shutdown(sys, ends[1], SHUT_WR), ==, 0);
  CHECK_STRING(recv_text(ends[0]), "");
  CHECK_INT(events(ends[0]), &, POLLHUP);
  end_both();
}

TEST("reading may end too: nothing but what is there already") {
  begin_unix();
  send_text(ends[0], "before");
  CHECK_INT(call->shutdown(sys, ends[1], SHUT_RD), ==, 0);
  CHECK_INT(send_text(ends[0], "after"), ==, -EPIPE);
  CHECK_STRING(recv_text(ends[1]), "before");
  CHECK_STRING(recv_text(ends[1]), "");
  CHECK_INT(call->shutdown(sys, ends[1], 7), ==, -EINVAL);
  end_both();
}

TEST("closing with unread bytes breaks the connection") {
  for (int unix_pair = 0; unix_pair < 2; unix_pair++) {
    if (unix_pair)
      begin_unix();
    else
      begin_tcp();
    send_text(ends[0], "to be read");
    send_text(ends[1], "never read");
    shut(ends[0]);
    CHECK_INT(events(ends[1]), &, POLLERR);
    CHECK_STRING(recv_text(ends[1]), "to be read");
    CHECK_STRING(recv_text(ends[1]), "-104"); /* ECONNRESET, once */
    CHECK_STRING(recv_text(ends[1]), "");
    CHECK_INT(send_text(ends[1], "x"), ==, -EPIPE);
    shut(ends[1]);
    end();
  }
}

TEST("sending may be the first to meet a reset") {
  begin_tcp();
  send_text(ends[1], "never read");
  shut(ends[0]);
  CHECK_INT(send_text(ends[1], "x"), ==, -ECONNRESET);
  CHECK_INT(send_text(ends[1], "x"), ==, -EPIPE);
  CHECK_STRING(recv_text(ends[1]), "");
  CHECK_INT(call->shutdown(sys, ends[1], SHUT_WR), ==, -ENOTCONN);
  shut(ends[1]);
  end();
}

TEST("no linger, no farewell") {
  begin_tcp();
  struct linger none = {.l_onoff = 1, .l_linger = 0};
  call->setopt(sys, ends[0], SOL_SOCKET, SO_LINGER, &none, sizeof none);
  shut(ends[0]);
  CHECK_STRING(recv_text(ends[1]), "-104");
  shut(ends[1]);
  end();
}

TEST("TCP may take bytes for a peer that is gone, but only once") {
  int taken = 0;
  for (uint64_t seed = 1; seed <= 20; seed++) {
    begin_tcp();
    net.dice = seed;
    shut(ends[0]);
    net.knobs.chaos = 1;
    int r = send_text(ends[1], "lost");
    CHECK(r == 4 || r == -EPIPE);
    if (r == 4) taken++;
    if (r == 4) CHECK_INT(send_text(ends[1], "x"), ==, -EPIPE);
    shut(ends[1]);
    end();
  }
  CHECK(taken > 0 && taken < 20);
}

TEST("a socket that is not connected neither sends nor receives") {
  begin(1);
  int tcp = call->socket(sys, AF_INET, SOCK_STREAM, 0);
  int local = call->socket(sys, AF_UNIX, SOCK_STREAM, 0);
  CHECK_INT(send_text(tcp, "x"), ==, -EPIPE);
  CHECK_INT(send_text(local, "x"), ==, -ENOTCONN);
  CHECK_STRING(recv_text(tcp), "-107");  /* ENOTCONN */
  CHECK_STRING(recv_text(local), "-22"); /* EINVAL */
  CHECK_INT(call->shutdown(sys, tcp, SHUT_WR), ==, -ENOTCONN);
  CHECK_INT(events(tcp), ==, POLLOUT | POLLHUP);
  CHECK_INT(call->fsync(sys, tcp, false), ==, -EINVAL);
  CHECK_INT(call->read(sys, tcp, big, 1, 0), ==, -ESPIPE);
  shut(tcp), shut(local);
  end();
}

/* -- options and waiters -- */

TEST("options are kept and given back, and inherited by accept") {
  begin(1);
  int l = listener("127.0.0.1:80", 5);
  CHECK_INT(option(l, IPPROTO_TCP, TCP_NODELAY), ==, 0);
  CHECK_INT(set_option(l, IPPROTO_TCP, TCP_NODELAY, 1), ==, 0);
  CHECK_INT(set_option(l, SOL_SOCKET, SO_KEEPALIVE, 1), ==, 0);
  CHECK_INT(set_option(l, SOL_SOCKET, SO_KEEPALIVE, 0), ==, 0);
  CHECK_INT(option(l, IPPROTO_TCP, TCP_NODELAY), ==, 1);
  CHECK_INT(option(l, SOL_SOCKET, SO_KEEPALIVE), ==, 0);
  CHECK_INT(option(l, SOL_SOCKET, SO_ACCEPTCONN), ==, 1);
  CHECK_INT(option(l, SOL_SOCKET, SO_TYPE), ==, SOCK_STREAM);
  CHECK_INT(option(l, SOL_SOCKET, SO_DOMAIN), ==, AF_INET);
  CHECK_INT(option(l, SOL_SOCKET, SO_PROTOCOL), ==, IPPROTO_TCP);
  CHECK_INT(option(l, SOL_SOCKET, SO_BROADCAST), ==, 0);
  CHECK_INT(option(l, 12345, 1), ==, -EOPNOTSUPP);
  int c = dial("127.0.0.1:80"), s = call->accept(sys, l);
  CHECK_INT(option(s, IPPROTO_TCP, TCP_NODELAY), ==, 1);
  CHECK_INT(option(c, IPPROTO_TCP, TCP_NODELAY), ==, 0);
  int u = call->socket(sys, AF_UNIX, SOCK_STREAM, 0);
  CHECK_INT(set_option(u, IPPROTO_TCP, TCP_NODELAY, 1), ==, -EOPNOTSUPP);
  shut(l), shut(c), shut(s), shut(u);
  end();
}

static int woken(void) {
  int n = 0;
  while (list_pop(&net.woken)) n++;
  return n;
}

static void wait_for(struct sim_waiter *w, int fd, short what) {
  link_init(&w->link);
  sim_sock_wait(sim_sock_find(&net, fd), w, what);
}

TEST("who waits at a socket is woken by what it waits for") {
  begin_tcp();
  struct sim_waiter in, out, gone;
  wait_for(&in, ends[1], POLLIN);
  wait_for(&out, ends[1], POLLOUT);
  CHECK_INT(woken(), ==, 0);
  send_text(ends[0], "x");
  CHECK_INT(woken(), ==, 1);
  CHECK(!link_listed(&in.link) && link_listed(&out.link));
  send_text(ends[1], "x");
  recv_text(ends[0]);
  CHECK_INT(woken(), ==, 1);
  wait_for(&in, ends[1], POLLIN);
  call->shutdown(sys, ends[0], SHUT_WR);
  CHECK_INT(woken(), ==, 1);
  wait_for(&gone, ends[1], POLLOUT); /* its own close wakes it as well */
  shut(ends[1]);
  CHECK_INT(woken(), ==, 1);
  shut(ends[0]);
  end();
}

TEST("a descriptor may be refused") {
#ifdef PROA_DEBUG
  begin(1);
  fault_arm("socket", 1, false);
  CHECK_INT(call->socket(sys, AF_INET, SOCK_STREAM, 0), ==, -EMFILE);
  fault_arm("accept", 1, false);
  int l = listener("127.0.0.1:80", 5), c = dial("127.0.0.1:80");
  CHECK_INT(call->accept(sys, l), ==, -EMFILE);
  int s = call->accept(sys, l);
  CHECK_INT(s, >=, 0);
  shut(l), shut(c), shut(s);
  end();
#else
  SKIP("fault points are in debug builds");
#endif
}
