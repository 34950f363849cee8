/* driver.c - what the drivers share: wake-ups, telling what a descriptor is.
 *
 * SPDX-License-Identifier: MIT */
#include "driver.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fault.h"

/* On the loop's thread, so no server is asked for what is known here. */
int driver_kind_of(int fd, enum handle_kind *kind) {
  struct statx st;
  unsigned flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  if (statx(fd, "", flags, STATX_TYPE, &st) < 0) return -errno;
  if (S_ISSOCK(st.stx_mode))
    *kind = HANDLE_SOCKET;
  else if (S_ISREG(st.stx_mode) || S_ISDIR(st.stx_mode) || S_ISBLK(st.stx_mode))
    *kind = HANDLE_FILE;
  else
    *kind = HANDLE_PIPE;
  return 0;
}

int wake_open(struct wake *w) {
  FAULT_RETURN("eventfd", EMFILE);
  w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  return w->fd < 0 ? -errno : 0;
}

void wake_close(struct wake *w) {
  if (w->fd >= 0) close(w->fd);
  w->fd = -1;
}

void wake_set(struct wake *w) {
  if (atomic_exchange(&w->set, true)) return;
  uint64_t one = 1;
  int saved = errno; /* a signal handler may be the caller */
  ssize_t r = write(w->fd, &one, sizeof one);
  (void)r; /* EAGAIN: the counter is full, so it is readable */
  errno = saved;
}

/* Read first: a wake that comes in between is answered by what follows. */
void wake_clear(struct wake *w) {
  uint64_t n;
  while (read(w->fd, &n, sizeof n) < 0 && errno == EINTR) continue;
  atomic_store(&w->set, false);
}
