/* stream.c - what is promised of every stream. See stream.h.
 *
 * SPDX-License-Identifier: MIT */
#include "stream.h"

#include <stdlib.h>

#include "fault.h"

static void run_hook(struct hook *hook);
static void linger_over(struct deadline *d);

void *stream_alloc(struct proactor *p, size_t size,
                   const struct transport *transport,
                   const struct anchors *anchors) {
  struct stream *s = fault_point("stream_new") ? NULL : calloc(1, size);
  if (!s) return NULL;
  s->transport = transport;
  s->p = p;
  p->streams++;
  inq_init(&s->in, &p->driver->pool, &p->queues.bytes);
  outq_init(&s->out, anchors->release, anchors->arg, &p->queues);
  list_init(&s->readers);
  link_init(&s->greedy);
  list_init(&s->writers);
  list_init(&s->leavers);
  list_init(&s->flushers);
  list_init(&s->watchers);
  link_init(&s->hook.link);
  s->hook.run = run_hook;
  s->linger.fire = linger_over;
  link_init(&s->link);
  return s;
}

void stream_free(struct stream *s) {
  s->p->streams--;
  s->p->woke = true; /* somebody may wait for what lingers */
  deadline_clear(s->p, &s->linger);
  link_unlink(&s->hook.link);
  link_unlink(&s->link);
  link_unlink(&s->greedy);
  inq_clear(&s->in);
  outq_clear(&s->out);
  free(s);
}

/* Whoever it is may be a task that nothing else would let run. */
static void wake_all(struct stream *s, struct list *waiters) {
  if (list_empty(waiters)) return;
  s->p->woke = true;
  waiter_wake_all(waiters);
}

/* Of a long message a codec shows nothing until its last byte is there. */
static void moved(struct stream *s) {
  for (; s; s = s->above)
    if (s->timed) s->moved_ns = proactor_now(s->p);
}

/* -- reading -- */

bool stream_awaited(const struct stream *s) {
  return !list_empty(&s->readers) && s->in.len < s->want;
}

/* A reader may want more than the quota at once; only while it waits. */
static size_t quota(const struct stream *s) {
  if (s->p->queues.bytes > s->p->queued_max) return STREAM_FLOOR;
  return !list_empty(&s->readers) && s->want > STREAM_QUOTA ? s->want
                                                            : STREAM_QUOTA;
}

bool stream_wants(const struct stream *s) {
  return !s->closing && !stream_ended(s) && s->in.len < quota(s);
}

static void wake_reader(struct stream *s) {
  if (s->asking) return;
  if (s->in.len >= s->want || stream_ended(s) || stream_capped(s))
    wake_all(s, &s->readers);
}

/* Over the cap whoever waits for more than its floor learns so at once: no
 * byte may come any more that would wake it. */
static void tell_greedy(struct proactor *p) {
  struct list now = LIST_INIT(&now);
  if (p->queues.bytes <= p->queued_max) return;
  list_splice(&now, &p->greedy);
  for (struct link *k; (k = list_pop(&now));) {
    struct stream *s = container_of(k, struct stream, greedy);
    wake_reader(s);
    if (!list_empty(&s->readers)) list_push(&p->greedy, k);
  }
}

void stream_receive(struct stream *s, size_t want) {
  s->want = want;
  if (want > STREAM_FLOOR && !link_listed(&s->greedy))
    list_push(&s->p->greedy, &s->greedy);
  if (stream_wants(s)) s->transport->receive(s);
}

bool stream_receive_now(struct stream *s, size_t want) {
  if (!s->transport->receive_now || s->in.len >= STREAM_QUOTA) return false;
  s->want = want;
  return stream_wants(s) && s->transport->receive_now(s);
}

void stream_consumed(struct stream *s) {
  s->want = 1;
  if (s->in.len < STREAM_QUOTA / 2 && !s->shy && stream_wants(s))
    s->transport->receive(s);
}

void stream_came(struct stream *s) {
  moved(s);
  if (s->in.len >= quota(s)) s->transport->pause(s);
  wake_reader(s);
  tell_greedy(s->p);
}

void stream_starve(struct stream *s) {
  s->starved = true;
  wake_reader(s);
}

void stream_end_in(struct stream *s, int res) {
  if (stream_ended(s)) return;
  if (res == 0)
    s->eof = true;
  else
    s->in_err = res;
  wake_reader(s);
}

void stream_fail_in(struct stream *s, int err) {
  if (stream_ended(s)) return;
  s->in_err = err;
  hook_add(s->p, &s->hook);
}

/* -- writing -- */

static void wake_writer(struct stream *s) {
  s->turn = !list_empty(&s->writers);
  s->p->woke |= s->turn;
  waiter_wake_first(&s->writers);
}

void stream_next_writer(struct stream *s) {
  s->turn = false;
  if (!stream_full(s) || s->out_err) wake_writer(s);
}

bool stream_hold(struct stream *s) {
  if (!stream_may_write(s) || s->out.len || s->out.lent || s->out_err)
    return false;
  return s->held = true;
}

void stream_release(struct stream *s) {
  assert(s->held);
  s->held = false;
  if (!s->turn) wake_writer(s);
  if (stream_awaited(s) && stream_wants(s)) s->transport->receive(s);
}

void stream_moved(struct stream *s) {
  moved(s);
}

static void end(struct stream *s) {
  if (s->ended) return;
  s->ended = true;
  link_unlink(&s->hook.link);
  deadline_clear(s->p, &s->linger);
  s->transport->end(s);
}

bool stream_flushed(const struct stream *s) {
  if (s->out_err) return !s->out.lent;
  if (s->out.len || s->out.lent || (s->shut && !s->shut_done)) return false;
  return !s->transport->flushed || s->transport->flushed(s);
}

/* Who wrote learns first how it went, and then lets the next one write. */
static void settled(struct stream *s) {
  bool told = s->out_err && !list_empty(&s->flushers);
  wake_all(s, &s->flushers);
  if (!told && !s->turn && !s->held) wake_writer(s);
}

/* Writers go on at half the mark, so that one send serves many writes. */
void stream_moved_out(struct stream *s) {
  bool gone = !s->out.lent && (!s->out.len || s->out_err);
  if (s->transport->completes) {
    if (gone) settled(s);
  } else if (s->out.len <= STREAM_HIGH_WATER / 2 || s->out_err) {
    wake_all(s, &s->leavers);
    if (!s->turn && !s->held) wake_writer(s);
  }
  if (!gone) return;
  if (s->shut && !s->shut_done && !s->out_err && !s->ended) {
    s->shut_done = true;
    s->transport->shutdown(s);
  }
  wake_all(s, &s->flushers);
  if (s->closing) end(s);
}

void stream_sent(struct stream *s, size_t n) {
  outq_return(&s->out, n);
  if (n) moved(s);
  if (s->out.len) hook_add(s->p, &s->hook);
  stream_moved_out(s);
}

void stream_send_failed(struct stream *s, int err) {
  if (s->out.lent) outq_return(&s->out, 0);
  if (!s->out_err) s->out_err = err;
  outq_clear(&s->out);
  wake_all(s, &s->watchers);
  stream_moved_out(s);
}

static void run_hook(struct hook *hook) {
  struct stream *s = container_of(hook, struct stream, hook);
  if (s->closing) inq_clear(&s->in);   /* nobody can read it any more */
  if (stream_ended(s)) wake_reader(s); /* it failed while it began to wait */
  if (s->shy && !stream_awaited(s)) s->transport->pause(s);
  if (s->out.len && !s->out.lent && !s->ended) s->transport->send(s);
}

int stream_write(struct stream *s, const void *bytes, size_t n, int anchor) {
  bool empty = s->out.len == 0;
  int r = outq_add(&s->out, bytes, n, anchor);
  if (r == 0 && empty && n && s->transport->accepted) s->transport->accepted(s);
  tell_greedy(s->p);
  if (r == 0 && !s->out.lent && s->out.len) hook_add(s->p, &s->hook);
  return r;
}

/* Where writes complete, each has its own: the next may go well. */
int stream_take_error(struct stream *s) {
  int err = s->out_err;
  if (s->out_told) return 0;
  s->out_told = err != 0;
  if (!err || !s->transport->completes) return err;
  s->out_told = false;
  s->out_err = 0;
  if (!s->turn && !s->held) wake_writer(s);
  return err;
}

void stream_shutdown(struct stream *s) {
  s->shut = true;
  stream_moved_out(s);
}

/* -- ending -- */

static void linger_over(struct deadline *d) {
  end(container_of(d, struct stream, linger));
}

static void stop_waiters(struct stream *s) {
  wake_all(s, &s->readers);
  wake_all(s, &s->writers);
  wake_all(s, &s->leavers);
  wake_all(s, &s->flushers);
  wake_all(s, &s->watchers);
}

/* Lingering until nothing is left; what is late for that is cancelled. What is
 * unread goes with the hook: a finaliser may close the stream while a read of
 * it, which has looked at the bytes, makes its string of them. */
void stream_close(struct stream *s, uint64_t linger_ns) {
  assert(!s->closing);
  s->closing = true;
  list_push(&s->p->lingering, &s->link);
  stop_waiters(s);
  s->transport->pause(s);
  hook_add(s->p, &s->hook);
  s->linger_until = ns_after(proactor_now(s->p), linger_ns);
  bool pending = (s->out.len || s->out.lent) && !s->out_err;
  if (!pending || deadline_at(s->p, &s->linger, s->linger_until) < 0) end(s);
}

void stream_abort(struct stream *s) {
  s->transport->abort(s);
  s->out_err = -ECONNABORTED;
  stream_close(s, 0);
}
