/* lua_seam.h - how a codec in a library of its own works on streams.
 *
 * The core exports nothing but luaopen_proa_core; it leaves a table of
 * functions, struct seam, in the registry. With it a codec looks at a stream's
 * queued bytes in place, consumes a part, waits for more and appends output,
 * all without a Lua string; or it becomes what the stream reads and writes
 * through (codec.h). A codec is a Lua C module that calls seam_get when it is
 * opened:
 *
 *   static int read_message(lua_State *L) {           // the stream at 1
 *     return read_go(L, seam->begin(L, 1));
 *   }
 *   static int read_go(lua_State *L, struct stream *s) {
 *     size_t n;
 *     const unsigned char *at = seam->peek(s, &n);
 *     ... parse; seam->consume(s, used); return results; or, unfinished:
 *     if (seam->ended(s)) return seam->push_end(L, s, "read");
 *     return seam->await(L, 1, seam->queued(s) + 1, 0, read_message_k);
 *   }
 *   static int read_message_k(lua_State *L, int status, lua_KContext ctx) {
 *     int n = seam->awaited(L, "read");
 *     return n ? n : read_go(L, seam->check(L, 1));
 *   }
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_SEAM_H
#define PROA_LUA_SEAM_H

#include <lauxlib.h>
#include <lua.h>

#include "codec.h"

#define SEAM_KEY "proa.seam"

enum { SEAM_VERSION = 1 };

struct seam {
  unsigned version;
  const struct codec_calls *codec; /* for struct codec */

  /* The open stream at arg; raises. Valid until the next await. */
  struct stream *(*check)(lua_State *L, int arg);
  /* The same where a call that reads begins: raises where a read would, also
   * when it need not wait; its limits count from here. */
  struct stream *(*begin)(lua_State *L, int arg);

  /* -- what has arrived; see inq.h -- */
  const unsigned char *(*peek)(struct stream *s, size_t *n);
  size_t (*queued)(struct stream *s);
  const unsigned char *(*gather)(struct stream *s, size_t n);
  void (*consume)(struct stream *s, size_t n);
  /* Nothing more will come. */
  bool (*ended)(struct stream *s);
  /* What a read returns then: nil; or nil, message, code. */
  int (*push_end)(lua_State *L, struct stream *s, const char *what);

  /* Wait until `want` bytes are queued or nothing more comes, as the one
   * reader of the stream at arg and within the limits of the call that began;
   * then k. k calls awaited first: 0, or the number of results that say why
   * there is nothing (TIMEOUT, CLOSED, LIMIT). */
  int (*await)(lua_State *L, int arg, size_t want, lua_KContext ctx,
               lua_KFunction k);
  int (*awaited)(lua_State *L, const char *what);

  /* Append output behind what was written; it goes out before the next
   * hand-over, with the rest. 0 or -errno; does not wait. */
  int (*write)(struct stream *s, const void *bytes, size_t n);
  /* May more be written, or is it time for stream:write("") to wait? */
  bool (*full)(struct stream *s);

  /* From now on the stream at arg reads and writes through the codec, which
   * owns state. Raises when somebody waits there, or there is no memory; state
   * is freed then. */
  void (*wrap)(lua_State *L, int arg, const struct codec *codec, void *state);
};

/* For luaopen_ of a codec; raises when the core is of another version. */
static inline const struct seam *seam_get(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "proa.core");
  lua_call(L, 1, 0);
  lua_getfield(L, LUA_REGISTRYINDEX, SEAM_KEY);
  const struct seam *seam = lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (!seam || seam->version != SEAM_VERSION)
    luaL_error(L, "proa.core is of another version than this module");
  return seam;
}

#endif
