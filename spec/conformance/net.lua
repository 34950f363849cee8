--- Rows of the conformance table: accept, connect, shutdown, close.
-- SPDX-License-Identifier: MIT

local assert = require "luassert"
local helper = require "spec.helper"
local kit = require "spec.conformance.kit"
local proa = require "proa"

local op, fd = proa.op, proa.fd

local no_bytes = "it moves no bytes"
local no_stream = "it reads no stream"

return {
  accept = {
    success = function()
      local _, client, server = kit.tcp()
      assert.equal(client:address(), server:peer())
      kit.sent(client, "hello")
      client:close()
      assert.equal("hello", kit.drain(server))
    end,
    short = no_bytes,
    eof = no_stream,
    error = function()
      local socket <close> = assert(fd.socket "127.0.0.1:1")
      kit.fails("EINVAL", op.accept(socket))
    end,
    before = function()
      local listening <close> = assert(fd.listen "127.0.0.1:0")
      local address = listening:address()
      kit.cancels(op.accept(listening))
      local client <close> = assert(fd.socket(address))
      assert.is_true(op.connect(client, address):await())
      local server <close> = assert(op.accept(listening):await())
      assert.equal(client:address(), server:peer())
    end,
    after = function()
      local listening <close> = assert(fd.listen "127.0.0.1:0")
      local address = listening:address()
      local client <close> = assert(fd.socket(address))
      assert.is_true(op.connect(client, address):await())
      local future = op.accept(listening)
      helper.wait_until(function() return future:poll() end)
      assert.is_false(future:cancel())
      local server <close> = assert(future:await())
      assert.equal(client:address(), server:peer())
    end,
    close = function()
      local listening = assert(fd.listen "127.0.0.1:0")
      kit.closes(op.accept(listening), listening)
    end,
  },

  connect = {
    success = function()
      local listening <close> = assert(fd.listen "127.0.0.1:0")
      local client <close> = assert(fd.socket(listening:address()))
      assert.same({ true, n = 1 },
        kit.results(op.connect(client, listening:address())))
      assert.equal(listening:address(), client:peer())
    end,
    short = no_bytes,
    eof = no_stream,
    error = function()
      local listening = assert(fd.listen "127.0.0.1:0")
      local address = listening:address()
      assert.is_true(op.close(listening):await())
      local client <close> = assert(fd.socket(address))
      local _, message, code = op.connect(client, address):await()
      assert.equal("ECONNREFUSED", code)
      assert.equal(("connect %s: connection refused"):format(address), message)
    end,
    before = function()
      local client <close>, address, keep = kit.full_listener()
      kit.cancels(op.connect(client, address))
      for _, descriptor in ipairs(keep) do descriptor:close() end
    end,
    after = function()
      local listening <close> = assert(fd.listen "127.0.0.1:0")
      local client <close> = assert(fd.socket(listening:address()))
      kit.too_late(true, op.connect(client, listening:address()))
      assert.equal(listening:address(), client:peer())
    end,
    close = function()
      local client, address, keep = kit.full_listener()
      kit.closes(op.connect(client, address), client)
      for _, descriptor in ipairs(keep) do descriptor:close() end
    end,
  },

  shutdown = {
    success = function()
      local a <close>, b = fd.pair()
      kit.sent(a, "last")
      assert.same({ true, n = 1 }, kit.results(op.shutdown(a, "w")))
      assert.equal("last", kit.drain(b))
      kit.sent(b, "the other way is open")
    end,
    short = no_bytes,
    eof = no_stream,
    error = function()
      local socket <close> = assert(fd.socket "127.0.0.1:1")
      kit.fails("ENOTCONN", op.shutdown(socket, "w"))
    end,
    before = function()
      local a <close>, _ = fd.pair()
      kit.cancels_or(true, op.shutdown(a, "w"))
    end,
    after = function()
      local a <close>, _ = fd.pair()
      kit.too_late(true, op.shutdown(a, "w"))
    end,
    close = "it never waits",
  },

  close = {
    success = function()
      local a, b <close> = fd.pair()
      assert.same({ true, n = 1 }, kit.results(op.close(a)))
      assert.equal("", kit.drain(b))
      assert.equal("proa.fd (closed)", tostring(a))
    end,
    short = no_bytes,
    eof = no_stream,
    error = "its descriptor is its own, so it is one",
    before = function()
      local a, b <close> = fd.pair()
      local future = op.close(a)
      future:cancel()
      assert.is_true(future:await())
      assert.equal("", kit.drain(b))
    end,
    after = function()
      local a, _ <close> = fd.pair()
      kit.too_late(true, op.close(a))
    end,
    close = function()
      local a, _ <close> = fd.pair()
      local waits = op.recv(a, proa.buffer(1))
      helper.turns()
      local future = op.close(a)
      a:close()
      kit.fails("CLOSED", waits)
      assert.is_true(future:await())
      assert.has_error(function() op.recv(a, proa.buffer(1)) end)
    end,
  },
}
