/* lua_stream.c - streams as Lua sees them: the object, its limits, its end.
 *
 * The object holds a struct stream until it is closed; the stream then goes on
 * by itself in the background. Reading, writing, copying and options have
 * files of their own: see lua_stream.h.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_stream.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

#include "lua_fd.h"
#include "lua_net.h"
#include "stream_memory.h"
#include "stream_pipe.h"
#include "stream_socket.h"

#define LINGER_NS (5 * NS_PER_S)

static const char stream_magic;

/* Looking up the class by its name took a fifth of a small read. (A light
 * userdata has no length.) */
static bool is_stream(lua_State *L, int arg, const struct lua_stream *o) {
  return o && lua_rawlen(L, arg) == sizeof *o && o->magic == &stream_magic &&
         !o->rt->aside;
}

struct lua_stream *stream_test(lua_State *L, int arg) {
  struct lua_stream *o = lua_touserdata(L, arg);
  return is_stream(L, arg, o) ? o : NULL;
}

struct lua_stream *stream_check(lua_State *L, int arg) {
  struct lua_stream *o = stream_test(L, arg);
  return o ? o : luaL_checkudata(L, arg, STREAM_CLASS);
}

struct lua_stream *stream_check_open(lua_State *L, int arg) {
  struct lua_stream *o = stream_check(L, arg);
  if (!o->s || rt_gone(o->rt)) luaL_error(L, "stream is closed");
  return o;
}

struct anchors stream_anchors(struct runtime *rt) {
  return (struct anchors){release_anchor, rt};
}

/* An empty object first, so that nothing is held when memory runs out. */
struct lua_stream *stream_push_empty(lua_State *L, const char *class) {
  rt_tell_collector(L);
  struct lua_stream *o = new_object(L, sizeof *o, class, 0);
  o->magic = &stream_magic;
  o->rt = rt_get(L);
  o->read_ns = o->write_ns = o->idle_ns = NEVER_NS;
  list_init(&o->readers);
  return o;
}

struct handle *stream_test_handle(lua_State *L, int arg, bool streams) {
  struct lua_stream *o = lua_touserdata(L, arg);
  if (!is_stream(L, arg, o)) return NULL;
  const struct transport *t = o->s ? o->s->transport : NULL;
  if (t && !t->completes && !(streams && t->plain)) return NULL;
  return stream_handle(stream_check_open(L, arg)->s);
}

struct lua_stream *push_stream_object(lua_State *L) {
  return stream_push_empty(L, STREAM_CLASS);
}

int stream_object_open(struct lua_stream *o, struct proactor *p,
                       struct handle *h) {
  struct anchors anchors = stream_anchors(o->rt);
  o->s = stream_over_socket(p, h, &anchors);
  if (o->s) return 0;
  handle_close(p, h, NULL, NULL);
  return -ENOMEM;
}

int stream_object_open_pipes(struct lua_stream *o, struct proactor *p,
                             struct handle *in, struct handle *out) {
  struct anchors anchors = stream_anchors(o->rt);
  o->s = stream_over_pipes(p, in, out, &anchors);
  if (o->s) return 0;
  if (in) handle_close(p, in, NULL, NULL);
  if (out) handle_close(p, out, NULL, NULL);
  return -ENOMEM;
}

/* memory_pair() -> a, b: each reads what the other writes; no descriptors */
static int l_memory_pair(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  struct lua_stream *a = push_stream_object(L), *b = push_stream_object(L);
  struct anchors anchors = stream_anchors(a->rt);
  struct stream *pair[2];
  int r = stream_memory_pair(p, &anchors, pair);
  if (r < 0) return push_errno(L, "pair", r);
  a->s = pair[0];
  b->s = pair[1];
  return 2;
}

/* -- failures -- */

int stream_push_closed(lua_State *L, const char *what) {
  return push_fail(L, lua_pushfstring(L, "%s: the stream was closed", what),
                   "CLOSED");
}

int stream_push_error(lua_State *L, const struct stream *s, const char *what,
                      int err) {
  const struct transport *t = s->transport;
  const char *code = NULL;
  const char *text = t->explain ? t->explain(s, err, &code) : NULL;
  if (t->label) what = lua_pushfstring(L, "%s %s", what, t->label(s));
  if (!text) return push_errno(L, what, err);
  return push_fail(L, lua_pushfstring(L, "%s: %s", what, text), code);
}

/* -- limits -- */

uint64_t stream_patience(const struct lua_stream *o, struct task *t) {
  if (o->idle_ns == NEVER_NS || !o->s) return NEVER_NS;
  if (t->wait.since_ns == NEVER_NS) t->wait.since_ns = proactor_now(o->s->p);
  uint64_t moved = o->s->moved_ns, since = t->wait.since_ns;
  return ns_after(moved > since ? moved : since, o->idle_ns);
}

static bool note_timeout(struct lua_stream *o, struct task *t,
                         const char *text) {
  bool idle = t && o->s && proactor_now(o->s->p) >= stream_patience(o, t);
  o->idled = idle ? text : NULL;
  return idle && o->idle_served;
}

int stream_push_timeout(lua_State *L, struct lua_stream *o,
                        struct lua_stream *other, const char *text) {
  struct task *t = o->rt->current;
  bool served = note_timeout(o, t, text);
  if (other) served |= note_timeout(other, t, text);
  if (t) t->wait.other_limit = !served;
  return push_fail(L, text, "TIMEOUT");
}

uint64_t stream_until(lua_State *L, struct lua_stream *o, int arg,
                      uint64_t otherwise_ns) {
  bool given = !lua_isnoneornil(L, arg);
  return await_until(o->rt, given ? opt_limit(L, arg) : otherwise_ns);
}

static size_t check_bytes(lua_State *L, const char *who) {
  int ok;
  lua_Integer n = lua_tointegerx(L, -1, &ok);
  if (!ok && lua_isnumber(L, -1))
    luaL_error(L, "%s: max is a number of bytes; for seconds: { timeout = %f }",
               who, lua_tonumber(L, -1));
  if (!ok || n < 0) luaL_error(L, "%s: max is a number of bytes", who);
  return (size_t)n;
}

static uint64_t check_seconds(lua_State *L, const char *who) {
  if (!lua_isnumber(L, -1))
    luaL_error(L, "%s: a limit is a number of seconds", who);
  return ns_from_seconds(lua_tonumber(L, -1));
}

/* Is the key one of the words of `known`? */
static bool among(const char *known, const char *key) {
  size_t n = strlen(key);
  if (!n || strchr(key, ' ')) return false;
  for (const char *at = known; (at = strstr(at, key)); at += n)
    if ((at == known || at[-1] == ' ') && (at[n] == ' ' || !at[n])) return true;
  return false;
}

static void take_option(lua_State *L, const char *who, const char *key,
                        struct runtime *rt, struct stream_options *o) {
  if (strcmp(key, "max") == 0)
    o->max = check_bytes(L, who);
  else if (strcmp(key, "timeout") == 0)
    o->until_ns = await_until(rt, check_seconds(L, who));
  else
    o->idle_ns = check_seconds(L, who);
}

void stream_options(lua_State *L, int arg, const char *who, const char *known,
                    struct runtime *rt, struct stream_options *o) {
  if (lua_isnoneornil(L, arg)) return;
  if (lua_type(L, arg) == LUA_TNUMBER && among(known, "max")) {
    lua_pushvalue(L, arg);
    o->max = check_bytes(L, who);
    lua_pop(L, 1);
    return;
  }
  luaL_checktype(L, arg, LUA_TTABLE);
  lua_pushnil(L);
  while (lua_next(L, arg)) {
    const char *key =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    if (!among(known, key)) luaL_error(L, "%s: unknown option '%s'", who, key);
    take_option(L, who, key, rt, o);
    lua_pop(L, 1);
  }
}

static bool set_limit(lua_State *L, const char *key, uint64_t *limit) {
  lua_pushstring(L, key);
  bool given = lua_rawget(L, 2) != LUA_TNIL;
  if (given) *limit = check_seconds(L, "timeout");
  lua_pop(L, 1);
  return given;
}

/* timeout{read=, write=, idle=}: seconds that each call may wait, and in which
 * something must move while one waits; math.huge: no limit */
static int l_timeout(lua_State *L) {
  struct lua_stream *o = stream_check_open(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_pushnil(L);
  while (lua_next(L, 2)) {
    const char *key =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    if (!among("read write idle", key))
      return luaL_error(L, "timeout: unknown option '%s'", key);
    lua_pop(L, 1);
  }
  set_limit(L, "read", &o->read_ns);
  set_limit(L, "write", &o->write_ns);
  if (set_limit(L, "idle", &o->idle_ns)) o->idle_served = false;
  if (o->s && o->idle_ns != NEVER_NS) o->s->timed = true; /* for copies, too */
  lua_settop(L, 1);
  return 1;
}

/* -- ending -- */

static void end(struct lua_stream *o, uint64_t linger_ns, bool abort) {
  struct stream *s = o->s;
  o->s = NULL;
  stream_give_back(o); /* at lua_close its task is not resumed any more */
  if (!s || rt_gone(o->rt)) return;
  if (!list_empty(&o->readers)) s->p->woke = true;
  waiter_wake_all(&o->readers);
  if (abort)
    stream_abort(s);
  else
    stream_close(s, linger_ns);
}

/* close([linger]) -> true | nil, message, code of an earlier write. Returns
 * at once; what was accepted goes out within `linger` seconds (5). */
static int l_close(lua_State *L) {
  struct lua_stream *o = stream_check(L, 1);
  struct stream *s = o->s;
  uint64_t linger = lua_isnoneornil(L, 2) ? LINGER_NS : opt_limit(L, 2);
  int n = 0, err = s && !rt_gone(o->rt) ? stream_take_error(s) : 0;
  if (err) n = stream_push_error(L, s, "write", err);
  end(o, linger, false);
  if (n) return n;
  lua_pushboolean(L, 1);
  return 1;
}

/* __gc and __close get more arguments, none of them a limit. */
int stream_end_object(lua_State *L) {
  end(stream_check(L, 1), LINGER_NS, false);
  return 0;
}

/* <close>: serve's own leaves open what its handler keeps. */
static int l_leave(lua_State *L) {
  struct lua_stream *o = stream_check(L, 1);
  bool keep = o->served && o->kept;
  o->served = false;
  return keep ? 0 : stream_end_object(L);
}

static int l_abort(lua_State *L) {
  end(stream_check(L, 1), 0, true);
  return 0;
}

static int l_closed(lua_State *L) {
  struct lua_stream *o = stream_check(L, 1);
  lua_pushboolean(L, !o->s || rt_gone(o->rt));
  return 1;
}

/* served(stream) -> the stream, whose next <close> honours keep() */
static int l_served(lua_State *L) {
  stream_check(L, 1)->served = true;
  return 1;
}

/* keep() -> the stream: serve does not close it when the handler returns */
static int l_keep(lua_State *L) {
  stream_check_open(L, 1)->kept = true;
  lua_settop(L, 1);
  return 1;
}

/* -- names -- */

struct handle *stream_wait_handle(struct task *t) {
  const struct lua_stream *o = t->wait.subject;
  return o->s ? stream_handle(o->s) : NULL;
}

/* What has a descriptor is described by that. */
void stream_wait_describe(struct task *t, char *into, size_t len) {
  const struct lua_stream *o = t->wait.subject;
  if (!o->s || !stream_handle(o->s))
    snprintf(into, len, "%s", o->s ? o->s->transport->name : "closed");
}

static int push_name(lua_State *L, const struct stream *s, bool peer) {
  struct handle *h = stream_handle(s);
  if (h && h->kind == HANDLE_SOCKET) return push_handle_name(L, s->p, h, peer);
  lua_pushstring(L, s->transport->name);
  return 1;
}

static int l_address(lua_State *L) {
  return push_name(L, stream_check_open(L, 1)->s, false);
}

static int l_peer(lua_State *L) {
  return push_name(L, stream_check_open(L, 1)->s, true);
}

static int l_tostring(lua_State *L) {
  struct lua_stream *o = stream_check(L, 1);
  struct stream *s = o->s;
  if (!s || rt_gone(o->rt)) {
    lua_pushliteral(L, "proa.stream (closed)");
    return 1;
  }
  struct handle *h = stream_handle(s);
  bool named = push_name(L, s, true) == 1;
  const char *peer = named ? lua_tostring(L, -1) : "without peer";
  const char *fd = h ? lua_pushfstring(L, "fd %d, ", h->fd) : "";
  lua_pushfstring(L, "proa.stream %s (%s%d bytes unread, %d unsent)", peer, fd,
                  (int)s->in.len, (int)s->out.len);
  return 1;
}

/* -- making -- */

/* stream(fd object) -> a stream that owns the descriptor from now on */
static int l_stream(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  struct handle *h = check_fd(L, p, 1)->handle;
  luaL_argcheck(L, h->kind == HANDLE_SOCKET, 1, "not a socket");
  luaL_argcheck(L, !h->inflight, 1, "fd has ops in flight");
  int on = 1;
  struct sys *sys = proactor_sys(p);
  sys->class->setopt(sys, h->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct lua_stream *o = push_stream_object(L);
  int r = stream_object_open(o, p, take_fd(L, 1));
  return r < 0 ? push_errno(L, "stream", r) : 1;
}

static struct handle *check_end(lua_State *L, struct proactor *p, int arg) {
  if (lua_isnoneornil(L, arg)) return NULL;
  struct handle *h = check_fd(L, p, arg)->handle;
  luaL_argcheck(L, !h->inflight, arg, "fd has ops in flight");
  return h;
}

/* pipe_stream(in | nil, out | nil) -> a stream that owns these fd objects'
 * descriptors from now on, and reads from the one, writes to the other */
static int l_pipe_stream(lua_State *L) {
  struct proactor *p = rt_proactor(L);
  lua_settop(L, 2);
  struct handle *in = check_end(L, p, 1), *out = check_end(L, p, 2);
  luaL_argcheck(L, in != out, 2, "two descriptors expected");
  struct lua_stream *o = push_stream_object(L);
  if (in) take_fd(L, 1);
  if (out) take_fd(L, 2);
  int r = stream_object_open_pipes(o, p, in, out);
  return r < 0 ? push_errno(L, "stream", r) : 1;
}

void open_stream(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"close", l_close},   {"abort", l_abort}, {"address", l_address},
      {"peer", l_peer},     {"keep", l_keep},   {"timeout", l_timeout},
      {"closed", l_closed}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", stream_end_object},
                                  {"__close", l_leave},
                                  {"__tostring", l_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg functions[] = {{"stream", l_stream},
                                       {"pipe_stream", l_pipe_stream},
                                       {"served", l_served},
                                       {"memory_pair", l_memory_pair},
                                       {NULL, NULL}};
  make_class(L, STREAM_CLASS, methods, meta);
  add_functions(L, functions);
  luaL_getmetatable(L, STREAM_CLASS);
  lua_getfield(L, -1, "__index");
  add_functions(L, stream_read_methods);
  add_functions(L, stream_write_methods);
  add_functions(L, stream_copy_methods);
  add_functions(L, stream_option_methods);
  add_functions(L, stream_fds_methods);
  lua_setfield(L, -3, "stream_methods");
  lua_pop(L, 1);
  open_stream_fds(L);
}
