/* child.h - the process that is measured: started, watched, ended.
 *
 * It owns one process and the pipe with what that says (both its outputs). A
 * server says "listening on 127.0.0.1:PORT" first. The process never outlives
 * the one that started it, and no wait for it is unbounded. It does not judge
 * numbers. Used by load.c.
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

struct child {
  pid_t pid;       /* 0: none, or its end was collected */
  int out;         /* what it writes */
  clockid_t clock; /* the CPU time of all its threads, also ended ones */
  char said[4096]; /* its output so far, what is too much left out */
  size_t said_n;
};

/* Start argv pinned to a core (-1: anywhere); 0 or -errno. */
int child_start(struct child *c, char **argv, int core);

/* Wait for the line with the address; false if it ends or takes too long. */
bool child_address(struct child *c, double limit_s, struct sockaddr_in *at);

/* Read what it says until it has ended; false if that takes longer. */
bool child_finish(struct child *c, double limit_s);

/* User and system seconds so far. */
double child_cpu_s(const struct child *c);

/* KiB by the field of /proc/PID/status, "VmRSS" or "VmHWM"; 0: not known. */
long child_kib(const struct child *c, const char *field);

/* TERM, after a while KILL. NULL if it ended as a server should: by itself
 * with status 0 or by that TERM; else how it ended, in words. */
const char *child_stop(struct child *c);

/* Pin the calling process; false if the core is not ours to use. */
bool pin_to(int core);

#endif
