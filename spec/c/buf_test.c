/* buf_test.c - byte blocks: their owner, their references, their lending.
 *
 * SPDX-License-Identifier: MIT */
#include "buf.h"

#include "check.h"
#include "dies.h"
#include "fault.h"

TEST("a new block is zero and counts as live until its last reference") {
  size_t before = buf_bytes_live();
  struct buf *b = buf_new(1000);
  REQUIRE(b);
  CHECK_INT(b->len, ==, 1000);
  for (size_t i = 0; i < b->len; i++) CHECK_INT(b->data[i], ==, 0);
  CHECK_INT(buf_bytes_live() - before, ==, 1000);
  CHECK(buf_ref(b) == b);
  buf_unref(b);
  CHECK_INT(buf_bytes_live() - before, ==, 1000);
  buf_unref(b);
  CHECK_INT(buf_bytes_live(), ==, before);
  buf_unref(NULL);
}

TEST("an empty block is a block") {
  struct buf *b = buf_new(0);
  REQUIRE(b);
  CHECK(b->data);
  CHECK_INT(b->len, ==, 0);
  buf_unref(b);
}

TEST("reserving keeps the bytes and is counted") {
  size_t before = buf_bytes_live();
  struct buf *b = buf_new(10);
  REQUIRE(b);
  memset(b->data, 'x', 10);
  CHECK_INT(buf_reserve(b, 5), ==, 0);
  CHECK_INT(b->cap, ==, 10);
  CHECK_INT(buf_reserve(b, 1000), ==, 0);
  CHECK_INT(b->cap, >=, 1000);
  CHECK_INT(b->len, ==, 10);
  for (int i = 0; i < 10; i++) CHECK_INT(b->data[i], ==, 'x');
  CHECK_INT(buf_bytes_live() - before, ==, b->cap);
  buf_unref(b);
  CHECK_INT(buf_bytes_live(), ==, before);
}

TEST("growing byte by byte reallocates rarely") {
  struct buf *b = buf_new(16);
  REQUIRE(b);
  int grown = 0;
  for (size_t n = 17; n < 10000; n++) {
    size_t cap = b->cap;
    CHECK_INT(buf_reserve(b, n), ==, 0);
    if (b->cap != cap) grown++;
  }
  CHECK_INT(grown, <, 20);
  buf_unref(b);
}

TEST("a lent block knows its borrower until it is returned") {
  struct buf *b = buf_new(1);
  REQUIRE(b);
  buf_lend(b, "read");
  CHECK_STRING(b->lent, "read");
  buf_return(b);
  CHECK(!b->lent);
  buf_lend(b, "send");
  buf_return(b);
  buf_unref(b);
}

static void lend(void *b) {
  buf_lend(b, "recv");
}
static void give_back(void *b) {
  buf_return(b);
}
static void reserve(void *b) {
  buf_reserve(b, 100);
}
static void unref(void *b) {
  buf_unref(b);
}

TEST("a lent block cannot be lent again, resized or freed") {
  struct buf *b = buf_new(1);
  REQUIRE(b);
  buf_lend(b, "read");
  CHECK(dies(lend, b));
  CHECK(dies(reserve, b));
  CHECK(dies(unref, b));
  buf_return(b);
  CHECK(dies(give_back, b));
  buf_unref(b);
}

TEST("without memory there is no block, and none changes") {
#ifdef PROA_DEBUG
  size_t before = buf_bytes_live();
  fault_arm("buf_new", 1, false);
  CHECK(!buf_new(10));
  CHECK_INT(buf_bytes_live(), ==, before);
  struct buf *b = buf_new(10);
  fault_arm("buf_reserve", 1, false);
  CHECK_INT(buf_reserve(b, 20), ==, -ENOMEM);
  CHECK_INT(b->cap, ==, 10);
  buf_unref(b);
#else
  SKIP("fault points are in debug builds");
#endif
}
