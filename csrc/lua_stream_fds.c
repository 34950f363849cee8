/* lua_stream_fds.c - descriptors through Unix streams, and who the peer is.
 *
 * send_fds is put together in lua/proa/stream.lua: its turn and room are those
 * of a write. What is received is made into objects here; those that nobody
 * takes are closed with the stream (passing.h).
 *
 * SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <unistd.h>

#include "lua_buffer.h"
#include "lua_fd.h"
#include "lua_net.h"
#include "lua_stream.h"
#include "stream_socket.h"

enum { FDS_DEFAULT = 64, SOME_MAX = 64 * 1024 };

/* The passing of the stream at 1, which is over a Unix socket; raises when
 * there is no memory. NULL: what is pushed says why not. */
static struct passing *check_passing(lua_State *L, const char *what) {
  struct stream *s = stream_check_open(L, 1)->s;
  struct handle *h = stream_is_socket(s) ? stream_handle(s) : NULL;
  struct sys *sys = proactor_sys(s->p);
  int family = 0;
  socklen_t len = sizeof family;
  if (h) sys->class->getopt(sys, h->fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
  if (family == AF_UNIX && s->p->driver->class != &driver_sim) {
    struct passing *g = stream_passing(s);
    if (!g) luaL_error(L, "not enough memory");
    return g;
  }
  const char *why = family == AF_UNIX ? "the simulation passes no descriptors"
                                      : "not a Unix socket";
  push_fail(L, lua_pushfstring(L, "%s: %s", what, why), "EOPNOTSUPP");
  return NULL;
}

/* -- sending -- */

/* Duplicates of arguments 3 to top, so that theirs may be closed at once. Run
 * under pcall: those made so far are in the upvalue's array. */
struct copies {
  unsigned n;
  int fds[MESSAGE_FDS_MAX];
};

static int copy_fds(lua_State *L) {
  struct copies *c = lua_touserdata(L, lua_gettop(L));
  lua_pop(L, 1);
  int top = lua_gettop(L);
  for (int i = 3; i <= top; i++) {
    int copy = fcntl(check_fileno(L, i), F_DUPFD_CLOEXEC, 3);
    if (copy < 0) return push_errno(L, "send_fds", -errno);
    c->fds[c->n++] = copy;
  }
  return 0;
}

static void close_copies(const struct copies *c) {
  for (unsigned i = 0; i < c->n; i++) close(c->fds[i]);
}

/* The bytes at 2 with the descriptors of c, or an error: nil, message, code. */
static int queue_copies(lua_State *L, struct copies *c) {
  size_t len;
  const char *bytes = luaL_checklstring(L, 2, &len);
  struct stream *s = stream_check_open(L, 1)->s;
  int r = s->out_err ? s->out_err : s->shut ? -EPIPE : 0;
  if (r == 0) r = stream_pass_fds(s, c->fds, c->n);
  if (r < 0) {
    close_copies(c);
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
  struct copies c = {.n = 0};
  int n = lua_gettop(L);
  size_t len;
  if (!check_passing(L, "send_fds")) return 3;
  luaL_checklstring(L, 2, &len);
  luaL_argcheck(L, len > 0, 2, "descriptors go with at least one byte");
  luaL_argcheck(L, n > 2, 3, "a descriptor expected");
  luaL_argcheck(L, n - 2 <= MESSAGE_FDS_MAX, n, "at most 253 descriptors");
  luaL_checkstack(L, n + 8, "too many descriptors");
  lua_pushcfunction(L, copy_fds);
  for (int i = 1; i <= n; i++) lua_pushvalue(L, i);
  lua_pushlightuserdata(L, &c);
  int status = lua_pcall(L, n + 1, LUA_MULTRET, 0);
  if (status == LUA_OK && lua_gettop(L) == n) return queue_copies(L, &c);
  close_copies(&c);
  return status == LUA_OK ? 3 : lua_error(L);
}

/* -- receiving -- */

/* take_fds([max]) -> the stream: from now on descriptors that come are kept */
static int l_take_fds(lua_State *L) {
  lua_Integer max = luaL_optinteger(L, 2, FDS_DEFAULT);
  luaL_argcheck(L, max >= 0 && max <= 1 << 20, 2, "a number of descriptors");
  struct passing *g = check_passing(L, "take_fds");
  if (!g) return 3;
  stream_take_fds(stream_check_open(L, 1)->s, g, (unsigned)max);
  lua_settop(L, 1);
  return 1;
}

/* A list of objects. Each is noted as taken when there is one, so that the
 * rest is closed if there is no memory for more. */
static void push_objects(lua_State *L, struct proactor *p, struct passing *g,
                         struct passed *x) {
  lua_createtable(L, x ? (int)x->n : 0, 0);
  for (unsigned i = 0, at = 1; x && i < x->n; i++) {
    bool taken = false;
    if (x->fds[i] < 0) continue;
    int r = push_object(L, p, x->fds[i], &taken);
    if (taken) x->fds[i] = -1;
    if (r >= 0)
      lua_rawseti(L, -2, at++);
    else
      g->cut = true;
  }
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
  push_objects(L, s->p, g, with);
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
