/* handle.h - a descriptor and the ops in flight on it.
 *
 * A handle exists so that a descriptor is closed only when no op uses it any
 * more (O4): its number can then not be reused under a live op. The proactor
 * owns every handle; streams, listeners and Lua's fd objects hold a pointer
 * until they close it, and never look at it again afterwards.
 *
 *   OPEN ── close ──> CLOSING (its ops are cancelled; new ones are refused)
 *        ── last op ended ──> the `close` op runs ── done ──> freed
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_HANDLE_H
#define PROA_HANDLE_H

#include "list.h"

struct op;
struct op_result;

enum handle_kind {
  HANDLE_SOCKET, /* non-blocking send and recv; readiness */
  HANDLE_PIPE,   /* readiness, plain read and write: pipes, ttys, eventfds */
  HANDLE_FILE,   /* always ready; may block: files, directories, disks */
};

struct handle {
  int fd;
  enum handle_kind kind;
  bool owned;   /* ours to close and to set flags on */
  bool shared;  /* others have it, too, and it may be a blocking one */
  bool closing; /* no new ops */
  bool ending;  /* the close op was submitted */
  unsigned inflight;
  struct list ops;  /* struct op.link: submitted, not yet completed */
  struct link link; /* in the proactor's list of handles */
  void (*on_closed)(struct op *, const struct op_result *); /* or NULL */
  void *closer;                                             /* its op->owner */
  struct unix_path *made; /* goes when it is closed; malloced, or NULL */
  /* The driver's part. poll: readiness as last seen, ops that wait for it. */
  struct {
    struct list in, out; /* struct op.queue, first come first served */
    struct list watch;   /* ops that wait for readiness alone */
    struct link hot;     /* in the driver's list of handles to try */
    bool in_ready, out_ready, registered;
    bool stops, asked; /* its reads may end before what is there does */
  } wait;
};

#endif
