/* terminal.c - raw mode and sizes. See terminal.h.
 *
 * SPDX-License-Identifier: MIT */
#include "terminal.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

/* `fd` is a copy of ours: the stream may be closed before. A handler may look
 * at any time, so `used` is set last and cleared first. */
static struct {
  volatile sig_atomic_t used;
  int fd;
  struct termios before;
} raws[TERMINAL_RAW_MAX];

static int free_number(void) {
  for (int i = 0; i < TERMINAL_RAW_MAX; i++)
    if (!raws[i].used) return i;
  return -EMFILE;
}

static void make_raw(struct termios *t, bool signals) {
  t->c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
  t->c_cflag |= CS8;
  t->c_lflag &= ~(tcflag_t)(ECHO | ICANON | IEXTEN | (signals ? 0 : ISIG));
  t->c_cc[VMIN] = 1;
  t->c_cc[VTIME] = 0;
}

/* Not drained before: that would wait for who reads the terminal. */
int terminal_raw(int fd, bool signals) {
  int i = free_number();
  struct termios t;
  if (i < 0) return i;
  if (tcgetattr(fd, &t) < 0) return -errno;
  raws[i].before = t;
  raws[i].fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (raws[i].fd < 0) return -errno;
  raws[i].used = 1;
  make_raw(&t, signals);
  if (tcsetattr(fd, TCSANOW, &t) == 0) return i;
  int err = -errno;
  raws[i].used = 0;
  close(raws[i].fd);
  return err;
}

void terminal_restore(int number) {
  tcsetattr(raws[number].fd, TCSANOW, &raws[number].before);
  raws[number].used = 0;
  close(raws[number].fd);
}

/* The last first: what it found may be another's raw. */
void terminal_restore_all(void) {
  int saved = errno;
  for (int i = TERMINAL_RAW_MAX; i-- > 0;)
    if (raws[i].used) tcsetattr(raws[i].fd, TCSANOW, &raws[i].before);
  errno = saved;
}

bool terminal_any_raw(void) {
  for (int i = 0; i < TERMINAL_RAW_MAX; i++)
    if (raws[i].used) return true;
  return false;
}

int terminal_size(int fd, int *columns, int *rows) {
  struct winsize w;
  if (ioctl(fd, TIOCGWINSZ, &w) < 0) return -errno;
  *columns = w.ws_col;
  *rows = w.ws_row;
  return 0;
}
