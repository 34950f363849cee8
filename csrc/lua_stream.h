/* lua_stream.h - what the parts of proa.stream share.
 *
 * One Lua class for every struct stream, whatever moves its bytes: lua_stream.c
 * is the object, its names, options and end, lua_stream_read.c reads,
 * lua_stream_write.c writes, lua_stream_copy.c copies from one to the other.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LUA_STREAM_H
#define PROA_LUA_STREAM_H

#include <lauxlib.h>

#include "buf.h"
#include "lua_core.h"
#include "stream.h"

#define STREAM_CLASS "proa.stream"

struct lua_stream {
  const void *magic; /* &stream_magic: what the userdata is, told quickly */
  struct runtime *rt;
  struct stream *s;    /* NULL: closed */
  struct buf *lent;    /* by a read_into that waits */
  struct task *reader; /* a read that waits, or was woken and not resumed */
  struct list readers; /* struct waiter: of a file, who reads after that */
  uint64_t read_ns, write_ns; /* limits of each call; NEVER_NS */
  uint64_t idle_ns;           /* ... of the time in which no byte moves */
  uint64_t read_until_ns;     /* the end of patience of the one who reads */
  bool served;      /* the next <close> is serve's, and leaves it open if ... */
  bool kept;        /* ... the handler wants to keep it */
  bool idle_served; /* its idle limit is serve's */
  const char *idled; /* what was told when the last wait that timed out met
                      * the idle limit; NULL: it met another */
};

struct lua_stream *stream_check(lua_State *L, int arg);
/* NULL when it is none; files are. */
struct lua_stream *stream_test(lua_State *L, int arg);
/* Raises when it was closed. */
struct lua_stream *stream_check_open(lua_State *L, int arg);

/* nil, message, code. Return 3. */
int stream_push_closed(lua_State *L, const char *what);
int stream_push_error(lua_State *L, const struct stream *s, const char *what,
                      int err);

struct anchors stream_anchors(struct runtime *rt);

/* One reader at a time: bytes for one would go to another. Raises. */
void stream_check_reader(lua_State *L, const struct lua_stream *o,
                         const struct task *t);
/* Wait, as its one reader, for `want` queued bytes or the end; then k, which
 * calls stream_leave and await_end first. */
int stream_await_bytes(lua_State *L, struct lua_stream *o, size_t want,
                       lua_KContext ctx, lua_KFunction k);
void stream_leave(struct lua_stream *o);
/* Nobody reads it now: whose turn it is, may. */
void stream_free_reader(struct lua_stream *o);
/* The handle of the file at arg, or of the stream when those are taken and its
 * descriptor carries its bytes as they are; else NULL. Raises when it is
 * closed. */
struct handle *stream_test_handle(lua_State *L, int arg, bool streams);
/* An object of that class without a stream. */
struct lua_stream *stream_push_empty(lua_State *L, const char *class);
/* read_into, as streams do it: index 1 to 4 are its arguments. */
int stream_read_into(lua_State *L, uint64_t until_ns);
/* The buffer that a read_into lent, if there is one. */
void stream_give_back(struct lua_stream *o);
/* nil, message, code. Returns 3. */
int stream_push_capped(lua_State *L, const char *what);
/* Of a wait whose subject is a struct lua_stream. */
struct handle *stream_wait_handle(struct task *t);
void stream_wait_describe(struct task *t, char *into, size_t len);
/* nil, text, "TIMEOUT": the task's wait on it, and on another or NULL, has
 * timed out. Returns 3. */
int stream_push_timeout(lua_State *L, struct lua_stream *o,
                        struct lua_stream *other, const char *text);
/* When a wait on o gives up for want of progress. */
uint64_t stream_patience(const struct lua_stream *o, struct task *t);

/* An optional limit in seconds at arg as an absolute time; `otherwise` when
 * there is none. */
uint64_t stream_until(lua_State *L, struct lua_stream *o, int arg,
                      uint64_t otherwise_ns);
/* The options at arg: a table with keys among the words of `known`, others
 * raise "who: unknown option"; or a number, which stands for max. */
struct stream_options { /* filled with the defaults before */
  size_t max;           /* bytes */
  uint64_t until_ns;    /* absolute */
  uint64_t idle_ns;
};
void stream_options(lua_State *L, int arg, const char *who, const char *known,
                    struct runtime *rt, struct stream_options *o);

/* An empty object of push_stream_object gets these, which it owns (see
 * stream_pipe.h); on failure, -errno, they are closed. */
int stream_object_open_pipes(struct lua_stream *o, struct proactor *p,
                             struct handle *in, struct handle *out);

/* For __gc, __close and close of files. */
int stream_end_object(lua_State *L);

extern const luaL_Reg stream_read_methods[], stream_write_methods[],
    stream_copy_methods[], stream_option_methods[], stream_fds_methods[];
void open_stream_fds(lua_State *L);

#endif
