/*
 * load - starts a server, loads it, checks every byte that comes back.
 *
 *   load [option...] -- server command...
 *
 *   --kind echo    connections that stay, --depth messages under way on each
 *          churn   connect, one exchange, close, and again
 *          idle    --conns connections that exchange one message and then
 *                  wait; the memory of the server before and after
 *          run     no load: run the command to its end, print what it says
 *   --conns N --size BYTES --depth N --seconds S --warm S (not counted)
 *   --server-core N --load-core N (-1: anywhere) --engine uring|epoll
 *
 * The last line is "result" and words key=value, or "failed" and why; then
 * the status is 1 (2: the options). One thread; it owns the server process,
 * which never outlives it. CPU time of the server is read at both ends of the
 * counted time. Read next: load.h, child.h; used by run.lua.
 *
 * SPDX-License-Identifier: MIT
 */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "histogram.h"

enum {
  CONNS_MAX = 100000,
  SPAN_MAX = 4 << 20, /* bytes under way on a connection */
  OPENING_MAX = 64,   /* a listener's queue is never longer than that */
  SOURCES = 32,       /* 127.0.0.2 and on; see dial */
  TURN_MS = 50,
  PATIENCE_S = 10 /* for an answer, for a server's first line */
};

/* What a kind does with a connection whose message has come back whole. */
typedef void on_message(struct conn *c);

static struct {
  const char *kind;
  unsigned conns, depth;
  uint64_t size;
  double seconds, warm_s;
  int server_core, load_core;
} option = {"echo", 64, 1, 64, 1.0, 0.2, -1, -1};

static const struct engine *engine = &engine_uring;
static on_message *after;
static struct child server;
static struct sockaddr_in server_at;
static struct conn *conns;
static char *pattern;
static struct histogram latencies;
static char failure[512];
static bool counting;
static uint64_t now;     /* ns, when the last wait was over */
static uint64_t answers; /* whole messages since the start */

/* -- small things -- */

void load_fail(const char *format, ...) {
  va_list args;
  if (failure[0]) return;
  va_start(args, format);
  vsnprintf(failure, sizeof failure, format, args);
  va_end(args);
}

static uint64_t clock_ns(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

void load_woke(void) {
  now = clock_ns(CLOCK_MONOTONIC);
}

static double own_cpu_s(void) {
  return (double)clock_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e9;
}

/* Seconds that all cores were busy, what the hypervisor took included. */
static double busy_s(void) {
  unsigned long long user, nice, system, idle, wait, irq, soft, steal;
  FILE *f = fopen("/proc/stat", "r");
  if (!f) return 0;
  int n = fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice,
                 &system, &idle, &wait, &irq, &soft, &steal);
  fclose(f);
  if (n != 8) return 0;
  return (double)(user + nice + system + irq + soft + steal) /
         (double)sysconf(_SC_CLK_TCK);
}

/* -- the pattern -- */

static bool pattern_make(void) {
  size_t n = PERIOD + SPAN_MAX + CHUNK_MAX;
  uint64_t state = 0x9e3779b97f4a7c15U; /* xorshift: any odd seed will do */
  pattern = malloc(n);
  if (!pattern) return false;
  for (size_t i = 0; i < PERIOD; i++) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    pattern[i] = (char)(state >> 32);
  }
  for (size_t i = PERIOD; i < n; i++) pattern[i] = pattern[i - PERIOD];
  return true;
}

const char *conn_bytes(const struct conn *c, uint64_t offset) {
  return pattern + (c->id * 4099ULL + offset) % PERIOD;
}

/* -- connections -- */

/* A churn leaves a port behind for a minute with each connection: many source
 * addresses, or there would soon be no free one. */
static int dial(uint32_t turn) {
  struct sockaddr_in from = {.sin_family = AF_INET,
                             .sin_addr.s_addr =
                                 htonl(INADDR_LOOPBACK + 1 + turn % SOURCES)};
  int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&from, sizeof from) == 0 &&
      connect(fd, (struct sockaddr *)&server_at, sizeof server_at) == 0)
    return fd;
  int error = errno;
  close(fd);
  return -error;
}

static void conn_open(struct conn *c) {
  static uint32_t dialled;
  c->asked = c->sent = c->taken = 0;
  c->fd = dial(dialled++);
  int r = c->fd < 0 ? c->fd : engine->add(c);
  if (r < 0) load_fail("connection %u: connect: %s", c->id, strerror(-r));
}

static void conn_close(struct conn *c) {
  if (c->fd >= 0) close(c->fd);
  c->fd = -1;
}

/* Fill up to the depth. */
static void conn_ask(struct conn *c) {
  while (c->asked - c->taken / option.size * option.size <
         option.depth * option.size) {
    c->since[c->asked / option.size % option.depth] = now;
    c->asked += option.size;
  }
  engine->send(c);
}

static void answered(struct conn *c, uint64_t message) {
  if (counting)
    histogram_add(&latencies, now - c->since[message % option.depth]);
  c->done++;
  answers++;
}

/* The streams agree up to `taken`; compare what follows. */
static bool conn_check(struct conn *c, const char *bytes, int n) {
  if (n < 0)
    load_fail("connection %u: recv: %s", c->id, strerror(-n));
  else if (n == 0)
    load_fail("connection %u: closed by the server", c->id);
  else if ((uint64_t)n > c->sent - c->taken)
    load_fail("connection %u: more came back than was sent", c->id);
  else if (memcmp(bytes, conn_bytes(c, c->taken), (size_t)n) != 0)
    load_fail("connection %u: a wrong byte after %llu right ones", c->id,
              (unsigned long long)c->taken);
  else
    return true;
  return false;
}

bool conn_take(struct conn *c, const char *bytes, int n) {
  int fd = c->fd;
  if (failure[0] || !conn_check(c, bytes, n)) return false;
  uint64_t before = c->taken / option.size;
  c->taken += (uint64_t)n;
  uint64_t whole = c->taken / option.size;
  for (uint64_t i = before; i < whole; i++) answered(c, i);
  if (whole > before) after(c);
  return c->fd == fd;
}

static void after_churn(struct conn *c) {
  conn_close(c);
  conn_open(c);
  if (!failure[0]) conn_ask(c);
}

static void after_idle(struct conn *c) {
  (void)c;
}

/* -- the course of a run -- */

static void turn(void) {
  int r = engine->turn(TURN_MS);
  if (r < 0) load_fail("%s: %s", engine->name, strerror(-r));
}

static void turn_until(uint64_t end) {
  while (!failure[0] && now < end) turn();
}

static void all_answered(void) {
  for (unsigned i = 0; i < option.conns && !failure[0]; i++)
    if (conns[i].done == 0)
      load_fail("connection %u: no answer at all", conns[i].id);
}

/* echo and churn: the steady state, counted between two points in time. */
static void run_steady(void) {
  load_woke();
  for (unsigned i = 0; i < option.conns && !failure[0]; i++) {
    conn_open(&conns[i]);
    if (!failure[0]) conn_ask(&conns[i]);
  }
  load_woke();
  turn_until(now + (uint64_t)(option.warm_s * 1e9));
  double cpu = child_cpu_s(&server), own = own_cpu_s(), busy = busy_s();
  uint64_t start = now;
  counting = true;
  turn_until(now + (uint64_t)(option.seconds * 1e9));
  all_answered();
  double wall = (double)(now - start) / 1e9, n = (double)latencies.count;
  cpu = child_cpu_s(&server) - cpu;
  own = own_cpu_s() - own;
  if (!failure[0] && latencies.count == 0) load_fail("nothing was counted");
  if (failure[0]) return;
  printf("result requests=%.0f rate=%.1f p50_us=%.1f p99_us=%.1f max_us=%.1f "
         "cpu_s_per_million=%.4f server_busy=%.3f load_busy=%.3f other=%.3f "
         "rss_kib=%ld peak_kib=%ld engine=%s\n",
         n, n / wall, (double)histogram_part(&latencies, 0.5) / 1e3,
         (double)histogram_part(&latencies, 0.99) / 1e3,
         (double)latencies.max / 1e3, cpu * 1e6 / n, cpu / wall, own / wall,
         (busy_s() - busy - cpu - own) / wall, child_kib(&server, "VmRSS"),
         child_kib(&server, "VmHWM"), engine->name);
}

/* One exchange on every connection, few at a time. */
static void visit_all(bool open) {
  uint64_t first = answers, begun = 0, late;
  load_woke();
  late = now + PATIENCE_S * 1000000000ULL;
  while (!failure[0] && answers - first < option.conns) {
    while (begun < option.conns && begun - (answers - first) < OPENING_MAX) {
      struct conn *c = &conns[begun++];
      if (open) conn_open(c);
      if (failure[0]) return;
      conn_ask(c);
      late = now + PATIENCE_S * 1000000000ULL;
    }
    turn();
    if (now > late) load_fail("no answer for %d s", PATIENCE_S);
  }
}

static void run_idle(void) {
  long before = child_kib(&server, "VmRSS");
  double cpu = child_cpu_s(&server);
  visit_all(true);
  cpu = child_cpu_s(&server) - cpu;
  usleep(200000); /* what the server does afterwards is its cost too */
  long rss = child_kib(&server, "VmRSS");
  visit_all(false); /* they are alive, every one */
  if (failure[0]) return;
  printf("result conns=%u before_kib=%ld rss_kib=%ld bytes_per_conn=%.0f "
         "cpu_us_per_conn=%.2f engine=%s\n",
         option.conns, before, rss,
         (double)(rss - before) * 1024 / option.conns, cpu * 1e6 / option.conns,
         engine->name);
}

/* -- start and end -- */

static bool conns_make(void) {
  conns = calloc(option.conns, sizeof *conns);
  uint64_t *rings = calloc((size_t)option.conns * option.depth, sizeof *rings);
  if (!conns || !rings) return false;
  for (unsigned i = 0; i < option.conns; i++)
    conns[i] = (struct conn){
        .fd = -1, .id = i, .since = rings + (size_t)i * option.depth};
  return true;
}

static void run_load(bool idle) {
  int r = engine->open();
  if (r < 0 && engine == &engine_uring) r = (engine = &engine_epoll)->open();
  if (r < 0)
    load_fail("%s: %s", engine->name, strerror(-r));
  else if (!pattern_make() || !conns_make())
    load_fail("out of memory");
  else if (idle)
    run_idle();
  else
    run_steady();
  for (unsigned i = 0; conns && i < option.conns; i++)
    if (conns[i].fd >= 0) shutdown(conns[i].fd, SHUT_RDWR);
}

/* Neither io_uring's armed reads nor many descriptors suit what closes. */
static void run_kind(void) {
  bool churn = strcmp(option.kind, "churn") == 0;
  bool idle = strcmp(option.kind, "idle") == 0;
  if (churn || idle) engine = &engine_epoll;
  after = churn ? after_churn : idle ? after_idle : conn_ask;
  if (option.load_core >= 0 && !pin_to(option.load_core))
    fprintf(stderr, "core %d refused\n", option.load_core);
  if (child_address(&server, PATIENCE_S, &server_at))
    run_load(idle);
  else
    load_fail("did not say where it listens");
}

static void run_command(void) {
  if (!child_finish(&server, option.seconds))
    load_fail("took longer than %g s", option.seconds);
}

static bool whole(const char *text, long least, long most, long *n) {
  char *end;
  errno = 0;
  *n = strtol(text, &end, 10);
  return !errno && end != text && !*end && *n >= least && *n <= most;
}

static bool real(const char *text, double most, double *x) {
  char *end;
  *x = strtod(text, &end);
  return end != text && !*end && *x > 0 && *x <= most;
}

static bool is_kind(const char *text) {
  return strcmp(text, "echo") == 0 || strcmp(text, "churn") == 0 ||
         strcmp(text, "idle") == 0 || strcmp(text, "run") == 0;
}

static bool set_option(int c, const char *text) {
  long n = 0;
  bool ok = false;
  switch (c) {
  case 'k':
    option.kind = text;
    return is_kind(text);
  case 'c':
    ok = whole(text, 1, CONNS_MAX, &n);
    option.conns = (unsigned)n;
    return ok;
  case 'z':
    ok = whole(text, 1, SPAN_MAX, &n);
    option.size = (uint64_t)n;
    return ok;
  case 'd':
    ok = whole(text, 1, 1024, &n);
    option.depth = (unsigned)n;
    return ok;
  case 's':
    return real(text, 600, &option.seconds);
  case 'w':
    return real(text, 60, &option.warm_s);
  case 'S':
    ok = whole(text, -1, 4095, &n);
    option.server_core = (int)n;
    return ok;
  case 'L':
    ok = whole(text, -1, 4095, &n);
    option.load_core = (int)n;
    return ok;
  case 'e':
    engine = strcmp(text, "epoll") == 0 ? &engine_epoll : &engine_uring;
    return strcmp(text, "epoll") == 0 || strcmp(text, "uring") == 0;
  }
  return false;
}

static bool set_options(int argc, char **argv) {
  static const struct option names[] = {
      {"kind", required_argument, NULL, 'k'},
      {"conns", required_argument, NULL, 'c'},
      {"size", required_argument, NULL, 'z'},
      {"depth", required_argument, NULL, 'd'},
      {"seconds", required_argument, NULL, 's'},
      {"warm", required_argument, NULL, 'w'},
      {"server-core", required_argument, NULL, 'S'},
      {"load-core", required_argument, NULL, 'L'},
      {"engine", required_argument, NULL, 'e'},
      {NULL, 0, NULL, 0},
  };
  int c;
  while ((c = getopt_long(argc, argv, "+", names, NULL)) != -1)
    if (!set_option(c, optarg)) return false;
  return optind < argc && option.depth * option.size <= SPAN_MAX;
}

int main(int argc, char **argv) {
  struct rlimit files;
  if (!set_options(argc, argv)) {
    fprintf(stderr, "load: see the first lines of load.c for its options\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max; /* the server inherits it */
    setrlimit(RLIMIT_NOFILE, &files);
  }
  int r = child_start(&server, argv + optind, option.server_core);
  if (r < 0)
    load_fail("fork: %s", strerror(-r));
  else if (strcmp(option.kind, "run") == 0)
    run_command();
  else
    run_kind();
  const char *end = child_stop(&server);
  if (end) load_fail("it %s", end);
  if (failure[0])
    printf("failed %s; it said: %s\n", failure, server.said);
  else if (strcmp(option.kind, "run") == 0)
    printf("result %s", server.said);
  return failure[0] ? 1 : 0;
}
