/* lua_insight.c - what tasks there are and what each waits for.
 *
 * tasks() makes a record of each; what a wait's class tells of its subject is
 * put into words here. Reads alone, and nothing here runs unless it is asked.
 * The table for people is lua/proa/dump.lua; tracebacks: lua_traceback.c.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_insight.h"

#include <stdio.h>
#include <string.h>

#include "lua_core.h"
#include "lua_net.h"

/* -- times -- */

double seconds_since(const struct runtime *rt, uint32_t tick) {
  struct proactor *p = (struct proactor *)(uintptr_t)&rt->proactor;
  uint64_t now = proactor_now(p), unit = UINT64_C(1) << TICK_SHIFT;
  uint32_t ticks = (uint32_t)(now >> TICK_SHIFT) - tick;
  return ((double)ticks * (double)unit + (double)(now & (unit - 1))) / 1e9;
}

double seconds_left(const struct task *t) {
  const struct heap *h = &t->rt->proactor.deadlines;
  size_t at = t->wait.limit.at;
  if (!at) return -1;
  uint64_t due = h->entries[at - 1].at_ns;
  uint64_t now = proactor_now((struct proactor *)(uintptr_t)&t->rt->proactor);
  return due > now ? (double)(due - now) / 1e9 : 0;
}

/* -- subjects -- */

/* What others may have written: no control characters. */
static void escape(const char *from, char *into, size_t len) {
  size_t n = 0;
  for (; *from && n + 5 < len; from++) {
    unsigned char c = (unsigned char)*from;
    if (c >= 32 && c != 127)
      into[n++] = (char)c;
    else
      n += (size_t)snprintf(into + n, len - n, "\\x%02x", c);
  }
  into[n] = '\0';
}

/* The peer, or where nothing is connected the own address; "" for what is no
 * socket. */
static void name_handle(struct proactor *p, struct handle *h,
                        char into[ADDRESS_SHOWN_MAX]) {
  struct address a;
  into[0] = '\0';
  if (h->kind != HANDLE_SOCKET) return;
  if (handle_name(p, h, true, &a) < 0 && handle_name(p, h, false, &a) < 0)
    return;
  address_describe(&a, into);
}

void describe_handle(struct proactor *p, struct handle *h, char *into,
                     size_t len) {
  char name[ADDRESS_SHOWN_MAX];
  if (!h) {
    snprintf(into, len, "closed");
    return;
  }
  name_handle(p, h, name);
  snprintf(into, len, "%s%sfd %d%s", name, *name ? " (" : "", h->fd,
           *name ? ")" : "");
}

/* What an op is about besides its descriptor. */
static void name_op(const struct op *op, char *into, size_t len) {
  into[0] = '\0';
  if (!op->memory || op->reaped) return; /* a result may be there by now */
  if (op->class->args[0] == ARG_HOST) {
    const struct resolve_query *q = op->memory;
    escape(q->host, into, len);
  } else if (op->class->args[0] == ARG_PATH) {
    escape(op->arg.file.path, into, len);
  } else if (op->class == &op_connect) {
    char shown[ADDRESS_SHOWN_MAX];
    address_describe(op->arg.address, shown);
    snprintf(into, len, "%s", shown);
  }
}

static void subject_of_op(struct task *t, const struct op *op,
                          struct subject *s) {
  struct proactor *p = &t->rt->proactor;
  char name[ADDRESS_SHOWN_MAX];
  s->verb = op->class->name;
  name_op(op, name, sizeof name);
  if (op->handle) {
    s->fd = op->handle->fd;
    name_handle(p, op->handle, s->peer);
    if (op->class == &op_connect) memcpy(s->peer, name, sizeof name);
    if (!*name) memcpy(name, s->peer, sizeof name);
  }
  if (s->fd >= 0)
    snprintf(s->text, sizeof s->text, "%s%sfd %d%s", name, *name ? " (" : "",
             s->fd, *name ? ")" : "");
  else
    snprintf(s->text, sizeof s->text, "%s", name);
}

void subject_of(struct task *t, struct subject *s) {
  const struct wait_class *c = t->wait.class;
  struct proactor *p = &t->rt->proactor;
  *s = (struct subject){.verb = c->verb, .fd = -1};
  const struct op *op = c->op ? c->op(t) : NULL;
  struct handle *h = c->handle ? c->handle(t) : NULL;
  if (op) {
    subject_of_op(t, op, s);
  } else if (h) {
    s->fd = h->fd;
    name_handle(p, h, s->peer);
    describe_handle(p, h, s->text, sizeof s->text);
  }
  if (c->describe) c->describe(t, s->text, sizeof s->text);
}

/* -- records -- */

static void set_string(lua_State *L, const char *key, const char *text) {
  if (!text[0]) return;
  lua_pushstring(L, text);
  lua_setfield(L, -2, key);
}

static void set_number(lua_State *L, const char *key, double value) {
  lua_pushnumber(L, value);
  lua_setfield(L, -2, key);
}

static void set_whole(lua_State *L, const char *key, lua_Integer value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, key);
}

static void set_wait(lua_State *L, struct task *t) {
  struct subject s;
  subject_of(t, &s);
  set_string(L, "op", s.verb);
  set_string(L, "on", s.text);
  set_string(L, "peer", s.peer);
  if (s.fd >= 0) set_whole(L, "fd", s.fd);
  set_number(L, "waited", seconds_since(t->rt, t->wait.began));
  double left = seconds_left(t);
  if (left >= 0) set_number(L, "left", left);
}

static void set_place(lua_State *L, const struct task *t) {
  const struct place *at = task_place(t);
  lua_pushfstring(L, "%s:%d", at->file, at->line);
  lua_setfield(L, -2, "spawned");
  set_whole(L, "by", t->by);
}

/* Push the record of a task. */
static void push_record(lua_State *L, struct task *t, bool traceback) {
  char where[LUA_IDSIZE + 16];
  lua_createtable(L, 0, 14);
  set_whole(L, "id", t->id);
  set_string(L, "name", t->name ? t->name : "");
  set_string(L, "status", task_state_name(t));
  set_number(L, "age", seconds_since(t->rt, t->born));
  if (t->state == TASK_WAITING) set_wait(L, t);
  task_where(L, t, where, sizeof where);
  set_string(L, "at", where);
  set_place(L, t);
  if (t->background) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "background");
  }
  task_push(L, t);
  lua_setfield(L, -2, "task");
  if (!traceback) return;
  task_push_traceback(L, t);
  lua_setfield(L, -2, "traceback");
}

/* Making a record may collect garbage, whose finalisers may spawn or end
 * tasks, so the tasks are taken first. */
static int push_records(lua_State *L, bool traceback) {
  struct runtime *rt = rt_get(L);
  lua_settop(L, 0);
  lua_createtable(L, (int)rt->live, 0);
  lua_Integer n = 0;
  list_each(&rt->tasks, k) {
    task_push(L, container_of(k, struct task, all));
    lua_rawseti(L, 1, ++n);
  }
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, 1, i);
    push_record(L, lua_touserdata(L, 2), traceback);
    lua_rawseti(L, 1, i);
    lua_settop(L, 1);
  }
  return 1;
}

/* tasks() -> list of records of the live ones, oldest first */
static int l_tasks(lua_State *L) {
  return push_records(L, true);
}

/* tasks_bare(): the same without tracebacks, which are most of the work */
static int l_tasks_bare(lua_State *L) {
  return push_records(L, false);
}

/* main_record(): of the main chunk, with its traceback */
static int l_main_record(lua_State *L) {
  struct runtime *rt = rt_get(L);
  struct task *root = &rt->root;
  lua_createtable(L, 0, 8);
  set_whole(L, "id", 0);
  set_string(L, "status", task_state_name(root));
  set_string(L, "spawned", "");
  if (root->state == TASK_WAITING) set_wait(L, root);
  task_push_traceback(L, root);
  lua_setfield(L, -2, "traceback");
  return 1;
}

void open_insight(lua_State *L) {
  static const luaL_Reg functions[] = {{"tasks", l_tasks},
                                       {"tasks_bare", l_tasks_bare},
                                       {"main_record", l_main_record},
                                       {NULL, NULL}};
  add_functions(L, functions);
}
