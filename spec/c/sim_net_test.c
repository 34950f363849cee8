/* sim_net_test.c - simulated names, connections and descriptors.
 *
 * What they must have in common with tcp(7), ip(7) and unix(7). Bytes are in
 * sim_sock_test.c.
 *
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"
#include "sim_calls.h"

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

static int probe(const char *address) {
  struct address a = at(address);
  return call->probe(sys, &a.at.any, a.len);
}

/* Both ends of a connection to l know its name; nobody else may have it. */
static void check_unix_name(int l, const char *text) {
  REQUIRE(l >= 0);
  int c = dial(text);
  int s = call->accept(sys, l);
  CHECK_STRING(name(l, false), text);
  CHECK_STRING(name(c, true), text);
  CHECK_STRING(name(s, false), text);
  CHECK_STRING(name(c, false), "unix:");
  CHECK_STRING(name(s, true), "unix:");
  CHECK_INT(listener(text, 5), ==, -EADDRINUSE);
  CHECK_INT(probe(text), ==, 0);
  shut(c), shut(s);
}

TEST("an abstract Unix name is free again when its socket is closed") {
  begin(1);
  CHECK_INT(probe("unix:@x"), ==, -ECONNREFUSED);
  for (int i = 0; i < 2; i++) {
    int l = listener("unix:@x", 5);
    check_unix_name(l, "unix:@x");
    shut(l);
  }
  end();
}

/* A directory for one test, and "unix:" and a path in it. */
static char dir[32], in_dir[64];

static const char *begin_dir(void) {
  begin(1);
  strcpy(dir, "/tmp/proa-sim-XXXXXX");
  if (!mkdtemp(dir)) abort();
  snprintf(in_dir, sizeof in_dir, "unix:%s/socket", dir);
  return in_dir + strlen("unix:");
}

static void end_dir(void) {
  CHECK_INT(rmdir(dir), ==, 0);
  end();
}

TEST("a Unix path stays when its socket is closed, until it is unlinked") {
  const char *path = begin_dir();
  CHECK_INT(probe(in_dir), ==, -ENOENT);
  int l = listener(in_dir, 5);
  check_unix_name(l, in_dir);
  shut(l);
  CHECK_INT(dial(in_dir), ==, -ECONNREFUSED);
  CHECK_INT(probe(in_dir), ==, -ECONNREFUSED);
  CHECK_INT(listener(in_dir, 5), ==, -EADDRINUSE);
  CHECK_INT(call->unlink(sys, path), ==, 0);
  CHECK_INT(dial(in_dir), ==, -ENOENT);
  l = listener(in_dir, 5);
  check_unix_name(l, in_dir);
  CHECK_INT(call->unlink(sys, path), ==, 0);
  CHECK_INT(dial(in_dir), ==, -ENOENT); /* it listens, but is not found */
  int other = listener(in_dir, 5);      /* the path is another's now */
  check_unix_name(other, in_dir);
  shut(l), shut(other);
  CHECK_INT(call->unlink(sys, path), ==, 0);
  end_dir();
}

TEST("a Unix path is a file like others: made where it may be") {
  const char *path = begin_dir();
  close(open(path, O_CREAT | O_WRONLY, 0600));
  CHECK_INT(listener(in_dir, 5), ==, -EADDRINUSE);
  CHECK_INT(dial(in_dir), ==, -ECONNREFUSED); /* nobody is bound to it */
  CHECK_INT(call->unlink(sys, path), ==, 0);
  CHECK_INT(listener("unix:/no/such/dir/x", 5), ==, -ENOENT);
  CHECK_INT(listener("unix:/dev/null/x", 5), ==, -ENOTDIR);
  end_dir();
}

TEST("a Unix path has the permissions of its socket, less the umask") {
  const char *path = begin_dir();
  mode_t before = umask(022);
  struct stat st;
  int fd = call->socket(sys, AF_UNIX, SOCK_STREAM, 0);
  CHECK_INT(call->fchmod(sys, fd, 0660), ==, 0);
  CHECK_INT(bind_to(fd, in_dir), ==, 0);
  CHECK_INT(call->lstat(sys, path, &st), ==, 0);
  CHECK_INT(st.st_mode, ==, S_IFSOCK | 0640);
  CHECK_INT(call->chmod(sys, path, 0660), ==, 0);
  CHECK_INT(call->lstat(sys, path, &st), ==, 0);
  CHECK_INT(st.st_mode, ==, S_IFSOCK | 0660);
  CHECK_INT(probe(in_dir), ==, 0); /* bound is enough */
  CHECK_INT(dial(in_dir), ==, -ECONNREFUSED);
  shut(fd);
  CHECK_INT(call->unlink(sys, path), ==, 0);
  umask(before);
  end_dir();
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

TEST("only streams and datagrams of three families are simulated") {
  begin(1);
  CHECK_INT(call->socket(sys, AF_INET, SOCK_RAW, 0), ==, -ESOCKTNOSUPPORT);
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
  bind_to(bound, "unix:@bound");
  CHECK_INT(dial("unix:@bound"), ==, -ECONNREFUSED);
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
