--- run_commands: ten programs at once, what they print in order.
-- The first to begin takes longest; nobody waits for it but who prints it.
-- run collects the output of each and how it ended. An error anywhere would
-- end the others.
--
--   lua5.4 examples/run_commands.lua
--
-- Prints:
--   command 1: 1 line, ok
--   command 2: 2 lines, ok
--   command 3: 3 lines, ok
--   command 4: 4 lines, ok
--   command 5: 5 lines, exited 5
--   command 6: 6 lines, ok
--   command 7: 7 lines, ok
--   command 8: 8 lines, ok
--   command 9: 9 lines, ok
--   command 10: 10 lines, killed by TERM
--   ten commands of 0.55 s took less than half of that
-- SPDX-License-Identifier: MIT

local proa = require "proa"

--- A shell command: sleeps, prints n lines, fails in one of two ways or not.
local function command(n)
  local ending = n == 5 and "exit 5" or n == 10 and "kill $$" or "exit 0"
  return ("sleep %.2f; seq %d; %s"):format((11 - n) / 100, n, ending)
end

local function ended(result)
  if result.ok then return "ok" end
  if result.signal then return "killed by " .. result.signal end
  return "exited " .. result.code
end

proa.run(function()
  local started = proa.now()
  local running = {}
  for n = 1, 10 do
    running[n] = proa.spawn(proa.process.run, { shell = command(n) })
  end
  for n, task in ipairs(running) do
    local result = assert(task:await())
    local _, lines = result.stdout:gsub("\n", "\n")
    print(("command %d: %d line%s, %s"):format(n, lines, lines > 1 and "s" or "",
      ended(result)))
  end
  print("ten commands of 0.55 s took " .. (proa.now() - started < 0.275
    and "less than half of that" or "long: this machine is busy"))
end)
