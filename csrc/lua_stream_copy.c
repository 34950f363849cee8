/* lua_stream_copy.c - copy_to: bytes from one stream to another.
 *
 * From queue to queue, without a Lua string; no faster than the destination
 * takes them, so its memory is bounded by both queues. Bytes leave the source
 * only when the destination has accepted them: a copy that is cancelled or
 * fails in between has lost none.
 * Stack: 1 the source, 2 the destination, 3 the struct copy.
 *
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "lua_insight.h"
#include "lua_stream.h"

struct copy {
  struct lua_stream *from, *to; /* alive: they are on the stack */
  size_t left;                  /* bytes that may still be copied */
  lua_Integer done;
  uint64_t until_ns, idle_ns;
  bool turn; /* it was woken as the next writer */
  /* It waits in a list of one stream; the other may end meanwhile. */
  struct waiter other;
  bool other_ended;
  struct task *task; /* while it waits */
};

static struct copy *copy_of(lua_State *L) {
  return lua_touserdata(L, 3);
}

/* nil, message, code, bytes copied */
static int with_count(lua_State *L, const struct copy *c, int n) {
  lua_pushinteger(L, c->done);
  return n + 1;
}

static int push_timeout(lua_State *L, const struct copy *c) {
  return with_count(L, c,
                    stream_push_timeout(L, c->from, c->to, "copy: timed out"));
}

/* -- waiting: for bytes, for room -- */

static uint64_t latest(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

/* Either stream moving, in any direction, is progress. */
static uint64_t copy_patience(struct task *t) {
  const struct copy *c = t->wait.subject;
  const struct stream *from = c->from->s, *to = c->to->s;
  if (c->idle_ns == NEVER_NS || !from || !to) return NEVER_NS;
  if (t->wait.since_ns == NEVER_NS) t->wait.since_ns = proactor_now(from->p);
  uint64_t moved = latest(from->moved_ns, to->moved_ns);
  return ns_after(latest(moved, t->wait.since_ns), c->idle_ns);
}

static void wake_other(struct waiter *w) {
  struct copy *c = container_of(w, struct copy, other);
  if (c->task->state != TASK_WAITING) return;
  c->other_ended = true;
  task_wake(c->task, WAIT_READY);
}

static bool withdraw_copy(struct task *t) {
  struct copy *c = t->wait.subject;
  link_unlink(&c->other.link);
  stream_free_reader(c->from);
  return true;
}

/* Where it copies from, and to. */
static void describe_copy(struct task *t, char *into, size_t len) {
  const struct copy *c = t->wait.subject;
  const struct stream *ends[] = {c->from->s, c->to->s};
  size_t n = 0;
  for (int i = 0; i < 2 && n < len; i++) {
    struct handle *h = ends[i] ? stream_handle(ends[i]) : NULL;
    n += (size_t)snprintf(into + n, len - n, i ? " to " : "from ");
    if (n >= len) return;
    if (ends[i] && !h)
      snprintf(into + n, len - n, "%s", ends[i]->transport->name);
    else
      describe_handle(&t->rt->proactor, h, into + n, len - n);
    n += strlen(into + n);
  }
}

#define COPY_WAIT                                       \
  .withdraw = withdraw_copy, .patience = copy_patience, \
  .describe = describe_copy
static const struct wait_class waits_copy = {
    .verb = "copy", .external = true, COPY_WAIT};
static const struct wait_class waits_copy_inside = {.verb = "copy", COPY_WAIT};

static int copy_go(lua_State *L);

static int copy_k(lua_State *L, int status, lua_KContext room) {
  (void)status;
  struct copy *c = copy_of(L);
  struct task *t = c->from->rt->current;
  link_unlink(&c->other.link);
  if (c->from->reader == t) stream_free_reader(c->from);
  bool woken = t->wait.end == WAIT_READY && !c->other_ended;
  c->turn = room && woken && c->to->s;
  if (await_end(L) == WAIT_TIMEOUT) return push_timeout(L, c);
  return copy_go(L);
}

static int copy_wait(lua_State *L, struct copy *c, bool room) {
  struct task *t = await_begin(L);
  struct stream *from = c->from->s, *to = c->to->s;
  struct list *list = room ? &to->writers : &from->readers;
  list_push(list, &t->wait.waiter.link);
  list_push(room ? &from->watchers : &to->watchers, &c->other.link);
  c->other_ended = false;
  c->task = t;
  c->from->reader = t;
  if (!room) stream_receive(from, 1);
  bool outside = room ? to->outside : from->outside;
  return await_yield(L, t, outside ? &waits_copy : &waits_copy_inside, c,
                     c->until_ns, room, copy_k);
}

/* -- copying -- */

/* What lies together at the front of the source's queue. */
static int move_some(struct copy *c) {
  struct stream *from = c->from->s, *to = c->to->s;
  size_t n;
  const unsigned char *at = inq_peek(&from->in, &n);
  n = min_size(n, min_size(c->left, STREAM_HIGH_WATER));
  int r = stream_write(to, at, n, 0);
  if (r < 0) return r;
  inq_consume(&from->in, n);
  stream_consumed(from);
  c->left -= n;
  c->done += (lua_Integer)n;
  return 0;
}

/* The next writer's turn, when this one has had it. */
static void pass_turn(struct copy *c) {
  if (c->turn && c->to->s) stream_next_writer(c->to->s);
  c->turn = false;
}

/* May bytes go over now? Its own turn counts until it was passed on. */
static bool has_room(const struct copy *c) {
  const struct stream *to = c->to->s;
  return c->turn ? !stream_full(to) : stream_may_write(to);
}

static int push_to_error(lua_State *L, struct stream *to) {
  int err = to->out_err;
  to->out_told = false;
  stream_take_error(to);
  return stream_push_error(L, to, "copy: write", err);
}

/* Where writes complete, what was accepted has to be done as well. */
static bool settles(const struct stream *to) {
  return to->transport->completes && (to->out.len || to->out.lent);
}

/* Copies what can be copied now; the results when it is over, 0: it waits. */
static int copy_some(lua_State *L, struct copy *c) {
  struct stream *from = c->from->s, *to = c->to->s;
  while (c->left && from->in.len && !to->out_err && has_room(c))
    if (move_some(c) < 0) {
      pass_turn(c);
      return with_count(L, c,
                        push_fail(L, "copy: not enough memory", "ENOMEM"));
    }
  pass_turn(c);
  if (to->out_err) return with_count(L, c, push_to_error(L, to));
  if (c->left && !from->in.len && stream_starved(from))
    return with_count(L, c, stream_push_capped(L, "copy: read"));
  if (c->left && (from->in.len || !stream_ended(from))) return 0;
  if (settles(to)) return 0;
  if (c->left && from->in_err)
    return with_count(L, c,
                      stream_push_error(L, from, "copy: read", from->in_err));
  lua_pushinteger(L, c->done);
  return 1;
}

static int copy_go(lua_State *L) {
  struct copy *c = copy_of(L);
  if (!c->from->s || !c->to->s) {
    pass_turn(c);
    return with_count(L, c, stream_push_closed(L, "copy"));
  }
  if (c->to->s->shut) {
    pass_turn(c);
    return luaL_error(L, "the destination was shut down for writing");
  }
  int n = copy_some(L, c);
  if (n) return n;
  if (proactor_now(c->from->s->p) >= c->until_ns) return push_timeout(L, c);
  bool over = !c->left || stream_ended(c->from->s);
  return copy_wait(L, c, c->from->s->in.len > 0 || over);
}

/* What had ended may go on, and from here on progress is noted. */
static int copy_first(lua_State *L) {
  struct copy *c = copy_of(L);
  struct stream *from = c->from->s, *to = c->to->s;
  bool open = from && to; /* or a finaliser has just closed one */
  if (open && from->transport->again) from->transport->again(from);
  return copy_go(L);
}

/* -- its turn: reads of a file wait for each other, and so does a copy -- */

static bool withdraw_turn(struct task *t) {
  struct copy *c = t->wait.subject;
  link_unlink(&c->other.link);
  return true;
}

static const struct wait_class waits_turn = {.verb = "copy",
                                             .external = true,
                                             .withdraw = withdraw_turn,
                                             .patience = copy_patience,
                                             .describe = describe_copy};

static int turn_k(lua_State *L, int status, lua_KContext ctx);

/* Who was woken and finds another one reading keeps its place. */
static int wait_turn(lua_State *L, struct copy *c, bool again) {
  struct task *t = await_begin(L);
  if (again)
    list_push_front(&c->from->readers, &t->wait.waiter.link);
  else
    list_push(&c->from->readers, &t->wait.waiter.link);
  list_push(&c->to->s->watchers, &c->other.link);
  c->other_ended = false;
  c->task = t;
  return await_yield(L, t, &waits_turn, c, c->until_ns, 0, turn_k);
}

/* Of two that end here, the next reader is woken by who had the turn. */
static int turn_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct copy *c = copy_of(L);
  link_unlink(&c->other.link);
  if (await_end(L) == WAIT_TIMEOUT) return push_timeout(L, c);
  bool ended = c->other_ended || !c->from->s || !c->to->s;
  if (!ended && c->from->reader) return wait_turn(L, c, true);
  if (!c->other_ended) waiter_wake_first(&c->from->readers);
  return ended ? copy_go(L) : copy_first(L);
}

static bool takes_turns(const struct lua_stream *from, const struct task *t) {
  return from->s && from->s->transport->completes && from->reader &&
         from->reader != t;
}

static int copy_begin(lua_State *L, struct copy *c, struct task *t) {
  struct stream *from = c->from->s, *to = c->to->s;
  if (from && to && c->idle_ns != NEVER_NS) from->timed = to->timed = true;
  return to && takes_turns(c->from, t) ? wait_turn(L, c, false) : copy_first(L);
}

/* copy_to(stream[, {max=, timeout=, idle=}]) -> bytes | nil, message, code,
 * bytes */
static int l_copy_to(lua_State *L) {
  struct lua_stream *from = stream_check_open(L, 1);
  struct lua_stream *to = stream_check_open(L, 2);
  luaL_argcheck(L, from != to, 2, "a stream is not copied to itself");
  uint64_t idle = min_u64(from->idle_ns, to->idle_ns);
  struct stream_options o = {
      .max = SIZE_MAX, .until_ns = NEVER_NS, .idle_ns = idle};
  stream_options(L, 3, "copy_to", "max timeout idle", from->rt, &o);
  struct task *t = await_begin(L);
  if (!takes_turns(from, t)) stream_check_reader(L, from, t);
  lua_settop(L, 2);
  struct copy *c = lua_newuserdatauv(L, sizeof *c, 0);
  *c = (struct copy){.from = from,
                     .to = to,
                     .left = o.max,
                     .until_ns = o.until_ns,
                     .idle_ns = o.idle_ns,
                     .other.wake = wake_other};
  link_init(&c->other.link);
  return copy_begin(L, c, t);
}

const luaL_Reg stream_copy_methods[] = {{"copy_to", l_copy_to}, {NULL, NULL}};
