--- task_kit.lua: the same work for every runtime that runs Lua's coroutines.
--
--   kit.measure { spawn = fn, yield = fn, sleep = fn, run = fn }
--
-- The kind and the number of tasks are the program's arguments: spawn (a task
-- that only returns), yield (ten of them), sleep (0 to 10 ms), idle (waits for
-- good). Prints words key=value: CPU time and memory a task, from before the
-- first one was spawned until the last has ended; idle: until all wait.
-- SPDX-License-Identifier: MIT

local kit = {}

local YIELDS = 10
local FOR_GOOD = 3600 -- seconds

-- Resident bytes; pages of 4 KiB (what the kernel counts in /proc/self/statm).
local function resident()
  local file <close> = assert(io.open "/proc/self/statm")
  local _, pages = file:read("n", "n")
  return pages * 4096
end

local function bodies(runtime)
  local yield, sleep = runtime.yield, runtime.sleep
  return {
    spawn = function(i) return i end,
    yield = function() for _ = 1, YIELDS do yield() end end,
    sleep = function(i) sleep(i % 11 / 1000) end,
    idle = function() sleep(FOR_GOOD) end,
  }
end

local function report(kind, n, cpu, bytes)
  print(("kind=%s n=%d cpu_us_per_task=%.4f bytes_per_task=%.0f")
    :format(kind, n, cpu * 1e6 / n, math.max(0, bytes) / n))
  io.flush()
end

function kit.measure(runtime)
  local kind, n = arg[1], math.tointeger(tonumber(arg[2]))
  local body = bodies(runtime)[kind]
  assert(body and n and n > 0, "KIND (spawn, yield, sleep, idle) and N")
  local spawn = runtime.spawn
  collectgarbage()
  local bytes, cpu = resident(), os.clock()
  runtime.run(function()
    for i = 1, n do spawn(body, i) end
    runtime.yield() -- every task has had its first turn after that
    bytes = resident() - bytes
    if kind == "idle" then
      report(kind, n, os.clock() - cpu, bytes)
      os.exit(true, false) -- nobody waits an hour
    end
  end)
  report(kind, n, os.clock() - cpu, bytes)
end

return kit
