/* place.h - where tasks were spawned: a tree of lines.
 *
 * A place is the line that spawned a task and the place of the task that ran
 * it, so a number tells a task's whole descent. Tasks of one descent share
 * one record; places are few however many tasks there are, and are kept until
 * the end. Never fails: where there is no memory, or beyond PLACES_MAX, the
 * place is one without a name.
 * Knows neither Lua nor tasks. Used by lua_task.c and lua_traceback.c.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_PLACE_H
#define PROA_PLACE_H

#include <string.h>

#include "base.h"

enum {
  PLACE_MAIN = 0,    /* the main chunk: not spawned */
  PLACE_UNKNOWN = 1, /* no memory, or too many */
  PLACES_MAX = 4096,
  PLACE_DEPTH_MAX = 24, /* of ancestors that are kept */
  PLACE_FILE_MAX = 36,
};

struct place {
  uint32_t parent; /* of the task that spawned */
  int line;
  uint8_t depth;
  bool again;                /* and so were its spawners, up to the parent */
  bool cut;                  /* the parent is left out: too many ancestors */
  char file[PLACE_FILE_MAX]; /* the end of its name; "": called from C */
};

struct places {
  struct place *all;
  uint32_t n, cap;
  uint32_t *slots; /* numbers by hash, 0: free; a power of two of them */
  uint32_t slot_n;
  uint32_t last, last_parent; /* what was found last, and below whom */
};

void places_deinit(struct places *p);

const struct place *place_at(const struct places *p, uint32_t number);

/* For place_find. */
uint32_t place_search(struct places *p, uint32_t parent, const char *file,
                      int line);

/* The place of a task that is spawned there by a task of `parent`. Mostly it
 * is the same as last time. */
static inline uint32_t place_find(struct places *p, uint32_t parent,
                                  const char *file, int line) {
  size_t len = strlen(file), max = PLACE_FILE_MAX - 1;
  if (len > max) file += len - max; /* the end of a path says more */
  if (p->last && p->last_parent == parent && p->all[p->last].line == line &&
      strcmp(p->all[p->last].file, file) == 0)
    return p->last;
  return place_search(p, parent, file, line);
}

#endif
