/* unix_path.h - bind a Unix socket to a path, and take the path away again.
 *
 * A path outlives its socket (unix(7)), so the next start would find it in
 * use: one that nobody is bound to is replaced, and whoever made a path may
 * remove it as long as it is still that file. Abstract names need none of it.
 * Owns nothing; a struct unix_path is a plain note of what was made.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_UNIX_PATH_H
#define PROA_UNIX_PATH_H

#include "address.h"
#include "sys.h"

struct unix_path {
  char path[sizeof(struct sockaddr_un)]; /* "": none was made */
  dev_t dev;
  ino_t ino;
};

static inline bool address_is_path(const struct address *a) {
  return address_family(a) == AF_UNIX && a->at.un.sun_path[0];
}

/* Bind fd, a Unix socket, to the path; `mode` are the permissions that the
 * path gets, never more on the way there, -1: what the umask leaves. A path
 * that nobody is bound to is replaced. -EADDRINUSE: somebody is; -ENOTSOCK: it
 * is no socket; or why it could not be made. */
int unix_path_bind(struct sys *sys, int fd, const struct address *a, int mode,
                   struct unix_path *made);

/* Remove it, unless it is another file by now. While the socket is open: then
 * no other file can have its number. */
void unix_path_remove(struct sys *sys, struct unix_path *made);

#endif
