/* spawn.h - a new process by one clone, with a descriptor that names it.
 *
 * The caller's thread is held only from the clone to the child's exec: the
 * child borrows this memory until then (CLONE_VFORK), so nothing is copied,
 * and how its exec failed is told without a pipe. Layer 1: knows no proactor.
 * Used by process.c.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_SPAWN_H
#define PROA_SPAWN_H

#include <sys/types.h>

#include "base.h"

/* What the child is to be; all of it is the caller's. */
struct spawn {
  char *const *argv; /* argv[0] is looked for in this process's PATH */
  char *const *envp; /* all of its environment */
  const char *cwd;   /* NULL: ours; argv[0] is relative to it */
  int fds[3];        /* what it gets as 0, 1, 2; it gets no others */
  bool new_session;  /* it leads a session and a process group of its own */
  bool set_uid, set_gid;
  uid_t uid;
  gid_t gid;
};

/* What the child was about when it failed. */
enum spawn_step {
  SPAWN_CLONE,
  SPAWN_STDIO,
  SPAWN_SESSION,
  SPAWN_GROUP, /* its gid, and the supplementary groups that go with it */
  SPAWN_USER,
  SPAWN_DIRECTORY,
  SPAWN_EXEC,
};

/* Its pid, and in *pidfd a descriptor to close; or -errno and the step. It
 * starts with the default signal mask and dispositions, but what is ignored
 * here, SIGPIPE apart, is ignored there. */
pid_t spawn_child(const struct spawn *s, int *pidfd, enum spawn_step *step);

/* -- by its pidfd: no other process can be meant -- */

/* 0 or -errno. */
int pidfd_kill(int pidfd, int signal);

struct exit_status {
  int code;   /* when signal is 0 */
  int signal; /* that killed it */
};

/* 0: reaped; -EAGAIN: it runs; -ECHILD: others have reaped it. With wait it
 * blocks until the child has ended. */
int pidfd_reap(int pidfd, bool wait, struct exit_status *status);

#endif
