--- machine.lua: where it is measured, and whether that disturbs.
--
-- Reads /proc; knows nothing of the contenders but proa's drivers, which it
-- asks. Gives the cores to pin to and prints the lines above the tables.
-- SPDX-License-Identifier: MIT

local shell = require "shell"

local machine = {}

local SAMPLE = 0.3 -- seconds
local QUIET = 0.1 -- cores that others may use without a word

--- The interpreter of the scripts, and the directory of what was built.
machine.lua = (os.getenv "PROA_LUA" or ""):match ".+" or "lua5.4"
machine.build = ((os.getenv "PROA_BUILD" or ""):match ".+" or "build") ..
  "/bench"

--- The cores this process may use, as in "0-2,5".
function machine.cores()
  local list = {}
  local allowed = shell.read "/proc/self/status"
    :match "Cpus_allowed_list:%s*(%S+)" or "0"
  for first, last in allowed:gmatch "(%d+)%-?(%d*)" do
    for core = tonumber(first), tonumber(last) or tonumber(first) do
      list[#list + 1] = math.tointeger(core)
    end
  end
  return list
end

-- Hundredths of a second that all cores were busy, and by the clock.
local function ticks()
  local busy, column = 0, 0
  for value in shell.read "/proc/stat":match "^cpu ([^\n]*)":gmatch "%d+" do
    column = column + 1
    local idle = column == 4 or column == 5 or column > 8
    if not idle then busy = busy + tonumber(value) end
  end
  return busy, tonumber((shell.read "/proc/uptime":match "^%S+")) * 100
end

--- How many cores are busy just now, without us.
local function busy_cores()
  local busy, time = ticks()
  shell.run { "sleep", SAMPLE }
  local busy_then, time_then = ticks()
  return (busy_then - busy) / math.max(1, time_then - time)
end

--- nil if proa has io_uring here, else why not; raises when there is no proa.
function machine.uring_refused()
  local output, ok = shell.run { "env", "-u", "PROA_DRIVER", machine.lua, "-e", [[
    local info = require("proa").info()
    print(info.driver, info.refused or "for no reason given")]] }
  local driver, why = output:match "([^\t\n]*)\t([^\n]*)\n$"
  if not (ok and driver) then
    error("proa does not load here (`make bench` sets its paths):\n" .. output, 0)
  end
  return driver ~= "uring" and why or nil
end

--- How many descriptors a process may have.
function machine.files()
  return math.tointeger(tonumber(shell.line("sh", "-c", "ulimit -Hn"))) or
    math.maxinteger
end

local function liburing()
  return shell.line("pkg-config", "--modversion", "liburing") or
    shell.line("dpkg-query", "-W", "-f", "${Version}", "liburing2") or
    "version unknown"
end

local function processor()
  local info = shell.read "/proc/cpuinfo"
  return info:match "model name%s*:%s*([^\n]+)" or
    info:match "Hardware%s*:%s*([^\n]+)" or shell.line("uname", "-m") or "?"
end

function machine.warn(format, ...)
  print("WARNING: " .. format:format(...))
end

local function warn_at_the_start(cores)
  if #cores < 2 then
    machine.warn("one core for servers and load: nothing is pinned, latencies " ..
      "and requests/s mean little, CPU time suffers")
  end
  local busy = busy_cores()
  if busy > QUIET then
    machine.warn("other processes use %.2f cores just now", busy)
  end
end

--- Other processes while it was measured, by the highest of all runs.
function machine.warn_others(cores)
  if cores <= QUIET then return end
  machine.warn("other processes used up to %.2f cores during a run: " ..
    "look at the column 'other'", cores)
end

--- The lines above the tables.
function machine.describe(refused)
  local cores = machine.cores()
  print(("kernel    %s, %s"):format(
    shell.read "/proc/sys/kernel/osrelease":match "%S+" or "?", processor()))
  print(("cores     %d%s, load average %s"):format(#cores, #cores > 1 and
    (": server on core %d, load on core %d"):format(cores[1], cores[2]) or "",
    shell.read "/proc/loadavg":match "%S+" or "?"))
  print(("software  %s, liburing %s"):format(
    shell.line(machine.lua, "-v"):match "^Lua %S+" or "Lua ?", liburing()))
  print("drivers   " .. (refused and "poll; not uring: " .. refused
    or "uring, poll"))
  warn_at_the_start(cores)
end

return machine
