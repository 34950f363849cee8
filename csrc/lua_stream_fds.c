/* lua_stream_fds.c - descriptors through Unix streams, and who the peer is.
 *
 * send_fds is put together in lua/proa/stream.lua: its turn and room are those
 * of a write. What is received is made into objects here; those that nobody
 * takes are closed with the stream (passing.h).
 *
 * SPDX-License-Identifier: MIT */
#include "lua_buffer.h"
#include "lua_net.h"
#include "lua_passed.h"
#include "lua_stream.h"
#include "stream_socket.h"

enum { SOME_MAX = 64 * 1024 };

/* The passing of the stream at 1, which is over a Unix socket; raises when
 * there is no memory. NULL: what is pushed says why not. */
static struct passing *check_passing(lua_State *L, const char *what) {
  struct stream *s = stream_check_open(L, 1)->s;
  struct handle *h = stream_is_socket(s) ? stream_handle(s) : NULL;
  struct sys *sys = proactor_sys(s->p);
  int family = 0;
  socklen_t len = sizeof family;
  if (h) sys->class->getopt(sys, h->fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
  if (family == AF_UNIX) {
    struct passing *g = stream_passing(s);
    if (!g) luaL_error(L, "not enough memory");
    return g;
  }
  push_fail(L, lua_pushfstring(L, "%s: not a Unix socket", what), "EOPNOTSUPP");
  return NULL;
}

/* -- sending -- */

/* The bytes at 2 with the descriptors of c, or an error: nil, message, code. */
static int queue_copies(lua_State *L, struct copies *c) {
  size_t len;
  const char *bytes = luaL_checklstring(L, 2, &len);
  struct stream *s = stream_check_open(L, 1)->s;
  int r = s->out_err ? s->out_err : s->shut ? -EPIPE : 0;
  if (r == 0) r = stream_pass_fds(s, c->fds, c->n);
  if (r < 0) {
    copies_close(c);
    return push_errno(L, "send_fds", r);
  }
  r = stream_write(s, bytes, len, 0);
  if (r < 0) return push_errno(L, "send_fds", r);
  lua_settop(L, 1);
  return 1;
}

/* queue_fds(stream, bytes, value...) -> the stream. Its turn has come; not an
 * await. */
static int l_queue_fds(lua_State *L) {
  struct copies c;
  size_t len;
  struct passing *g = check_passing(L, "send_fds");
  if (!g) return 3;
  luaL_checklstring(L, 2, &len);
  luaL_argcheck(L, len > 0, 2, "descriptors go with at least one byte");
  int failed = copies_make(L, &c, g->sys, 3);
  return failed ? failed : queue_copies(L, &c);
}

/* -- receiving -- */

/* take_fds([max]) -> the stream: from now on descriptors that come are kept */
static int l_take_fds(lua_State *L) {
  unsigned max = opt_fds_max(L, 2);
  struct passing *g = check_passing(L, "take_fds");
  if (!g) return 3;
  stream_take_fds(stream_check_open(L, 1)->s, g, max);
  lua_settop(L, 1);
  return 1;
}

static void push_bytes(lua_State *L, struct stream *s, size_t n) {
  luaL_Buffer b;
  inq_copy(&s->in, luaL_buffinitsize(L, &b, n), n);
  luaL_pushresultsize(&b, n);
}

/* bytes, list[, true: some did not fit] */
static int take(lua_State *L, struct stream *s, struct passing *g) {
  struct passed *with;
  size_t n = passing_next(g, s->in.len, &with);
  n = min_size(n, (size_t)lua_tointeger(L, 2));
  push_bytes(L, s, n);
  g->cut |= push_passed(L, s->p, with);
  if (with) passing_drop(g, with);
  inq_consume(&s->in, n);
  stream_consumed(s);
  bool cut = g->cut;
  g->cut = false;
  if (!cut) return 2;
  lua_pushboolean(L, 1);
  return 3;
}

static int recv_go(lua_State *L, bool again);

static int recv_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  stream_leave(stream_check(L, 1));
  if (await_end(L) == WAIT_TIMEOUT)
    return push_fail(L, "recv_fds: timed out", "TIMEOUT");
  return recv_go(L, true);
}

static int recv_go(lua_State *L, bool again) {
  struct lua_stream *o = stream_check(L, 1);
  struct stream *s = o->s;
  if (!s) return stream_push_closed(L, "recv_fds");
  if (s->in.len) return take(L, s, stream_passing(s));
  if (s->in_err) return stream_push_error(L, s, "recv_fds", s->in_err);
  if (stream_ended(s)) {
    lua_pushnil(L);
    return 1;
  }
  if (again) await_begin(L);
  return stream_await_bytes(L, o, 1, 0, recv_k);
}

/* recv_fds([max[, timeout]]) -> bytes, objects[, some were closed] */
static int l_recv_fds(lua_State *L) {
  struct lua_stream *o = stream_check_open(L, 1);
  lua_Integer max = luaL_optinteger(L, 2, SOME_MAX);
  luaL_argcheck(L, max >= 1, 2, "at least one byte");
  uint64_t until = stream_until(L, o, 3, o->read_ns);
  struct passing *g = check_passing(L, "recv_fds");
  if (!g) return 3;
  stream_check_reader(L, o, await_begin(L));
  if (!g->wanted) stream_take_fds(o->s, g, FDS_DEFAULT);
  o->read_until_ns = until;
  lua_settop(L, 1);
  lua_pushinteger(L, max);
  return recv_go(L, false);
}

/* -- who is there -- */

static void set_id(lua_State *L, const char *key, lua_Integer id) {
  lua_pushinteger(L, id);
  lua_setfield(L, -2, key);
}

/* credentials() -> { pid =, uid =, gid = } of the peer as it connected */
static int l_credentials(lua_State *L) {
  struct stream *s = stream_check_open(L, 1)->s;
  struct handle *h = stream_is_socket(s) ? stream_handle(s) : NULL;
  struct sys *sys = proactor_sys(s->p);
  struct ucred cred = {0};
  socklen_t len = sizeof cred;
  int r =
      h ? sys->class->getopt(sys, h->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len)
        : -EOPNOTSUPP;
  if (r < 0 || cred.pid == 0)
    return push_fail(L, "credentials: not a Unix socket", "EOPNOTSUPP");
  lua_createtable(L, 0, 3);
  set_id(L, "pid", cred.pid);
  set_id(L, "uid", cred.uid);
  set_id(L, "gid", cred.gid);
  return 1;
}

const luaL_Reg stream_fds_methods[] = {{"take_fds", l_take_fds},
                                       {"recv_fds", l_recv_fds},
                                       {"credentials", l_credentials},
                                       {NULL, NULL}};

void open_stream_fds(lua_State *L) {
  static const luaL_Reg functions[] = {{"queue_fds", l_queue_fds},
                                       {NULL, NULL}};
  add_functions(L, functions);
}
