--- kit.lua: what host.c calls in the state where something fails.
-- What is left is cancelled first: when memory is short for long, run itself has
-- none to do it.
-- load(name, small) reads spec/fault/NAME.lua, which returns a function that
-- runs in a task, or a table { main = function } for the main chunk. It gets
-- this kit. attempt runs it, settle tells what it left behind; both hold on to
-- nothing, so that a try begins as the one before.
-- SPDX-License-Identifier: MIT

local kit = {}

local proa, run
local reports = {}
local counted = { "ops_in_flight", "ops_live", "buffers_taken", "buffer_bytes",
  "handles", "streams", "queued_bytes", "lingering", "deadlines", "tasks" }

local function note(err) reports[#reports + 1] = tostring(err) end

--- The driver under test.
kit.driver = os.getenv "PROA_DRIVER"

--- Seconds for what a failure elsewhere may keep from happening.
kit.limit = kit.driver == "sim" and 5 or 0.5

-- Lua's own: without memory when it first makes the class of its buffers, it has
-- half a class from then on, and every long string.rep raises.
local _ = ("x"):rep(100000)

function kit.load(name, small)
  local scenario = require("spec.fault." .. name)
  proa = require "proa"
  kit.proa = proa
  if small then
    proa.setup { entries = 4, cq_entries = 8, buffers = 4, buffer_size = 4096 }
  end
  proa.on_error(note)
  local main = type(scenario) == "table" and scenario.main
  run = function()
    if main then return main(kit, proa) end
    return proa.run(scenario, kit, proa)
  end
end

function kit.attempt()
  run()
end

-- What is left, or nil.
local function leftovers()
  local stats = proa.stats()
  for _, name in ipairs(counted) do
    if stats[name] ~= 0 then
      return ("%s: %d"):format(name, stats[name])
    end
  end
end

function kit.settle()
  for i = #reports, 1, -1 do reports[i] = nil end
  local left
  for i = 1, 200 do
    for _, record in ipairs(proa.tasks()) do record.task:cancel() end
    collectgarbage()
    collectgarbage()
    left = leftovers()
    if not left then return end
    proa.sleep(i < 20 and 0 or 0.005)
  end
  for _, record in ipairs(proa.tasks()) do
    left = ("%s\n%s %s"):format(left, record.task, record.traceback)
  end
  return left
end

-- The other end of what failed sees a client turned away, or silence.
local blamed = { "memory", "enomem", "enobufs", "no buffer space", "refused",
  "timed out", "too early", "expected", "reset by peer" }

local function blames(text)
  text = text:lower()
  for _, words in ipairs(blamed) do
    if text:find(words, 1, true) then return true end
  end
  return false
end

--- Does this error, or one that a task was left with, say that memory is
-- short?
function kit.blames_memory(err)
  if blames(tostring(err)) then return true end
  for _, report in ipairs(reports) do
    if blames(report) then return true end
  end
  return false, table.concat(reports, "\n")
end

-- -- what scenarios share --

--- The first value is as expected, or the second says why not.
function kit.equal(expected, value, message)
  if value ~= expected then
    error(message or ("expected %.99s, got %.99s"):format(tostring(expected),
      tostring(value)), 2)
  end
end

--- It failed with this code, or the message says why not.
function kit.code(expected, value, message, code)
  if code ~= expected then
    error(message or ("expected %s, got %s, %s"):format(expected, value, code),
      2)
  end
end

function kit.tcp_pair()
  local listener <close> = assert(proa.net.listen "127.0.0.1:0")
  local client = assert(proa.net.connect(listener:address()))
  return client, assert(listener:accept(kit.limit))
end

return kit
