/* curl.c - as much of libcurl for Lua as shows that proa can wait for it.
 *
 * A binding as a stranger would write one, for foreign_libraries_spec.lua,
 * which builds it where libcurl is: the multi interface as its manual has it
 * for event loops (libcurl-multi(3), curl_multi_socket_action(3)). The library
 * tells which sockets it waits for, and how long. Knows nothing of proa.
 *
 * SPDX-License-Identifier: MIT */
#include <curl/curl.h>
#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#define CLASS "curl.multi"

enum { SOCKETS_MAX = 64 };

struct multi {
  CURLM *curl;  /* NULL: closed */
  lua_State *L; /* of the call that is running */
  long timeout_ms;
  int n;
  struct {
    curl_socket_t fd;
    int what; /* CURL_POLL_IN, OUT, INOUT */
  } sockets[SOCKETS_MAX];
};

static struct multi *check(lua_State *L) {
  struct multi *m = luaL_checkudata(L, 1, CLASS);
  luaL_argcheck(L, m->curl, 1, "closed");
  m->L = L;
  return m;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user,
                     void *of_socket) {
  struct multi *m = user;
  (void)easy;
  (void)of_socket;
  int i = 0;
  while (i < m->n && m->sockets[i].fd != fd) i++;
  if (what == CURL_POLL_REMOVE) {
    if (i < m->n) m->sockets[i] = m->sockets[--m->n];
  } else if (i < SOCKETS_MAX) {
    m->sockets[i].fd = fd;
    m->sockets[i].what = what;
    if (i == m->n) m->n++;
  }
  return 0;
}

static int on_timer(CURLM *curl, long timeout_ms, void *user) {
  (void)curl;
  ((struct multi *)user)->timeout_ms = timeout_ms;
  return 0;
}

/* Onto the list that act was given, which is on top. */
static size_t on_body(char *bytes, size_t size, size_t n, void *user) {
  struct multi *m = user;
  (void)size;
  lua_pushlstring(m->L, bytes, n);
  lua_rawseti(m->L, -2, (lua_Integer)lua_rawlen(m->L, -2) + 1);
  return n;
}

static int l_new(lua_State *L) {
  struct multi *m = lua_newuserdatauv(L, sizeof *m, 0);
  memset(m, 0, sizeof *m);
  luaL_setmetatable(L, CLASS);
  m->timeout_ms = -1;
  m->curl = curl_multi_init();
  curl_multi_setopt(m->curl, CURLMOPT_SOCKETFUNCTION, on_socket);
  curl_multi_setopt(m->curl, CURLMOPT_SOCKETDATA, m);
  curl_multi_setopt(m->curl, CURLMOPT_TIMERFUNCTION, on_timer);
  curl_multi_setopt(m->curl, CURLMOPT_TIMERDATA, m);
  return 1;
}

/* add(url) -> number of the transfer */
static int l_add(lua_State *L) {
  struct multi *m = check(L);
  CURL *easy = curl_easy_init();
  curl_easy_setopt(easy, CURLOPT_URL, luaL_checkstring(L, 2));
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, m);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_multi_add_handle(m->curl, easy);
  lua_pushinteger(L, (lua_Integer)(intptr_t)easy);
  return 1;
}

/* act(fd | nil, parts) -> how many are running; parts: a list to which the
 * bytes that come are added */
static int l_act(lua_State *L) {
  struct multi *m = check(L);
  curl_socket_t fd = (curl_socket_t)luaL_optinteger(L, 2, CURL_SOCKET_TIMEOUT);
  int running = 0;
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  if (fd == CURL_SOCKET_TIMEOUT) m->timeout_ms = -1;
  curl_multi_socket_action(m->curl, fd, 0, &running);
  lua_pushinteger(L, running);
  return 1;
}

/* done() -> number of a transfer that has ended, its HTTP status */
static int l_done(lua_State *L) {
  struct multi *m = check(L);
  int left;
  CURLMsg *message = curl_multi_info_read(m->curl, &left);
  if (!message) return 0;
  CURL *easy = message->easy_handle;
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  lua_pushinteger(L, (lua_Integer)(intptr_t)easy);
  lua_pushinteger(L, message->data.result == CURLE_OK ? status : -1);
  curl_multi_remove_handle(m->curl, easy);
  curl_easy_cleanup(easy);
  return 2;
}

/* sockets() -> { { fd =, events = }, ... } */
static int l_sockets(lua_State *L) {
  static const char *const names[] = {
      [CURL_POLL_IN] = "r", [CURL_POLL_OUT] = "w", [CURL_POLL_INOUT] = "rw"};
  struct multi *m = check(L);
  lua_newtable(L);
  for (int i = 0; i < m->n; i++) {
    lua_newtable(L);
    lua_pushinteger(L, m->sockets[i].fd);
    lua_setfield(L, -2, "fd");
    lua_pushstring(L, names[m->sockets[i].what]);
    lua_setfield(L, -2, "events");
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* timeout() -> seconds, or nil */
static int l_timeout(lua_State *L) {
  struct multi *m = check(L);
  if (m->timeout_ms < 0) return 0;
  lua_pushnumber(L, (lua_Number)m->timeout_ms / 1000);
  return 1;
}

static int l_close(lua_State *L) {
  struct multi *m = luaL_checkudata(L, 1, CLASS);
  if (m->curl) curl_multi_cleanup(m->curl);
  m->curl = NULL;
  return 0;
}

int luaopen_curl(lua_State *L);
int luaopen_curl(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"add", l_add},         {"act", l_act},
      {"done", l_done},       {"sockets", l_sockets},
      {"timeout", l_timeout}, {"close", l_close},
      {"__gc", l_close},      {NULL, NULL}};
  luaL_newmetatable(L, CLASS);
  luaL_setfuncs(L, methods, 0);
  lua_pushvalue(L, -1);
  lua_setfield(L, -2, "__index");
  lua_newtable(L);
  lua_pushcfunction(L, l_new);
  lua_setfield(L, -2, "multi");
  return 1;
}
