/* lua_traceback.c - where a task is, and where it comes from.
 *
 * A traceback in the form of Lua's own, with three differences: frames of the
 * runtime are left out, but for the one that the user called; a coroutine
 * inside the task that awaits is shown with the frames that resumed it; and
 * below the task's own frames stands what spawned it, up to the main chunk
 * (place.h). Only reads; decides nothing.
 *
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "lua_core.h"

enum {
  FIRST_FRAMES = 12, /* shown of a deep stack, and */
  LAST_FRAMES = 10,
  PLACE_LEVELS = 16,   /* looked at for the line that spawns */
  INNER_MAX = 64,      /* coroutines inside each other */
  SPAWNERS_MAX = 1000, /* live tasks looked at for one of that id */
};

/* -- what is the runtime's own -- */

/* Is it a function of lua/proa? Only what lies beside init.lua counts. What
 * ends the directory's name is looked at first: mostly it is not there. */
bool traceback_is_own(const struct runtime *rt, const lua_Debug *ar) {
  size_t n = rt->own_len;
  return n && ar->srclen > n && ar->source[n - 1] == '/' &&
         memcmp(ar->source, rt->own, n) == 0;
}

/* own_code(source): of a file beside init.lua */
static int l_own_code(lua_State *L) {
  struct runtime *rt = rt_get(L);
  const char *source = luaL_checkstring(L, 1), *end = strrchr(source, '/');
  size_t len = end ? (size_t)(end - source) + 1 : 0;
  if (source[0] != '@' || len >= sizeof rt->own) return 0;
  memcpy(rt->own, source, len);
  rt->own_len = len;
  return 0;
}

/* Where the function at idx begins, when it is a script's. */
static bool find_definition(lua_State *L, const struct runtime *rt, int idx,
                            lua_Debug *ar) {
  lua_pushvalue(L, idx);
  lua_getinfo(L, ">S", ar);
  ar->currentline = ar->linedefined;
  return ar->what[0] != 'C' && !traceback_is_own(rt, ar);
}

/* spawn may be called through pcall, and by the runtime in the user's name. */
bool traceback_find_place(lua_State *L, const struct runtime *rt, int instead,
                          lua_Debug *ar) {
  int first = 0;
  for (int i = 1; i <= PLACE_LEVELS && lua_getstack(L, i, ar); i++) {
    lua_getinfo(L, "Sl", ar);
    if (ar->currentline < 0) continue;
    if (!traceback_is_own(rt, ar)) return true;
    if (!first) first = i;
  }
  if (instead && find_definition(L, rt, instead, ar)) return true;
  if (!first || !lua_getstack(L, first, ar)) return false;
  lua_getinfo(L, "Sl", ar);
  snprintf(ar->short_src, sizeof ar->short_src, "proa/%s",
           ar->source + rt->own_len);
  return true;
}

/* -- frames -- */

/* One coroutine's stack, which is walked from the inside out. `n` is what
 * there is; `co` may be L. */
struct walk {
  lua_State *L, *co;
  const struct runtime *rt;
  int n, shown, skipped;
};

static bool level_own(const struct walk *w, int level) {
  lua_Debug ar;
  return lua_getstack(w->co, level, &ar) && lua_getinfo(w->co, "S", &ar) &&
         ar.what[0] != 'C' && traceback_is_own(w->rt, &ar);
}

static bool level_c(const struct walk *w, int level) {
  lua_Debug ar;
  return lua_getstack(w->co, level, &ar) && lua_getinfo(w->co, "S", &ar) &&
         ar.what[0] == 'C';
}

/* The outermost frame of a task's own coroutine, and what calls it there. */
static bool is_bottom(const struct walk *w, int level) {
  return level == w->n - 1 && level_c(w, level);
}

/* Called by the runtime: the frame has nothing to tell. */
static bool called_by_own(const struct walk *w, int level) {
  int caller = level + 1;
  if (level_own(w, caller)) return true;
  return level_own(w, level) && level_c(w, caller) &&
         (is_bottom(w, caller) || level_own(w, caller + 1));
}

static bool is_hidden(const struct walk *w, int level) {
  if (is_bottom(w, level)) return true;
  bool internal = level_own(w, level) || level_c(w, level);
  return internal && called_by_own(w, level);
}

static int count_levels(lua_State *co) {
  lua_Debug ar;
  int in = 0, out = 1;
  for (; lua_getstack(co, out - 1, &ar); out *= 2) in = out;
  while (in + 1 < out) {
    int middle = (in + out) / 2;
    if (lua_getstack(co, middle - 1, &ar))
      in = middle;
    else
      out = middle;
  }
  return in;
}

/* -- names of functions, as Lua's own traceback gives them -- */

/* Is the function at idx a field of the table on top? Its name is pushed. */
static bool find_field(lua_State *L, int idx) {
  if (!lua_istable(L, -1)) return false;
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    bool found = lua_type(L, -2) == LUA_TSTRING && lua_rawequal(L, -1, idx);
    lua_pop(L, 1);
    if (found) return true; /* the key is on top */
  }
  return false;
}

/* The function at fn in the table on top (taken), which is called `module`:
 * its name is pushed, true. */
static bool find_in(lua_State *L, int fn, const char *module) {
  if (!find_field(L, fn)) {
    lua_pop(L, 1);
    return false;
  }
  if (strcmp(module, "_G") != 0)
    lua_pushfstring(L, "%s.%s", module, lua_tostring(L, -1));
  return true;
}

static bool is_core(const char *name) {
  return strcmp(name, "proa.core") == 0;
}

/* The tables that the table on top (taken) holds, by their name behind the
 * prefix. The core has what is public elsewhere. */
static bool find_in_each(lua_State *L, int fn, const char *prefix) {
  int all = lua_gettop(L);
  bool found = false;
  lua_pushnil(L);
  while (!found && lua_istable(L, all) && lua_next(L, all)) {
    const char *name =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
    if (name && lua_istable(L, -1) && !is_core(name)) {
      lua_pushfstring(L, "%s%s", prefix, name);
      lua_insert(L, -2);
      found = find_in(L, fn, lua_tostring(L, -2));
      if (!found) lua_pop(L, 1);
    } else {
      lua_pop(L, 1);
    }
  }
  if (!found) lua_settop(L, all - 1);
  return found;
}

/* The function on top (taken): its public name is pushed, true. proa's own
 * first, then what other modules hold. */
static bool push_global_name(lua_State *L) {
  static const char *const first[] = {"proa", "_G", NULL};
  int fn = lua_gettop(L);
  bool found = false;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (int i = 0; first[i] && !found; i++) {
    lua_getfield(L, fn + 1, first[i]);
    found = find_in(L, fn, first[i]);
  }
  if (!found) {
    lua_getfield(L, fn + 1, "proa");
    found = find_in_each(L, fn, "proa.");
  }
  if (!found) {
    lua_pushvalue(L, fn + 1);
    found = find_in_each(L, fn, "");
  }
  if (found) lua_replace(L, fn);
  lua_settop(L, found ? fn : fn - 1);
  return found;
}

/* Is the function at idx a method of the class whose metatable is on top? Its
 * name is pushed. */
static bool find_method(lua_State *L, int idx) {
  if (lua_getfield(L, -1, "__index") == LUA_TFUNCTION)
    lua_getupvalue(L, -1, 2); /* make_field_class */
  return find_field(L, idx);
}

/* The function on top (taken), of one of proa's objects: its name is pushed,
 * true. */
static bool push_method_name(lua_State *L) {
  int fn = lua_gettop(L);
  bool found = false;
  lua_pushnil(L);
  while (!found && lua_next(L, LUA_REGISTRYINDEX)) {
    const char *key = NULL;
    if (lua_type(L, -2) == LUA_TSTRING && lua_istable(L, -1))
      key = lua_tostring(L, -2);
    found = key && strncmp(key, "proa.", 5) == 0 && find_method(L, fn);
    if (!found) lua_settop(L, fn + 1);
  }
  if (found) lua_replace(L, fn);
  lua_settop(L, found ? fn : fn - 1);
  return found;
}

bool traceback_push_name(lua_State *L) {
  lua_pushvalue(L, -1);
  bool found = push_global_name(L);
  if (found)
    lua_remove(L, -2);
  else
    found = push_method_name(L);
  return found;
}

/* "function 'f'": the frame's function is on top, and taken. What the runtime
 * calls by itself, a hook or a function without a name, is NULL. */
static const char *push_function_name(lua_State *L, const struct runtime *rt,
                                      const lua_Debug *ar) {
  bool own = ar->what[0] != 'C' && traceback_is_own(rt, ar);
  if (strcmp(ar->namewhat, "hook") == 0 && (own || *ar->what == 'C')) {
    lua_pushnil(L);
    lua_remove(L, -2);
  } else if (push_global_name(L)) {
    lua_pushfstring(L, "function '%s'", lua_tostring(L, -1));
    lua_remove(L, -2);
  } else if (own && ar->istailcall == 0 && !*ar->namewhat) {
    lua_pushnil(L);
  } else if (*ar->namewhat) {
    lua_pushfstring(L, "%s '%s'", ar->namewhat, ar->name);
  } else if (*ar->what == 'm') {
    lua_pushliteral(L, "main chunk");
  } else if (own) {
    lua_pushfstring(L, "function <proa/%s:%d>", ar->source + rt->own_len,
                    ar->linedefined);
  } else if (*ar->what != 'C') {
    lua_pushfstring(L, "function <%s:%d>", ar->short_src, ar->linedefined);
  } else {
    lua_pushnil(L);
  }
  return lua_tostring(L, -1);
}

static void add_frame(luaL_Buffer *b, const struct walk *w, int level) {
  lua_State *L = w->L;
  lua_Debug ar;
  lua_getstack(w->co, level, &ar);
  lua_getinfo(w->co, "Slntf", &ar);
  lua_xmove(w->co, L, 1);
  const char *name = push_function_name(L, w->rt, &ar);
  if (!name) {
    lua_pop(L, 1);
    return;
  }
  if (ar.what[0] != 'C' && traceback_is_own(w->rt, &ar))
    lua_pushfstring(L, "\n\t[proa]: in %s", name);
  else if (ar.currentline > 0)
    lua_pushfstring(L, "\n\t%s:%d: in %s", ar.short_src, ar.currentline, name);
  else
    lua_pushfstring(L, "\n\t%s: in %s", ar.short_src, name);
  lua_remove(L, -2);
  luaL_addvalue(b);
}

/* All frames of a coroutine from `level` on; of a deep stack both ends. */
static void add_frames(lua_State *L, luaL_Buffer *b, const struct runtime *rt,
                       lua_State *co, int level) {
  struct walk w = {.L = L, .co = co, .rt = rt, .n = count_levels(co)};
  if (!lua_checkstack(co, 4)) return;
  int left = w.n - level, cut = level + FIRST_FRAMES;
  bool deep = left > FIRST_FRAMES + LAST_FRAMES;
  for (; level < w.n; level++) {
    if (deep && level == cut) {
      int skipped = left - FIRST_FRAMES - LAST_FRAMES;
      lua_pushfstring(L, "\n\t...\t(skipping %d levels)", skipped);
      luaL_addvalue(b);
      level += skipped;
    }
    if (!is_hidden(&w, level)) add_frame(b, &w, level);
  }
}

/* -- coroutines inside a task -- */

/* The coroutine that the one suspended in proa's resume has resumed, and that
 * awaits for this task; NULL: it awaits itself. */
static lua_State *inner_of(lua_State *co, const struct task *t) {
  lua_Debug ar;
  lua_State *inner = NULL;
  if (!t->rt->inner.len || !lua_checkstack(co, 2)) return NULL;
  if (!lua_getstack(co, 0, &ar) || !lua_getlocal(co, &ar, 1)) return NULL;
  inner = lua_tothread(co, -1);
  lua_pop(co, 1);
  return inner && ptrmap_get(&t->rt->inner, inner) == t ? inner : NULL;
}

lua_State *task_argument(struct task *t, int n) {
  lua_State *co = t->co, *inner;
  lua_Debug ar;
  if (!co || t->state != TASK_WAITING) return NULL;
  for (int i = 0; i < INNER_MAX && (inner = inner_of(co, t)); i++) co = inner;
  bool found = lua_checkstack(co, 8) && lua_getstack(co, 0, &ar) &&
               lua_getlocal(co, &ar, n);
  return found ? co : NULL;
}

/* The innermost first, and outward; C's stack holds the way. */
static void add_coroutines(lua_State *L, luaL_Buffer *b, struct task *t,
                           lua_State *co, int depth) {
  lua_State *inner = depth ? inner_of(co, t) : NULL;
  if (inner) add_coroutines(L, b, t, inner, depth - 1);
  add_frames(L, b, t->rt, co, 0);
}

/* -- descent -- */

struct task *task_find(struct runtime *rt, uint32_t id) {
  int n = 0;
  if (!id) return &rt->root;
  list_each(&rt->tasks, k) {
    struct task *t = container_of(k, struct task, all);
    if (t->id == id) return t;
    if (t->id > id || ++n > SPAWNERS_MAX) break; /* in order of birth */
  }
  return NULL;
}

/* " by task #3 "name"" */
static void add_spawner(luaL_Buffer *b, struct runtime *rt, uint32_t id) {
  char text[64];
  const struct task *t = task_find(rt, id);
  if (!id)
    snprintf(text, sizeof text, " by the main chunk");
  else if (t && t->name && t->name[0])
    snprintf(text, sizeof text, " by task #%u \"%s\"", id, t->name);
  else
    snprintf(text, sizeof text, " by task #%u", id);
  luaL_addstring(b, text);
}

/* What follows "spawned at file:line". */
static void add_by(luaL_Buffer *b, struct runtime *rt, const struct place *at,
                   const struct task *t) {
  if (t)
    add_spawner(b, rt, t->by);
  else if (!at->again && at->parent == PLACE_MAIN)
    luaL_addstring(b, " by the main chunk");
  if (at->again) luaL_addstring(b, ", as its spawners were");
  if (at->again && at->parent == PLACE_MAIN)
    luaL_addstring(b, ", the first by the main chunk");
  if (at->cut) luaL_addstring(b, " (earlier ones are left out)");
}

/* The lines, outward. The nearest spawner is known by its id, the others as
 * long as those between them and this task live. */
static void add_descent(luaL_Buffer *b, const struct task *t) {
  struct runtime *rt = t->rt;
  const char *how = "spawned at";
  for (uint32_t number = t->place; number != PLACE_MAIN;) {
    const struct place *at = place_at(&rt->places, number);
    char text[96];
    snprintf(text, sizeof text, "\n\t%s %s:%d", how, at->file, at->line);
    luaL_addstring(b, text);
    add_by(b, rt, at, t);
    if (at->cut || number == PLACE_UNKNOWN) break;
    t = t && t->by && !at->again ? task_find(rt, t->by) : NULL;
    how = at->again ? "the first of them by one that was spawned at"
                    : "which was spawned at";
    number = at->parent;
  }
}

/* -- whole -- */

static bool begin(lua_State *L, luaL_Buffer *b) {
  if (!lua_checkstack(L, 24)) return false;
  luaL_buffinit(L, b);
  luaL_addstring(b, "stack traceback:");
  return true;
}

void traceback_push_running(lua_State *L, int level, struct task *t) {
  luaL_Buffer b;
  if (!begin(L, &b)) {
    lua_pushnil(L);
    return;
  }
  add_frames(L, &b, t->rt, L, level);
  if (!task_is_root(t)) add_descent(&b, t);
  luaL_pushresult(&b);
}

/* The coroutine to start from: of the task that runs it is L, which may be
 * one inside its own. The main chunk's is the state's first. */
static void add_task(lua_State *L, luaL_Buffer *b, struct task *t) {
  const struct runtime *rt = t->rt;
  bool runs = t == rt->current;
  if (runs) add_frames(L, b, rt, L, 0);
  if (task_is_root(t)) {
    if (!runs || L != rt->L) add_frames(L, b, rt, rt->L, 0);
  } else if (runs && t->co != L) {
    add_frames(L, b, rt, t->co, 0);
  } else if (!runs && t->co) {
    add_coroutines(L, b, t, t->co, INNER_MAX);
  }
}

void task_push_traceback(lua_State *L, struct task *t) {
  luaL_Buffer b;
  if (!begin(L, &b)) {
    lua_pushnil(L);
    return;
  }
  add_task(L, &b, t);
  if (!task_is_root(t)) add_descent(&b, t);
  luaL_pushresult(&b);
}

/* The innermost line in the innermost coroutine. */
void task_where(lua_State *L, struct task *t, char *into, size_t len) {
  lua_State *co = t->co, *inner;
  lua_Debug ar;
  into[0] = '\0';
  if (t->state == TASK_RUNNING && t == t->rt->current) co = L;
  if (!co) return;
  for (int i = 0; co != L && i < INNER_MAX && (inner = inner_of(co, t)); i++)
    co = inner;
  for (int i = 0; lua_getstack(co, i, &ar); i++) {
    lua_getinfo(co, "Sl", &ar);
    if (ar.currentline < 0 || traceback_is_own(t->rt, &ar)) continue;
    snprintf(into, len, "%s:%d", ar.short_src, ar.currentline);
    return;
  }
}

void open_traceback(lua_State *L) {
  static const luaL_Reg functions[] = {{"own_code", l_own_code}, {NULL, NULL}};
  add_functions(L, functions);
}
