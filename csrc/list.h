/* list.h - intrusive doubly linked list.
 *
 * A struct link is a member of what is listed; the list owns nothing. A link
 * that is in no list points to itself, so link_unlink may be called at any
 * time and twice. Never allocates, never fails.
 * Next: heap.h for what is ordered by time.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LIST_H
#define PROA_LIST_H

#include "base.h"

struct link {
  struct link *prev, *next;
};

struct list {
  struct link head; /* head.next is the first, head.prev the last */
};

#define LIST_INIT(l)                   \
  {                                    \
    .head = { &(l)->head, &(l)->head } \
  }

static inline void link_init(struct link *k) {
  k->prev = k->next = k;
}

static inline bool link_listed(const struct link *k) {
  return k->next != k;
}

static inline void link_unlink(struct link *k) {
  k->prev->next = k->next;
  k->next->prev = k->prev;
  link_init(k);
}

static inline void list_init(struct list *l) {
  link_init(&l->head);
}

static inline bool list_empty(const struct list *l) {
  return !link_listed(&l->head);
}

static inline struct link *list_first(const struct list *l) {
  return list_empty(l) ? NULL : l->head.next;
}

static inline struct link *list_next(const struct list *l,
                                     const struct link *k) {
  return k->next == &l->head ? NULL : k->next;
}

/* Put k between two neighbours; it must be in no list. */
static inline void link_between(struct link *k, struct link *a,
                                struct link *b) {
  assert(!link_listed(k));
  k->prev = a;
  k->next = b;
  a->next = b->prev = k;
}

static inline void list_push(struct list *l, struct link *k) {
  link_between(k, l->head.prev, &l->head);
}

static inline void list_push_front(struct list *l, struct link *k) {
  link_between(k, &l->head, l->head.next);
}

/* Take the first, or NULL. */
static inline struct link *list_pop(struct list *l) {
  struct link *k = list_first(l);
  if (k) link_unlink(k);
  return k;
}

/* Move all of `from` behind what `to` holds. */
static inline void list_splice(struct list *to, struct list *from) {
  if (list_empty(from)) return;
  struct link *a = from->head.next, *b = from->head.prev;
  a->prev = to->head.prev;
  to->head.prev->next = a;
  b->next = &to->head;
  to->head.prev = b;
  list_init(from);
}

/* Walks a list whose entries stay where they are. */
#define list_each(l, k) \
  for (struct link *k = (l)->head.next; k != &(l)->head; k = k->next)

#endif
