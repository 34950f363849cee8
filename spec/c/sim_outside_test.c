/* sim_outside_test.c - real descriptors in the simulation.
 *
 * Pipes, files and foreign sockets are the kernel's; they must neither block
 * the loop nor be waited for in virtual time.
 *
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sim_reader.h"

TEST("a real pipe is waited for in real time") {
  int fds[2];
  char room[10];
  struct handle h;
  rig_open(1, 1);
  REQUIRE(pipe(fds) == 0);
  pid_t child = fork();
  if (child == 0) _exit(write(fds[1], "hello", 5) == 5 ? 0 : 1);
  rig_handle(&h, fds[0]);
  CHECK_INT(h.kind, ==, HANDLE_PIPE);
  CHECK_INT(rig_do(rig_io(&op_read, &h, room, sizeof room)), ==, 5);
  waitpid(child, NULL, 0);
  close(fds[1]);
  CHECK_INT(rig_do(rig_io(&op_read, &h, room, sizeof room)), ==, 0);
  rig_shut(&h);
  rig_close();
}

TEST("a pipe that nobody reads blocks neither the loop nor a cancel") {
  int fds[2];
  struct handle h = {.kind = HANDLE_PIPE, .owned = false};
  rig_open(1, 1);
  REQUIRE(pipe(fds) == 0);
  h.fd = fds[1]; /* foreign: it stays blocking */
  list_init(&h.ops);
  struct op *op = rig_io(&op_write, &h, pattern_bytes(1 << 18), 1 << 18);
  rig_submit(op);
  for (int i = 0; i < 300; i++) rig_turn(0);
  CHECK(op_in_flight(op));
  rig_cancel(op);
  rig_drain();
  CHECK_INT(op->res, ==, 65536); /* pipe(7): what it holds */
  op_free(&rig.ops, op);
  close(fds[0]);
  close(fds[1]);
  rig_close();
}

TEST("waiting for a pipe with a limit takes real time") {
  int fds[2];
  char byte;
  struct handle h;
  rig_open(1, 0);
  REQUIRE(pipe(fds) == 0);
  rig_handle(&h, fds[0]);
  struct op *op = rig_io(&op_read, &h, &byte, 1);
  rig_submit(op);
  rig_turn(0);
  uint64_t real = clock_ns(), now = driver_sim.now(rig.driver);
  rig_turn(now + 5 * NS_PER_MS);
  CHECK_INT(clock_ns() - real, >=, 4 * NS_PER_MS);
  CHECK_INT(driver_sim.now(rig.driver) - now, ==, 5 * NS_PER_MS);
  rig_cancel(op);
  rig_drain();
  op_free(&rig.ops, op);
  close(fds[1]);
  rig_shut(&h);
  rig_close();
}

TEST("files are written and read where the op says") {
  char path[] = "/tmp/proa_sim_XXXXXX", room[20] = "";
  struct handle h;
  rig_open(1, 1);
  rig_handle(&h, mkstemp(path));
  CHECK_INT(h.kind, ==, HANDLE_FILE);
  struct op *op = rig_io(&op_write, &h, "hello world", 11);
  op->io.off = 5;
  CHECK_INT(rig_do(op), ==, 11);
  op = rig_io(&op_read, &h, room, sizeof room);
  op->io.off = 11;
  CHECK_INT(rig_do(op), ==, 5);
  CHECK_STRING(room, "world");
  CHECK_INT(rig_do(rig_op(&op_fsync, &h, NULL, NULL)), ==, 0);
  rig_shut(&h);
  unlink(path);
  rig_close();
}

TEST("a full real Unix listener is tried again until it has room") {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  struct handle a, b;
  struct address to = {.len = sizeof at};
  rig_open(1, 1);
  snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "proa%d", (int)getpid());
  memcpy(&to.at, &at, sizeof at);
  int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(bind(l, &to.at.any, to.len) == 0 && listen(l, 0) == 0);
  rig_handle(&a, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  rig_handle(&b, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK_INT(a.kind, ==, HANDLE_SOCKET);
  CHECK_INT(rig_do(rig_connect_as(&a, &to)), ==, 0);
  struct op *second = rig_connect_as(&b, &to);
  rig_submit(second);
  for (int i = 0; i < 50; i++) rig_turn(0);
  CHECK(op_in_flight(second));
  int accepted = accept(l, NULL, NULL);
  rig_drain();
  CHECK_INT(second->res, ==, 0);
  op_free(&rig.ops, second);
  close(accepted);
  close(l);
  rig_shut(&a);
  rig_shut(&b);
  rig_close();
}

static struct op *open_op(const char *path, int flags) {
  struct op *op = rig_op(&op_open_waiting, NULL, NULL, NULL);
  op->arg.file.path = path;
  op->arg.file.flags = flags;
  return op;
}

TEST("opening a FIFO waits for a reader without blocking the loop") {
  char dir[] = "/tmp/proa_sim_XXXXXX", path[64];
  rig_open(1, 1);
  REQUIRE(mkdtemp(dir));
  snprintf(path, sizeof path, "%s/fifo", dir);
  REQUIRE(mkfifo(path, 0600) == 0);
  struct op *write_end = open_op(path, O_WRONLY);
  rig_submit(write_end);
  for (int i = 0; i < 50; i++) rig_turn(0);
  CHECK(op_in_flight(write_end));
  int reader = rig_do(open_op(path, O_RDONLY));
  CHECK_INT(reader, >=, 0);
  rig_drain();
  CHECK_INT(write_end->res, >=, 0);
  close(reader);
  close(write_end->res);
  op_free(&rig.ops, write_end);
  unlink(path);
  rmdir(dir);
  rig_close();
}
