/* list_test.c - the intrusive list of list.h.
 *
 * SPDX-License-Identifier: MIT */
#include "list.h"

#include "check.h"
#include "dies.h"

struct item {
  int n;
  struct link link;
};

/* Entries and lists are all static: neither points at what is gone. */
static struct item items[5];

static struct list filled(struct list *l) {
  list_init(l);
  for (int i = 0; i < 5; i++) {
    items[i].n = i;
    link_init(&items[i].link);
    list_push(l, &items[i].link);
  }
  return *l;
}

/* The numbers of the list as digits: 12 is 1, then 2. */
static int digits(const struct list *l) {
  int n = 0;
  list_each(l, k) n = n * 10 + container_of(k, struct item, link)->n;
  return n;
}

TEST("a list that was just made is empty") {
  static struct list l = LIST_INIT(&l);
  CHECK(list_empty(&l));
  CHECK(list_first(&l) == NULL);
  CHECK(list_pop(&l) == NULL);
}

TEST("what is pushed leaves in the same order") {
  static struct list l;
  filled(&l);
  CHECK_INT(digits(&l), ==, 1234);
  for (int i = 0; i < 5; i++) CHECK(list_pop(&l) == &items[i].link);
  CHECK(list_empty(&l));
}

TEST("what is pushed to the front leaves first") {
  static struct list l;
  filled(&l);
  static struct item nine = {.n = 9};
  link_init(&nine.link);
  list_push_front(&l, &nine.link);
  CHECK_INT(digits(&l), ==, 901234);
}

TEST("a link leaves from the middle, and may be unlinked twice") {
  static struct list l;
  filled(&l);
  link_unlink(&items[2].link);
  link_unlink(&items[2].link);
  CHECK(!link_listed(&items[2].link));
  CHECK_INT(digits(&l), ==, 134);
  link_unlink(&items[4].link);
  link_unlink(&items[0].link);
  CHECK_INT(digits(&l), ==, 13);
}

TEST("list_next walks to the end") {
  static struct list l;
  filled(&l);
  int n = 0;
  for (struct link *k = list_first(&l); k; k = list_next(&l, k)) n++;
  CHECK_INT(n, ==, 5);
}

TEST("splicing moves all of one list behind another") {
  static struct list a, b = LIST_INIT(&b);
  filled(&a);
  static struct item seven = {.n = 7};
  link_init(&seven.link);
  list_push(&b, &seven.link);
  list_splice(&b, &a);
  CHECK(list_empty(&a));
  CHECK_INT(digits(&b), ==, 701234);
  list_splice(&b, &a); /* nothing more to move */
  CHECK_INT(digits(&b), ==, 701234);
  list_splice(&a, &b); /* into an empty one */
  CHECK(list_empty(&b));
  CHECK_INT(digits(&a), ==, 701234);
}

static void push_twice(void *list) {
  list_push(list, &items[0].link);
}

TEST("a link that is listed cannot be pushed again") {
  static struct list l;
  filled(&l);
  CHECK(dies(push_twice, &l));
}
