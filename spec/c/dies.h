/* dies.h - tell whether a call ends the process by a failed assert.
 *
 * The call runs in a forked child, whose complaint is not shown. For tests of
 * asserts, which are for our own bugs and so part of what a header promises.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_DIES_H
#define PROA_DIES_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static bool dies(void (*call)(void *), void *arg) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_DUMPABLE, 0); /* leave no core file behind */
    dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
    call(arg);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#endif
