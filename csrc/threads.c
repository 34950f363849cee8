/* threads.c - worker threads. See threads.h.
 *
 * Owns the workers, the jobs, and each job's copy of its op. The struct is
 * counted: threads_free lets go of the owner's reference, the last worker to
 * leave frees it. For each patient job (one that may wait for long) there may
 * be a worker more than `max`, so that `max` are left for the others.
 *
 * SPDX-License-Identifier: MIT */
#include "threads.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fault.h"
#include "interrupt.h"

enum {
  STACK_BYTES = 256 * 1024,
  PATIENT_MAX = 64, /* that run at once; more of them wait for their turn */
};

#define PAGE_BYTES ((size_t)4096)

struct job {
  struct link link; /* in one of the lists of struct threads */
  struct op *op;    /* whose work it is; the loop's, not to be touched here */
  struct op copy;   /* what the worker works with */
  pid_t runs_on;    /* the thread that performs it; 0: none does */
  struct interrupt interrupt;
  struct handle handle, other;
};

struct threads {
  pthread_mutex_t lock;
  pthread_cond_t work;
  struct list waiting, patient; /* struct job: to be begun */
  struct list running, done;    /* struct job */
  unsigned max, alive, idle, queued;
  unsigned patients, away; /* patient jobs not yet ended; those that run */
  unsigned refs;           /* the owner and each worker */
  bool closed;
  void (*wake)(void *);
  void *arg;
};

/* -- jobs -- */

static void job_free(struct job *job) {
  if (job->copy.class->flags & (OP_FILLS | OP_EMPTIES)) free(job->copy.io.ptr);
  free(job->copy.memory);
  free(job);
}

/* Aligned as buffers are, for files that are opened past the page cache. */
static void *bytes_new(size_t len) {
  if (len < PAGE_BYTES) return malloc(len ? len : 1);
  return aligned_alloc(PAGE_BYTES, (len + PAGE_BYTES - 1) & -PAGE_BYTES);
}

/* A read gets memory of its own, a write a copy of its bytes. */
static int job_own_bytes(struct job *job, const struct op *op) {
  if (!(op->class->flags & (OP_FILLS | OP_EMPTIES))) return 0;
  job->copy.io.ptr = bytes_new(op->io.len);
  if (!job->copy.io.ptr) return -ENOMEM;
  if (op->class->flags & OP_EMPTIES) op_gather(op, job->copy.io.ptr);
  return 0;
}

/* op->memory (a path, a query) moves to the job and comes back with it. */
static struct job *job_new(struct op *op) {
  struct job *job = fault_point("job_new") ? NULL : calloc(1, sizeof *job);
  if (!job) return NULL;
  link_init(&job->link);
  job->op = op;
  job->copy = *op;
  job->copy.on_worker = true;
  job->copy.memory = NULL;
  if (op->handle) {
    job->handle.fd = op->handle->fd;
    job->copy.handle = &job->handle;
  }
  if (op->other) {
    job->other.fd = op->other->fd;
    job->copy.other = &job->other;
  }
  if (job_own_bytes(job, op) < 0) {
    free(job);
    return NULL;
  }
  job->copy.memory = op->memory;
  op->memory = NULL;
  return job;
}

/* The op as it was before threads_submit. */
static void job_undo(struct job *job) {
  job->op->memory = job->copy.memory;
  job->copy.memory = NULL;
  job->op->job = NULL;
  job_free(job);
}

/* -- workers -- */

static void unref(struct threads *t) {
  bool last = --t->refs == 0;
  pthread_mutex_unlock(&t->lock);
  if (!last) return;
  pthread_cond_destroy(&t->work);
  pthread_mutex_destroy(&t->lock);
  free(t);
}

static bool is_patient(const struct job *job) {
  return job->copy.class->flags & OP_PATIENT;
}

static unsigned alive_max(const struct threads *t) {
  return t->max + (t->patients < PATIENT_MAX ? t->patients : PATIENT_MAX);
}

static struct job *begin_job(struct threads *t) {
  struct link *k = list_pop(&t->waiting);
  if (!k && t->away < PATIENT_MAX && (k = list_pop(&t->patient))) t->away++;
  if (k) t->queued--;
  return k ? container_of(k, struct job, link) : NULL;
}

/* NULL: the worker is to leave. One that comes from a patient job may be one
 * too many; what it leaves undone has been told to another. */
static struct job *next_job(struct threads *t) {
  if (t->alive > alive_max(t)) return NULL;
  struct job *job;
  while (!(job = begin_job(t)) && !t->closed) {
    t->idle++;
    pthread_cond_wait(&t->work, &t->lock);
    t->idle--;
  }
  return job;
}

/* Nobody is left to collect: put away what the result carries. */
static void discard(struct job *job, struct sys *sys) {
  const struct op_class *class = job->copy.class;
  if (class->dispose) class->dispose(&job->copy, job->copy.res, sys);
  job_free(job);
}

static _Thread_local pid_t thread_id;

/* A call that a signal has ended is made again, unless that was the purpose
 * of the signal. */
static void perform(struct threads *t, struct job *job, struct sys *sys) {
  job->runs_on = thread_id;
  do {
    pthread_mutex_unlock(&t->lock);
    job->copy.res = job->copy.class->perform(&job->copy, sys);
    pthread_mutex_lock(&t->lock);
  } while (job->copy.res == -EINTR && !job->interrupt.asked);
  if (job->copy.res == -EINTR) job->copy.res = -ECANCELED;
  interrupt_end(&job->interrupt);
  job->runs_on = 0;
  link_unlink(&job->link);
}

static void work(struct threads *t, struct job *job) {
  struct sys sys = {&sys_posix};
  list_push(&t->running, &job->link);
  perform(t, job, &sys);
  if (is_patient(job)) t->away--, t->patients--;
  if (t->closed) {
    discard(job, &sys);
    return;
  }
  bool first = list_empty(&t->done);
  list_push(&t->done, &job->link);
  if (first) t->wake(t->arg); /* under the lock: the owner is still there */
}

static void *worker(void *arg) {
  struct threads *t = arg;
  thread_id = (pid_t)syscall(SYS_gettid);
  pthread_mutex_lock(&t->lock);
  struct job *job;
  while ((job = next_job(t))) work(t, job);
  t->alive--;
  unref(t);
  return NULL;
}

static int start_worker(struct threads *t) {
  FAULT_RETURN("start_worker", EAGAIN);
  pthread_attr_t attr;
  pthread_t id;
  sigset_t all, before;
  sigfillset(&all);
  interrupt_allow(&all);
  pthread_attr_init(&attr);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attr, STACK_BYTES);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* the worker inherits it */
  int r = pthread_create(&id, &attr, worker, t);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attr);
  if (r != 0) return -r;
  t->alive++;
  t->refs++;
  return 0;
}

/* -- the owner's side -- */

struct threads *threads_new(unsigned max, void (*wake)(void *), void *arg) {
  struct threads *t = calloc(1, sizeof *t);
  if (!t) return NULL;
  pthread_mutex_init(&t->lock, NULL);
  pthread_cond_init(&t->work, NULL);
  list_init(&t->waiting);
  list_init(&t->patient);
  list_init(&t->running);
  list_init(&t->done);
  t->max = max;
  t->refs = 1;
  t->wake = wake;
  t->arg = arg;
  return t;
}

static void drop_all(struct list *jobs, bool ran) {
  struct sys sys = {&sys_posix};
  struct link *k;
  while ((k = list_pop(jobs))) {
    struct job *job = container_of(k, struct job, link);
    if (ran)
      discard(job, &sys);
    else
      job_free(job);
  }
}

/* getaddrinfo and its kin are left alone: they would give another answer, not
 * none. */
static void interrupt(struct job *job) {
  if (!(job->copy.class->flags & OP_DEAF))
    interrupt_begin(&job->interrupt, job->runs_on);
}

void threads_free(struct threads *t) {
  if (!t) return;
  pthread_mutex_lock(&t->lock);
  t->closed = true;
  list_each(&t->running, k) interrupt(container_of(k, struct job, link));
  drop_all(&t->waiting, false);
  drop_all(&t->patient, false);
  drop_all(&t->done, true);
  pthread_cond_broadcast(&t->work);
  unref(t);
}

/* Enough workers for one job more, where that can be had. */
static int have_worker(struct threads *t) {
  if (t->idle > t->queued || t->alive >= alive_max(t)) return 0;
  int r = start_worker(t);
  return t->alive > t->away ? 0 : r;
}

int threads_submit(struct threads *t, struct op *op) {
  struct job *job = job_new(op);
  if (!job) return -ENOMEM;
  pthread_mutex_lock(&t->lock);
  if (is_patient(job)) t->patients++;
  int r = have_worker(t);
  if (r < 0) {
    if (is_patient(job)) t->patients--;
    pthread_mutex_unlock(&t->lock);
    job_undo(job);
    return r;
  }
  op->job = job;
  op->on_worker = true;
  list_push(is_patient(job) ? &t->patient : &t->waiting, &job->link);
  t->queued++;
  pthread_cond_signal(&t->work);
  pthread_mutex_unlock(&t->lock);
  return 0;
}

static bool list_has(struct list *l, const struct link *link) {
  list_each(l, k) if (k == link) return true;
  return false;
}

/* Take it back before it begins. */
static bool withdraw(struct threads *t, struct job *job) {
  bool patient = is_patient(job);
  if (!list_has(patient ? &t->patient : &t->waiting, &job->link)) return false;
  link_unlink(&job->link);
  t->queued--;
  if (patient) t->patients--;
  return true;
}

bool threads_cancel(struct threads *t, struct op *op) {
  struct job *job = op->job;
  pthread_mutex_lock(&t->lock);
  bool waiting = withdraw(t, job);
  if (!waiting && job->runs_on) interrupt(job);
  pthread_mutex_unlock(&t->lock);
  if (waiting) {
    job->op->on_worker = false;
    job_undo(job);
  }
  return waiting;
}

/* What was read goes to the op's memory if somebody still wants it there. */
static struct op *job_collect(struct job *job) {
  struct op *op = job->op;
  op->res = job->copy.res;
  if ((op->class->flags & OP_FILLS) && op->res > 0)
    op_scatter(op, job->copy.io.ptr, (size_t)op->res);
  op->memory = job->copy.memory;
  job->copy.memory = NULL;
  op->job = NULL;
  op->on_worker = false;
  job_free(job);
  return op;
}

struct op *threads_reap(struct threads *t) {
  pthread_mutex_lock(&t->lock);
  struct link *k = list_pop(&t->done);
  pthread_mutex_unlock(&t->lock);
  return k ? job_collect(container_of(k, struct job, link)) : NULL;
}
