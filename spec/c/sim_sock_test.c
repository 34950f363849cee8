/* sim_sock_test.c - simulated connections: bytes, ends, readiness, options.
 *
 * What they must have in common with tcp(7), unix(7) and socket(7).
 *
 * SPDX-License-Identifier: MIT */
#include <netinet/tcp.h>
#include <sys/uio.h>

#include "sim_calls.h"

static unsigned char big[1 << 20];

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

TEST("an option that nobody set says what a fresh socket says") {
  begin(1);
  int l = listener("[::1]:80", 5);
  CHECK_INT(option(l, IPPROTO_TCP, TCP_KEEPIDLE), ==, 7200);
  CHECK_INT(option(l, IPPROTO_TCP, TCP_KEEPINTVL), ==, 75);
  CHECK_INT(option(l, IPPROTO_TCP, TCP_KEEPCNT), ==, 9);
  CHECK_INT(option(l, IPPROTO_IPV6, IPV6_UNICAST_HOPS), ==, 64);
  CHECK_INT(option(l, IPPROTO_IP, IP_TTL), ==, 64);
  CHECK_INT(option(l, SOL_SOCKET, SO_RCVLOWAT), ==, 1);
  CHECK_INT(set_option(l, IPPROTO_TCP, TCP_KEEPIDLE, 60), ==, 0);
  CHECK_INT(option(l, IPPROTO_TCP, TCP_KEEPIDLE), ==, 60);
  shut(l);
  end();
}

TEST("a switch is on or off whatever turned it, a fact cannot be set") {
  begin(1);
  int l = listener("127.0.0.1:80", 5);
  CHECK_INT(set_option(l, IPPROTO_TCP, TCP_NODELAY, 7), ==, 0);
  CHECK_INT(option(l, IPPROTO_TCP, TCP_NODELAY), ==, 1);
  CHECK_INT(set_option(l, SOL_SOCKET, SO_TYPE, 1), ==, -ENOPROTOOPT);
  CHECK_INT(set_option(l, SOL_SOCKET, SO_ERROR, 1), ==, -ENOPROTOOPT);
  char byte = 1;
  CHECK_INT(call->setopt(sys, l, SOL_SOCKET, SO_KEEPALIVE, &byte, 1), ==,
            -EINVAL);
  shut(l);
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
