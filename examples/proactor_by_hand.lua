-- proactor_by_hand.lua - the loop under proa, without tasks: push, poll, pop.
--
--   lua5.4 examples/proactor_by_hand.lua
--
-- Shows a proactor of one's own. An op that is pushed either is "ready" at
-- once, with its results, or "pending" under a key; poll waits and gives the
-- keys that are ready, pop their results. While an op has a buffer, nobody
-- else may touch it. This is for learning: programs use tasks.
--
-- Prints:
--   meanwhile: buffer is in use by read
--   write took 5 bytes
--   read got 5 bytes: hello
--   timer: true
--   a cancelled read: read: cancelled (CANCELLED)
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local proactor <close> = assert(proa.proactor.new { entries = 8 })

-- A descriptor takes part once it is attached; it stays its owner's.
local from, to = proa.fd.pipe()
local reader = assert(proactor:attach(from:fileno()))
local writer = assert(proactor:attach(to:fileno()))

local pending = {} -- key -> name of the op
local results = {} -- name -> what it gave

local function push(name, ...)
  local state, first, message, code = proactor:push(name, ...)
  if state == "ready" then -- some drivers can tell at once
    results[name] = { first, message, code }
  else
    pending[first] = name
  end
  return first
end

local function poll_until_all_ended()
  while next(pending) do
    for _, key in ipairs(proactor:poll(1)) do
      local _, first, message, code = proactor:pop(key)
      results[pending[key]] = { first, message, code }
      pending[key] = nil
    end
  end
end

local buffer = proa.buffer(64)
push("read", reader, buffer) -- nothing is there to read yet
local _, complaint = pcall(buffer.string, buffer)
print("meanwhile: " .. complaint:match "buffer is.*")

push("write", writer, "hello")
push("timer", 0.05)
poll_until_all_ended()

local n = results.read[1]
print(("write took %d bytes"):format(results.write[1]))
print(("read got %d bytes: %s"):format(n, buffer:string(1, n)))
print("timer: " .. tostring(results.timer[1]))

-- Cancelling is a request; the answer is the op's own result.
local key = push("read", reader, buffer)
proactor:cancel(key)
poll_until_all_ended()
print(("a cancelled read: %s (%s)"):format(results.read[2], results.read[3]))
