/* lua_require.c - require, for modules that await at top level.
 *
 * The stock function can't be yielded across, so a module whose main chunk
 * awaits would fail inside a task. This one does the same, step by step
 * (package.searchers, messages, package.loaded, the second result), through
 * continuations. And a module that one task is loading is waited for by the
 * others, so that it is loaded once; a task that requires again what it loads
 * itself loads it again, as with the stock function, until that is a loop: what
 * never awaits overflows the C stack first, as ever.
 * Who loads is in a list of the runtime; its entry is a to-be-closed value on
 * the stack of the require that made it, so it goes however that ends.
 *
 * SPDX-License-Identifier: MIT */
#define RAISE_AS_STOCK /* in the words of the functions they replace */
#include <stdio.h>
#include <string.h>

#include "lua_scope.h"

#define LOADING_CLASS "proa.loading"

struct loading {
  struct link link; /* in runtime.loading */
  struct task *task;
  const char *name; /* kept by the stack of its require */
  struct list waiters;
};

enum { DEPTH_MAX = 200 }; /* of C calls, in Lua itself */

/* Places on the stack. */
enum { NAME = 1, LOADED, ENTRY, SEARCHERS, MESSAGE, LOADER };

static int require_again(lua_State *L, int status, lua_KContext ctx);

/* -- who loads -- */

static struct task *current_task(struct runtime *rt) {
  return rt->current ? rt->current : &rt->root;
}

/* The first that was begun, which is the last to end, and how many there are:
 * all of one task. */
static struct loading *find_loading(struct runtime *rt, const char *name,
                                    int *depth) {
  struct loading *first = NULL;
  list_each(&rt->loading, k) {
    struct loading *g = container_of(k, struct loading, link);
    if (strcmp(g->name, name) != 0) continue;
    if (!first) first = g;
    ++*depth;
  }
  return first;
}

/* Whoever waits looks for itself: at package.loaded, or how to load it. */
static int loading_over(lua_State *L) {
  struct loading *g = luaL_checkudata(L, 1, LOADING_CLASS);
  link_unlink(&g->link);
  if (!rt_get(L)->closed) waiter_wake_all(&g->waiters);
  return 0;
}

static void begin_loading(lua_State *L, const char *name) {
  struct runtime *rt = rt_get(L);
  struct loading *g = new_object(L, sizeof *g, LOADING_CLASS, 0);
  link_init(&g->link);
  list_init(&g->waiters);
  g->task = current_task(rt);
  g->name = name;
  lua_replace(L, ENTRY);
  lua_toclose(L, ENTRY);
  list_push(&rt->loading, &g->link);
}

/* -- waiting for another task -- */

static void describe_module(struct task *t, char *into, size_t len) {
  const struct loading *g = t->wait.subject;
  snprintf(into, len, "module '%s'", g->name);
}

static void whom_module(struct task *t, struct task_visitor *v) {
  const struct loading *g = t->wait.subject;
  v->visit(v, g->task);
}

static const struct wait_class waits_module = {
    .verb = "require", .describe = describe_module, .whom = whom_module};

/* The module that the loader of g waits for, in the end, from `me`. */
static const struct loading *find_loop(const struct loading *g,
                                       const struct task *me) {
  while (g->task->state == TASK_WAITING &&
         g->task->wait.class == &waits_module) {
    g = g->task->wait.subject;
    if (g->task == me) return g;
  }
  return NULL;
}

static int wait_module(lua_State *L, struct loading *g) {
  struct task *me = await_begin(L);
  const struct loading *loop = find_loop(g, me);
  char label[128];
  task_label(g->task, label, sizeof label);
  if (loop)
    return luaL_error(L,
                      "loop: module '%s' is being loaded by task %s, which "
                      "waits for module '%s' to be loaded here",
                      g->name, label, loop->name);
  list_push(&g->waiters, &me->wait.waiter.link);
  return await_yield(L, me, &waits_module, g, NEVER_NS, 0, require_again);
}

/* -- loading -- */

/* The loader has returned one value, above LOADER and its data. */
static int loaded(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  const char *name = lua_tostring(L, NAME);
  if (lua_isnil(L, -1))
    lua_pop(L, 1);
  else
    lua_setfield(L, LOADED, name);
  if (lua_getfield(L, LOADED, name) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_pushboolean(L, 1);
    lua_pushvalue(L, -1);
    lua_setfield(L, LOADED, name);
  }
  lua_pushvalue(L, LOADER + 1);
  return 2;
}

static int call_loader(lua_State *L) {
  lua_pushvalue(L, LOADER);
  lua_pushvalue(L, NAME);
  lua_pushvalue(L, LOADER + 1);
  lua_callk(L, 2, 1, 0, loaded);
  return loaded(L, LUA_OK, 0);
}

static int search(lua_State *L, lua_Integer i);

/* The searcher has returned two values: a loader and its data, or text. */
static int searched(lua_State *L, int status, lua_KContext i) {
  (void)status;
  if (lua_isfunction(L, LOADER)) return call_loader(L);
  if (lua_isstring(L, LOADER)) {
    lua_pushvalue(L, MESSAGE);
    lua_pushliteral(L, "\n\t");
    lua_pushvalue(L, LOADER);
    lua_concat(L, 3);
    lua_replace(L, MESSAGE);
  }
  lua_settop(L, MESSAGE);
  return search(L, i + 1);
}

static int search(lua_State *L, lua_Integer i) {
  if (lua_rawgeti(L, SEARCHERS, i) == LUA_TNIL)
    return luaL_error(L, "module '%s' not found:%s", lua_tostring(L, NAME),
                      lua_tostring(L, MESSAGE));
  lua_pushvalue(L, NAME);
  lua_callk(L, 1, 2, i, searched);
  return searched(L, LUA_OK, i);
}

/* The stack: the name, the table of loaded modules. */
static int load(lua_State *L, const char *name) {
  lua_pushnil(L);
  begin_loading(L, name);
  if (lua_getfield(L, lua_upvalueindex(2), "searchers") != LUA_TTABLE)
    return luaL_error(L, "'package.searchers' must be a table");
  lua_pushliteral(L, "");
  return search(L, 1);
}

static int require(lua_State *L, const char *name) {
  struct runtime *rt = rt_get(L);
  if (lua_getfield(L, LOADED, name), lua_toboolean(L, -1)) return 1;
  lua_pop(L, 1);
  int depth = 0;
  struct loading *g = find_loading(rt, name, &depth);
  if (g && g->task != current_task(rt)) return wait_module(L, g);
  if (depth >= DEPTH_MAX)
    return luaL_error(L, "loop: module '%s' requires itself", name);
  return load(L, name);
}

static int require_again(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  await_end(L);
  return require(L, lua_tostring(L, NAME));
}

/* require(name) -> module, loader data */
static int l_require(lua_State *L) {
  const char *name = luaL_checkstring(L, NAME);
  lua_settop(L, NAME);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  return require(L, name);
}

/* patch_require(): once, and only instead of the stock function, whose upvalue
 * is the table of the package library -> whether it was replaced */
static int l_patch(lua_State *L) {
  lua_settop(L, 0);
  bool stock = lua_getglobal(L, "require") == LUA_TFUNCTION &&
               lua_iscfunction(L, 1) && lua_getupvalue(L, 1, 1) &&
               lua_istable(L, 2);
  if (stock) {
    rt_push(L);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, l_require, 2);
    lua_setglobal(L, "require");
  }
  lua_pushboolean(L, stock);
  return 1;
}

void open_require(lua_State *L) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg meta[] = {
      {"__close", loading_over}, {"__gc", loading_over}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"patch_require", l_patch},
                                       {NULL, NULL}};
  make_class(L, LOADING_CLASS, none, meta);
  add_functions(L, functions);
}
