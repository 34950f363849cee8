/* child.c - the process that is measured. See child.h.
 * SPDX-License-Identifier: MIT
 */
#include "child.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GRACE_MS = 4000, STEP_MS = 5 };

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

bool pin_to(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((size_t)core, &set);
  return sched_setaffinity(0, sizeof set, &set) == 0;
}

static void become(char **argv, int core, int out, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(126); /* it ended before prctl */
  dup2(out, STDOUT_FILENO);
  dup2(out, STDERR_FILENO);
  if (core >= 0 && !pin_to(core)) fprintf(stderr, "core %d refused\n", core);
  execvp(argv[0], argv);
  fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
  _exit(127);
}

int child_start(struct child *c, char **argv, int core) {
  int ends[2];
  pid_t parent = getpid();
  *c = (struct child){.out = -1};
  if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
  c->pid = fork();
  if (c->pid == 0) become(argv, core, ends[1], parent);
  int error = c->pid < 0 ? errno : 0;
  close(ends[1]);
  c->out = ends[0];
  if (!error) error = clock_getcpuclockid(c->pid, &c->clock);
  return -error;
}

/* One read of its output: bytes, 0 at its end, -1 at the limit. Of too much
 * the beginning is kept: an error's first words matter most. */
static ssize_t hear(struct child *c, double until) {
  struct pollfd p = {.fd = c->out, .events = POLLIN};
  double left = until - now_s();
  if (left <= 0 || poll(&p, 1, (int)(left * 1e3) + 1) <= 0) return -1;
  char rest[512];
  size_t room = sizeof c->said - 1 - c->said_n;
  ssize_t n = room ? read(c->out, c->said + c->said_n, room)
                   : read(c->out, rest, sizeof rest);
  if (n > 0 && room) c->said_n += (size_t)n;
  c->said[c->said_n] = 0;
  return n < 0 ? 0 : n;
}

bool child_address(struct child *c, double limit_s, struct sockaddr_in *at) {
  double until = now_s() + limit_s;
  char host[64];
  unsigned port;
  while (!strchr(c->said, '\n'))
    if (hear(c, until) <= 0) return false;
  if (sscanf(c->said, "listening on %63[0-9.]:%u", host, &port) != 2)
    return false;
  *at = (struct sockaddr_in){.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port)};
  return inet_pton(AF_INET, host, &at->sin_addr) == 1;
}

bool child_finish(struct child *c, double limit_s) {
  double until = now_s() + limit_s;
  siginfo_t info = {.si_pid = 0};
  ssize_t n;
  while ((n = hear(c, until)) > 0) {
  }
  while (n == 0 && now_s() < until) {
    waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT);
    if (info.si_pid != 0) return true;
    usleep(1000);
  }
  return false;
}

double child_cpu_s(const struct child *c) {
  struct timespec t;
  if (clock_gettime(c->clock, &t) < 0) return 0; /* it has ended */
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

long child_kib(const struct child *c, const char *field) {
  char path[64], line[256];
  long kib = 0;
  size_t n = strlen(field);
  snprintf(path, sizeof path, "/proc/%d/status", (int)c->pid);
  FILE *f = fopen(path, "r");
  if (!f) return 0;
  while (fgets(line, sizeof line, f))
    if (strncmp(line, field, n) == 0 && line[n] == ':')
      kib = strtol(line + n + 1, NULL, 10);
  fclose(f);
  return kib;
}

static const char *judge(int status) {
  static char words[64];
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return NULL;
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) return NULL;
  if (WIFEXITED(status))
    snprintf(words, sizeof words, "ended with status %d", WEXITSTATUS(status));
  else
    snprintf(words, sizeof words, "died of signal %d", WTERMSIG(status));
  return words;
}

const char *child_stop(struct child *c) {
  int status = 0, waited = 0;
  pid_t pid = c->pid;
  if (pid <= 0) return NULL;
  kill(pid, SIGTERM);
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if ((waited += STEP_MS) == GRACE_MS) kill(pid, SIGKILL);
    usleep(STEP_MS * 1000);
  }
  c->pid = 0;
  hear(c, now_s() + 0.01); /* its last words */
  close(c->out);
  return waited >= GRACE_MS ? "did not end when told to" : judge(status);
}
