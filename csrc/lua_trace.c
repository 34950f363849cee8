/* lua_trace.c - proa.trace: a timeline of tasks and ops, for a viewer.
 *
 * Each task has a row: its life, and inside that, end to end, what it did: it
 * ran, waited for something (a slice from the wait's submission to its
 * completion), was ready and waited for its turn (from the completion to the
 * resume). Row 0 is the loop, with the time that it spent in the driver. Ops
 * are slices by themselves, from submission to the last completion, since
 * many have no task (a multishot receive, sends in the background).
 * At any moment a task's row has two open slices, so nothing is remembered of
 * it while it lives. The file: trace_file.h.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua_core.h"
#include "lua_insight.h"
#include "trace_file.h"

#define TRACE_CLASS "proa.trace"
#define MAX_DEFAULT (UINT64_C(256) << 20)

enum { LOOP_ROW = 0 };

struct trace {
  struct tracer tracer; /* the proactor's */
  struct runtime *rt;
  uint64_t start_ns;
  int self_ref;            /* registry: it lives until it is closed */
  int err;                 /* of closing, to be told once */
  struct trace_file *file; /* NULL: closed */
};

uint64_t trace_now(const struct runtime *rt) {
  struct driver *d = rt->proactor.driver;
  return d->class->now(d);
}

static struct trace_file *begin(struct trace *o, enum trace_phase phase,
                                const char *name, uint32_t tid) {
  uint64_t at = trace_now(o->rt) - o->start_ns;
  trace_begin(o->file, phase, name, at, tid);
  return o->file;
}

/* -- tasks -- */

static void name_row(struct trace *o, uint32_t tid, const char *name) {
  struct trace_file *f = begin(o, TRACE_NAME, "thread_name", tid);
  trace_text(f, "name", name);
  trace_end(f);
  f = begin(o, TRACE_NAME, "thread_sort_index", tid);
  trace_number(f, "sort_index", tid);
  trace_end(f);
}

static void name_task(struct trace *o, const struct task *t) {
  char label[96];
  task_label(t, label, sizeof label);
  name_row(o, t->id, label);
}

static void open_slice(struct trace *o, const struct task *t,
                       const char *name) {
  trace_end(begin(o, TRACE_BEGIN, name, t->id));
}

static void close_slice(struct trace *o, const struct task *t) {
  trace_end(begin(o, TRACE_END, NULL, t->id));
}

static void open_wait(struct trace *o, struct task *t) {
  struct subject s;
  subject_of(t, &s);
  struct trace_file *f = begin(o, TRACE_BEGIN, s.verb, t->id);
  if (s.text[0]) trace_text(f, "on", s.text);
  trace_end(f);
}

static void open_life(struct trace *o, const struct task *t) {
  char label[96];
  const struct place *at = task_place(t);
  task_label(t, label, sizeof label);
  struct trace_file *f = begin(o, TRACE_BEGIN, label, t->id);
  snprintf(label, sizeof label, "%s:%d", at->file, at->line);
  trace_text(f, "spawned", label);
  trace_number(f, "by", t->by);
  trace_end(f);
}

static void open_state(struct trace *o, struct task *t) {
  if (t->state == TASK_WAITING)
    open_wait(o, t);
  else
    open_slice(o, t, t->state == TASK_RUNNING ? "run" : "ready");
}

/* The file has all that it may hold: the trace ends by itself. */
static bool full(struct runtime *rt) {
  if (!rt->trace) return true; /* since the caller looked */
  if (!trace_full(rt->trace->file)) return false;
  log_say(lua_log_of(rt),
          LOG_ENTRY(.level = LOG_LEVEL_WARN, .event = "trace",
                    .err = rt->trace->file->err),
          "the trace has ended by itself: %s",
          rt->trace->file->err ? "its file cannot be written"
                               : "its file is as long as it may be");
  trace_close(rt);
  return true;
}

void trace_task_born(struct task *t) {
  struct trace *o = t->rt->trace;
  if (full(t->rt)) return;
  name_task(o, t);
  open_life(o, t);
  open_slice(o, t, "ready");
}

void trace_task_resume(struct task *t) {
  if (full(t->rt)) return;
  close_slice(t->rt->trace, t);
  open_slice(t->rt->trace, t, "run");
}

void trace_task_pause(struct task *t) {
  struct trace *o = t->rt->trace;
  if (full(t->rt)) return;
  close_slice(o, t);
  if (t->state == TASK_WAITING)
    open_wait(o, t);
  else
    open_slice(o, t, "ready");
}

void trace_task_wake(struct task *t) {
  static const char *const ends[] = {"", "completed", "timed out", "cancelled"};
  struct trace *o = t->rt->trace;
  if (task_is_root(t) || full(t->rt)) return;
  struct trace_file *f = begin(o, TRACE_END, NULL, t->id);
  trace_text(f, "end", ends[t->wait.end]);
  trace_end(f);
  open_slice(o, t, "ready");
}

void trace_task_end(struct task *t) {
  struct trace *o = t->rt->trace;
  if (full(t->rt)) return;
  if (t->name) name_task(o, t); /* it has come by it since */
  close_slice(o, t);
  struct trace_file *f = begin(o, TRACE_END, NULL, t->id);
  trace_text(f, "end", task_state_name(t));
  trace_end(f);
}

void trace_turn(struct runtime *rt, uint64_t from_ns) {
  struct trace *o = rt->trace;
  if (full(rt) || from_ns < o->start_ns) return;
  uint64_t now = trace_now(rt);
  trace_begin(o->file, TRACE_WHOLE, "driver", from_ns - o->start_ns, LOOP_ROW);
  trace_duration(o->file, now - from_ns);
  trace_end(o->file);
}

/* -- ops -- */

static struct trace *trace_of(struct tracer *tracer) {
  return container_of(tracer, struct trace, tracer);
}

static struct trace_file *begin_op(struct trace *o, enum trace_phase phase,
                                   const struct op *op) {
  struct trace_file *f = begin(o, phase, op->class->name, LOOP_ROW);
  trace_id(f, op_user_data(op));
  return f;
}

static void op_submitted(struct tracer *tracer, const struct op *op) {
  struct trace *o = trace_of(tracer);
  if (full(o->rt)) return;
  struct trace_file *f = begin_op(o, TRACE_OP_BEGIN, op);
  if (op->handle) trace_number(f, "fd", op->handle->fd);
  trace_end(f);
}

static void op_result(struct tracer *tracer, const struct op *op,
                      const struct op_result *r) {
  struct trace *o = trace_of(tracer);
  if (full(o->rt)) return;
  bool more = r->flags & RESULT_MORE;
  struct trace_file *f = begin_op(o, more ? TRACE_OP_SOME : TRACE_OP_END, op);
  trace_number(f, "result", r->res);
  trace_end(f);
}

/* What is in flight when the trace begins has begun there. */
static void open_ops(struct trace *o) {
  const struct op_table *t = &o->rt->proactor.ops;
  for (uint32_t slot = 0; slot < t->slab_n * OP_SLAB; slot++) {
    const struct op *op = op_at(t, slot);
    if (op->class && op_in_flight(op)) op_submitted(&o->tracer, op);
  }
}

static void close_ops(struct trace *o) {
  const struct op_table *t = &o->rt->proactor.ops;
  for (uint32_t slot = 0; slot < t->slab_n * OP_SLAB; slot++) {
    const struct op *op = op_at(t, slot);
    if (op->class && op_in_flight(op)) trace_end(begin_op(o, TRACE_OP_END, op));
  }
}

/* -- beginning and ending -- */

static void open_all(struct trace *o) {
  char name[48];
  snprintf(name, sizeof name, "proa (%s)", o->rt->proactor.driver->class->name);
  struct trace_file *f = begin(o, TRACE_NAME, "process_name", LOOP_ROW);
  trace_text(f, "name", name);
  trace_end(f);
  name_row(o, LOOP_ROW, "the loop");
  list_each(&o->rt->tasks, k) {
    struct task *t = container_of(k, struct task, all);
    name_task(o, t);
    open_life(o, t);
    open_state(o, t);
  }
  open_ops(o);
}

static void close_all(struct trace *o) {
  list_each(&o->rt->tasks, k) {
    struct task *t = container_of(k, struct task, all);
    if (t->name) name_task(o, t);
    close_slice(o, t);
    close_slice(o, t);
  }
  close_ops(o);
}

void trace_close(struct runtime *rt) {
  struct trace *o = rt->trace;
  if (!o) return;
  rt->trace = NULL;
  rt->proactor.tracer = NULL;
  close_all(o);
  o->err = trace_file_close(o->file);
  free(o->file);
  o->file = NULL;
  if (lua_checkstack(rt->L, 4))
    luaL_unref(rt->L, LUA_REGISTRYINDEX, o->self_ref);
}

/* -- what Lua sees -- */

/* close() -> true | nil, message, code: not all of it was written */
static int l_close(lua_State *L) {
  struct trace *o = luaL_checkudata(L, 1, TRACE_CLASS);
  if (o->file) trace_close(o->rt);
  int err = o->err;
  o->err = 0;
  if (err) return push_errno(L, "trace", err);
  lua_pushboolean(L, 1);
  return 1;
}

static int l_end(lua_State *L) {
  struct trace *o = luaL_checkudata(L, 1, TRACE_CLASS);
  if (o->file) trace_close(o->rt);
  return 0;
}

static int l_tostring(lua_State *L) {
  const struct trace *o = luaL_checkudata(L, 1, TRACE_CLASS);
  if (o->file)
    lua_pushfstring(L, "proa.trace (%I bytes)",
                    (lua_Integer)(o->file->bytes + o->file->n));
  else
    lua_pushliteral(L, "proa.trace (closed)");
  return 1;
}

/* trace{max=}: bytes of the file */
static uint64_t check_max(lua_State *L, int arg) {
  if (lua_isnoneornil(L, arg)) return MAX_DEFAULT;
  luaL_checktype(L, arg, LUA_TTABLE);
  lua_pushnil(L);
  while (lua_next(L, arg)) {
    const char *key =
        lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    if (strcmp(key, "max") != 0)
      luaL_error(L, "trace: unknown option '%s'", key);
    lua_pop(L, 1);
  }
  lua_getfield(L, arg, "max");
  if (lua_isnil(L, -1)) return MAX_DEFAULT;
  lua_Integer max = luaL_checkinteger(L, -1);
  if (max < 1) luaL_error(L, "trace: max is a number of bytes");
  return (uint64_t)max;
}

/* trace(path[, {max=}]) -> trace | nil, message, code */
static int l_trace(lua_State *L) {
  struct runtime *rt = rt_open(L);
  const char *path = luaL_checkstring(L, 1);
  uint64_t max = check_max(L, 2);
  if (rt->trace) return luaL_error(L, "it is being traced already");
  struct trace *o = new_object(L, sizeof *o, TRACE_CLASS, 0);
  o->rt = rt;
  lua_pushvalue(L, -1);
  o->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
  o->file = malloc(sizeof *o->file);
  int r = o->file ? trace_file_open(o->file, path, max) : -ENOMEM;
  if (r < 0) {
    free(o->file);
    o->file = NULL;
    luaL_unref(L, LUA_REGISTRYINDEX, o->self_ref);
    return push_errno(L, lua_pushfstring(L, "trace %s", path), r);
  }
  o->start_ns = trace_now(rt);
  o->tracer = (struct tracer){op_submitted, op_result};
  rt->trace = o;
  rt->proactor.tracer = &o->tracer;
  open_all(o);
  return 1;
}

void open_trace(lua_State *L) {
  static const luaL_Reg methods[] = {{"close", l_close}, {NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", l_end},
                                  {"__close", l_end},
                                  {"__tostring", l_tostring},
                                  {NULL, NULL}};
  static const luaL_Reg functions[] = {{"trace", l_trace}, {NULL, NULL}};
  make_class(L, TRACE_CLASS, methods, meta);
  add_functions(L, functions);
}
