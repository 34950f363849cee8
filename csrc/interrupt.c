/* interrupt.c - calling a worker thread back. See interrupt.h.
 *
 * SPDX-License-Identifier: MIT */
#include "interrupt.h"

#include <pthread.h>

#ifndef sigev_notify_thread_id /* the C library's name for it is younger */
#define sigev_notify_thread_id _sigev_un._tid
#endif

enum { EVERY_NS = 1000 * 1000 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int number; /* of the signal; 0: there is none to be had */

static void on_signal(int signal) {
  (void)signal; /* that it comes is all */
}

static bool unused(int signal) {
  struct sigaction now;
  return sigaction(signal, NULL, &now) == 0 && now.sa_handler == SIG_DFL;
}

/* The highest real-time signal with its default action. Whoever waits for one
 * by sigwait(3) or signalfd(2) leaves it that action but blocks it: such come
 * last. SIGRTMAX itself is left to the tools that like it. */
static int choose(void) {
  sigset_t blocked;
  int last = 0;
  pthread_sigmask(SIG_SETMASK, NULL, &blocked);
  for (int i = SIGRTMAX - 1; i >= SIGRTMIN; i--) {
    if (!unused(i)) continue;
    if (!sigismember(&blocked, i)) return i;
    if (!last) last = i;
  }
  return last;
}

static void prepare(void) {
  struct sigaction a = {.sa_handler = on_signal}; /* no SA_RESTART */
  int signal = choose();
  sigemptyset(&a.sa_mask);
  if (signal && sigaction(signal, &a, NULL) == 0) number = signal;
}

void interrupt_allow(sigset_t *blocked) {
  pthread_once(&once, prepare);
  if (number) sigdelset(blocked, number);
}

/* Somebody else may have taken the signal since, and would not expect it. */
static bool is_ours(void) {
  struct sigaction now;
  return number && sigaction(number, NULL, &now) == 0 &&
         now.sa_handler == on_signal;
}

void interrupt_begin(struct interrupt *i, pid_t thread) {
  struct sigevent to = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = number};
  struct itimerspec at_once = {.it_value.tv_nsec = 1,
                               .it_interval.tv_nsec = EVERY_NS};
  if (i->asked) return;
  i->asked = true;
  to.sigev_notify_thread_id = thread;
  if (!is_ours()) return;
  i->armed = timer_create(CLOCK_MONOTONIC, &to, &i->timer) == 0;
  if (i->armed) timer_settime(i->timer, 0, &at_once, NULL);
}

void interrupt_end(struct interrupt *i) {
  if (i->armed) timer_delete(i->timer);
  i->armed = false;
}
