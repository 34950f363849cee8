/* op.h - one request to the kernel: its class, its states, its record.
 *
 * An op class says what an operation is (ops_*.c); a struct op is one request
 * and lives in the proactor's table from op_new until its last completion has
 * been taken (O1). The table owns the records; user_data names one by slot
 * and generation, never by pointer (O7).
 *
 *   IDLE ──submit──> QUEUED ──driver took it──> SUBMITTED ──last──> COMPLETED
 *                      └────────done or cancelled at once──────────────┘
 *   COMPLETED ──> IDLE when it is submitted again or freed
 *
 * Cancelling is a flag, not a state: the answer is the op's own completion.
 * Next: ops.h for what there is, driver.h for who carries it out.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_OP_H
#define PROA_OP_H

#include <fcntl.h>

#include "buf.h"
#include "handle.h"
#include "heap.h"
#include "list.h"
#include "sys.h"

struct io_uring_sqe;
struct op;

enum op_state {
  OP_IDLE,      /* the owner fills the arguments */
  OP_QUEUED,    /* the proactor has it, the driver does not yet */
  OP_SUBMITTED, /* the driver, and perhaps the kernel, uses its memory */
  OP_COMPLETED, /* the last result is known; memory is ours again */
};

/* What Lua passes, one letter of meaning each; lua_args.c maps them. */
enum op_arg {
  ARG_END,
  ARG_FD,      /* a descriptor: integer, fd object */
  ARG_INTO,    /* buffer[, i, j]: lent, filled */
  ARG_BYTES,   /* string, or buffer[, i, j]: kept or lent, sent */
  ARG_PARTS,   /* list of strings, kept */
  ARG_OFFSET,  /* integer >= 0; nil: the file's position */
  ARG_ADDRESS, /* "host:port", "unix:/path" */
  ARG_SECONDS, /* number */
  ARG_PATH,    /* string without NUL */
  ARG_MODE,    /* "r", "w+", ...; then permissions */
  ARG_HOW,     /* "r", "w" or "rw" for shutdown */
  ARG_EVENTS,  /* "r", "w" or "rw" for readiness */
  ARG_FLAG,    /* boolean */
  ARG_HOST,    /* name to resolve, then service */
  ARG_AT,      /* fd of the directory a path starts from; nil: the current */
  ARG_COUNT,   /* integer >= 0: bytes */
  ARG_BUFFERS, /* list of buffers: lent, filled */
  ARG_LOCK,    /* "shared", "exclusive", "none" */
  ARG_ACCESS,  /* some of "rwx", or "" */
  ARG_MASK,    /* integer: bits of the kernel's */
  ARG_TO,      /* the same as ARG_ADDRESS, or nil: the peer */
};

/* What a result >= 0 means to Lua. */
enum op_value {
  VALUE_TRUE,   /* nothing but success */
  VALUE_COUNT,  /* bytes moved */
  VALUE_RECV,   /* bytes moved; 0 is end of stream: nil */
  VALUE_FD,     /* a descriptor that the result owns */
  VALUE_EVENTS, /* "r", "w", "rw" */
  VALUE_LIST,   /* addresses, in op->memory */
  VALUE_BYTES,  /* a pool buffer */
  VALUE_TEXT,   /* so many bytes of text, in op->memory */
  VALUE_STAT,   /* a struct statx, in op->memory */
  VALUE_NAMES,  /* so many bytes of directory entries, in op->memory */
  VALUE_FROM,   /* a datagram: bytes, sender, bytes if truncated */
};

enum op_flag {
  OP_MULTISHOT = 1 << 0, /* many results, the last without RESULT_MORE */
  OP_BLOCKING = 1 << 1,  /* perform may block: on files, only on a worker */
  OP_WORKER = 1 << 2,    /* whatever its handle is, on a worker, unless the
                            ring has an entry for it */
  OP_SELECT = 1 << 3,    /* the driver picks a pool buffer */
  OP_INLINE = 1 << 4,    /* on sockets, perform at once: it cannot block */
  OP_TIMER = 1 << 5,     /* the proactor's deadline heap carries it out */
  OP_LAST = 1 << 6,      /* runs when no other op uses its handle; ends it */
  OP_FILLS = 1 << 7,     /* writes to io.ptr */
  OP_EMPTIES = 1 << 8,   /* reads from io.ptr, or from the parts of arg.msg */
  OP_PARTS = 1 << 9, /* its bytes are arg.msg's parts, where io.ptr is NULL */
  OP_FILE = 1 << 10, /* gives a file's descriptor: closing it may block */
  OP_PATIENT = 1 << 11, /* on a worker it may wait for long: beside the others,
                           and not instead of one */
  OP_DEAF = 1 << 12,    /* on a worker it is never interrupted */
};
_Static_assert(OP_MULTISHOT + OP_BLOCKING + OP_WORKER + OP_SELECT + OP_INLINE +
                       OP_TIMER + OP_LAST + OP_FILLS + OP_EMPTIES + OP_PARTS +
                       OP_FILE + OP_PATIENT + OP_DEAF ==
                   (1 << 13) - 1,
               "each has a bit of its own");

#define OP_AGAIN INT32_MIN       /* finish: submit once more */
#define OP_LATER (INT32_MIN + 1) /* perform: nothing tells when; try soon */

struct op_class {
  const char *name;
  enum op_arg args[6];
  enum op_value value;
  short interest; /* POLLIN, POLLOUT or 0 */
  unsigned flags;
  unsigned space; /* bytes of op->memory for the result, before the paths */
  /* The kernel's shape: fill the entry. NULL: runs on a worker. */
  void (*prep)(struct op *op, struct io_uring_sqe *sqe);
  /* The other shape: one try that does not block (on a worker it may);
   * -EAGAIN: wait for `interest`. */
  int (*perform)(struct op *op, struct sys *sys);
  /* Owns a result before anyone sees it; may ask for another try. NULL: the
   * result stands, -EINTR is tried again. */
  int (*finish)(struct op *op, int res);
  /* Nobody collects this result: put away what it carries. May be NULL. */
  void (*dispose)(struct op *op, int res, struct sys *sys);
};

enum result_flag {
  RESULT_MORE = 1 << 0,   /* the op stays SUBMITTED */
  RESULT_BUFFER = 1 << 1, /* `bid` is a taken pool buffer */
};

struct op_result {
  int32_t res; /* >= 0 or -errno */
  uint16_t flags, bid;
};

/* Who takes the results. Called by the proactor after reaping, never from
 * inside submit; may submit and cancel. When RESULT_MORE is not set the op is
 * COMPLETED and the sink frees it or submits it again. */
typedef void op_sink(struct op *op, const struct op_result *r);

enum { LEDGER_WHERE = 64 };

struct op {
  const struct op_class *class;
  struct handle *handle; /* NULL where there is no descriptor */
  struct handle *other;  /* a second one that stays open as long, or NULL */
  op_sink *sink;
  void *owner; /* the sink's */
  uint32_t slot, gen;
  uint8_t state;     /* enum op_state */
  bool cancelled;    /* a cancel was asked for */
  bool closed;       /* cancelled because its handle was closed */
  bool reaped;       /* its last result is in the completed queue */
  bool on_worker;    /* a worker has it; a copy of its memory */
  bool finished;     /* it is on the driver's list of finished ops */
  uint8_t polling;   /* uring: a POLL_ADD stands in for it */
  uint8_t pending;   /* uring: what waits for room in the queue */
  int32_t res;       /* while `finished` */
  int anchor;        /* what Lua must keep alive; layer 4's, 0: nothing */
  struct buf *buf;   /* lent to this op, one reference */
  struct buf **bufs; /* the same, many, in `memory` */
  unsigned bufs_n;
  void *memory;        /* malloced, freed with the op */
  struct list waiters; /* layer 4's: struct waiter, while one waits for it */
  struct link link;    /* in handle->ops */
  struct link queue;   /* in one list of the proactor or driver */
  struct deadline deadline;
  void *job; /* threads.c; in the simulation its record of the op */
  struct {
    unsigned char *ptr;
    size_t len, done;   /* bytes; done: moved by earlier tries */
    int64_t off, count; /* in a file; bytes of it */
    int flags;
    int err; /* -errno of the last try, where `done` is less than all */
  } io;
#ifdef PROA_DEBUG
  struct {
    uint64_t since_ns, sum;
    const void *lent; /* the data of `buf` when it was submitted */
    char where[LEDGER_WHERE];
  } ledger; /* see ledger.h */
#endif
  union {
    struct msghdr *msg;
    struct address *address;
    struct {
      const char *path, *to; /* in `memory` */
      int flags;
      unsigned mode;
    } file;
    int64_t from_off;
    uint64_t delay_ns;
    short events;
    int how;
  } arg;
};

enum { OP_SLAB = 128 }; /* records made at once */

/* Records in slabs that never move. */
struct op_table {
  struct op **slabs;
  uint32_t slab_n, slab_cap;
  struct list free;
  uint32_t live; /* taken records */
};

void op_table_init(struct op_table *t);
void op_table_deinit(struct op_table *t);

/* An idle op of this class, all arguments zero, or NULL: no memory. */
struct op *op_new(struct op_table *t, const struct op_class *class);
/* Give the record back; only IDLE or COMPLETED. Returns a lent buffer. */
void op_free(struct op_table *t, struct op *op);

/* Change state; asserts that the step is legal. */
void op_step(struct op *op, enum op_state to);

static inline uint64_t op_user_data(const struct op *op) {
  return (uint64_t)op->gen << 32 | op->slot;
}
/* The record in that slot, whatever its use. */
static inline struct op *op_at(const struct op_table *t, uint32_t slot) {
  return &t->slabs[slot / OP_SLAB][slot % OP_SLAB];
}

/* The live op of that name, or NULL: its record has another use by now. */
struct op *op_find(const struct op_table *t, uint64_t user_data);

static inline bool op_in_flight(const struct op *op) {
  return op->state == OP_QUEUED || op->state == OP_SUBMITTED;
}

static inline int op_fd(const struct op *op) {
  return op->handle ? op->handle->fd : -1;
}
/* The directory that its paths start from. */
static inline int op_at_fd(const struct op *op) {
  return op->handle ? op->handle->fd : AT_FDCWD;
}

/* Lend b to op until the op is freed or returns it. */
void op_borrow(struct op *op, struct buf *b);
void op_give_back(struct op *op);
/* The same while a worker has its own copy: what it reads goes nowhere. */
void op_let_go(struct op *op);
/* All of its bytes from or to one block; n of them. */
void op_gather(const struct op *op, unsigned char *into);
void op_scatter(struct op *op, const unsigned char *from, size_t n);

#endif
