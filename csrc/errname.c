/* errname.c - errno names for Linux.
 *
 * A table of our own, because strerrorname_np is glibc 2.32 and not in musl.
 * See errname.h.
 *
 * SPDX-License-Identifier: MIT */
#include "errname.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const struct {
  int err;
  const char *name;
} names[] = {
#define E(x) \
  { x, #x }
    E(E2BIG),        E(EACCES),          E(EADDRINUSE),   E(EADDRNOTAVAIL),
    E(EAFNOSUPPORT), E(EAGAIN),          E(EALREADY),     E(EBADF),
    E(EBADFD),       E(EBADMSG),         E(EBUSY),        E(ECANCELED),
    E(ECHILD),       E(ECONNABORTED),    E(ECONNREFUSED), E(ECONNRESET),
    E(EDEADLK),      E(EDESTADDRREQ),    E(EDOM),         E(EDQUOT),
    E(EEXIST),       E(EFAULT),          E(EFBIG),        E(EHOSTDOWN),
    E(EHOSTUNREACH), E(EIDRM),           E(EILSEQ),       E(EINPROGRESS),
    E(EINTR),        E(EINVAL),          E(EIO),          E(EISCONN),
    E(EISDIR),       E(ELOOP),           E(EMFILE),       E(EMLINK),
    E(EMSGSIZE),     E(ENAMETOOLONG),    E(ENETDOWN),     E(ENETRESET),
    E(ENETUNREACH),  E(ENFILE),          E(ENOBUFS),      E(ENODATA),
    E(ENODEV),       E(ENOENT),          E(ENOEXEC),      E(ENOLCK),
    E(ENOLINK),      E(ENOMEM),          E(ENOMSG),       E(ENOPROTOOPT),
    E(ENOSPC),       E(ENOSYS),          E(ENOTCONN),     E(ENOTDIR),
    E(ENOTEMPTY),    E(ENOTSOCK),        E(EOPNOTSUPP),   E(ENOTTY),
    E(ENXIO),        E(EOVERFLOW),       E(EOWNERDEAD),   E(EPERM),
    E(EPFNOSUPPORT), E(EPIPE),           E(EPROTO),       E(EPROTONOSUPPORT),
    E(EPROTOTYPE),   E(ERANGE),          E(EREMOTEIO),    E(EROFS),
    E(ESHUTDOWN),    E(ESOCKTNOSUPPORT), E(ESPIPE),       E(ESRCH),
    E(ESTALE),       E(ETIME),           E(ETIMEDOUT),    E(ETOOMANYREFS),
    E(ETXTBSY),      E(EXDEV),
#undef E
};

const char *err_name(int err) {
  for (size_t i = 0; i < countof(names); i++)
    if (names[i].err == err) return names[i].name;
  return NULL;
}

const char *err_text(int err, char *into, size_t len) {
  snprintf(into, len, "%s", strerror(err));
  /* "Connection refused" reads better lowered; "I/O error" does not. */
  if (isupper((unsigned char)into[0]) && !isupper((unsigned char)into[1]) &&
      into[1] != '/')
    into[0] = (char)tolower((unsigned char)into[0]);
  return into;
}
