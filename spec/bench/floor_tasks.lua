--- floor_tasks.lua: what tasks cost at least: bare lua_resume, see floor.c.
--
--   lua5.4 spec/bench/floor_tasks.lua spawn|yield|sleep|idle N
--
-- PROA_BENCH is the directory of the compiled floor.so. The same interpreter
-- and the same bodies as for the others; see task_kit.lua.
-- SPDX-License-Identifier: MIT

local here = arg[0]:match "^(.*)/" or "."
package.path = here .. "/?.lua;" .. package.path
package.cpath = (os.getenv "PROA_BENCH" or "build/bench") .. "/?.so;" ..
  package.cpath

require("task_kit").measure(require "floor")
