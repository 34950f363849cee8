/* errname.h - names and plain words for errno values.
 *
 * err_name(ECONNREFUSED) is "ECONNREFUSED", err_text gives the system's words
 * in lower case ("connection refused"), as messages of proa use them. Owns
 * nothing; both return static strings, err_name NULL for what it does not
 * know.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_ERRNAME_H
#define PROA_ERRNAME_H

#include "base.h"

const char *err_name(int err);

/* Writes to `into` (len > 0) and returns it. */
const char *err_text(int err, char *into, size_t len);

#endif
