/* interrupt.h - calling a worker thread back from a system call that waits.
 *
 * A call like open(2) of a FIFO ends with EINTR when its thread meets a signal
 * whose handler does not ask for a restart. The signal is a real-time one that
 * nobody in the process uses; it is chosen, and its handler (which does
 * nothing) set, before the first worker starts. The handler stays: the default
 * of such a signal is to end the process, and one may always be on its way.
 *
 * A signal that comes a moment before the call begins is lost, so a timer of
 * the kernel's repeats it until the call has ended. The timer is taken away by
 * the thread that gets the signals: then none can meet what it does next.
 * The caller locks: begin and end must not run at once.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_INTERRUPT_H
#define PROA_INTERRUPT_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

/* One call that may be interrupted; all zero: nobody asked. */
struct interrupt {
  bool asked; /* from now on EINTR is the end of the call */
  bool armed; /* the timer runs */
  timer_t timer;
};

/* Leave in `blocked`, the mask of a thread to be, the signal out. */
void interrupt_allow(sigset_t *blocked);

/* Signal that thread, again and again. Without a signal or a timer (they are
 * limited, RLIMIT_SIGPENDING) the call goes on as long as it takes. */
void interrupt_begin(struct interrupt *i, pid_t thread);

/* By that thread: the call has ended. */
void interrupt_end(struct interrupt *i);

#endif
