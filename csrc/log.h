/* log.h - what the runtime has to say to who listens.
 *
 * Rare things alone: nothing on the path of a byte logs. Nobody listens: a
 * struct proactor's `log` is NULL, and saying it costs that look. Entries are
 * taken while the loop runs sinks, and handed to Lua later (lua_log.c).
 * Knows neither Lua nor files. Owns nothing.
 *
 * SPDX-License-Identifier: MIT */
#ifndef PROA_LOG_H
#define PROA_LOG_H

#include "base.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN };

struct log_entry {
  enum log_level level;
  const char *event;  /* a word for programs: "accept" */
  const char *driver; /* or NULL */
  const char *op;     /* its class's name, or NULL */
  bool has_fd;
  int fd;
  int err;        /* -errno, or 0 */
  uint32_t task;  /* id; 0: none */
  char text[240]; /* for people */
};

struct log {
  void (*add)(struct log *, const struct log_entry *);
};

#define LOG_ENTRY(...) ((struct log_entry){__VA_ARGS__})

/* The text is made only when somebody listens. */
void log_say(struct log *log, struct log_entry e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
