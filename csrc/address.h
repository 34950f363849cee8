/* address.h - socket addresses as text and back.
 *
 * "127.0.0.1:80"  "[::1]:80"  ":80"  "name:80"  "unix:/path"  "unix:@name".
 * A name needs resolving, which is an op (ops_sys.c); everything else is
 * parsed here, without I/O. Owns nothing.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_ADDRESS_H
#define PROA_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base.h"

struct address {
  union {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
    struct sockaddr_storage room;
  } at;
  socklen_t len;
};

enum address_use {
  ADDRESS_CONNECT, /* ":80" is loopback */
  ADDRESS_LISTEN,  /* ":80" is every interface, dual stack */
};

/* Longest text that address_format writes, with its NUL. */
#define ADDRESS_TEXT_MAX (sizeof(struct sockaddr_un) + 16)

/* ... and address_describe. */
#define ADDRESS_SHOWN_MAX (4 * ADDRESS_TEXT_MAX)

/* 0; 1 when the host is a name to resolve (host and service are filled);
 * -EINVAL with a reason in *why, or -ENODEV: its zone is no interface. */
int address_parse(const char *text, size_t len, enum address_use use,
                  struct address *into, char host[256], char service[32],
                  const char **why);

/* Text that address_parse takes back, but for a Unix socket without a name,
 * which is "unix:". Returns its length. */
size_t address_format(const struct address *a, char into[ADDRESS_TEXT_MAX]);
/* The same for people: control characters, which others may have put into a
 * Unix name, as \x0a. */
size_t address_describe(const struct address *a, char into[ADDRESS_SHOWN_MAX]);

/* An IPv4 address in the form that IPv6 sockets have for it. */
void address_map_v4(struct address *a);

static inline int address_family(const struct address *a) {
  return a->at.any.sa_family;
}

#endif
