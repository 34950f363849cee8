/* lua_buffer.c - proa.buffer: owned bytes that ops can borrow.
 *
 * The object owns a counted struct buf. While an op has it, every access
 * raises "buffer is in use by read" (O3). Positions are those of the string
 * library: from 1, negative from the end. Memory is told to the collector in
 * proportion (O9), because it is outside Lua's heap.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_buffer.h"

#include <limits.h>
#include <string.h>

#include "lua_core.h"

#define BUFFER_CLASS "proa.buffer"

struct lua_buffer {
  const void *magic; /* &buffer_magic: what the userdata is, told quickly */
  struct buf *b;     /* NULL after __gc */
};

static const char buffer_magic;

/* Looking up the class by its name took a tenth of a read into one. (A light
 * userdata has no length.) */
static struct lua_buffer *as_buffer(lua_State *L, int arg) {
  struct lua_buffer *o = lua_touserdata(L, arg);
  bool is = o && lua_rawlen(L, arg) == sizeof *o && o->magic == &buffer_magic;
  return is ? o : NULL;
}

static int in_use(lua_State *L, const struct buf *b) {
  return luaL_error(L, "buffer is in use by %s", b->lent);
}

struct buf *test_buffer(lua_State *L, int arg) {
  struct lua_buffer *o = as_buffer(L, arg);
  if (o && o->b && o->b->lent) in_use(L, o->b);
  return o ? o->b : NULL;
}

struct buf *check_buffer(lua_State *L, int arg) {
  struct lua_buffer *o = as_buffer(L, arg);
  if (!o) luaL_checkudata(L, arg, BUFFER_CLASS); /* raises */
  luaL_argcheck(L, o->b, arg, "buffer was finalised");
  if (o->b->lent) in_use(L, o->b);
  return o->b;
}

struct buf *free_buffer(lua_State *L, int arg) {
  struct lua_buffer *o = as_buffer(L, arg);
  return o && o->b && !o->b->lent ? o->b : NULL;
}

/* An empty object first, so that nothing is held when memory runs out. */
static struct buf *push_buffer(lua_State *L, size_t len) {
  /* What is made while the state closes is never finalised. */
  if (rt_get(L)->closed) luaL_error(L, "proa: this Lua state is closing");
  struct lua_buffer *o =
      new_object(L, sizeof(struct lua_buffer), BUFFER_CLASS, 0);
  o->magic = &buffer_magic;
  rt_tell_collector(L);
  o->b = buf_new(len);
  if (!o->b) luaL_error(L, "not enough memory");
  return o->b;
}

static size_t check_size(lua_State *L, int arg) {
  lua_Integer n = luaL_checkinteger(L, arg);
  luaL_argcheck(L, n >= 0 && n <= (lua_Integer)(SIZE_MAX / 4), arg,
                "size out of range");
  return (size_t)n;
}

/* buffer(n | string) */
static int l_buffer(lua_State *L) {
  if (lua_type(L, 1) == LUA_TNUMBER) {
    push_buffer(L, check_size(L, 1));
    return 1;
  }
  size_t len;
  const char *bytes = luaL_checklstring(L, 1, &len);
  memcpy(push_buffer(L, len)->data, bytes, len);
  return 1;
}

static size_t position(lua_Integer i, size_t len) {
  if (i >= 0) return i > (lua_Integer)len + 1 ? len + 1 : (size_t)i;
  return i < -(lua_Integer)len ? 0 : len - (size_t)-i + 1;
}

void opt_range(lua_State *L, int arg, size_t len, size_t *at, size_t *n) {
  *at = 0;
  *n = len;
  if (lua_gettop(L) < arg) return;
  size_t i = position(luaL_optinteger(L, arg, 1), len);
  size_t j = position(luaL_optinteger(L, arg + 1, -1), len);
  if (i < 1) i = 1;
  if (j > len) j = len;
  *at = i - 1;
  *n = j >= i ? j - i + 1 : 0;
}

static int l_len(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)check_buffer(L, 1)->len);
  return 1;
}

static int l_string(lua_State *L) {
  struct buf *b = check_buffer(L, 1);
  size_t at, n;
  opt_range(L, 2, b->len, &at, &n);
  lua_pushlstring(L, (char *)b->data + at, n);
  return 1;
}

/* byte([i[, j]]) -> integers; i: 1, j: i. Negative ones count from the end */
static int l_byte(lua_State *L) {
  const struct buf *b = check_buffer(L, 1);
  lua_Integer first = luaL_optinteger(L, 2, 1);
  size_t i = position(first, b->len);
  size_t j = position(luaL_optinteger(L, 3, first), b->len);
  if (i < 1) i = 1;
  if (j > b->len) j = b->len;
  if (i > j) return 0;
  luaL_argcheck(L, j - i < INT_MAX, 3, "too many bytes");
  int n = (int)(j - i) + 1;
  luaL_checkstack(L, n, "too many bytes");
  for (int k = 0; k < n; k++) lua_pushinteger(L, b->data[i - 1 + (size_t)k]);
  return n;
}

/* slice([i[, j]]): a new buffer with a copy of these bytes */
static int l_slice(lua_State *L) {
  struct buf *b = check_buffer(L, 1);
  size_t at, n;
  opt_range(L, 2, b->len, &at, &n);
  memcpy(push_buffer(L, n)->data, b->data + at, n);
  return 1;
}

static void append(lua_State *L, struct buf *b, const char *bytes, size_t n) {
  if (buf_reserve(b, b->len + n) < 0) luaL_error(L, "not enough memory");
  memcpy(b->data + b->len, bytes, n);
  b->len += n;
}

/* append(string | buffer, ...): returns the buffer */
static int l_append(lua_State *L) {
  struct buf *b = check_buffer(L, 1);
  int top = lua_gettop(L);
  for (int i = 2; i <= top; i++) {
    struct buf *other = test_buffer(L, i);
    size_t n = other ? other->len : 0;
    const char *bytes = other ? NULL : luaL_checklstring(L, i, &n);
    if (buf_reserve(b, b->len + n) < 0)
      return luaL_error(L, "not enough memory");
    append(L, b, other ? (char *)other->data : bytes, n);
  }
  rt_tell_collector(L);
  lua_settop(L, 1);
  return 1;
}

/* set(i, string): overwrite from position i; the size stays */
static int l_set(lua_State *L) {
  struct buf *b = check_buffer(L, 1);
  size_t n, i = position(luaL_checkinteger(L, 2), b->len);
  const char *bytes = luaL_checklstring(L, 3, &n);
  luaL_argcheck(L, i >= 1 && i - 1 <= b->len && n <= b->len - (i - 1), 3,
                "does not fit");
  memcpy(b->data + i - 1, bytes, n);
  lua_settop(L, 1);
  return 1;
}

/* resize(n): what is new is zero */
static int l_resize(lua_State *L) {
  struct buf *b = check_buffer(L, 1);
  size_t n = check_size(L, 2);
  if (buf_reserve(b, n) < 0) return luaL_error(L, "not enough memory");
  if (n > b->len) memset(b->data + b->len, 0, n - b->len);
  b->len = n;
  rt_tell_collector(L);
  lua_settop(L, 1);
  return 1;
}

/* is_buffer(any) -> boolean */
static int l_is_buffer(lua_State *L) {
  lua_pushboolean(L, as_buffer(L, 1) != NULL);
  return 1;
}

static void push_string_function(lua_State *L, const char *name) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, "string");
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
  lua_remove(L, -2);
}

/* pack(format, ...): append string.pack's result; returns the buffer */
static int l_pack(lua_State *L) {
  check_buffer(L, 1);
  luaL_checkstring(L, 2);
  push_string_function(L, "pack");
  lua_insert(L, 2);
  lua_call(L, lua_gettop(L) - 2, 1);
  size_t n;
  const char *bytes = lua_tolstring(L, 2, &n);
  append(L, check_buffer(L, 1), bytes, n);
  lua_settop(L, 1);
  return 1;
}

/* unpack(format[, i]): as string.unpack on the bytes from i on */
static int l_unpack(lua_State *L) {
  struct buf *b = check_buffer(L, 1);
  luaL_checkstring(L, 2);
  size_t i = position(luaL_optinteger(L, 3, 1), b->len);
  luaL_argcheck(L, i >= 1 && i <= b->len + 1, 3, "position out of range");
  lua_settop(L, 3);
  push_string_function(L, "unpack");
  lua_pushvalue(L, 2);
  lua_pushlstring(L, (char *)b->data + i - 1, b->len - (i - 1));
  lua_call(L, 2, LUA_MULTRET);
  int n = lua_gettop(L);
  lua_Integer next = lua_tointeger(L, n) + (lua_Integer)i - 1;
  lua_pushinteger(L, next);
  lua_replace(L, n);
  return n - 3;
}

static int l_tostring(lua_State *L) {
  struct lua_buffer *o = luaL_checkudata(L, 1, BUFFER_CLASS);
  if (!o->b)
    lua_pushliteral(L, "proa.buffer (finalised)");
  else if (o->b->lent)
    lua_pushfstring(L, "proa.buffer (%d bytes, in use by %s)", (int)o->b->len,
                    o->b->lent);
  else
    lua_pushfstring(L, "proa.buffer (%d bytes)", (int)o->b->len);
  return 1;
}

/* An op that has the block keeps its own reference. */
static int l_gc(lua_State *L) {
  struct lua_buffer *o = luaL_checkudata(L, 1, BUFFER_CLASS);
  struct buf *b = o->b;
  o->b = NULL;
  buf_unref(b);
  return 0;
}

void open_buffer(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"string", l_string}, {"byte", l_byte},     {"slice", l_slice},
      {"append", l_append}, {"set", l_set},       {"resize", l_resize},
      {"pack", l_pack},     {"unpack", l_unpack}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__len", l_len},
                                  {"__tostring", l_tostring},
                                  {"__gc", l_gc},
                                  {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"buffer", l_buffer}, {"is_buffer", l_is_buffer}, {NULL, NULL}};
  make_class(L, BUFFER_CLASS, methods, meta);
  add_functions(L, functions);
}
