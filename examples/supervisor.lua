--- supervisor: keeps programs running, and ends them when it is asked to.
-- One that ends is started again, after a pause that grows, a few times; TERM
-- or Ctrl-C ends all: TERM first, and KILL for who has not gone a second later.
-- Each has a session of its own, so that what it started ends with it.
--
--   lua5.4 examples/supervisor.lua                    two that show it; stop it
--   lua5.4 examples/supervisor.lua "command" ...      your own
--
-- Prints, and then waits for its own TERM:
--   steady: started
--   flaky: started
--   flaky: exited 3, restart 1 of 2
--   flaky: exited 3, restart 2 of 2
--   flaky: exited 3, given up
--   TERM: stopping
--   steady: killed by TERM
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local RESTARTS, PAUSE, GRACE = 2, 0.02, 1

io.stdout:setvbuf "line"

local programs = {
  { name = "steady", shell = "exec sleep 100" },
  { name = "flaky", shell = "sleep 0.05; exit 3" },
}
if arg and arg[1] then
  programs = {}
  for i = 1, #arg do programs[i] = { name = arg[i], shell = arg[i] } end
end

local stopping = false
local running = {} -- in the order of `programs`; false: it does not run now

local function say(program, text, ...)
  print(program.name .. ": " .. text:format(...))
end

local function ending(result)
  return result.signal and "killed by " .. result.signal
    or "exited " .. result.code
end

--- Start it, wait for its end, and again.
local function supervise(program, i)
  for restarts = 0, math.huge do
    local p <close> = assert(proa.process.spawn { shell = program.shell,
      new_session = true, grace = GRACE })
    if restarts == 0 then say(program, "started") end
    running[i] = p
    local how = ending(assert(p:wait()))
    running[i] = false
    if stopping then return say(program, how) end
    if restarts == RESTARTS then return say(program, "%s, given up", how) end
    say(program, "%s, restart %d of %d", how, restarts + 1, RESTARTS)
    proa.sleep(PAUSE * 2 ^ restarts)
    if stopping then return end
  end
end

local function tell_all(signal)
  for i = 1, #programs do
    if running[i] then running[i]:kill(signal, true) end
  end
end

proa.run(function()
  local signals <close> = proa.signal.each("TERM", "INT")
  local tasks = {}
  for i, program in ipairs(programs) do
    tasks[i] = proa.spawn(supervise, program, i)
  end
  local all = proa.spawn(proa.all, tasks)
  local what, name = proa.select { signal = signals, ended = all }
  if what == "ended" then return end
  print(name .. ": stopping")
  stopping = true
  tell_all "TERM"
  if all:await(GRACE) then return end
  tell_all "KILL"
end)
