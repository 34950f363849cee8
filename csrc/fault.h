/* fault.h - fault points: places where a test may make the world fail.
 *
 * fault_point("name") is false, and costs nothing, unless the library was
 * built with PROA_DEBUG and a test has armed that name. Owns one global plan;
 * tests are single-threaded where they use it.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_FAULT_H
#define PROA_FAULT_H

#include "base.h"

#ifdef PROA_DEBUG
bool fault_point(const char *name);
/* Fail the nth (from 1) visit of `name` and, when `always`, all later ones.
 * name NULL: any point. nth 0 disarms. */
void fault_arm(const char *name, unsigned nth, bool always);
#else
#define fault_point(name) (false)
#endif

#endif
