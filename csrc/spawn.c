/* spawn.c - a new process. See spawn.h.
 *
 * child_main runs on memory that it shares with us while we stand still: it
 * may make system calls and nothing else. It must not call what glibc does to
 * all threads of a process (setuid and its kin), which would be done to ours.
 *
 * SPDX-License-Identifier: MIT */
#include "spawn.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault.h"

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000 /* Linux 5.2 */
#endif
#ifndef P_PIDFD
#define P_PIDFD 3 /* Linux 5.4 */
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424 /* Linux 5.1 */
#endif
#ifndef SYS_close_range
#define SYS_close_range 436 /* Linux 5.9 */
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define FORGET_FRAMES(stack, len) __asan_unpoison_memory_region(stack, len)
#else
#define FORGET_FRAMES(stack, len) ((void)0)
#endif

enum { STACK_BYTES = 256 * 1024 };

struct child {
  const struct spawn *s;
  int fds[3];
  enum spawn_step step; /* under way */
  int err;              /* -errno of it, once it has failed */
};

/* -- in the child -- */

/* Handlers are ours, and would run in memory that we share. */
static void reset_signals(void) {
  struct sigaction fresh = {.sa_handler = SIG_DFL}, now;
  for (int i = 1; i < NSIG; i++) {
    if (sigaction(i, NULL, &now) < 0) continue;
    bool ignored = now.sa_handler == SIG_IGN && i != SIGPIPE;
    if (now.sa_handler != SIG_DFL && !ignored) sigaction(i, &fresh, NULL);
  }
}

/* Out of the way of 0, 1 and 2, then into their places. */
static int place_fds(struct child *c) {
  for (int i = 0; i < 3; i++) {
    if (c->fds[i] > 2 || c->fds[i] == i) continue;
    c->fds[i] = fcntl(c->fds[i], F_DUPFD_CLOEXEC, 3);
    if (c->fds[i] < 0) return -1;
  }
  for (int i = 0; i < 3; i++) {
    int r = c->fds[i] == i ? fcntl(i, F_SETFD, 0) : dup2(c->fds[i], i);
    if (r < 0) return -1;
  }
  return 0;
}

/* Others may have opened some that do not close by themselves. */
static void close_others(void) {
  struct rlimit limit = {0};
  if (syscall(SYS_close_range, 3U, ~0U, 0U) == 0) return;
  getrlimit(RLIMIT_NOFILE, &limit);
  for (int fd = 3; fd < 65536 && (rlim_t)fd < limit.rlim_cur; fd++) close(fd);
}

/* Root's other groups would stay with whom it becomes. */
static int become_group(const struct spawn *s) {
  gid_t gid = s->set_gid ? s->gid : getegid();
  if (!s->set_gid && !s->set_uid) return 0;
  if (geteuid() == 0 && syscall(SYS_setgroups, 1UL, &gid) < 0) return -1;
  return s->set_gid ? (int)syscall(SYS_setresgid, gid, gid, gid) : 0;
}

static int become_user(const struct spawn *s) {
  return s->set_uid ? (int)syscall(SYS_setresuid, s->uid, s->uid, s->uid) : 0;
}

static int take_step(struct child *c) {
  const struct spawn *s = c->s;
  switch (c->step) {
  case SPAWN_STDIO:
    return place_fds(c);
  case SPAWN_SESSION:
    return s->new_session && setsid() < 0 ? -1 : 0;
  case SPAWN_GROUP:
    return become_group(s);
  case SPAWN_USER:
    return become_user(s);
  case SPAWN_DIRECTORY:
    return s->cwd ? chdir(s->cwd) : 0;
  default:
    close_others();
    return execvpe(s->argv[0], s->argv, s->envp);
  }
}

/* (AddressSanitizer would look for this stack among those it knows.) */
__attribute__((no_sanitize_address)) static int child_main(void *arg) {
  struct child *c = arg;
  sigset_t none;
  reset_signals();
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  for (c->step = SPAWN_STDIO; take_step(c) == 0; c->step++) continue;
  c->err = -errno;
  _exit(127);
}

/* -- in the parent -- */

/* Its children would be reaped by the kernel, their statuses lost. */
static void want_children(void) {
  struct sigaction now;
  if (sigaction(SIGCHLD, NULL, &now) < 0) return;
  if (now.sa_handler != SIG_IGN && !(now.sa_flags & SA_NOCLDWAIT)) return;
  if (now.sa_handler == SIG_IGN) now.sa_handler = SIG_DFL;
  now.sa_flags &= ~SA_NOCLDWAIT;
  sigaction(SIGCHLD, &now, NULL);
}

/* No handler of ours may run in the child. */
static pid_t clone_held(struct child *c, void *stack, size_t len, int *pidfd) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t pid = clone(child_main, (char *)stack + len,
                    CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, c, pidfd);
  if (pid < 0) pid = -errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return pid;
}

/* execvpe copies argv to run a script that names no interpreter. */
static size_t stack_len(const struct spawn *s) {
  size_t n = 0;
  while (s->argv[n]) n++;
  return (STACK_BYTES + n * sizeof(char *) + 4095) & ~(size_t)4095;
}

static pid_t clone_child(struct child *c, int *pidfd) {
  size_t len = stack_len(c->s);
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE;
  void *stack = fault_point("spawn_stack")
                    ? MAP_FAILED
                    : mmap(NULL, len, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (stack == MAP_FAILED) return -ENOMEM;
  pid_t pid = clone_held(c, stack, len, pidfd);
  /* the child left from inside functions; what is mapped here next is not bad
   */
  FORGET_FRAMES(stack, len);
  munmap(stack, len);
  return pid;
}

pid_t spawn_child(const struct spawn *s, int *pidfd, enum spawn_step *step) {
  struct child c = {.s = s, .fds = {s->fds[0], s->fds[1], s->fds[2]}};
  struct exit_status status;
  want_children();
  *pidfd = -1;
  pid_t pid = clone_child(&c, pidfd);
  *step = c.step;
  if (pid < 0) return pid;
  if (*pidfd < 0) { /* a kernel that does not know the flag */
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    *step = SPAWN_CLONE;
    return -ENOSYS;
  }
  if (!c.err) return pid;
  pidfd_reap(*pidfd, true, &status);
  close(*pidfd);
  return c.err;
}

int pidfd_kill(int pidfd, int signal) {
  long r = syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0U);
  return r < 0 ? -errno : 0;
}

int pidfd_reap(int pidfd, bool wait, struct exit_status *status) {
  siginfo_t info = {0};
  int r;
  do
    r = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info,
               WEXITED | (wait ? 0 : WNOHANG));
  while (r < 0 && errno == EINTR);
  if (r < 0) return -errno;
  if (info.si_pid == 0) return -EAGAIN;
  bool exited = info.si_code == CLD_EXITED;
  status->code = exited ? info.si_status : 0;
  status->signal = exited ? 0 : info.si_status;
  return 0;
}
