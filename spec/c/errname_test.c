/* errname_test.c - errno values in names and words.
 *
 * SPDX-License-Identifier: MIT */
#include "errname.h"

#include "check.h"

TEST("common errors have their names") {
  CHECK_STRING(err_name(ECONNREFUSED), "ECONNREFUSED");
  CHECK_STRING(err_name(ECANCELED), "ECANCELED");
  CHECK_STRING(err_name(EAGAIN), "EAGAIN");
  CHECK_STRING(err_name(ENOENT), "ENOENT");
}

TEST("what is no error has no name") {
  CHECK(!err_name(0));
  CHECK(!err_name(-ENOENT));
  CHECK(!err_name(100000));
}

TEST("no name is given twice, or to the wrong number") {
#if defined __GLIBC__ && __GLIBC_PREREQ(2, 32)
  for (int err = 1; err < 200; err++) {
    const char *name = err_name(err);
    bool has_two = err == EOPNOTSUPP; /* and ENOTSUP */
    if (name && !has_two) CHECK_STRING(name, strerrorname_np(err));
  }
#else
  SKIP("strerrorname_np came with glibc 2.32");
#endif
}

TEST("messages are in lower case, acronyms stay") {
  char text[80];
  CHECK_STRING(err_text(ECONNREFUSED, text, sizeof text), "connection refused");
  CHECK_STRING(err_text(ENOENT, text, sizeof text),
               "no such file or directory");
}

TEST("a message is cut to the room there is") {
  char text[5];
  CHECK_STRING(err_text(ECONNREFUSED, text, sizeof text), "conn");
}
