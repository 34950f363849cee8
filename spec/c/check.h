/*
 * check.h - the whole C test framework: one header, one program per subject.
 *
 * A test file includes this once and holds TEST blocks; main is in here. Every
 * test runs in the order of the file, in the same process, so a crash ends the
 * program (spec/run then counts it as a failure and says which test it was).
 * Failed checks are printed as `not ok file:line ...`; the last line is
 * `N passed, N failed`, in tests. It is not meant for code outside spec/c/.
 *
 *   TEST("a list that was emptied is empty") {
 *     REQUIRE(list_is_empty(&list));   // leaves the test when it is not so
 *     CHECK(list.count == 0);          // notes it and goes on
 *     CHECK_INT(op.result, ==, -EAGAIN); // prints both values
 *   }
 *
 *   ./list_test            runs all
 *   ./list_test emptied    runs those whose name contains "emptied"
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROA_CHECK_H
#define PROA_CHECK_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct check_test {
  const char *name;
  void (*run)(void);
  struct check_test *next;
};

static struct check_test *check_first;
static struct check_test **check_last = &check_first;
static int check_misses;   /* failed checks of the test that runs */
static int check_is_quiet; /* set by SKIP: neither passed nor failed */

static void check_add(struct check_test *test) {
  *check_last = test;
  check_last = &test->next;
}

__attribute__((format(printf, 3, 4))) static void
check_miss(const char *file, int line, const char *format, ...) {
  va_list args;
  va_start(args, format);
  printf("not ok %s:%d: ", file, line);
  vprintf(format, args);
  printf("\n");
  va_end(args);
  check_misses++;
}

#define CHECK_JOIN_(a, b) a##b
#define CHECK_JOIN(a, b) CHECK_JOIN_(a, b)

/* A constructor puts each test into the list before main runs. */
#define TEST(sentence) CHECK_TEST(sentence, __LINE__)
#define CHECK_TEST(sentence, id)                                              \
  static void CHECK_JOIN(check_run_, id)(void);                               \
  __attribute__((constructor)) static void CHECK_JOIN(check_add_, id)(void) { \
    static struct check_test test = {sentence, CHECK_JOIN(check_run_, id),    \
                                     NULL};                                   \
    check_add(&test);                                                         \
  }                                                                           \
  static void CHECK_JOIN(check_run_, id)(void)

#define CHECK(condition)                                                \
  do {                                                                  \
    if (!(condition)) check_miss(__FILE__, __LINE__, "%s", #condition); \
  } while (0)

#define REQUIRE(condition)                              \
  do {                                                  \
    if (!(condition)) {                                 \
      check_miss(__FILE__, __LINE__, "%s", #condition); \
      return;                                           \
    }                                                   \
  } while (0)

#define CHECK_INT(left, relation, right)                               \
  do {                                                                 \
    long long left_ = (long long)(left), right_ = (long long)(right);  \
    if (!(left_ relation right_))                                      \
      check_miss(__FILE__, __LINE__, "%s %s %s: %lld and %lld", #left, \
                 #relation, #right, left_, right_);                    \
  } while (0)

#define CHECK_STRING(left, right)                                              \
  do {                                                                         \
    const char *left_ = (left), *right_ = (right);                             \
    if (strcmp(left_, right_) != 0)                                            \
      check_miss(__FILE__, __LINE__, "%s is \"%s\", not \"%s\"", #left, left_, \
                 right_);                                                      \
  } while (0)

/* Leaves the test: this machine cannot run it, and the reason is printed. */
#define SKIP(reason)                                        \
  do {                                                      \
    printf("skip %s:%d: %s\n", __FILE__, __LINE__, reason); \
    check_is_quiet = 1;                                     \
    return;                                                 \
  } while (0)

int main(int argc, char **argv) {
  int passed = 0, failed = 0, skipped = 0;
  setvbuf(stdout, NULL, _IOLBF, 0); /* what was printed survives a crash */
  for (struct check_test *test = check_first; test; test = test->next) {
    if (argc > 1 && !strstr(test->name, argv[1])) continue;
    check_misses = check_is_quiet = 0;
    printf("# %s\n", test->name);
    test->run();
    if (check_misses)
      failed++;
    else if (check_is_quiet)
      skipped++;
    else
      passed++;
  }
  printf("%d passed, %d failed", passed, failed);
  if (skipped) printf(", %d skipped", skipped);
  printf("\n");
  return failed > 0 || passed + skipped == 0;
}

#endif
