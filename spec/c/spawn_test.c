/* spawn_test.c - what a child leaves behind in the memory it was started in.
 *
 * The rest of spawn.h is tried through proa.process (spec/process_spec.lua).
 *
 * SPDX-License-Identifier: MIT */
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "spawn.h"

/* A child leaves from inside functions, whose frames AddressSanitizer has
 * marked; nothing may be left of that in the parent. */
TEST("the memory of a child's stack can be used again") {
  char name[] = "true", *argv[] = {name, NULL}, *envp[] = {NULL};
  struct spawn s = {.argv = argv, .envp = envp, .fds = {0, 1, 2}};
  enum spawn_step step;
  int pidfd;
  for (size_t len = 64 * 1024; len <= 512 * 1024; len += 64 * 1024) {
    pid_t pid = spawn_child(&s, &pidfd, &step);
    REQUIRE(pid > 0);
    CHECK(waitpid(pid, NULL, 0) == pid);
    close(pidfd);
    char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(p != MAP_FAILED);
    memset(p, 1, len);
    CHECK(p[len - 1] == 1);
    munmap(p, len);
  }
}
