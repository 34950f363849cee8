--- Rows of the conformance table: the ops with many results, which listeners
-- and streams submit: accept_multi and recv_multi.
-- SPDX-License-Identifier: MIT

local assert = require "luassert"
local helper = require "spec.helper"
local proa = require "proa"

local net = proa.net

local function listen()
  local listener = assert(net.listen "127.0.0.1:0")
  return listener, listener:address()
end

return {
  accept_multi = {
    success = function()
      local listener <close>, address = listen()
      for _ = 1, 3 do
        local client <close> = assert(net.connect(address))
        local server <close> = assert(listener:accept())
        assert.equal(client:address(), server:peer())
      end
    end,
    short = "it moves no bytes",
    eof = "it reads no stream",
    error = "a shortage of descriptors is the only one; see teardown_spec",
    before = function() -- given up before anybody came: the next gets it
      local listener <close>, address = listen()
      local _, _, code = listener:accept(0)
      assert.equal("TIMEOUT", code)
      local client <close> = assert(net.connect(address))
      local server <close> = assert(listener:accept())
      assert.equal(client:address(), server:peer())
    end,
    after = function() -- it came while nobody waited: it is parked
      local listener <close>, address = listen()
      local task = proa.spawn(listener.accept, listener)
      helper.turns()
      local client <close> = assert(net.connect(address))
      task:cancel()
      local server = task:await() or assert(listener:accept())
      assert.equal(client:address(), server:peer())
      server:close()
    end,
    close = function()
      local listener = listen()
      local task = proa.spawn(listener.accept, listener)
      helper.turns()
      listener:close()
      local server, _, code = task:await()
      assert.is_nil(server)
      assert.equal("CLOSED", code)
    end,
  },

  recv_multi = {
    success = function()
      local a <close>, b = net.pair()
      for i = 1, 3 do
        assert(a:write("message ", i, "\n"))
        assert.equal("message " .. i, b:read "l")
      end
    end,
    short = function()
      local a <close>, b = net.pair()
      assert(a:write "hello")
      local some = b:read_some(100) -- the simulation may give less
      assert.equal(("hello"):sub(1, #some), some)
      assert.equal(("hello"):sub(#some + 1), b:read_exact(5 - #some))
      a:write "rest":close()
      assert.equal("rest", b:read(100))
    end,
    eof = function()
      local a, b <close> = net.pair()
      a:close()
      assert.same({ nil, n = 1 }, table.pack(b:read_some()))
    end,
    error = function()
      local a, b <close> = helper.tcp_pair()
      assert(b:write "never read")
      assert(b:flush())
      a:abort()
      local bytes, message, code = b:read_some()
      assert.is_nil(bytes)
      assert.is_string(message)
      assert.equal("ECONNRESET", code)
    end,
    before = function() -- given up before bytes came: the next gets them
      local a <close>, b = net.pair()
      local _, _, code = proa.timeout(0.001, b.read_some, b)
      assert.equal("TIMEOUT", code)
      assert(a:write "hello")
      assert.equal("hello", b:read_exact(5))
    end,
    after = function() -- they came and were too few: they stay
      local a <close>, b = net.pair()
      local task = proa.spawn(b.read_exact, b, 5)
      helper.turns()
      assert(a:write("hel"):flush())
      helper.turns()
      task:cancel()
      assert.equal("CANCELLED", select(3, task:await()))
      assert(a:write "lo")
      assert.equal("hello", b:read_exact(5))
    end,
    close = function()
      local _ <close>, b = net.pair()
      local task = proa.spawn(b.read_some, b)
      helper.turns()
      b:close()
      local bytes, _, code = task:await()
      assert.is_nil(bytes)
      assert.equal("CLOSED", code)
    end,
  },
}
