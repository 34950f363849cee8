/* fault.c - the one armed fault plan of a debug build.
 *
 * Empty in a release build. See fault.h.
 *
 * SPDX-License-Identifier: MIT */
#include "fault.h"

#ifdef PROA_DEBUG
#include <string.h>

static struct {
  const char *name;
  unsigned left;
  bool always;
} plan;

void fault_arm(const char *name, unsigned nth, bool always) {
  plan.name = name;
  plan.left = nth;
  plan.always = always;
}

bool fault_point(const char *name) {
  if (!plan.left || (plan.name && strcmp(plan.name, name) != 0)) return false;
  if (plan.left > 1) {
    plan.left--;
    return false;
  }
  if (!plan.always) plan.left = 0;
  return true;
}
#else
typedef int fault_is_empty; /* ISO C wants a declaration in every unit */
#endif
