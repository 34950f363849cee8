-- proa-0.1.0-1.rockspec: the coming release. Its tag does not exist yet.
-- Kept the same as the rockspec of the development tree but for version and
-- source (spec/rock_spec.lua compares them). The address stands for one that
-- is not decided yet; `make rock` packs from a checkout without asking it.
-- SPDX-License-Identifier: MIT
rockspec_format = "3.0"
package = "proa"
version = "0.1.0-1"
source = {
   url = "git+https://example.org/proa.git",
   tag = "v0.1.0",
}
description = {
   summary = "Completion-based I/O runtime for Lua 5.4 over io_uring",
   detailed = [[
      A C core hands operations to the kernel with io_uring (or epoll, where
      that is refused) and resumes the coroutine that waits for each result.
      Tasks, streams, listeners, timeouts and cancellation that lose nothing.
      Needs Linux and liburing 2.3 or later with its header: liburing-dev on
      Debian, Ubuntu and Alpine, liburing-devel on Fedora, liburing on Arch.]],
   license = "MIT",
   labels = { "async", "io", "io_uring", "network", "coroutine", "linux" },
}
supported_platforms = { "linux" }
dependencies = { "lua >= 5.4, < 5.5" }
external_dependencies = {
   LIBURING = { header = "liburing.h", library = "uring" },
}
-- Not builtin: core.so must be built as C11, export nothing but luaopen_* and
-- be linked -z nodelete, and builtin has no place for such flags.
build = {
   type = "make",
   variables = {
      CFLAGS = "$(CFLAGS)",
      LIBFLAG = "$(LIBFLAG)",
      LUA_INCDIR = "$(LUA_INCDIR)",
      LIBURING_INCDIR = "$(LIBURING_INCDIR)",
      LIBURING_LIBDIR = "$(LIBURING_LIBDIR)",
      LUA_SHAREDIR = "$(LUADIR)",
      LUA_LIBDIR = "$(LIBDIR)",
      DOCDIR = "$(PREFIX)/doc",
      -- apart from a checkout's own build, and deaf to its environment
      BUILD = "build/rock",
      DESTDIR = "",
      DEBUG = "0",
      SANITIZE = "0",
      WERROR = "0",
   },
}
-- luarocks test -- DRIVER=poll FILTER=pattern
test = {
   type = "command",
   command = "make test",
}
