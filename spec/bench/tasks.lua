--- tasks.lua: what a task of proa costs.
--
--   lua5.4 spec/bench/tasks.lua spawn|yield|sleep|idle N
--
-- See task_kit.lua for the kinds and for what it prints.
-- SPDX-License-Identifier: MIT

local here = arg[0]:match "^(.*)/" or "."
package.path = here .. "/?.lua;" .. package.path
local kit = require "task_kit"
local proa = require "proa"

kit.measure {
  spawn = proa.spawn,
  yield = proa.yield,
  sleep = proa.sleep,
  run = proa.run,
}
