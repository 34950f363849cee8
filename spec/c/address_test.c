/* address_test.c - socket addresses as text and back.
 *
 * SPDX-License-Identifier: MIT */
#include "address.h"

#include "check.h"

static struct address address;
static char host[256], service[32], text[ADDRESS_TEXT_MAX];
static const char *why;

static int parse_len(const char *s, size_t len, enum address_use use) {
  host[0] = service[0] = 0;
  why = "";
  return address_parse(s, len, use, &address, host, service, &why);
}

static int parse(const char *s) {
  return parse_len(s, strlen(s), ADDRESS_CONNECT);
}

static const char *round_trip(const char *s) {
  if (parse(s) != 0) return "(not an address)";
  size_t len = address_format(&address, text);
  CHECK_INT(len, ==, strlen(text));
  return text;
}

TEST("addresses come back as they went in") {
  static const char *const all[] = {
      "127.0.0.1:80",     "0.0.0.0:0",        "255.255.255.255:65535",
      "[::1]:80",         "[::]:0",           "[2001:db8::7]:443",
      "unix:/tmp/x",      "unix:@name",       "unix:relative",
      "unix:/with:colon", "unix:/with space",
  };
  for (size_t i = 0; i < countof(all); i++)
    CHECK_STRING(round_trip(all[i]), all[i]);
}

TEST("a port alone is loopback to connect and every interface to listen") {
  CHECK_STRING(round_trip(":80"), "127.0.0.1:80");
  REQUIRE(parse_len(":80", 3, ADDRESS_LISTEN) == 0);
  address_format(&address, text);
  CHECK_STRING(text, "[::]:80");
}

TEST("an IPv4 address in IPv6 is printed as what it is") {
  CHECK_STRING(round_trip("[::ffff:10.1.2.3]:80"), "10.1.2.3:80");
}

TEST("a zone is kept") {
  CHECK_STRING(round_trip("[fe80::1%7]:80"), "[fe80::1%7]:80");
  REQUIRE(parse("[fe80::1%lo]:80") == 0);
  CHECK_INT(address.at.in6.sin6_scope_id, ==, 1);
  static const char *const no[] = {"[fe80::1%no-such]:80", "[fe80::1%]:80",
                                   "[fe80::1%0]:80", "[fe80::1%7x]:80",
                                   "[fe80::1%99999999999]:80"};
  for (size_t i = 0; i < countof(no); i++) {
    CHECK_INT(parse(no[i]), ==, -ENODEV);
    CHECK_STRING(why, "there is no such interface");
  }
}

TEST("a name is left to be resolved, with its service") {
  CHECK_INT(parse("example.org:80"), ==, 1);
  CHECK_STRING(host, "example.org");
  CHECK_STRING(service, "80");
  CHECK_INT(parse("localhost:http"), ==, 1);
  CHECK_STRING(host, "localhost");
  CHECK_STRING(service, "http");
  CHECK_INT(parse("1.2.3:80"), ==, 1);
}

TEST("abstract names may hold zero bytes") {
  REQUIRE(parse_len("unix:@a\0b", 9, ADDRESS_CONNECT) == 0);
  CHECK_INT(address.len, ==, offsetof(struct sockaddr_un, sun_path) + 4);
  CHECK(memcmp(address.at.un.sun_path, "\0a\0b", 4) == 0);
  CHECK_INT(address_format(&address, text), ==, 9);
  CHECK(memcmp(text, "unix:@a\0b", 10) == 0);
}

TEST("the longest Unix path fits, one byte more does not") {
  char longest[5 + 108 + 1] = "unix:";
  memset(longest + 5, 'x', 107);
  CHECK_STRING(round_trip(longest), longest);
  longest[5 + 107] = 'x';
  CHECK_INT(parse(longest), ==, -EINVAL);
  CHECK_STRING(why, "a unix path or name has at most 107 bytes");
}

TEST("the longest abstract name fits, one byte more does not") {
  char longest[5 + 109 + 1] = "unix:@";
  memset(longest + 6, 'x', 107);
  CHECK_STRING(round_trip(longest), longest);
  CHECK_INT(address.len, ==, sizeof(struct sockaddr_un));
  longest[6 + 107] = 'x';
  CHECK_INT(parse(longest), ==, -EINVAL);
}

TEST("a path that another program gave comes back as it is") {
  struct sockaddr_un *un = &address.at.un;
  memset(&address, 0, sizeof address);
  un->sun_family = AF_UNIX;
  memset(un->sun_path, 'x', sizeof un->sun_path); /* no NUL */
  address.len = sizeof *un + 1;
  CHECK_INT(address_format(&address, text), ==, 5 + 108);
  strcpy(un->sun_path, "@dir/x"); /* begins as an abstract name would */
  address.len = offsetof(struct sockaddr_un, sun_path) + 7;
  address_format(&address, text);
  CHECK_STRING(text, "unix:./@dir/x");
  address.len = sizeof(sa_family_t);
  address_format(&address, text);
  CHECK_STRING(text, "unix:");
}

TEST("people see control characters escaped") {
  char shown[ADDRESS_SHOWN_MAX];
  REQUIRE(parse_len("unix:@\0a\nb\x1b[2J\x7f\xc3\xa9", 17, ADDRESS_CONNECT) ==
          0);
  size_t len = address_describe(&address, shown);
  CHECK_STRING(shown, "unix:@\\x00a\\x0ab\\x1b[2J\\x7f\xc3\xa9");
  CHECK_INT(len, ==, strlen(shown));
}

static const struct {
  const char *text;
  size_t len;
  const char *why;
} wrong[] = {
    {"", 0, "no port: expected \"host:port\", \":port\" or \"unix:/path\""},
    {"host", 4, "no port: expected \"host:port\", \":port\" or \"unix:/path\""},
    {"host:", 5, "no port"},
    {"127.0.0.1:65536", 15, "a port is 0 to 65535"},
    {"127.0.0.1:99999", 15, "a port is 0 to 65535"},
    {"127.0.0.1:123456", 16, "a port is 0 to 65535"},
    {"127.0.0.1:8a", 12, "a port is 0 to 65535"},
    {":http", 5, "a port is a number here"},
    {"[::1]:http", 10, "a port is a number here"},
    {"[::g]:80", 8, "not an IPv6 address"},
    {"[127.0.0.1]:80", 14, "not an IPv6 address"},
    {"::1:80", 6, "an IPv6 address goes in brackets: \"[::1]:80\""},
    {"a\0b:80", 6, "an address has no zero bytes"},
    {"unix:", 5, "a unix address needs a path"},
    {"unix:a\0b", 8, "a unix path has no zero bytes"},
};

TEST("what is no address says why") {
  for (size_t i = 0; i < countof(wrong); i++) {
    int r = parse_len(wrong[i].text, wrong[i].len, ADDRESS_CONNECT);
    if (r != -EINVAL) CHECK_STRING(wrong[i].text, "is wrong");
    CHECK_STRING(why, wrong[i].why);
  }
}

TEST("names of hosts and services have limits") {
  char big[400];
  memset(big, 'h', sizeof big);
  memcpy(big + 256, ":80", 4);
  CHECK_INT(parse(big), ==, -EINVAL);
  CHECK_STRING(why, "a host name has at most 255 bytes");
  CHECK_INT(parse(big + 1), ==, 1);
  CHECK_INT(strlen(host), ==, 255);
  CHECK_INT(parse("h:sssssssssssssssssssssssssssssss"), ==, 1);
  CHECK_INT(parse("h:ssssssssssssssssssssssssssssssss"), ==, -EINVAL);
}
