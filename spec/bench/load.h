/* load.h - what the load generator and its two engines share.
 *
 * Every connection carries one endless stream of bytes, a window that slides
 * over a fixed pattern; connections begin at different places. What is sent
 * is a piece of the pattern, what comes back is compared with it, so a byte
 * that is lost, doubled, out of order or of another connection is found. An
 * engine moves bytes between conns and the kernel and knows nothing else.
 * Read next: load.c.
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>

enum {
  PERIOD = 65521,   /* of the pattern; prime: no message repeats for long */
  CHUNK_MAX = 65536 /* an engine hands over at most this much at once */
};

struct conn {
  int fd;          /* -1: none */
  uint32_t id;     /* where its stream begins follows from it */
  uint64_t asked;  /* bytes that are to be sent: whole messages */
  uint64_t sent;   /* bytes handed to the kernel */
  uint64_t taken;  /* bytes that came back, all right */
  uint64_t done;   /* whole messages that came back */
  uint64_t *since; /* when the messages under way were asked: a ring */
  int64_t sending; /* the engine's: bytes of the send that is awaited */
};

struct engine {
  const char *name;
  /* Prepare; 0 or -errno. */
  int (*open)(void);
  /* Begin to receive; every piece goes to conn_take. */
  int (*add)(struct conn *c);
  /* Bring `sent` up to `asked`, now or as soon as there is room. */
  void (*send)(struct conn *c);
  /* Wait at most so long for something, load_woke, do it; 0 or -errno. */
  int (*turn)(int timeout_ms);
};

extern const struct engine engine_uring, engine_epoll;

/* The pattern's bytes of a stream from an offset on. */
const char *conn_bytes(const struct conn *c, uint64_t offset);

/* The wait of this turn is over: what conn_take is given now came now. */
void load_woke(void);

/* n > 0 bytes came; 0: the end of stream; negative: -errno. False: the engine
 * leaves this socket alone from now on (it may be closed). */
bool conn_take(struct conn *c, const char *bytes, int n);

/* The run ends with this error; only the first is kept. */
void load_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
