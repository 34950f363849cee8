/* terminal.h - terminals: raw mode that is put back, the size of the window.
 *
 * What was made raw is in a table of this process, so that it can be put back
 * from a signal handler or on exit. Layer 1: knows no proactor and no Lua.
 * Used by lua_stdio.c, and by lua_signal.c for signals that kill.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_TERMINAL_H
#define PROA_TERMINAL_H

#include "base.h"

enum { TERMINAL_RAW_MAX = 8 }; /* at once */

/* Make the terminal of fd raw: each byte is read as it is typed and echoed by
 * nobody; output is as before. signals: Ctrl-C and the like still make them. A
 * number for terminal_restore, or -errno. */
int terminal_raw(int fd, bool signals);
/* As it was before. */
void terminal_restore(int number);
/* All of them. Async-signal-safe. */
void terminal_restore_all(void);
/* Is any raw? */
bool terminal_any_raw(void);

/* 0 or -errno. */
int terminal_size(int fd, int *columns, int *rows);

#endif
