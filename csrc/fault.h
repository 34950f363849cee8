/* fault.h - fault points: places where a test may make the world fail.
 *
 * fault_point("name") is false and fault_error("name", EIO) is 0, and both
 * cost nothing, unless the library was built with PROA_DEBUG and a test has
 * armed that name. In such a build every allocation of csrc/ is a point named
 * "alloc" too (fault_alloc.h). There is one plan; tests arm it from one
 * thread, points may be visited by several.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_FAULT_H
#define PROA_FAULT_H

#include "base.h"

#ifdef PROA_DEBUG
bool fault_point(const char *name);

/* 0, or the -errno that was armed; where none was given, -usual. */
int fault_error(const char *name, int usual);

/* The point kind:name, for points made in a loop over a table. */
int fault_error_of(const char *kind, const char *name, int usual);

/* Fail the nth (from 1) visit of `name` and, when `always`, all later ones.
 * name NULL: any point. nth 0 disarms. */
void fault_arm(const char *name, unsigned nth, bool always);

/* The same with an errno for points that tell one, for `count` visits. */
void fault_arm_error(const char *name, unsigned nth, unsigned count, int err);

/* Disarm; how many visits failed. */
unsigned fault_disarm(void);

/* From now on note which points are visited, until NULL or FAULTS_MAX names.
 * Those with an errno are told apart. */
struct fault_seen {
  char name[40];
  unsigned visits;
  bool has_error;
};
enum { FAULTS_MAX = 160 };
void fault_note(bool on);
const struct fault_seen *fault_seen(unsigned i); /* NULL: no more */
#else
#define fault_point(name) (false)
#define fault_error(name, usual) (0)
#define fault_error_of(kind, name, usual) (0)
#endif

#define FAULT_RETURN(name, usual)                \
  do {                                           \
    int fault_error_ = fault_error(name, usual); \
    if (fault_error_ != 0) return fault_error_;  \
  } while (0)

#endif
