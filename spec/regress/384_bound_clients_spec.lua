--- 384: a bound socket was left to the collector when its connect was cancelled;
-- the option reuseport came too late for a bind; and what is no membership
-- raised an error of ours.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it = helper.it
local socket = proa.socket
local testing = require "proa.testing"
local unix = require "proa.socket.unix"

--- Connect in a task that is cancelled once it waits.
local function cancel_connect(client, ...)
  local task = proa.spawn(client.connect, client, ...)
  helper.turns(1)
  assert.equal("waiting", task:status())
  task:cancel()
  assert.equal("CANCELLED", select(3, task:await()))
end

describe("a bound client of proa.socket", function()
  it("is closed when it is cancelled while a name is looked up", function()
    collectgarbage "stop"
    local _ <close> = proa.defer(function() collectgarbage "restart" end)
    local before = proa.stats().handles
    local client = socket.tcp()
    assert.equal(1, client:bind("127.0.0.1", 0))
    cancel_connect(client, "localhost", 1)
    helper.wait_until(function() return proa.stats().handles <= before end)
  end)

  it("is closed when it is cancelled while it connects", function()
    testing.run(function()
      collectgarbage "stop"
      local _ <close> = proa.defer(function() collectgarbage "restart" end)
      local server <close> = assert(proa.net.listen "127.0.0.1:80")
      assert.is_false(server:closed())
      local before = proa.stats().handles
      local client = socket.tcp()
      assert.equal(1, client:bind("127.0.0.1", 0))
      local task = proa.spawn(client.connect, client, "127.0.0.1", 80)
      proa.sleep(0.005) -- half of what an answer takes
      assert.equal("waiting", task:status())
      task:cancel()
      assert.equal("CANCELLED", select(3, task:await()))
      proa.sleep(1)
      assert.equal(before, proa.stats().handles)
    end, { latency = 0.01 })
  end)

  it("is closed when it is cancelled while it connects to a path", function()
    collectgarbage "stop"
    local _ <close> = proa.defer(function() collectgarbage "restart" end)
    local path = helper.temp "socket"
    local server <close> = unix.stream()
    assert.equal(1, server:bind(path))
    assert.equal(1, server:listen(0))
    local first <close> = unix.stream()
    assert.equal(1, first:connect(path)) -- all there is room for
    local before = proa.stats().handles
    local client = unix.stream()
    assert.equal(1, client:bind(helper.temp "client"))
    cancel_connect(client, path)
    helper.wait_until(function() return proa.stats().handles <= before end)
  end)
end)

describe("an option of proa.socket", function()
  it("lets two servers share a port", function()
    local first <close> = socket.tcp()
    local second <close> = socket.tcp()
    assert.equal(1, first:setoption("reuseport", true))
    assert.equal(1, second:setoption("reuseport", true))
    assert.equal(1, first:bind("127.0.0.1", 0))
    local _, port = first:getsockname()
    assert.equal(1, second:bind("127.0.0.1", port))
    assert.equal(1, first:listen())
    assert.equal(1, second:listen())
  end)

  it("says what a membership is", function()
    local object <close> = socket.udp4()
    for _, bad in ipairs { 7, {} } do
      assert.matches("^[^\n]*384_bound_clients_spec.*a table with multiaddr"
        .. " expected", helper.error_of(function()
          object:setoption("ip-add-membership", bad)
        end))
    end
  end)
end)
