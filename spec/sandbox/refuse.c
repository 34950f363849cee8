/*
 * refuse - runs a command where the kernel refuses io_uring.
 *
 *   refuse [--setup=ERRNO] [--enter=ERRNO] [--memlock BYTES] [--nofile N]
 *          [--user nobody] -- command [argument...]
 *
 * ERRNO is EPERM or ENOSYS: io_uring_setup (or io_uring_enter) fails with it,
 * as under the seccomp profiles of containers. --memlock and --nofile set hard
 * and soft limits; --user nobody also gives up CAP_IPC_LOCK, without which
 * root never meets the memlock limit. Everything is inherited by what the
 * command starts. It owns nothing and becomes the command by exec. It is a
 * test tool, not a sandbox for untrusted code. Used by spec/run-refused.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The same numbers on every architecture (they came after the unification). */
enum { NR_IO_URING_SETUP = 425, NR_IO_URING_ENTER = 426 };
enum { NOBODY = 65534 };
enum { EXIT_NOT_RUN = 125 }; /* as env(1) and timeout(1) have it */

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#else
#error "tell the seccomp filter the audit name of this architecture"
#endif

static void die(const char *what) {
  fprintf(stderr, "refuse: %s: %s\n", what, strerror(errno));
  exit(EXIT_NOT_RUN);
}

static void usage(void) {
  fprintf(stderr, "usage: refuse [--setup=EPERM|ENOSYS] [--enter=EPERM|ENOSYS]"
                  " [--memlock BYTES] [--nofile N] [--user nobody]"
                  " -- command...\n");
  exit(EXIT_NOT_RUN);
}

static int errno_of(const char *name) {
  if (strcmp(name, "EPERM") == 0) return EPERM;
  if (strcmp(name, "ENOSYS") == 0) return ENOSYS;
  usage();
  return 0;
}

/* Exits on anything that is not a whole number. */
static rlim_t number_of(const char *text) {
  char *end;
  errno = 0;
  unsigned long long n = strtoull(text, &end, 10);
  if (errno || end == text || *end) usage();
  return (rlim_t)n;
}

static void limit(int resource, rlim_t n, const char *name) {
  struct rlimit both = {n, n};
  if (setrlimit(resource, &both) < 0) die(name);
}

/* Exits if the kernel has no seccomp filters. An errno of 0 allows the call. */
static void filter(int setup_errno, int enter_errno) {
#define ANSWER(error) \
  ((error) ? SECCOMP_RET_ERRNO | (unsigned)(error) : SECCOMP_RET_ALLOW)
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NR_IO_URING_SETUP, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, ANSWER(setup_errno)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NR_IO_URING_ENTER, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, ANSWER(enter_errno)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof code / sizeof code[0], code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) die("no_new_privs");
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
    die("seccomp");
}

static void become_nobody(void) {
  if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
      setresuid(NOBODY, NOBODY, NOBODY) < 0)
    die("becoming nobody");
}

int main(int argc, char **argv) {
  static const struct option options[] = {
      {"setup", required_argument, NULL, 's'},
      {"enter", required_argument, NULL, 'e'},
      {"memlock", required_argument, NULL, 'm'},
      {"nofile", required_argument, NULL, 'n'},
      {"user", required_argument, NULL, 'u'},
      {NULL, 0, NULL, 0},
  };
  int setup_errno = 0, enter_errno = 0, drop_user = 0, c;

  while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
    switch (c) {
    case 's':
      setup_errno = errno_of(optarg);
      break;
    case 'e':
      enter_errno = errno_of(optarg);
      break;
    case 'm':
      limit(RLIMIT_MEMLOCK, number_of(optarg), "memlock");
      break;
    case 'n':
      limit(RLIMIT_NOFILE, number_of(optarg), "nofile");
      break;
    case 'u':
      if (strcmp(optarg, "nobody") != 0) usage();
      drop_user = 1;
      break;
    default:
      usage();
    }
  }
  if (optind == argc) usage();

  if (drop_user) become_nobody();
  if (setup_errno || enter_errno) filter(setup_errno, enter_errno);
  execvp(argv[optind], argv + optind);
  die(argv[optind]);
}
