/* lua_deadlock.c - explains a program that can't go on.
 *
 * The executor has found that nobody can wake anybody (lua_executor.c). Here
 * that is put into words: circles of tasks that wait for one another, then
 * every task with what it waits for and where; of many that wait at the same
 * line one stands for all.
 *
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua_core.h"
#include "lua_insight.h"

enum {
  PATH_MAX_TASKS = 200, /* of a circle that is found */
  CIRCLES_MAX = 3,      /* told */
  KINDS_MAX = 24,       /* of waits that are told apart */
};

/* -- circles -- */

/* A walk from task to task, depth first. `seen` holds those that were walked
 * through; where memory ends, circles go untold. */
struct search {
  struct task_visitor visitor;
  luaL_Buffer *b;
  struct ptrmap seen;
  struct task *path[PATH_MAX_TASKS];
  int depth, found;
};

static const char *verb_of(const struct task *t) {
  return t->wait.class->verb;
}

static void add_label(luaL_Buffer *b, const struct task *t) {
  char label[96];
  task_label(t, label, sizeof label);
  luaL_addstring(b, label);
}

static void add_step(luaL_Buffer *b, const struct task *t, bool last) {
  char text[64];
  luaL_addstring(b, "\n\t");
  if (last && !task_is_root(t)) {
    snprintf(text, sizeof text, "#%u", t->id);
    luaL_addstring(b, text);
  } else {
    add_label(b, t);
  }
  snprintf(text, sizeof text, " waits (%s) for", verb_of(t));
  if (!last) luaL_addstring(b, text);
}

/* path[first..] is a circle. */
static void tell_circle(struct search *s, int first) {
  if (s->found++ >= CIRCLES_MAX) return;
  luaL_addstring(s->b, "\n\nin a circle:");
  for (int i = first; i < s->depth; i++) add_step(s->b, s->path[i], false);
  add_step(s->b, s->path[first], true);
}

static void visit(struct task_visitor *v, struct task *t) {
  struct search *s = container_of(v, struct search, visitor);
  for (int i = 0; i < s->depth; i++) {
    if (s->path[i] != t) continue;
    tell_circle(s, i);
    return;
  }
  if (t->state != TASK_WAITING || !t->wait.class->whom) return;
  if (s->depth == PATH_MAX_TASKS || ptrmap_get(&s->seen, t)) return;
  if (ptrmap_set(&s->seen, t, t) < 0) return;
  s->path[s->depth++] = t;
  t->wait.class->whom(t, v);
  s->depth--;
}

static void add_circles(luaL_Buffer *b, struct runtime *rt) {
  struct search s = {.visitor = {visit}, .b = b};
  visit(&s.visitor, &rt->root);
  list_each(&rt->tasks, k) visit(&s.visitor, container_of(k, struct task, all));
  ptrmap_deinit(&s.seen);
}

/* -- every task -- */

/* Tasks that wait for the like at the same line. */
struct kind {
  struct task *first;
  unsigned more;
  char where[LUA_IDSIZE + 16];
};

static bool same_kind(const struct kind *k, const struct task *t,
                      const char *where) {
  return k->first->state == t->state && k->first->place == t->place &&
         k->first->wait.class == t->wait.class && strcmp(k->where, where) == 0;
}

/* The kind of a task among n, or NULL: one more is made, if there is room. */
static struct kind *find_kind(lua_State *L, struct kind *kinds, int *n,
                              struct task *t) {
  char where[sizeof kinds->where];
  task_where(L, t, where, sizeof where);
  for (int i = 0; i < *n; i++)
    if (same_kind(&kinds[i], t, where)) return &kinds[i];
  if (*n == KINDS_MAX) return NULL;
  kinds[*n].first = t;
  memcpy(kinds[*n].where, where, sizeof where);
  kinds[(*n)++].more = 0;
  return NULL;
}

static void add_wait(luaL_Buffer *b, struct task *t) {
  struct subject s = {0};
  char text[sizeof s.text + 160], label[96];
  task_label(t, label, sizeof label);
  if (t->state == TASK_WAITING) subject_of(t, &s);
  snprintf(text, sizeof text, "\n\n%s%s waits: %s%s%s",
           task_is_root(t) ? "the " : "task ", label, s.verb ? s.verb : "no",
           s.text[0] ? " " : "", s.text);
  luaL_addstring(b, text);
}

static void add_kind(lua_State *L, luaL_Buffer *b, const struct kind *k) {
  add_wait(b, k->first);
  if (k->more) {
    lua_pushfstring(L, "\n(and %d more like it)", (int)k->more);
    luaL_addvalue(b);
  }
  luaL_addstring(b, "\n");
  task_push_traceback(L, k->first);
  luaL_addvalue(b);
}

static void add_tasks(lua_State *L, luaL_Buffer *b, struct runtime *rt) {
  struct kind kinds[KINDS_MAX];
  int n = 0, untold = 0;
  list_each(&rt->tasks, k) {
    struct task *t = container_of(k, struct task, all);
    int before = n;
    struct kind *same = find_kind(L, kinds, &n, t);
    if (same)
      same->more++;
    else if (n == before)
      untold++;
  }
  for (int i = 0; i < n; i++) add_kind(L, b, &kinds[i]);
  if (!untold) return;
  lua_pushfstring(L, "\n\nand %d tasks that wait elsewhere", untold);
  luaL_addvalue(b);
}

void executor_push_deadlock(lua_State *L, struct runtime *rt) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addstring(&b, "deadlock: every task waits for another, and nothing "
                     "outside can wake one");
  add_circles(&b, rt);
  add_wait(&b, &rt->root);
  add_tasks(L, &b, rt);
  luaL_pushresult(&b);
}
