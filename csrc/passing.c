/* passing.c - descriptors on their way. See passing.h.
 *
 * SPDX-License-Identifier: MIT */
#include "passing.h"

#include <stdlib.h>
#include <string.h>

#include "fault.h"

struct passing *passing_new(struct sys *sys) {
  struct passing *g = fault_point("passing_new") ? NULL : calloc(1, sizeof *g);
  if (!g) return NULL;
  g->sys = sys;
  list_init(&g->in);
  list_init(&g->out);
  return g;
}

struct passed *passed_new(const int *fds, unsigned n) {
  size_t size = sizeof(struct passed) + n * sizeof *fds;
  struct passed *x = fault_point("passed_new") ? NULL : calloc(1, size);
  if (!x) return NULL;
  link_init(&x->link);
  x->n = n;
  memcpy(x->fds, fds, n * sizeof *fds);
  return x;
}

void passed_close(struct sys *sys, const int *fds, unsigned n) {
  static struct sys real = {&sys_posix};
  if (!sys) sys = &real;
  for (unsigned i = 0; i < n; i++)
    if (fds[i] >= 0) sys->class->close(sys, fds[i]);
}

void passed_free(struct sys *sys, struct passed *x) {
  if (!x) return;
  link_unlink(&x->link);
  passed_close(sys, x->fds, x->n);
  free(x);
}

static struct passed *first(const struct list *l) {
  struct link *k = list_first(l);
  return k ? container_of(k, struct passed, link) : NULL;
}

void passing_free(struct passing *g) {
  struct passed *x;
  if (!g) return;
  while ((x = first(&g->in))) passed_free(g->sys, x);
  while ((x = first(&g->out))) passed_free(g->sys, x);
  free(g);
}

/* -- out -- */

int passing_send(struct passing *g, uint64_t at, const int *fds, unsigned n) {
  struct passed *x = passed_new(fds, n);
  if (!x) return -ENOMEM;
  x->at = at;
  list_push(&g->out, &x->link);
  return 0;
}

struct passed *passing_due(struct passing *g, size_t *until) {
  struct passed *x = first(&g->out), *with = NULL;
  if (x && x->at == g->gone) {
    with = x;
    struct link *k = list_next(&g->out, &x->link);
    x = k ? container_of(k, struct passed, link) : NULL;
  }
  *until = x ? (size_t)(x->at - g->gone) : SIZE_MAX;
  return with;
}

void passing_went(struct passing *g, struct passed *with, size_t n) {
  g->gone += n;
  if (with && n) passed_free(g->sys, with);
}

/* -- in -- */

void passing_came(struct passing *g, const struct message *m) {
  int fds[MESSAGE_FDS_MAX];
  unsigned n = message_fds(m, fds);
  struct passed *x = NULL;
  if (n && g->held + n <= g->max) x = passed_new(fds, n);
  if (x) x->at = g->came;
  g->came += m->len;
  g->cut |= m->control_cut || (n && !x);
  if (!x) {
    passed_close(g->sys, fds, n);
    return;
  }
  list_push(&g->in, &x->link);
  g->held += n;
}

size_t passing_next(struct passing *g, size_t unread, struct passed **with) {
  int64_t at = (int64_t)(g->came - unread); /* what was put back comes before */
  struct passed *x = first(&g->in);
  *with = NULL;
  if (x && (int64_t)x->at <= at) {
    *with = x;
    struct link *k = list_next(&g->in, &x->link);
    x = k ? container_of(k, struct passed, link) : NULL;
  }
  if (!x) return unread;
  /* those that were read past come one after another, each with a byte */
  return (int64_t)x->at > at ? min_size(unread, (size_t)((int64_t)x->at - at))
                             : 1;
}

void passing_drop(struct passing *g, struct passed *with) {
  g->held -= with->n;
  passed_free(g->sys, with);
}
