/* address.c - parse and print socket addresses. See address.h.
 *
 * SPDX-License-Identifier: MIT */
#include "address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char **why, const char *reason) {
  *why = reason;
  return -EINVAL;
}

static int parse_unix(const char *path, size_t len, struct address *into,
                      const char **why) {
  struct sockaddr_un *un = &into->at.un;
  if (len == 0) return fail(why, "a unix address needs a path");
  bool abstract = path[0] == '@'; /* a zero byte, then the name, no NUL */
  if (len + !abstract > sizeof un->sun_path)
    return fail(why, "a unix path or name has at most 107 bytes");
  if (!abstract && memchr(path, 0, len))
    return fail(why, "a unix path has no zero bytes");
  un->sun_family = AF_UNIX;
  memcpy(un->sun_path, path, len);
  if (abstract) un->sun_path[0] = 0;
  into->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
  into->len += !abstract; /* the rest is zero */
  return 0;
}

/* A port in digits, or -1. */
static long parse_port(const char *text, size_t len) {
  long port = 0;
  if (len == 0 || len > 5) return -1;
  for (size_t i = 0; i < len; i++) {
    if (text[i] < '0' || text[i] > '9') return -1;
    port = port * 10 + (text[i] - '0');
  }
  return port <= 65535 ? port : -1;
}

static void set_in(struct address *into, const struct in_addr *host,
                   long port) {
  into->at.in.sin_family = AF_INET;
  into->at.in.sin_addr = *host;
  into->at.in.sin_port = htons((uint16_t)port);
  into->len = sizeof into->at.in;
}

static void set_in6(struct address *into, const struct in6_addr *host,
                    long port) {
  into->at.in6.sin6_family = AF_INET6;
  into->at.in6.sin6_addr = *host;
  into->at.in6.sin6_port = htons((uint16_t)port);
  into->len = sizeof into->at.in6;
}

/* The index of an interface from its name or number; 0: none has it. */
static uint32_t parse_zone(const char *zone) {
  uint32_t index = if_nametoindex(zone);
  if (index || zone[0] < '0' || zone[0] > '9') return index;
  char *end;
  unsigned long n = strtoul(zone, &end, 10);
  return *end || n > UINT32_MAX ? 0 : (uint32_t)n;
}

/* "fe80::1%eth0" */
static int parse_in6(char *host, long port, struct address *into,
                     const char **why) {
  struct in6_addr in6;
  char *zone = strchr(host, '%');
  if (zone) *zone++ = 0;
  if (inet_pton(AF_INET6, host, &in6) != 1)
    return fail(why, "not an IPv6 address");
  set_in6(into, &in6, port);
  if (!zone) return 0;
  into->at.in6.sin6_scope_id = parse_zone(zone);
  if (into->at.in6.sin6_scope_id) return 0;
  *why = "there is no such interface";
  return -ENODEV;
}

static int parse_host(char *host, bool bracketed, long port,
                      enum address_use use, struct address *into,
                      const char **why) {
  struct in_addr in = {.s_addr = htonl(INADDR_LOOPBACK)};
  if (bracketed) return parse_in6(host, port, into, why);
  if (strchr(host, ':'))
    return fail(why, "an IPv6 address goes in brackets: \"[::1]:80\"");
  if (host[0] == 0 && use == ADDRESS_LISTEN)
    set_in6(into, &in6addr_any, port);
  else if (host[0] == 0 || inet_pton(AF_INET, host, &in) == 1)
    set_in(into, &in, port);
  else
    return 1;
  return 0;
}

int address_parse(const char *text, size_t len, enum address_use use,
                  struct address *into, char host[256], char service[32],
                  const char **why) {
  memset(into, 0, sizeof *into);
  if (len >= 5 && memcmp(text, "unix:", 5) == 0)
    return parse_unix(text + 5, len - 5, into, why);
  if (memchr(text, 0, len)) return fail(why, "an address has no zero bytes");
  const char *colon = memrchr(text, ':', len);
  if (!colon)
    return fail(why, "no port: expected \"host:port\", \":port\" or "
                     "\"unix:/path\"");
  size_t host_len = (size_t)(colon - text), port_len = len - host_len - 1;
  bool bracketed = host_len >= 2 && text[0] == '[' && colon[-1] == ']';
  if (bracketed) {
    text++;
    host_len -= 2;
  }
  if (host_len > 255) return fail(why, "a host name has at most 255 bytes");
  if (port_len == 0 || port_len > 31) return fail(why, "no port");
  memcpy(host, text, host_len);
  host[host_len] = 0;
  memcpy(service, colon + 1, port_len);
  service[port_len] = 0;
  long port = parse_port(service, port_len);
  if (port < 0) {
    if (service[0] >= '0' && service[0] <= '9')
      return fail(why, "a port is 0 to 65535");
    if (bracketed || host[0] == 0 || use == ADDRESS_LISTEN)
      return fail(why, "a port is a number here");
    return strchr(host, ':') ? parse_host(host, false, 0, use, into, why) : 1;
  }
  return parse_host(host, bracketed, port, use, into, why);
}

void address_map_v4(struct address *a) {
  struct address v4 = *a;
  memset(a, 0, sizeof *a);
  a->at.in6.sin6_family = AF_INET6;
  a->at.in6.sin6_port = v4.at.in.sin_port;
  a->at.in6.sin6_addr.s6_addr[10] = a->at.in6.sin6_addr.s6_addr[11] = 0xff;
  memcpy(a->at.in6.sin6_addr.s6_addr + 12, &v4.at.in.sin_addr, 4);
  a->len = sizeof a->at.in6;
}

static size_t format_unix(const struct address *a, char *into) {
  size_t head = offsetof(struct sockaddr_un, sun_path);
  size_t len = a->len > head ? a->len - head : 0;
  const char *path = a->at.un.sun_path;
  if (len && path[0] == 0) {
    memcpy(into, "unix:@", 6);
    memcpy(into + 6, path + 1, len - 1);
    into[len + 5] = 0;
    return len + 5;
  }
  len = strnlen(path, len);
  const char *here = len && path[0] == '@' ? "./" : ""; /* no abstract name */
  return (size_t)snprintf(into, ADDRESS_TEXT_MAX, "unix:%s%.*s", here, (int)len,
                          path);
}

static size_t format_in6(const struct address *a, char *into) {
  const struct sockaddr_in6 *in6 = &a->at.in6;
  char host[INET6_ADDRSTRLEN], zone[16] = "";
  unsigned port = ntohs(in6->sin6_port);
  if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
    const unsigned char *v4 = in6->sin6_addr.s6_addr + 12;
    return (size_t)snprintf(into, ADDRESS_TEXT_MAX, "%u.%u.%u.%u:%u", v4[0],
                            v4[1], v4[2], v4[3], port);
  }
  inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
  if (in6->sin6_scope_id)
    snprintf(zone, sizeof zone, "%%%u", in6->sin6_scope_id);
  return (size_t)snprintf(into, ADDRESS_TEXT_MAX, "[%s%s]:%u", host, zone,
                          port);
}

size_t address_format(const struct address *a, char into[ADDRESS_TEXT_MAX]) {
  char host[INET_ADDRSTRLEN];
  switch (address_family(a)) {
  case AF_UNIX:
    return format_unix(a, into);
  case AF_INET6:
    return format_in6(a, into);
  case AF_INET:
    inet_ntop(AF_INET, &a->at.in.sin_addr, host, sizeof host);
    return (size_t)snprintf(into, ADDRESS_TEXT_MAX, "%s:%u", host,
                            ntohs(a->at.in.sin_port));
  default:
    return (size_t)snprintf(into, ADDRESS_TEXT_MAX, "family %d",
                            address_family(a));
  }
}

size_t address_describe(const struct address *a, char into[ADDRESS_SHOWN_MAX]) {
  char text[ADDRESS_TEXT_MAX];
  size_t len = address_format(a, text), n = 0;
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)text[i];
    if (c >= ' ' && c != 0x7f)
      into[n++] = (char)c;
    else
      n += (size_t)snprintf(into + n, 5, "\\x%02x", c);
  }
  into[n] = 0;
  return n;
}
