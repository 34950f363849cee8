/* ring.h - a ring and its provided buffers, as the reference and the load
 * generator use them: straight from liburing, nothing generic.
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_RING_H
#define BENCH_RING_H

#include <errno.h>
#include <liburing.h>
#include <stdbool.h>
#include <sys/mman.h>

struct buffers {
  struct io_uring_buf_ring *ring;
  char *base;
  unsigned count, size; /* count: a power of two */
  unsigned back;        /* given, not yet shown to the kernel */
};

/* 0 or -errno. */
static inline int ring_open(struct io_uring *ring, unsigned entries) {
  struct io_uring_params p = {
      .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
               IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL,
      .cq_entries = 4 * entries,
  };
  int r = io_uring_queue_init_params(entries, ring, &p);
  if (r == 0) io_uring_register_ring_fd(ring);
  return r;
}

/* A free entry; what waits is submitted when there is none. */
static inline struct io_uring_sqe *ring_entry(struct io_uring *ring) {
  struct io_uring_sqe *sqe;
  while (!(sqe = io_uring_get_sqe(ring))) io_uring_submit(ring);
  return sqe;
}

static inline char *buffers_at(const struct buffers *b, unsigned id) {
  return b->base + (size_t)id * b->size;
}

static inline void buffers_give(struct buffers *b, unsigned id) {
  io_uring_buf_ring_add(b->ring, buffers_at(b, id), b->size, (uint16_t)id,
                        io_uring_buf_ring_mask(b->count), (int)b->back++);
}

/* Show the kernel what was given; false if nothing was. */
static inline bool buffers_flush(struct buffers *b) {
  if (b->back == 0) return false;
  io_uring_buf_ring_advance(b->ring, (int)b->back);
  b->back = 0;
  return true;
}

static inline void *buffers_map(size_t n) {
  return mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
              0);
}

/* Group 0 of the ring, all buffers with the kernel; 0 or -errno. */
static inline int buffers_open(struct buffers *b, struct io_uring *ring,
                               unsigned count, unsigned size) {
  *b = (struct buffers){.count = count, .size = size};
  b->ring = buffers_map(count * sizeof(struct io_uring_buf));
  b->base = buffers_map((size_t)count * size);
  if (b->ring == MAP_FAILED || b->base == MAP_FAILED) return -ENOMEM;
  struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)b->ring,
                                 .ring_entries = count};
  int r = io_uring_register_buf_ring(ring, &reg, 0);
  if (r < 0) return r;
  io_uring_buf_ring_init(b->ring);
  for (unsigned id = 0; id < count; id++) buffers_give(b, id);
  buffers_flush(b);
  return 0;
}

#endif
