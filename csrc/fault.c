/* fault.c - the one armed fault plan of a debug build, and what was visited.
 *
 * Empty in a release build. See fault.h.
 *
 * SPDX-License-Identifier: MIT */
#include "fault.h"

#ifdef PROA_DEBUG
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct {
  char name[40];  /* "": any */
  unsigned left;  /* visits until the first that fails; 0: disarmed */
  unsigned count; /* how many fail from then on */
  unsigned failed;
  int err;
} plan;

static struct fault_seen seen[FAULTS_MAX + 1];
static bool noting;

void fault_arm_error(const char *name, unsigned nth, unsigned count, int err) {
  pthread_mutex_lock(&lock);
  snprintf(plan.name, sizeof plan.name, "%s", name ? name : "");
  plan.left = nth;
  plan.count = count;
  plan.failed = 0;
  plan.err = err;
  pthread_mutex_unlock(&lock);
}

void fault_arm(const char *name, unsigned nth, bool always) {
  fault_arm_error(name, nth, always ? UINT32_MAX : 1, 0);
}

unsigned fault_disarm(void) {
  pthread_mutex_lock(&lock);
  plan.left = 0;
  unsigned failed = plan.failed;
  pthread_mutex_unlock(&lock);
  return failed;
}

static void note(const char *name, bool has_error) {
  struct fault_seen *s = seen;
  while (s->name[0] && strcmp(s->name, name) != 0) s++;
  if (s == &seen[FAULTS_MAX]) return;
  if (!s->name[0]) snprintf(s->name, sizeof s->name, "%s", name);
  s->has_error |= has_error;
  s->visits++;
}

void fault_note(bool on) {
  pthread_mutex_lock(&lock);
  if (on) memset(seen, 0, sizeof seen);
  noting = on;
  pthread_mutex_unlock(&lock);
}

const struct fault_seen *fault_seen(unsigned i) {
  return i < FAULTS_MAX && seen[i].name[0] ? &seen[i] : NULL;
}

static bool fails(const char *name) {
  if (!plan.left || (plan.name[0] && strcmp(plan.name, name) != 0))
    return false;
  if (plan.left > 1) {
    plan.left--;
    return false;
  }
  plan.failed++;
  if (plan.count != UINT32_MAX && --plan.count == 0) plan.left = 0;
  return true;
}

static bool visit(const char *name, bool has_error, int *err) {
  pthread_mutex_lock(&lock);
  if (noting) note(name, has_error);
  bool failed = fails(name);
  *err = plan.err;
  pthread_mutex_unlock(&lock);
  return failed;
}

bool fault_point(const char *name) {
  int err;
  return visit(name, false, &err);
}

int fault_error(const char *name, int usual) {
  int err;
  if (!visit(name, true, &err)) return 0;
  return err ? -err : -usual;
}

int fault_error_of(const char *kind, const char *name, int usual) {
  char both[40];
  snprintf(both, sizeof both, "%s:%s", kind, name);
  return fault_error(both, usual);
}
#else
typedef int fault_is_empty; /* ISO C wants a declaration in every unit */
#endif
