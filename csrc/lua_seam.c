/* lua_seam.c - the functions that codecs in other libraries call. See
 * lua_seam.h.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_seam.h"

#include "lua_stream.h"

static struct stream *seam_check(lua_State *L, int arg) {
  return stream_check_open(L, arg)->s;
}

/* The limit counts from here, whatever the number of waits. */
static struct stream *seam_begin(lua_State *L, int arg) {
  struct lua_stream *o = stream_check_open(L, arg);
  stream_check_reader(L, o, await_begin(L));
  o->read_until_ns = await_until(o->rt, o->read_ns);
  return o->s;
}

/* -- what has arrived -- */

static const unsigned char *seam_peek(struct stream *s, size_t *n) {
  return inq_peek(&s->in, n);
}

static size_t seam_queued(struct stream *s) {
  return s->in.len;
}

static const unsigned char *seam_gather(struct stream *s, size_t n) {
  return inq_gather(&s->in, n);
}

static void seam_consume(struct stream *s, size_t n) {
  inq_consume(&s->in, n);
  stream_consumed(s);
}

static bool seam_ended(struct stream *s) {
  return stream_ended(s);
}

static int seam_push_end(lua_State *L, struct stream *s, const char *what) {
  if (s->in_err) return stream_push_error(L, s, what, s->in_err);
  lua_pushnil(L);
  return 1;
}

/* -- waiting -- */

static int seam_await(lua_State *L, int arg, size_t want, lua_KContext ctx,
                      lua_KFunction k) {
  struct lua_stream *o = stream_check_open(L, arg);
  struct task *t = await_begin(L);
  stream_check_reader(L, o, t);
  if (!stream_starved(o->s)) return stream_await_bytes(L, o, want, ctx, k);
  o->reader = t; /* nothing more will come that would wake it */
  o->s->want = want;
  t->wait.subject = o;
  return await_reschedule(L, t, ctx, k);
}

static int seam_awaited(lua_State *L, const char *what) {
  struct lua_stream *o = rt_get(L)->current->wait.subject;
  stream_leave(o);
  if (await_end(L) == WAIT_TIMEOUT)
    return push_fail(L, lua_pushfstring(L, "%s: timed out", what), "TIMEOUT");
  if (!o->s) return stream_push_closed(L, what);
  bool lacks = o->s->in.len < o->s->want && stream_starved(o->s);
  return lacks ? stream_push_capped(L, what) : 0;
}

/* -- writing -- */

static int seam_write(struct stream *s, const void *bytes, size_t n) {
  if (s->out_err) return s->out_err;
  return s->shut ? -EPIPE : stream_write(s, bytes, n, 0);
}

static bool seam_full(struct stream *s) {
  return stream_full(s);
}

/* -- wrapping -- */

static bool anybody_waits(const struct lua_stream *o) {
  const struct stream *s = o->s;
  return o->reader || s->turn || !list_empty(&s->readers) ||
         !list_empty(&s->writers) || !list_empty(&s->leavers) ||
         !list_empty(&s->flushers) || !list_empty(&s->watchers);
}

/* NULL, or why it can't be wrapped. */
static const char *unfit(const struct lua_stream *o) {
  if (!o) return "proa.stream expected";
  if (!o->s || rt_gone(o->rt)) return "the stream is closed";
  if (anybody_waits(o)) return "the stream is in use";
  return o->s->shut ? "the stream was shut down" : NULL;
}

static void seam_wrap(lua_State *L, int arg, const struct codec *codec,
                      void *state) {
  struct lua_stream *o = luaL_testudata(L, arg, STREAM_CLASS);
  const char *why = unfit(o);
  struct stream *s = NULL;
  if (!why) {
    struct anchors anchors = stream_anchors(o->rt);
    s = stream_over_codec(o->s, codec, state, &anchors);
  }
  if (!s) codec->free(state);
  if (why) luaL_argerror(L, arg, why);
  if (!s) luaL_error(L, "not enough memory");
  s->timed = o->s->timed;
  o->s = s;
}

static const struct seam seam = {
    .version = SEAM_VERSION,
    .codec = &codec_calls,
    .check = seam_check,
    .begin = seam_begin,
    .peek = seam_peek,
    .queued = seam_queued,
    .gather = seam_gather,
    .consume = seam_consume,
    .ended = seam_ended,
    .push_end = seam_push_end,
    .await = seam_await,
    .awaited = seam_awaited,
    .write = seam_write,
    .full = seam_full,
    .wrap = seam_wrap,
};

void open_seam(lua_State *L) {
  lua_pushlightuserdata(L, (void *)(uintptr_t)&seam);
  lua_setfield(L, LUA_REGISTRYINDEX, SEAM_KEY);
}
