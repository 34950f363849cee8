/* sim_dgram_test.c - simulated datagrams: whole, in order, and lost for want of
 * room; by name, by connection, in pairs.
 *
 * SPDX-License-Identifier: MIT */
#include <sys/uio.h>

#include "sim_calls.h"

static int dgram(const char *text) {
  struct address a = at(text);
  int fd = call->socket(sys, address_family(&a), SOCK_DGRAM, 0);
  if (bind_to(fd, text) < 0) abort();
  return fd;
}

static int send_named(int fd, const char *text, const char *to) {
  struct address a = at(to);
  struct iovec v = {(void *)(uintptr_t)text, strlen(text)};
  struct msghdr m = {
      .msg_name = &a.at, .msg_namelen = a.len, .msg_iov = &v, .msg_iovlen = 1};
  return (int)call->sendmsg(sys, fd, &m, 0);
}

/* The sender of the next datagram, which is taken. */
static const char *sender(int fd) {
  static char text[ADDRESS_TEXT_MAX];
  char bytes[10];
  struct address a = {.len = sizeof a.at};
  struct iovec v = {bytes, sizeof bytes};
  struct msghdr m = {
      .msg_name = &a.at, .msg_namelen = a.len, .msg_iov = &v, .msg_iovlen = 1};
  ssize_t n = call->recvmsg(sys, fd, &m, 0);
  if (n < 0) return "(none)";
  a.len = m.msg_namelen;
  address_format(&a, text);
  return text;
}

TEST("a datagram is received whole, from whoever sent it, in order") {
  begin(1);
  int a = dgram("127.0.0.1:70"), b = dgram("127.0.0.1:71");
  CHECK_INT(events(b), ==, POLLOUT);
  CHECK_INT(send_named(a, "one", "127.0.0.1:71"), ==, 3);
  CHECK_INT(send_named(a, "", "127.0.0.1:71"), ==, 0);
  CHECK_INT(events(b), ==, POLLIN | POLLOUT);
  CHECK_STRING(recv_text(b), "one");
  CHECK_STRING(recv_text(b), "");
  CHECK_INT((int)call->recv(sys, b, NULL, 0, 0), ==, -EAGAIN);
  CHECK_INT(send_named(a, "x", "127.0.0.1:71"), ==, 1);
  CHECK_STRING(sender(b), "127.0.0.1:70");
  shut(a);
  shut(b);
  end();
}

TEST("what does not fit is cut, and its length told to who asks") {
  begin(1);
  int a = dgram("127.0.0.1:70"), b = dgram("127.0.0.1:71");
  char two[2];
  struct iovec v = {two, sizeof two};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
  send_named(a, "long", "127.0.0.1:71");
  CHECK_INT((int)call->recvmsg(sys, b, &m, MSG_TRUNC), ==, 4);
  CHECK(m.msg_flags & MSG_TRUNC);
  CHECK(memcmp(two, "lo", 2) == 0);
  send_named(a, "xy", "127.0.0.1:71");
  CHECK_INT((int)call->recvmsg(sys, b, &m, MSG_TRUNC), ==, 2);
  CHECK(!(m.msg_flags & MSG_TRUNC));
  shut(a);
  shut(b);
  end();
}

TEST("nobody at a port is told to who is connected, once") {
  begin(1);
  int a = dgram("127.0.0.1:70");
  CHECK_INT(send_named(a, "x", "127.0.0.1:9"), ==, 1);
  CHECK_INT(events(a), ==, POLLOUT);
  CHECK_INT(connect_to(a, "127.0.0.1:9"), ==, 0);
  CHECK_STRING(name(a, true), "127.0.0.1:9");
  CHECK_INT(send_text(a, "x"), ==, 1);
  CHECK_INT(events(a), ==, POLLIN | POLLOUT | POLLERR);
  CHECK_INT(send_text(a, "x"), ==, -ECONNREFUSED);
  CHECK_INT(events(a), ==, POLLOUT);
  shut(a);
  end();
}

TEST("who is connected hears its peer alone") {
  begin(1);
  int a = dgram("127.0.0.1:70"), b = dgram("127.0.0.1:71");
  int c = dgram("127.0.0.1:72");
  CHECK_INT(connect_to(a, "127.0.0.1:71"), ==, 0);
  CHECK_INT(send_named(c, "c", "127.0.0.1:70"), ==, 1);
  CHECK_INT(send_named(b, "b", "127.0.0.1:70"), ==, 1);
  CHECK_STRING(recv_text(a), "b");
  CHECK_INT(events(a), ==, POLLOUT);
  shut(a);
  shut(b);
  shut(c);
  end();
}

TEST("UDP loses what finds no room and counts it; Unix lets its sender wait") {
  begin(1);
  char much[1000];
  memset(much, 'x', sizeof much - 1);
  much[sizeof much - 1] = 0;
  int a = dgram("127.0.0.1:70"), b = dgram("127.0.0.1:71");
  set_option(b, SOL_SOCKET, SO_RCVBUF, 2000);
  for (int i = 0; i < 5; i++)
    CHECK_INT(send_named(a, much, "127.0.0.1:71"), ==, 999);
  CHECK(sim_sock_find(&net, b)->drops > 0);
  shut(a);
  shut(b);
  a = dgram("unix:@a");
  b = dgram("unix:@b");
  set_option(b, SOL_SOCKET, SO_RCVBUF, 2000);
  int n = 0;
  while (send_named(a, much, "unix:@b") == 999) n++;
  CHECK_INT(send_named(a, much, "unix:@b"), ==, -EAGAIN);
  CHECK_STRING(sender(b), "unix:@a");
  CHECK_INT(send_named(a, much, "unix:@b"), ==, 999);
  CHECK(n > 0);
  shut(a);
  shut(b);
  end();
}

TEST("ports of UDP and TCP are apart") {
  begin(1);
  int tcp = listener("127.0.0.1:70", 1), udp = dgram("127.0.0.1:70");
  CHECK(tcp >= 0 && udp >= 0);
  struct address a = at("127.0.0.1:70");
  int other = call->socket(sys, AF_INET, SOCK_DGRAM, 0);
  CHECK_INT(call->bind(sys, other, &a.at.any, a.len), ==, -EADDRINUSE);
  shut(other);
  shut(tcp);
  shut(udp);
  end();
}

TEST("a pair is connected, and what one leaves unread goes with it") {
  begin(1);
  int fds[2];
  CHECK_INT(call->pair(sys, SOCK_DGRAM, fds), ==, 0);
  CHECK_INT(send_text(fds[0], "x"), ==, 1);
  CHECK_INT(send_text(fds[0], "y"), ==, 1);
  CHECK_STRING(recv_text(fds[1]), "x");
  shut(fds[1]);
  CHECK_INT(send_text(fds[0], "z"), ==, -ECONNREFUSED);
  shut(fds[0]);
  end();
}
