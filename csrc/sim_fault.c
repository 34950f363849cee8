/* sim_fault.c - what the simulated world lets fail, and how.
 *
 * Two sources: rules, made by a test (the nth accept fails with EMFILE), and
 * the knob `errors`, by which any op may meet any error that the kernel has
 * for it, now and then. Knows names of ops, not ops: the driver asks once for
 * each result that it could make, sim_sys.c for the calls that no op makes.
 *
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "sim_net.h"

struct rule {
  struct link link; /* net->rules, in the order they were made */
  char op[SIM_OP_NAME_MAX];
  int err;
  unsigned nth;   /* of those that it still has to let pass, counting down */
  unsigned times; /* fails so many from then on */
};

enum { ERRORS_MAX = 10 };

/* The manual pages' ERRORS, of what may come without a mistake of ours. */
static const struct {
  const char *op;
  int errs[ERRORS_MAX];
} known[] = {
    {"accept",
     {EMFILE, ENFILE, ENOBUFS, ENOMEM, ECONNABORTED, EPERM, EPROTO, EINTR}},
    {"connect",
     {ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EHOSTUNREACH, ECONNRESET,
      EADDRNOTAVAIL, EACCES, ENOBUFS}},
    {"recv", {ECONNRESET, ETIMEDOUT, EHOSTUNREACH, ENOMEM, ENOBUFS, EINTR}},
    {"send", {EPIPE, ECONNRESET, ETIMEDOUT, ENOBUFS, ENOMEM, EINTR}},
    {"shutdown", {ENOTCONN, EINTR}},
    {"close", {EIO, EINTR, ENOSPC, EDQUOT}},
    {"read", {EIO, ENOMEM, EINTR}},
    {"write", {EIO, ENOSPC, EDQUOT, ENOMEM, EINTR}},
    {"fsync", {EIO, ENOSPC, EDQUOT, EINTR}},
    {"open",
     {EMFILE, ENFILE, ENOMEM, ENOSPC, EACCES, EIO, ELOOP, EROFS, EINTR}},
    {"socket", {EMFILE, ENFILE, ENOBUFS, ENOMEM}},
    {"pair", {EMFILE, ENFILE, ENOBUFS, ENOMEM}},
    {"bind", {EADDRINUSE, EACCES, ENOMEM}},
    {"listen", {EADDRINUSE, ENOBUFS}},
    {"resolve", {ETIMEDOUT, ENOENT, ENOMEM}},
    {"", {EIO, ENOMEM, EINTR}}, /* all others */
};

/* What people call it: accept_multi and accept are one. */
static const char *family_of(const char *op) {
  static const char *const names[][2] = {
      {"accept_multi", "accept"}, {"recv_multi", "recv"}, {"sendmsg", "send"},
      {"recvmsg", "recv"},        {"readv", "read"},      {"writev", "write"},
      {"send_fds", "send_to"},
  };
  for (size_t i = 0; i < countof(names); i++)
    if (strcmp(op, names[i][0]) == 0) return names[i][1];
  return op;
}

static int any_error(struct sim_net *net, const char *op) {
  size_t i = 0, n = 0;
  while (known[i].op[0] && strcmp(known[i].op, op) != 0) i++;
  while (n < ERRORS_MAX && known[i].errs[n]) n++;
  return -known[i].errs[sim_random(net) % n];
}

/* Each rule counts; the first that is due decides. */
static int by_rule(struct sim_net *net, const char *op) {
  int found = 0;
  struct link *next;
  for (struct link *l = list_first(&net->rules); l; l = next) {
    next = list_next(&net->rules, l);
    struct rule *r = container_of(l, struct rule, link);
    if (strcmp(r->op, op) != 0) continue;
    if (r->nth > 1) {
      r->nth--;
      continue;
    }
    if (found) continue;
    found = -r->err;
    if (--r->times) continue;
    link_unlink(l);
    free(r);
  }
  return found;
}

int sim_fault(struct sim_net *net, const char *op) {
  unsigned once_in = net->knobs.errors;
  if (!once_in && list_empty(&net->rules)) return 0;
  op = family_of(op);
  int r = by_rule(net, op);
  if (r == 0 && once_in && sim_random(net) % once_in == 0)
    r = any_error(net, op);
  if (r) net->failed++;
  return r;
}

int sim_rule_add(struct sim_net *net, const char *op, int err, unsigned nth,
                 unsigned times) {
  assert(nth && times && strlen(op) < SIM_OP_NAME_MAX);
  struct rule *r = fault_point("rule") ? NULL : calloc(1, sizeof *r);
  if (!r) return -ENOMEM;
  strcpy(r->op, family_of(op));
  r->err = err;
  r->nth = nth;
  r->times = times;
  link_init(&r->link);
  list_push(&net->rules, &r->link);
  return 0;
}

void sim_rules_clear(struct sim_net *net) {
  struct link *l;
  while ((l = list_pop(&net->rules))) free(container_of(l, struct rule, link));
}

/* Errors after which a connection is no more. */
bool sim_fault_breaks(int err) {
  return err == -ECONNRESET || err == -EPIPE || err == -ETIMEDOUT ||
         err == -EHOSTUNREACH;
}
