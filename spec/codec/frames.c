/* frames.c - a toy codec: each message behind its length, in four bytes.
 *
 * It proves the seam (csrc/lua_seam.h) from outside the core, as a codec in a
 * library of its own: wrap(stream) makes the stream read and write through
 * frames; read(stream) and write(stream, string) are messages over a plain
 * stream, parsed in place. A length of zero says goodbye; a length above the
 * limit is an error of the codec's own.
 *
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "lua_seam.h"

enum { HEAD = 4, FRAME_MAX = 1 << 20, ERROR_TOO_LONG = CODEC_ERROR };

static const struct seam *seam;

struct frames {
  bool ended;     /* the goodbye came */
  bool talkative; /* the peer's greeting is awaited before anything is sent */
  char name[32];  /* "" or what errors are to mention */
  char text[80];
};

static size_t length_of(const unsigned char *at) {
  return (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
}

static void put_length(unsigned char *at, size_t n) {
  for (int i = 0; i < HEAD; i++) at[i] = (unsigned char)(n >> (24 - 8 * i));
}

/* -- as a stream: struct codec -- */

static ssize_t decode(void *state, struct codec_io *io) {
  struct frames *f = state;
  const struct codec_calls *call = seam->codec;
  if (call->queued(io) < HEAD) return HEAD;
  const unsigned char *at = call->gather(io, HEAD);
  if (!at) return -ENOMEM;
  size_t n = length_of(at);
  if (n > FRAME_MAX) return ERROR_TOO_LONG;
  if (call->queued(io) < HEAD + n) return (ssize_t)(HEAD + n);
  at = call->gather(io, HEAD + n);
  if (!at || call->put(io, at + HEAD, n) < 0) return -ENOMEM;
  call->consume(io, HEAD + n);
  f->talkative = false;
  if (n == 0) f->ended = true;
  return 0;
}

static ssize_t encode(void *state, struct codec_io *io, const void *bytes,
                      size_t n) {
  struct frames *f = state;
  unsigned char head[HEAD];
  if (f->talkative) return 0;
  put_length(head, n);
  int r = seam->codec->emit(io, head, HEAD);
  if (r == 0) r = seam->codec->emit(io, bytes, n);
  return r < 0 ? r : (ssize_t)n;
}

static int finish(void *state, struct codec_io *io) {
  static const unsigned char goodbye[HEAD];
  (void)state;
  return seam->codec->emit(io, goodbye, HEAD);
}

static int cut(void *state, size_t left) {
  struct frames *f = state;
  return f->ended && !left ? 0 : -ECONNRESET;
}

static const char *explain(void *state, int err, const char **code) {
  struct frames *f = state;
  (void)err;
  *code = "PROTOCOL";
  bool named = f->name[0];
  snprintf(f->text, sizeof f->text, "a frame is longer than 1 MiB%s%s%s",
           named ? " (" : "", f->name, named ? ")" : "");
  return f->text;
}

static const struct codec frames = {.name = "frames",
                                    .decode = decode,
                                    .encode = encode,
                                    .finish = finish,
                                    .cut = cut,
                                    .explain = explain,
                                    .free = free};

/* wrap(stream[, wait | name]) -> the stream; wait, true: sends nothing before a
 * frame has come, as a handshake would have it */
static int l_wrap(lua_State *L) {
  struct frames *f = calloc(1, sizeof *f);
  if (!f) return luaL_error(L, "not enough memory");
  if (lua_type(L, 2) == LUA_TSTRING)
    snprintf(f->name, sizeof f->name, "%s", lua_tostring(L, 2));
  else
    f->talkative = lua_toboolean(L, 2);
  seam->wrap(L, 1, &frames, f);
  lua_settop(L, 1);
  return 1;
}

/* -- as messages over a plain stream -- */

static int read_go(lua_State *L, struct stream *s);

static int read_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  int n = seam->awaited(L, "read frame");
  return n ? n : read_go(L, seam->check(L, 1));
}

static int read_go(lua_State *L, struct stream *s) {
  size_t have = seam->queued(s), want = HEAD;
  const unsigned char *at;
  if (have >= HEAD) {
    if (!(at = seam->gather(s, HEAD))) return luaL_error(L, "no memory");
    want += length_of(at);
  }
  if (have >= HEAD && have >= want) {
    if (!(at = seam->gather(s, want))) return luaL_error(L, "no memory");
    lua_pushlstring(L, (const char *)at + HEAD, want - HEAD);
    seam->consume(s, want);
    return 1;
  }
  if (seam->ended(s)) return seam->push_end(L, s, "read frame");
  return seam->await(L, 1, want, 0, read_k);
}

/* read(stream) -> a message; nil at end of stream */
static int l_read(lua_State *L) {
  return read_go(L, seam->begin(L, 1));
}

/* write(stream, string) -> is there room for more? else stream:write("") waits
 * for it */
static int l_write(lua_State *L) {
  struct stream *s = seam->check(L, 1);
  unsigned char head[HEAD];
  size_t n;
  const char *text = luaL_checklstring(L, 2, &n);
  put_length(head, n);
  int r = seam->write(s, head, HEAD);
  if (r == 0) r = seam->write(s, text, n);
  lua_pushboolean(L, r == 0 && !seam->full(s));
  return 1;
}

__attribute__((visibility("default"))) int
luaopen_proa_spec_frames(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"wrap", l_wrap}, {"read", l_read}, {"write", l_write}, {NULL, NULL}};
  seam = seam_get(L);
  luaL_newlib(L, functions);
  return 1;
}
