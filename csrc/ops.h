/* ops.h - the operations there are, one line each.
 *
 * Each is a const struct op_class in ops_net.c, ops_file.c (descriptors of
 * files), ops_path.c (names of files) or ops_sys.c, and
 * has a row in the conformance table. Adding one touches its ops_*.c, this
 * list, that table and its documentation: no driver, no binding.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_OPS_H
#define PROA_OPS_H

#include "address.h"
#include "op.h"

extern const struct op_class op_nop;          /* there and back */
extern const struct op_class op_timer;        /* arg.delay_ns */
extern const struct op_class op_ready;        /* arg.events: readiness */
extern const struct op_class op_resolve;      /* arg.address: name to list */
extern const struct op_class op_name;         /* arg.address: its host */
extern const struct op_class op_accept;       /* one connection */
extern const struct op_class op_accept_multi; /* all that come */
extern const struct op_class op_connect;      /* arg.address */
extern const struct op_class op_recv;         /* io: into ptr */
extern const struct op_class op_recv_multi;   /* all that comes, in pool bufs */
extern const struct op_class op_send;         /* io: all of ptr */
extern const struct op_class op_sendmsg;      /* arg.msg: all of it */
extern const struct op_class op_send_to;      /* a datagram: message.h */
extern const struct op_class op_recv_from;    /* one, into ptr */
extern const struct op_class op_recvmsg_multi; /* all, in pool buffers */
extern const struct op_class op_shutdown;      /* arg.how: SHUT_* */
extern const struct op_class op_close;         /* ends the handle */
extern const struct op_class op_read;          /* io, io.off */
extern const struct op_class op_write;         /* io, io.off: all of it */
extern const struct op_class op_readv;         /* arg.msg, io.off */
extern const struct op_class op_writev;        /* arg.msg, io.off: all of it */
extern const struct op_class op_fsync;         /* io.flags: data only */
extern const struct op_class op_fstat;         /* of the handle */
extern const struct op_class op_truncate;      /* io.off: the new length */
extern const struct op_class op_allocate;   /* io.off, io.count; flags: hole */
extern const struct op_class op_flock;      /* io.flags: LOCK_* */
extern const struct op_class op_copy_range; /* other to handle */
extern const struct op_class op_sendfile;   /* other to handle, a socket */
extern const struct op_class op_entries;    /* some of a directory */
extern const struct op_class op_watch_add;  /* inotify: arg.file */
extern const struct op_class op_open;       /* arg.file; not a FIFO's end */
extern const struct op_class op_open_waiting; /* the same, as open(2) does */
extern const struct op_class op_stat;         /* flags: not through links */
extern const struct op_class op_access;       /* flags: R_OK ... */
extern const struct op_class op_mkdir;        /* arg.file.mode */
extern const struct op_class op_unlink;       /* flags: a directory */
extern const struct op_class op_rename;       /* flags: not over another */
extern const struct op_class op_link;
extern const struct op_class op_symlink; /* file.path: the target */
extern const struct op_class op_readlink;
extern const struct op_class op_realpath;
extern const struct op_class op_chmod;

/* All of them, ending in NULL, in the order of this list. */
extern const struct op_class *const op_classes[];

/* The class of that name, or NULL. */
const struct op_class *op_class_find(const char *name);

/* What op_resolve leaves in op->memory: `res` addresses. */
struct resolved {
  struct address at[1];
};

/* What op_resolve is asked; lives in op->memory until then. */
struct resolve_query {
  char host[256], service[32]; /* zero behind their ends: compared as bytes */
  int family, flags;           /* AF_UNSPEC or one; AI_* */
};

/* Its result for an EAI_* of getaddrinfo(3), which are negative as well. */
#define RESOLVE_EAI 10000

/* It said EAGAIN because the receiver is full, of which no event tells: this
 * socket is ready all the time. (A named Unix datagram, unix(7).) */
bool op_full_elsewhere(const struct op *op);

/* Ops that move io.len bytes in as many tries as it takes. */
int op_finish_all(struct op *op, int res);
/* Step over n bytes of the parts that are gone. */
void op_msg_advance(struct msghdr *m, size_t n);

#endif
