/* lua_trace.c - proa.trace: a timeline of tasks and ops, for a viewer.
 *
 * Each task has a row: its life, and inside that, end to end, what it did: it
 * ran, waited for something (a slice from the wait's submission to its
 * completion), was ready and waited for its turn (from the completion to the
 * resume). Row 0 is the loop, with the time that it spent in the driver. Ops
 * are slices by themselves, from submission to the last completion, since
 * many have no task (a multishot receive, sends in the background).
 * A slice is written when it is over, as one event with its length: begins and
 * ends apart are twice as many, and some viewers mate them across rows. What a
 * slice needs until then is in a record of the trace's own; a task that there
 * was no memory for has no row. The file: trace_file.h.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lua_core.h"
#include "lua_insight.h"
#include "ptrmap.h"
#include "trace_file.h"

#define TRACE_CLASS "proa.trace"
#define MAX_DEFAULT (UINT64_C(256) << 20)

enum { LOOP_ROW = 0 };

/* A task that lives: where its slices began. */
struct row {
  uint64_t born_ns, since_ns;
  const char *doing; /* since then: "run", the verb of a wait; static */
  char *on;          /* what it waits for, or NULL; malloced */
};

struct trace {
  struct tracer tracer; /* the proactor's */
  struct runtime *rt;
  uint64_t start_ns;
  int self_ref;            /* registry: it lives until it is closed */
  int err;                 /* of closing, to be told once */
  struct trace_file *file; /* NULL: closed */
  struct ptrmap rows;      /* struct row by struct task; owns the rows */
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

static struct row *row_of(struct trace *o, const struct task *t) {
  return ptrmap_get(&o->rows, t);
}

static struct trace_file *begin_slice(struct trace *o, const struct task *t,
                                      const char *name, uint64_t from_ns,
                                      uint64_t to_ns) {
  trace_begin(o->file, TRACE_SLICE, name, from_ns - o->start_ns, t->id);
  trace_slice(o->file, "task", to_ns - from_ns);
  return o->file;
}

/* It has done that until now; how the wait ended, or NULL. Each takes a
 * nanosecond, though a simulation's clock may stand, and is written without it:
 * to viewers that count microseconds in floating point, slices that touch
 * overlap. */
static void end_doing(struct trace *o, const struct task *t, struct row *row,
                      const char *end) {
  uint64_t now = trace_now(o->rt);
  if (now <= row->since_ns) now = row->since_ns + 1;
  struct trace_file *f = begin_slice(o, t, row->doing, row->since_ns, now - 1);
  if (row->on) trace_text(f, "on", row->on);
  if (end) trace_text(f, "end", end);
  trace_end(f);
  free(row->on);
  row->on = NULL;
  row->since_ns = now;
}

static void begin_wait(struct task *t, struct row *row) {
  struct subject s;
  subject_of(t, &s);
  row->doing = s.verb;
  row->on = s.text[0] ? strdup(s.text) : NULL;
}

/* Its life begins before what it does. */
static void add_row(struct trace *o, struct task *t) {
  struct row *row = malloc(sizeof *row);
  if (!row || ptrmap_set(&o->rows, t, row) < 0) {
    free(row);
    return;
  }
  uint64_t now = trace_now(o->rt);
  *row = (struct row){.born_ns = now, .since_ns = now + 1, .doing = "ready"};
  if (t->state == TASK_RUNNING) row->doing = "run";
  if (t->state == TASK_WAITING) begin_wait(t, row);
  name_task(o, t);
}

/* A slice of tasks of one kind has one name, and so one colour. */
static void write_life(struct trace *o, const struct task *t,
                       const struct row *row, const char *end) {
  char place[96], name[96];
  const struct place *at = task_place(t);
  snprintf(place, sizeof place, "%s:%d", at->file, at->line);
  snprintf(name, sizeof name, "%s", t->name ? t->name : place);
  struct trace_file *f = begin_slice(o, t, name, row->born_ns, row->since_ns);
  trace_text(f, "spawned", place);
  trace_number(f, "by", t->by);
  if (end) trace_text(f, "end", end);
  trace_end(f);
}

static void end_row(struct trace *o, const struct task *t, const char *end) {
  struct row *row = row_of(o, t);
  if (!row) return;
  if (t->name) name_task(o, t); /* it has come by it since */
  end_doing(o, t, row, NULL);
  write_life(o, t, row, end);
  ptrmap_remove(&o->rows, t);
  free(row);
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

/* What it did ends where what it does now begins; NULL: a wait. */
static void next_doing(struct task *t, const char *end, const char *doing) {
  struct trace *o = t->rt->trace;
  struct row *row = full(t->rt) ? NULL : row_of(o, t);
  if (!row) return;
  end_doing(o, t, row, end);
  if (doing)
    row->doing = doing;
  else
    begin_wait(t, row);
}

void trace_task_born(struct task *t) {
  if (!full(t->rt)) add_row(t->rt->trace, t);
}

void trace_task_resume(struct task *t) {
  next_doing(t, NULL, "run");
}

void trace_task_pause(struct task *t) {
  next_doing(t, NULL, t->state == TASK_WAITING ? NULL : "ready");
}

void trace_task_wake(struct task *t) {
  static const char *const ends[] = {
      [WAIT_READY] = NULL, /* as it should: not worth a word */
      [WAIT_TIMEOUT] = "its time was up",
      [WAIT_CANCELLED] = "cancelled",
  };
  next_doing(t, ends[t->wait.end], "ready");
}

void trace_task_end(struct task *t) {
  if (!full(t->rt)) end_row(t->rt->trace, t, task_state_name(t));
}

void trace_turn(struct runtime *rt, uint64_t from_ns) {
  struct trace *o = rt->trace;
  if (full(rt) || from_ns < o->start_ns) return;
  uint64_t now = trace_now(rt);
  trace_begin(o->file, TRACE_SLICE, "driver", from_ns - o->start_ns, LOOP_ROW);
  trace_slice(o->file, "loop", now - from_ns - (now > from_ns)); /* end_doing */
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
  list_each(&o->rt->tasks, k) add_row(o, container_of(k, struct task, all));
  open_ops(o);
}

static void close_all(struct trace *o) {
  list_each(&o->rt->tasks, k)
      end_row(o, container_of(k, struct task, all), NULL);
  ptrmap_deinit(&o->rows);
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
  o->rows = (struct ptrmap){0};
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
