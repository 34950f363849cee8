--- Rows of the conformance table: send_to, recv_from, and recvmsg_multi, which
-- sockets of datagrams submit.
-- SPDX-License-Identifier: MIT

local assert = require "luassert"
local helper = require "spec.helper"
local kit = require "spec.conformance.kit"
local proa = require "proa"

local op, fd, net = proa.op, proa.fd, proa.net

local whole = "a datagram is whole, or an error"
local no_stream = "datagrams have no end"

--- A socket that takes nothing more: its peer does not read.
local function full()
  local a, b = fd.pair "datagram"
  local n = 0
  while true do
    local future = op.send_to(a, ("x"):rep(3000))
    helper.turns(8)
    if helper.driver == "sim" then proa.sleep(0.01) end
    if not future:poll() then
      future:cancel()
      local sent = future:await()
      if not sent then return a, b, n end
    end
    n = n + 1
  end
end

return {
  send_to = {
    success = function()
      local server <close> = assert(net.udp { bind = "127.0.0.1:0" })
      local client <close> = assert(fd.socket("127.0.0.1:1", "datagram"))
      local sent = op.send_to(client, "hello", server:address())
      assert.same({ 5, n = 1 }, kit.results(sent))
      assert.equal("hello", server:recv(5))
      local a <close>, b = fd.pair "datagram"
      local _ <close> = b
      assert.equal(0, op.send_to(a, ""):await())
      assert.equal(3, op.send_to(a, proa.buffer "-abc-", 2, 4):await())
      local buffer = proa.buffer(9)
      assert.equal(0, op.recv_from(b, buffer):await())
      assert.equal(3, op.recv_from(b, buffer):await())
      assert.equal("abc", buffer:string(1, 3))
    end,
    short = whole,
    eof = no_stream,
    error = function()
      local socket <close> = assert(fd.socket("127.0.0.1:1", "datagram"))
      kit.fails("EDESTADDRREQ", op.send_to(socket, "x"))
      local _, message, code = op.send_to(socket, ("x"):rep(70000),
        "127.0.0.1:9"):await()
      assert.equal("send_to 127.0.0.1:9: message too long", message)
      assert.equal("EMSGSIZE", code)
    end,
    before = function()
      local a <close>, b = full()
      local _ <close> = b
      kit.cancels(op.send_to(a, ("x"):rep(3000)))
      assert.equal(3000, op.recv_from(b, proa.buffer(4000)):await())
    end,
    after = function()
      local a <close>, b = fd.pair "datagram"
      local _ <close> = b
      kit.too_late(1, op.send_to(a, "x"))
    end,
    close = function()
      local a, b = full()
      local _ <close> = b
      kit.closes(op.send_to(a, ("x"):rep(3000)), a)
    end,
  },

  recv_from = {
    success = function()
      local server <close> = assert(net.udp { bind = "127.0.0.1:0" })
      local client <close> = assert(fd.socket("127.0.0.1:1", "datagram"))
      assert.is_true(op.connect(client, server:address()):await())
      server:send_to("hello", client:address())
      local buffer = proa.buffer(9)
      assert.same({ 5, server:address(), n = 2 },
        kit.results(op.recv_from(client, buffer)))
      assert.equal("hello", buffer:string(1, 5))
    end,
    short = function() -- its length is told where there is less room
      local a <close>, b = fd.pair "datagram"
      local _ <close> = b
      assert.equal(5, op.send_to(a, "hello"):await())
      local buffer = proa.buffer "-----"
      assert.same({ 2, nil, 5, n = 3 },
        kit.results(op.recv_from(b, buffer, 2, 3)))
      assert.equal("-he--", buffer:string())
    end,
    eof = no_stream,
    error = function()
      local socket <close> = assert(fd.socket "127.0.0.1:1")
      kit.fails("ENOTCONN", op.recv_from(socket, proa.buffer(1)))
    end,
    before = function()
      local a <close>, b = fd.pair "datagram"
      local _ <close> = b
      kit.cancels(op.recv_from(b, proa.buffer(5)))
      assert.equal(5, op.send_to(a, "hello"):await())
      assert.equal(5, op.recv_from(b, proa.buffer(9)):await())
    end,
    after = function()
      local a <close>, b = fd.pair "datagram"
      local _ <close> = b
      assert.equal(1, op.send_to(a, "x"):await())
      local future = op.recv_from(b, proa.buffer(1))
      helper.wait_until(function() return future:poll() end)
      assert.is_false(future:cancel())
      assert.equal(1, future:await())
    end,
    close = function()
      local _ <close>, b = fd.pair "datagram"
      local buffer = proa.buffer(5)
      kit.closes(op.recv_from(b, buffer), b)
      assert.equal(5, #buffer)
    end,
  },

  recvmsg_multi = {
    success = function()
      local server <close> = assert(net.udp { bind = "127.0.0.1:0" })
      local client <close> = assert(net.udp { connect = server:address() })
      for i = 1, 3 do
        client:send("datagram " .. i)
        local data, from = server:recv_from(5)
        assert.equal("datagram " .. i, data)
        assert.equal(client:address(), from)
      end
    end,
    short = "see datagram_spec: it is cut, and its length told",
    eof = no_stream,
    error = "see datagram_spec: that nobody is at the peer's port",
    before = function() -- given up before one came: the next gets it
      local a <close>, b = net.pair { datagram = true }
      local _ <close> = b
      assert.equal("TIMEOUT", select(3, b:recv(0.001)))
      a:send "hello"
      assert.equal("hello", b:recv(5))
    end,
    after = function() -- it came while nobody waited: it is queued
      local a <close>, b = net.pair { datagram = true }
      local _ <close> = b
      local task = proa.spawn(b.recv, b)
      helper.turns()
      a:send "hello"
      task:cancel()
      assert.equal("hello", task:await() or b:recv(5))
    end,
    close = function()
      local _ <close>, b = net.pair { datagram = true }
      local task = proa.spawn(b.recv, b)
      helper.turns()
      b:close()
      assert.equal("CLOSED", select(3, task:await()))
    end,
  },
}
