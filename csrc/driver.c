/* driver.c - what the drivers share: telling what a descriptor is.
 *
 * SPDX-License-Identifier: MIT */
#include "driver.h"

#include <sys/stat.h>

int driver_kind_of(int fd, enum handle_kind *kind) {
  struct stat st;
  if (fstat(fd, &st) < 0) return -errno;
  if (S_ISSOCK(st.st_mode))
    *kind = HANDLE_SOCKET;
  else if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode))
    *kind = HANDLE_FILE;
  else
    *kind = HANDLE_PIPE;
  return 0;
}
