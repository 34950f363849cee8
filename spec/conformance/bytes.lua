--- Rows of the conformance table: recv, send, sendmsg.
-- SPDX-License-Identifier: MIT

local assert = require "luassert"
local helper = require "spec.helper"
local kit = require "spec.conformance.kit"
local proa = require "proa"

local op, fd = proa.op, proa.fd

local MEGABYTE = 1024 * 1024

--- The columns that send and sendmsg share; wrap makes their last argument.
local function sending(name, wrap)
  local send = op[name]
  return {
    success = function()
      local a, b <close> = fd.pair()
      assert.same({ 5, n = 1 }, kit.results(send(a, wrap "hello")))
      a:close()
      assert.equal("hello", kit.drain(b))
    end,
    short = function() -- the kernel takes it in pieces; the result is all
      local a, b <close> = fd.pair()
      assert(a:send_buffer(4096))
      local bytes = ("0123456789abcdef"):rep(MEGABYTE // 16)
      local future = send(a, wrap(bytes))
      local reader = proa.spawn(kit.drain, b)
      assert.equal(#bytes, future:await())
      a:close()
      assert.is_true(reader:await() == bytes)
    end,
    eof = "a peer that is gone is an error",
    error = function()
      local a <close>, b = fd.pair()
      assert.is_true(op.close(b):await())
      kit.fails("EPIPE", send(a, wrap "x"))
    end,
    before = function()
      local a <close>, b = fd.pair()
      local n = kit.fill(a)
      kit.cancels(send(a, wrap "x"))
      a:close()
      assert.equal(n, #kit.drain(b))
    end,
    after = function()
      local a <close>, _ = fd.pair()
      kit.too_late(5, send(a, wrap "hello"))
    end,
    close = function()
      local a, b <close> = fd.pair()
      local n = kit.fill(a)
      kit.closes(send(a, wrap "x"), a)
      assert.equal(n, #kit.drain(b))
    end,
  }
end

local rows = {
  recv = {
    success = function()
      local a <close>, b = fd.pair()
      local buffer = proa.buffer "---"
      kit.sent(a, "x")
      assert.same({ 1, n = 1 }, kit.results(op.recv(b, buffer, 2, 2)))
      assert.equal("-x-", buffer:string())
      kit.sent(a, "hello")
      assert.equal("hello", kit.received(b, 5))
    end,
    short = function()
      local a <close>, b = fd.pair()
      local buffer = proa.buffer(100)
      kit.sent(a, "hello")
      local n = op.recv(b, buffer):await() -- the simulation may give less
      assert.is_true(n >= 1 and n <= 5)
      assert.equal(("hello"):sub(1, n), buffer:string(1, n))
      assert.equal(100, #buffer)
    end,
    eof = function()
      local a, b <close> = fd.pair()
      a:close()
      assert.same({ nil, n = 1 }, kit.results(op.recv(b, proa.buffer(1))))
    end,
    error = function()
      local socket <close> = assert(fd.socket "127.0.0.1:1")
      local buffer = proa.buffer(1)
      kit.fails("ENOTCONN", op.recv(socket, buffer))
      assert.equal(1, #buffer)
    end,
    before = function()
      local a <close>, b = fd.pair()
      kit.cancels(op.recv(b, proa.buffer(5)))
      kit.sent(a, "hello")
      assert.equal("hello", kit.received(b, 5))
    end,
    after = function()
      local a <close>, b = fd.pair()
      local buffer = proa.buffer(1)
      kit.sent(a, "x")
      kit.too_late(1, op.recv(b, buffer))
      assert.equal("x", buffer:string())
    end,
    close = function()
      local _ <close>, b = fd.pair()
      local buffer = proa.buffer(5)
      kit.closes(op.recv(b, buffer), b)
      assert.equal(5, #buffer)
    end,
  },

  send = sending("send", function(text) return text end),

  sendmsg = sending("sendmsg", function(text)
    local middle = #text // 2
    return { text:sub(1, middle), "", text:sub(middle + 1) }
  end),
}

local send_before = rows.send.before

--- What was moved before the cancel is reported: nothing is lost unseen.
function rows.send.before()
  send_before()
  local a <close>, b = fd.pair()
  local future = op.send(a, ("x"):rep(8 * MEGABYTE))
  helper.turns(8)
  assert.is_true(future:cancel())
  local n = future:await() or 0
  a:close()
  assert.equal(n, #kit.drain(b))
end

return rows
