/* pq.c - as much of libpq for Lua as shows that proa can wait for it.
 *
 * A binding as a stranger would write one, for foreign_libraries_spec.lua,
 * which builds it where libpq is: every call returns at once, and a connection
 * has the protocol of cqueues (pollfd, events). Knows nothing of proa.
 *
 * SPDX-License-Identifier: MIT */
#include <lauxlib.h>
#include <libpq-fe.h>
#include <lua.h>
#include <stdbool.h>

#define CLASS "pq.connection"

struct connection {
  PGconn *pq; /* NULL: closed */
  const char *events;
};

static struct connection *check(lua_State *L) {
  struct connection *c = luaL_checkudata(L, 1, CLASS);
  luaL_argcheck(L, c->pq, 1, "closed");
  return c;
}

static int fail(lua_State *L, const struct connection *c) {
  lua_pushnil(L);
  lua_pushstring(L, PQerrorMessage(c->pq));
  return 2;
}

/* start(conninfo) -> a connection that is on its way */
static int l_start(lua_State *L) {
  const char *info = luaL_checkstring(L, 1);
  struct connection *c = lua_newuserdatauv(L, sizeof *c, 0);
  c->pq = NULL;
  c->events = "w";
  luaL_setmetatable(L, CLASS);
  c->pq = PQconnectStart(info);
  if (!c->pq || PQstatus(c->pq) == CONNECTION_BAD) return fail(L, c);
  return 1;
}

/* connect() -> true when it is there, false when it is to be waited for */
static int l_connect(lua_State *L) {
  struct connection *c = check(L);
  PostgresPollingStatusType status = PQconnectPoll(c->pq);
  if (status == PGRES_POLLING_FAILED) return fail(L, c);
  c->events = status == PGRES_POLLING_WRITING ? "w" : "r";
  if (status == PGRES_POLLING_OK) PQsetnonblocking(c->pq, 1);
  lua_pushboolean(L, status == PGRES_POLLING_OK);
  return 1;
}

static int l_send(lua_State *L) {
  struct connection *c = check(L);
  if (!PQsendQuery(c->pq, luaL_checkstring(L, 2))) return fail(L, c);
  c->events = PQflush(c->pq) ? "rw" : "r";
  lua_pushboolean(L, 1);
  return 1;
}

/* receive() -> false when it is to be waited for, nil at the end, else the
 * first column of a result */
static int l_receive(lua_State *L) {
  struct connection *c = check(L);
  c->events = PQflush(c->pq) ? "rw" : "r";
  if (!PQconsumeInput(c->pq)) return fail(L, c);
  if (PQisBusy(c->pq)) {
    lua_pushboolean(L, 0);
    return 1;
  }
  PGresult *r = PQgetResult(c->pq);
  if (!r) {
    lua_pushnil(L);
    return 1;
  }
  bool bad = PQresultStatus(r) == PGRES_FATAL_ERROR;
  lua_newtable(L);
  for (int i = 0; i < PQntuples(r); i++) {
    lua_pushstring(L, PQgetvalue(r, i, 0));
    lua_rawseti(L, -2, i + 1);
  }
  PQclear(r);
  return bad ? fail(L, c) : 1;
}

static int l_pollfd(lua_State *L) {
  lua_pushinteger(L, PQsocket(check(L)->pq));
  return 1;
}

static int l_events(lua_State *L) {
  lua_pushstring(L, check(L)->events);
  return 1;
}

static int l_close(lua_State *L) {
  struct connection *c = luaL_checkudata(L, 1, CLASS);
  if (c->pq) PQfinish(c->pq);
  c->pq = NULL;
  return 0;
}

int luaopen_pq(lua_State *L);
int luaopen_pq(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"connect", l_connect}, {"send", l_send},     {"receive", l_receive},
      {"pollfd", l_pollfd},   {"events", l_events}, {"close", l_close},
      {"__gc", l_close},      {NULL, NULL}};
  luaL_newmetatable(L, CLASS);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_newtable(L);
  lua_pushcfunction(L, l_start);
  lua_setfield(L, -2, "start");
  return 1;
}
