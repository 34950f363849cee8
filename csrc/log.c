/* log.c - what the runtime has to say. See log.h.
 *
 * SPDX-License-Identifier: MIT */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>

void log_say(struct log *log, struct log_entry e, const char *format, ...) {
  va_list args;
  if (!log) return;
  va_start(args, format);
  vsnprintf(e.text, sizeof e.text, format, args);
  va_end(args);
  log->add(log, &e);
}
