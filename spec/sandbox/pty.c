/* pty.c - runs a program on a terminal of its own, for specs of terminals.
 *
 *   pty COLUMNS ROWS program arguments...
 *
 * What is written to its stdin is typed, what the program prints is its
 * stdout. USR1 makes the window 100 columns and 40 rows; USR2 hangs it up. At
 * the end it prints how the terminal was left and how the program ended:
 * "[echo canonical exit 0]", "[noecho raw signal 15]".
 *
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static volatile sig_atomic_t resize, hang_up;

static void on_signal(int signal) {
  if (signal == SIGUSR1)
    resize = 1;
  else
    hang_up = 1;
}

static void die(const char *what) {
  perror(what);
  exit(99);
}

static void set_size(int fd, int columns, int rows) {
  struct winsize w = {.ws_col = (unsigned short)columns,
                      .ws_row = (unsigned short)rows};
  if (ioctl(fd, TIOCSWINSZ, &w) < 0) die("TIOCSWINSZ");
}

/* What the leader tells: the program's number, then how it ended. */
static int told[2];

/* A session's leader that ends takes what was printed with it; so the program
 * is a child of one that stays until it is killed. */
static void lead(int terminal, char **argv) {
  setsid();
  if (ioctl(terminal, TIOCSCTTY, 0) < 0) die("TIOCSCTTY");
  signal(SIGTTOU, SIG_IGN);
  pid_t pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    tcsetpgrp(terminal, getpid());
    signal(SIGTTOU, SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int i = 0; i < 3; i++) dup2(terminal, i);
    execvp(argv[0], argv);
    die(argv[0]);
  }
  int status = 0;
  signal(SIGHUP, SIG_IGN);
  if (write(told[1], &pid, sizeof pid) < 0) die("write");
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (write(told[1], &status, sizeof status) < 0) die("write");
  for (;;) pause();
}

static pid_t start(int terminal, char **argv, pid_t *leader) {
  pid_t pid;
  if (pipe2(told, O_CLOEXEC) < 0) die("pipe");
  *leader = fork();
  if (*leader < 0) die("fork");
  if (*leader == 0) lead(terminal, argv);
  if (read(told[0], &pid, sizeof pid) != sizeof pid) die("no leader");
  return pid;
}

static void write_all(int fd, const char *at, ssize_t n) {
  while (n > 0) {
    ssize_t r = write(fd, at, (size_t)n);
    if (r < 0 && errno != EINTR) return;
    if (r > 0) at += r, n -= r;
  }
}

/* 0: nothing more will come from there. */
static int carry(int from, int to) {
  char bytes[4096];
  ssize_t n = read(from, bytes, sizeof bytes);
  if (n < 0 && errno == EINTR) return 1;
  if (n <= 0) return 0;
  write_all(to, bytes, n);
  return 1;
}

/* Until the program has ended and all it printed has been passed on. */
static int relay(int master, pid_t pid) {
  struct pollfd p[3] = {{.fd = 0, .events = POLLIN},
                        {.fd = master, .events = POLLIN},
                        {.fd = told[0], .events = POLLIN}};
  struct timespec at_once = {0};
  sigset_t none;
  int status = 0, ended = 0;
  sigemptyset(&none);
  for (;;) {
    int n = ppoll(p, 3, ended ? &at_once : NULL, &none);
    if (resize) set_size(master, 100, 40);
    if (hang_up) kill(pid, SIGHUP);
    resize = hang_up = 0;
    if (n < 0 && errno == EINTR) continue;
    if (p[0].revents && !carry(0, master)) p[0].fd = -1;
    if (p[1].revents && !carry(master, 1)) p[1].fd = -1;
    if (ended && !p[1].revents) return status;
    if (!ended && p[2].revents) {
      ended = read(told[0], &status, sizeof status) != 0;
      p[2].fd = -1;
    }
  }
}

int main(int argc, char **argv) {
  if (argc < 4) die("usage: pty columns rows program");
  int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) die("pty");
  int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (terminal < 0) die("open");
  set_size(master, atoi(argv[1]), atoi(argv[2]));
  sigset_t ours; /* only while it waits, or one could come just before */
  sigemptyset(&ours);
  sigaddset(&ours, SIGUSR1);
  sigaddset(&ours, SIGUSR2);
  sigprocmask(SIG_BLOCK, &ours, NULL);
  signal(SIGUSR1, on_signal);
  signal(SIGUSR2, on_signal);
  pid_t leader, pid = start(terminal, argv + 3, &leader);
  int status = relay(master, pid);
  struct termios t;
  if (tcgetattr(terminal, &t) < 0) die("tcgetattr");
  printf("[%s %s %s %d]\n", t.c_lflag & ECHO ? "echo" : "noecho",
         t.c_lflag & ICANON ? "canonical" : "raw",
         WIFEXITED(status) ? "exit" : "signal",
         WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
  kill(leader, SIGKILL);
  return 0;
}
