--- kit.lua: what the rows of the conformance table are made of.
-- SPDX-License-Identifier: MIT

local assert = require "luassert"
local helper = require "spec.helper"
local proa = require "proa"

local op, fd = proa.op, proa.fd

local kit = {}

local MUCH = ("x"):rep(8 * 1024 * 1024) -- no socket or pipe takes it at once

function kit.results(future)
  return table.pack(future:await())
end

local function expect_code(code, ...)
  local value, message, got = ...
  assert.is_nil(value)
  assert.is_string(message)
  assert.equal(code, got)
end

--- The op fails with that code.
function kit.fails(code, future)
  expect_code(code, future:await())
end

--- The op waits; a cancel ends it, with its own completion as the answer.
function kit.cancels(future)
  helper.turns()
  assert.is_true(future:cancel())
  expect_code("CANCELLED", future:await())
end

--- The op waits; closing its descriptor ends it.
function kit.closes(future, descriptor)
  helper.turns()
  descriptor:close()
  expect_code("CLOSED", future:await())
end

--- The op doesn't wait, so its result may be there before the cancel is.
function kit.cancels_or(value, future)
  future:cancel()
  local results = kit.results(future)
  if results[1] == nil then
    expect_code("CANCELLED", table.unpack(results, 1, results.n))
  else
    assert.equal(value, results[1])
  end
end

--- The op has ended; a cancel comes too late and changes nothing.
function kit.too_late(value, future)
  helper.wait_until(function() return future:poll() end)
  assert.is_false(future:cancel())
  local results = kit.results(future)
  assert.equal(value, results[1])
  assert.equal(1, results.n)
end

--- Nobody reads what is sent: a descriptor that takes nothing more.
function kit.fill(descriptor, name)
  local future = op[name or "send"](descriptor, MUCH)
  helper.turns(8)
  if helper.driver == "sim" then proa.sleep(0.2) end -- it dawdles, by its clock
  future:cancel()
  local n = assert(future:await())
  assert.is_true(n > 0 and n < #MUCH)
  return n
end

--- All that there is until the end of the stream.
function kit.drain(descriptor, name)
  local buffer, parts = proa.buffer(65536), {}
  while true do
    local n, message = op[name or "recv"](descriptor, buffer):await()
    if not n then
      assert(not message, message)
      return table.concat(parts)
    end
    parts[#parts + 1] = buffer:string(1, n)
  end
end

--- Exactly n bytes, in as many pieces as they come.
function kit.received(descriptor, n, name)
  local buffer, at = proa.buffer(n), 1
  while at <= n do
    at = at + assert(op[name or "recv"](descriptor, buffer, at, n):await())
  end
  return buffer:string()
end

--- Bytes that the other end has sent and that have arrived.
function kit.sent(descriptor, bytes)
  assert.equal(#bytes, op.send(descriptor, bytes):await())
end

--- Three descriptors over TCP: listening, client, server; all connected.
function kit.tcp()
  local listening = assert(fd.listen "127.0.0.1:0")
  local address = listening:address()
  local client = assert(fd.socket(address))
  local accepted = op.accept(listening)
  assert.is_true(op.connect(client, address):await())
  return listening, client, assert(accepted:await())
end

--- A socket whose connect waits: the queue of its listener is full.
---@return proa.fd client, string address, table keep
function kit.full_listener()
  local listening = assert(fd.listen("127.0.0.1:0", 0))
  local address = listening:address()
  local first = assert(fd.socket(address))
  assert.is_true(op.connect(first, address):await())
  return assert(fd.socket(address)), address, { listening, first }
end

--- An open file with this content.
function kit.file(content, mode)
  local path = helper.temp_file("file", content)
  return assert(op.open(path, mode or "r+"):await()), path
end

return kit
