/* unix_path_test.c - paths of Unix sockets, in the kernel and simulated.
 *
 * Each test runs on both tables of system calls; what only shows between two
 * of the calls is seen by a table that looks while it passes them on.
 *
 * SPDX-License-Identifier: MIT */
#include "unix_path.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "sim_net.h"

static struct sim_net net;
static struct sys_class class;
static struct sys *sys = &net.sys;
static char dir[32];
static struct address at;
static const char *path = at.at.un.sun_path;
static struct stat st;

static void begin(int simulated) {
  if (sim_net_init(&net, 1) < 0) abort();
  class = simulated ? sys_sim : sys_posix;
  net.sys.class = &class;
  strcpy(dir, "/tmp/proa-path-XXXXXX");
  if (!mkdtemp(dir)) abort();
  memset(&at, 0, sizeof at);
  at.at.un.sun_family = AF_UNIX;
  snprintf(at.at.un.sun_path, sizeof at.at.un.sun_path, "%s/socket", dir);
  at.len =
      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
}

/* Nothing is left at the path. */
static void end(void) {
  CHECK_INT(rmdir(dir), ==, 0);
  CHECK_INT(net.sock_n, ==, 0);
  sim_net_deinit(&net);
}

static int bind_new(int *fd, int mode, struct unix_path *made) {
  made->path[0] = 0;
  *fd = class.socket(sys, AF_UNIX, SOCK_STREAM, 0);
  return unix_path_bind(sys, *fd, &at, mode, made);
}

TEST("a socket that is bound is in use, also before it listens") {
  for (int simulated = 0; simulated < 2; simulated++) {
    struct unix_path made, none;
    int fd, other;
    begin(simulated);
    CHECK_INT(bind_new(&fd, -1, &made), ==, 0);
    CHECK_INT(bind_new(&other, -1, &none), ==, -EADDRINUSE);
    CHECK_INT(class.listen(sys, fd, 1), ==, 0);
    class.close(sys, other);
    CHECK_INT(bind_new(&other, -1, &none), ==, -EADDRINUSE);
    CHECK_STRING(none.path, "");
    class.close(sys, other);
    class.close(sys, fd);
    CHECK_INT(bind_new(&other, -1, &none), ==, 0); /* nobody is, now */
    unix_path_remove(sys, &none);
    CHECK_INT(class.lstat(sys, path, &st), ==, -ENOENT);
    class.close(sys, other);
    end();
  }
}

TEST("only the file that was made is removed") {
  for (int simulated = 0; simulated < 2; simulated++) {
    struct unix_path first, second;
    int a, b;
    begin(simulated);
    CHECK_INT(bind_new(&a, -1, &first), ==, 0);
    CHECK_INT(class.unlink(sys, path), ==, 0);
    CHECK_INT(bind_new(&b, -1, &second), ==, 0);
    unix_path_remove(sys, &first);
    CHECK_INT(class.lstat(sys, path, &st), ==, 0);
    unix_path_remove(sys, &second);
    CHECK_INT(class.lstat(sys, path, &st), ==, -ENOENT);
    class.close(sys, a);
    class.close(sys, b);
    end();
  }
}

/* -- between the calls -- */

static unsigned seen; /* all permissions that the path ever had */

static int looking_bind(struct sys *s, int fd, const struct sockaddr *a,
                        socklen_t len) {
  const struct sys_class *real =
      class.accept == sys_sim.accept ? &sys_sim : &sys_posix;
  int r = real->bind(s, fd, a, len);
  if (r == 0 && real->lstat(s, path, &st) == 0) seen |= st.st_mode & 0777;
  return r;
}

TEST("at no moment may more than was asked for") {
  static const int modes[] = {0, 0600, 0660, 0666, 0777};
  mode_t before = umask(0);
  for (int i = 0; i < 2 * (int)countof(modes); i++) {
    struct unix_path made;
    unsigned mode = (unsigned)modes[i / 2];
    int fd;
    begin(i % 2);
    class.bind = looking_bind;
    umask(i % 3 ? 0 : 077);
    seen = 0;
    CHECK_INT(bind_new(&fd, (int)mode, &made), ==, 0);
    CHECK_INT(seen & ~mode, ==, 0);
    CHECK_INT(class.lstat(sys, path, &st), ==, 0);
    CHECK_INT(st.st_mode, ==, S_IFSOCK | mode);
    unix_path_remove(sys, &made);
    class.close(sys, fd);
    end();
  }
  umask(before);
}

/* Another process replaces the file while we ask whether it is stale. */
static int busy_probe(struct sys *s, const struct sockaddr *a, socklen_t len) {
  char other[64];
  (void)s, (void)a, (void)len;
  snprintf(other, sizeof other, "%s/other", dir);
  if (mknod(other, S_IFSOCK | 0777, 0) < 0 || rename(other, path) < 0) abort();
  return -ECONNREFUSED;
}

TEST("a path that another process replaces meanwhile is left to it") {
  for (int simulated = 0; simulated < 2; simulated++) {
    struct unix_path made;
    int fd;
    begin(simulated);
    if (mknod(path, S_IFSOCK | 0777, 0) < 0) abort();
    class.probe = busy_probe;
    CHECK_INT(bind_new(&fd, -1, &made), ==, -EADDRINUSE);
    CHECK_INT(unlink(path), ==, 0);
    class.close(sys, fd);
    end();
  }
}

static int no_chmod(struct sys *s, const char *p, unsigned mode) {
  (void)s, (void)p, (void)mode;
  return -EPERM;
}

TEST("a path whose mode can't be set goes again") {
  mode_t before = umask(077);
  for (int simulated = 0; simulated < 2; simulated++) {
    struct unix_path made;
    int fd;
    begin(simulated);
    class.chmod = no_chmod;
    CHECK_INT(bind_new(&fd, 0660, &made), ==, -EPERM);
    CHECK_INT(class.lstat(sys, path, &st), ==, -ENOENT);
    class.close(sys, fd);
    end();
  }
  umask(before);
}
