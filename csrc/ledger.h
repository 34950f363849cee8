/* ledger.h - in a debug build: every op in flight, and what it was lent.
 *
 * At submit an op is entered with the time, the line of Lua that submitted it
 * and a sum of the lent bytes that must not change; at its end that sum is
 * checked, and an EFAULT for memory that was freed too early is told to be our
 * bug, which it is. At close the ledger must be empty; what is in it is named
 * with its age and place. Costs nothing in a release build.
 * Layer 3. Called by proactor.c alone; lua_core.c says where Lua is.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LEDGER_H
#define PROA_LEDGER_H

#include "proactor.h"

#ifdef PROA_DEBUG
void ledger_enter(struct proactor *p, struct op *op);
void ledger_leave(struct proactor *p, struct op *op, int32_t res);
/* The proactor has drained, or not; asserts that every op was given back. */
void ledger_close(struct proactor *p, bool drained);
#else
#define ledger_enter(p, op) ((void)0)
#define ledger_leave(p, op, res) ((void)0)
#define ledger_close(p, drained) ((void)0)
#endif

#endif
