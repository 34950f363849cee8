/* process.h - a child and its end, without Lua.
 *
 * From the start an op waits for its pidfd to become readable, so that it is
 * reaped when it ends whether or not anybody asks: no zombie is left, and no
 * SIGCHLD is looked at. The record belongs to whoever made it until
 * process_leave; then it goes by itself when the child has ended. Ending one
 * (process_end) is a TERM at once and a KILL after some grace, and counts
 * among what closes in the background. Next: lua_process.c.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_PROCESS_H
#define PROA_PROCESS_H

#include "proactor.h"
#include "spawn.h"

struct process {
  struct proactor *p;
  struct handle *handle; /* its pidfd; NULL: it has ended */
  struct op *ready;      /* under way until it has ended */
  pid_t pid;
  bool group;  /* it leads a process group, which ends with it */
  bool ending; /* process_end was called */
  bool left;   /* nobody holds this record */
  bool ended;  /* `err` and `status` are known */
  int err;     /* -errno: how it ended is not known */
  struct exit_status status;
  struct list waiters; /* struct waiter: woken when it has ended */
  struct deadline grace;
  struct link link; /* in proactor.lingering while `ending` */
};

/* -errno and the step that failed. */
int process_spawn(struct proactor *p, const struct spawn *s,
                  struct process **out, enum spawn_step *step);

/* 0, -ESRCH when it has ended, or another -errno. group: all of its process
 * group, if it leads one. */
int process_kill(struct process *k, int signal, bool group);

/* TERM now, KILL after grace_ns; nothing when it has ended or is ending. */
void process_end(struct process *k, uint64_t grace_ns);

/* The record is not to be touched afterwards; the child lives on. */
void process_leave(struct process *k);

#endif
