-- three_ways.lua - the same three reads: blocking, by readiness, by completion.
--
--   lua5.4 examples/three_ways.lua
--
-- Three pipes; a child process answers in each, some time after it is asked.
-- Blocking, the second is asked when the first has answered. By readiness one
-- waits until a read would not block, and then reads. By completion the read
-- itself is under way, into a buffer that is back when it has ended.
-- Drawn from times that were taken. (The simulation has a clock of its own,
-- which child processes do not know: there this shows little.)
--
-- Prints, 20 ms a column:
--   blocking      one    ..........#
--                 two              .....#
--                 three                 ...............#
--   0.61 s
--   readiness     one    ..........!#
--                 two    .....!#
--                 three  ...............!#
--   0.31 s
--   completion    one    ..........#
--                 two    .....#
--                 three  ...............#
--   0.30 s
--   . waits   ! is told that it may read   # has read
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local COLUMN = 0.02 -- seconds
local DELAY = { one = 0.2, two = 0.1, three = 0.3 } -- seconds to the answer
local ORDER = { "one", "two", "three" }

local function blocking(pipe)
  local file <close> = assert(io.open("/dev/fd/" .. pipe:fileno()))
  return file:read "l"
end

local function by_completion(pipe)
  local buffer = proa.buffer(64)
  local n = assert(proa.op.read(pipe, buffer):await())
  return buffer:string(1, n - 1) -- without the newline
end

local function by_readiness(pipe, told)
  assert(proa.op.ready(pipe, "r"):await())
  told()
  return by_completion(pipe) -- which now ends at once
end

--- Let a child process write the name into a pipe, later; read it, and note
-- when what happened.
local function ask(name, read, times)
  local from <close>, to = proa.fd.pipe()
  times.asked = proa.now()
  os.execute(("(sleep %g; echo %s >/proc/$PPID/fd/%d) &"):format(
    DELAY[name], name, to:fileno()))
  assert(read(from, function() times.told = proa.now() end) == name)
  times.read = proa.now()
  to:close()
end

local function draw(way, name, start, times)
  local function columns(s) return math.floor(s / COLUMN + 0.5) end
  print(("%-13s %-6s %s%s%s#"):format(way, name,
    (" "):rep(columns(times.asked - start)),
    ("."):rep(columns((times.told or times.read) - times.asked)),
    times.told and "!" or ""))
end

local function show(way, read, call)
  local start, times = proa.now(), { one = {}, two = {}, three = {} }
  proa.run(function()
    for _, name in ipairs(ORDER) do call(ask, name, read, times[name]) end
  end)
  local total = proa.now() - start
  for i, name in ipairs(ORDER) do
    draw(i == 1 and way or "", name, start, times[name])
  end
  print(("%.2f s"):format(total))
end

show("blocking", blocking, function(fn, ...) fn(...) end)
show("readiness", by_readiness, proa.spawn)
show("completion", by_completion, proa.spawn)
print ". waits   ! is told that it may read   # has read"
