/* buf.h - a byte block with one owner.
 *
 * Lua's buffer object owns a struct buf; an op that reads into it or writes
 * from it borrows it (O3): while `lent` names that op, nobody else may touch,
 * resize or free the bytes. The block is counted, not collected: the op keeps
 * its own reference, so the kernel's memory outlives the Lua object (O2).
 * Does not know Lua. Next: op.h.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_BUF_H
#define PROA_BUF_H

#include "base.h"

struct buf {
  unsigned char *data;
  size_t len, cap;  /* bytes; Lua sees len */
  const char *lent; /* the op that has it ("read"), or NULL */
  unsigned refs;
};

/* A block of len zero bytes with one reference, or NULL; on a page boundary
 * when it is a page or more. */
struct buf *buf_new(size_t len);
struct buf *buf_ref(struct buf *b);
void buf_unref(struct buf *b); /* NULL is fine */

/* Room for cap bytes in all; -ENOMEM leaves it as it was. Not while lent. */
int buf_reserve(struct buf *b, size_t cap);

void buf_lend(struct buf *b, const char *to);
void buf_return(struct buf *b);

/* Blocks of the process that are lent now. */
unsigned buf_count_lent(void);

/* Bytes in all live blocks of the process: what Lua's collector is told. */
size_t buf_bytes_live(void);

#endif
