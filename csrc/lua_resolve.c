/* lua_resolve.c - proa.net.resolve: waiting for a look-up.
 *
 * core.resolve asks the runtime's resolver (resolver.h) and waits; giving up
 * leaves at once, whatever the thread does that has begun. What the options
 * mean is checked in lua/proa/net.lua.
 *
 * SPDX-License-Identifier: MIT */
#include "lua_resolve.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "lua_core.h"
#include "resolver.h"

#define ASKING_CLASS "proa.asking"

/* Workers that look-ups leave to others, and how many there are. */
enum { WORKERS_DEFAULT = 4, WORKERS_SPARED = 1 };

/* -- errors -- */

/* NULL: what gai_strerror says. */
static const struct eai {
  int number;
  const char *name, *text;
} eais[] = {
    {EAI_FAIL, "EAI_FAIL", "the name server cannot answer"},
    {EAI_NONAME, "EAI_NONAME", "there is no such name"},
    {EAI_NODATA, "EAI_NODATA", "the name has no address"},
    {EAI_ADDRFAMILY, "EAI_ADDRFAMILY", "the name has no such address"},
    {EAI_SERVICE, "EAI_SERVICE", "there is no such service"},
    {EAI_AGAIN, "EAI_AGAIN", "no name server answers now"},
    {EAI_FAMILY, "EAI_FAMILY", NULL},
    {EAI_BADFLAGS, "EAI_BADFLAGS", NULL},
    {EAI_SOCKTYPE, "EAI_SOCKTYPE", NULL},
    {EAI_OVERFLOW, "EAI_OVERFLOW", NULL},
};

static const struct eai *find_eai(int number) {
  for (size_t i = 0; i < countof(eais); i++)
    if (eais[i].number == number) return &eais[i];
  return &eais[0];
}

int push_resolve_error(lua_State *L, const char *what, int res) {
  if (res > -RESOLVE_EAI) return push_errno(L, what, res);
  const struct eai *e = find_eai(res + RESOLVE_EAI);
  const char *text = e->text ? e->text : gai_strerror(e->number);
  return push_fail(L, lua_pushfstring(L, "%s: %s", what, text), e->name);
}

/* -- asking -- */

/* What a waiting task holds of a lookup; 0 once it has left. */
struct asking {
  struct lookup *lookup;
  struct runtime *rt;
};

static void leave(struct asking *a) {
  struct lookup *k = a->lookup;
  a->lookup = NULL;
  if (k && !rt_gone(a->rt)) lookup_leave(k);
}

static bool withdraw_resolve(struct task *t) {
  link_unlink(&t->wait.waiter.link);
  leave(t->wait.subject);
  return true;
}

static void describe_resolve(struct task *t, char *into, size_t len) {
  const struct asking *a = t->wait.subject;
  snprintf(into, len, "%s", a->lookup ? a->lookup->query.host : "");
}

static const struct wait_class waits_resolve = {.verb = "resolve",
                                                .external = true,
                                                .withdraw = withdraw_resolve,
                                                .describe = describe_resolve};

static int asking_gc(lua_State *L) {
  leave(lua_touserdata(L, 1));
  return 0;
}

/* The same address may come from several sources. */
static bool came_before(const struct address *at, int i) {
  for (int k = 0; k < i; k++)
    if (at[k].len == at[i].len && memcmp(&at[k], &at[i], sizeof *at) == 0)
      return true;
  return false;
}

static void push_list(lua_State *L, const struct address *at, int n) {
  char text[ADDRESS_TEXT_MAX];
  lua_createtable(L, n, 0);
  for (int i = 0, next = 1; i < n; i++) {
    if (came_before(at, i)) continue;
    lua_pushlstring(L, text, address_format(&at[i], text));
    lua_rawseti(L, -2, next++);
  }
}

/* The stack: 1 what is asked, for a message; 2 the asking. */
static int resolve_k(lua_State *L, int status, lua_KContext ctx) {
  (void)status;
  (void)ctx;
  struct asking *a = lua_touserdata(L, 2);
  const char *what = lua_tostring(L, 1);
  if (await_end(L) == WAIT_TIMEOUT)
    return push_fail(L, lua_pushfstring(L, "%s: timed out", what), "TIMEOUT");
  const struct lookup *k = a->lookup;
  int n = 1;
  if (k->res < 0)
    n = push_resolve_error(L, what, k->res);
  else
    push_list(L, k->at, k->res);
  leave(a);
  return n;
}

static void copy_text(lua_State *L, int arg, char *into, size_t room) {
  size_t len;
  const char *text = luaL_checklstring(L, arg, &len);
  luaL_argcheck(L, len < room, arg, "too long");
  luaL_argcheck(L, strlen(text) == len, arg, "zero bytes in a name");
  memcpy(into, text, len);
}

static struct resolve_query check_query(lua_State *L) {
  static const char *const families[] = {"any", "inet", "inet6", NULL};
  static const int values[] = {AF_UNSPEC, AF_INET, AF_INET6};
  struct resolve_query q;
  memset(&q, 0, sizeof q); /* padding too: it is compared */
  copy_text(L, 2, q.host, sizeof q.host);
  copy_text(L, 3, q.service, sizeof q.service);
  q.family = values[luaL_checkoption(L, 4, "any", families)];
  if (lua_toboolean(L, 5)) q.flags = AI_NUMERICHOST | AI_NUMERICSERV;
  return q;
}

static struct resolver *resolver_of(struct runtime *rt) {
  unsigned workers = rt->options.with.workers;
  if (!workers) workers = WORKERS_DEFAULT;
  unsigned max = workers > WORKERS_SPARED ? workers - WORKERS_SPARED : 1;
  if (!rt->resolver.p) resolver_init(&rt->resolver, &rt->proactor, max);
  return &rt->resolver;
}

/* resolve(what, host, service, family, numeric, timeout) -> list */
static int l_resolve(lua_State *L) {
  luaL_checkstring(L, 1);
  struct resolve_query q = check_query(L);
  uint64_t limit = opt_limit(L, 6);
  struct task *t = await_begin(L);
  lua_settop(L, 1);
  struct asking *a = new_object(L, sizeof *a, ASKING_CLASS, 0);
  a->rt = t->rt;
  a->lookup = resolver_ask(resolver_of(t->rt), &q);
  if (!a->lookup) return push_errno(L, lua_tostring(L, 1), -ENOMEM);
  if (a->lookup->done) { /* there was no memory to ask */
    int n = push_resolve_error(L, lua_tostring(L, 1), a->lookup->res);
    leave(a);
    return n;
  }
  list_push(&a->lookup->waiters, &t->wait.waiter.link);
  return await_yield(L, t, &waits_resolve, a, await_until(t->rt, limit), 0,
                     resolve_k);
}

void open_resolve(lua_State *L) {
  static const luaL_Reg none[] = {{NULL, NULL}};
  static const luaL_Reg meta[] = {{"__gc", asking_gc}, {NULL, NULL}};
  static const luaL_Reg functions[] = {{"resolve", l_resolve}, {NULL, NULL}};
  make_class(L, ASKING_CLASS, none, meta);
  add_functions(L, functions);
}
