/* process.c - children: waiting, killing, reaping. See process.h.
 *
 * SPDX-License-Identifier: MIT */
#include "process.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "fault.h"

static void free_record(struct process *k) {
  assert(!k->handle && !k->ready && list_empty(&k->waiters));
  free(k);
}

/* -- its end -- */

static void finish(struct process *k, int err) {
  k->err = err;
  k->ended = true;
  deadline_clear(k->p, &k->grace);
  link_unlink(&k->link);
  k->p->woke = true; /* somebody may wait for what lingers */
  if (!k->handle->closing) handle_close(k->p, k->handle, NULL, NULL);
  k->handle = NULL;
  waiter_wake_all(&k->waiters);
  if (k->left) free_record(k);
}

/* While it is not reaped its pid, and so its group's, is nobody else's. */
static int reap(struct process *k) {
  if (k->ending && k->group) kill(-k->pid, SIGKILL);
  return pidfd_reap(k->handle->fd, false, &k->status);
}

/* A cancel: the proactor ends, and the child goes on without us. */
static void ready_sink(struct op *op, const struct op_result *r) {
  struct process *k = op->owner;
  int err = r->res < 0 ? r->res : reap(k);
  if (err == -EAGAIN) {
    proactor_submit(k->p, op);
    return;
  }
  k->ready = NULL;
  proactor_free(k->p, op);
  finish(k, err);
}

static void watch(struct process *k) {
  struct op *op = k->ready;
  op->handle = k->handle;
  op->sink = ready_sink;
  op->owner = k;
  op->arg.events = POLLIN;
  proactor_submit(k->p, op);
}

/* -- its start -- */

static void grace_over(struct deadline *d) {
  struct process *k = container_of(d, struct process, grace);
  process_kill(k, SIGKILL, true);
}

/* Everything that may fail for want of memory, but for the handle. */
static struct process *make_record(struct proactor *p) {
  struct process *k = fault_point("process_new") ? NULL : calloc(1, sizeof *k);
  if (!k) return NULL;
  k->p = p;
  list_init(&k->waiters);
  link_init(&k->link);
  k->grace.fire = grace_over;
  k->ready = proactor_op(p, &op_ready);
  if (k->ready) return k;
  free(k);
  return NULL;
}

static void drop_record(struct process *k) {
  proactor_free(k->p, k->ready);
  free(k);
}

/* It runs and can't be watched: as if it had never been. */
static void undo(int pidfd) {
  struct exit_status status;
  pidfd_kill(pidfd, SIGKILL);
  pidfd_reap(pidfd, true, &status);
  close(pidfd);
}

int process_spawn(struct proactor *p, const struct spawn *s,
                  struct process **out, enum spawn_step *step) {
  int pidfd;
  *step = SPAWN_CLONE;
  struct process *k = make_record(p);
  if (!k) return -ENOMEM;
  int r = k->pid = spawn_child(s, &pidfd, step);
  if (r >= 0 && (r = handle_open(p, pidfd, true, &k->handle)) < 0) {
    undo(pidfd);
    *step = SPAWN_CLONE;
  }
  if (r < 0) {
    drop_record(k);
    return r;
  }
  k->group = s->new_session;
  watch(k);
  *out = k;
  return 0;
}

/* -- while it lives -- */

int process_kill(struct process *k, int signal, bool group) {
  if (k->ended) return -ESRCH;
  if (!group || !k->group) return pidfd_kill(k->handle->fd, signal);
  return kill(-k->pid, signal) < 0 ? -errno : 0;
}

void process_end(struct process *k, uint64_t grace_ns) {
  if (k->ended || k->ending) return;
  k->ending = true;
  list_push(&k->p->lingering, &k->link);
  process_kill(k, SIGTERM, true);
  process_kill(k, SIGCONT, true); /* a stopped one would not notice */
  uint64_t at = ns_after(proactor_now(k->p), grace_ns);
  if (deadline_at(k->p, &k->grace, at) < 0) grace_over(&k->grace);
}

void process_leave(struct process *k) {
  waiter_wake_all(&k->waiters); /* lua_close: tasks go after handles */
  k->left = true;
  if (k->ended) free_record(k);
}
