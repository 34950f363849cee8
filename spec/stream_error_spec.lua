--- stream_error_spec.lua: who is told of an error, and how often; what a
-- half-closed and an unread stream still do.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local helper = require "spec.helper"
local proa = require "proa"

local KIB, MIB = 1024, 1024 * 1024
local huge = ("x"):rep(16 * MIB)
local gone = { ECONNRESET = true, EPIPE = true }

local function errors(pair)
  local it = helper.it_on(pair)

  --- A stream whose accepted bytes could not be sent; nobody was told.
  local function fail(conn, peer)
    conn:try_write "never read"
    peer:abort()
    helper.wait_until(function()
      conn:try_write "x"
      helper.turns(1)
      return conn:try_write() == nil -- tells
    end)
  end

  local function failed(result, message, code)
    assert.is_nil(result)
    assert.matches("^write: ", message)
    assert.is_true(gone[code], code)
  end

  --- The same, and nobody was told yet.
  local function fail_untold(conn, peer)
    peer:abort()
    assert(conn:try_write(huge)) -- more than any kernel takes
    helper.wait_until(function()
      return tostring(conn):find(", 0 unsent", 1, true)
    end)
  end

  it("is told by every write, and by try_write", function(conn, peer)
    fail(conn, peer)
    for _ = 1, 3 do
      failed(conn:write "x")
      failed(conn:try_write "x")
      failed(conn:write())
    end
    -- and by them alone, then
    assert.equal(conn, conn:flush())
    assert.equal(conn, conn:shutdown "w")
    assert.is_true(conn:close())
  end)

  it("is told once by flush", function(conn, peer)
    fail_untold(conn, peer)
    failed(conn:flush())
    assert.equal(conn, conn:flush())
    assert.is_true(conn:close())
  end)

  it("is told once by shutdown", function(conn, peer)
    fail_untold(conn, peer)
    failed(conn:shutdown "w")
    assert.equal(conn, conn:shutdown "w")
    assert.is_true(conn:close())
  end)

  it("is told by close when nobody was", function(conn, peer)
    fail_untold(conn, peer)
    failed(conn:close())
    assert.is_true(conn:close())
  end)

  it("wakes a flush and a copy", function(conn, peer)
    local feeder, from = core.memory_pair()
    local tasks = { proa.spawn(conn.write, conn, huge),
      proa.spawn(from.copy_to, from, conn) }
    feeder:write "x"
    helper.turns()
    tasks[3] = proa.spawn(conn.flush, conn)
    helper.turns()
    peer:abort()
    for i = 1, 3 do
      local result, message, code = tasks[i]:await(5)
      assert.is_true(gone[code] or i == 3 and result == conn, message)
    end
    feeder:close()
    from:close()
  end)

  it("of reading does not stop the writing, nor a half-close", function(conn, peer)
    local text = ("0123456789abcdef"):rep(MIB // 8)
    assert.equal(peer, peer:shutdown "w")
    assert.is_nil(conn:read "l")
    local reader = proa.spawn(peer.read, peer, "a")
    assert.equal(conn, conn:write(text))
    assert.equal(conn, conn:shutdown "w")
    assert.is_true(reader:await() == text)
    assert.is_nil(conn:read "l")
  end)

  it("is none when shutdown has to wait: it flushes first", function(conn, peer)
    conn:option("sndbuf", 32 * KIB)
    peer:option("rcvbuf", 32 * KIB)
    proa.timeout(0, conn.write, conn, ("x"):rep(8 * MIB))
    local shutting = proa.spawn(conn.shutdown, conn, "w")
    helper.turns()
    assert.equal("flush", select(2, shutting:status()))
    assert.matches("shut down", helper.error_of(conn.write, conn, "more"))
    assert.equal("TIMEOUT", select(3, conn:shutdown("w", 0)))
    assert.equal("TIMEOUT", select(3, conn:flush(0)))
    assert.equal(8 * MIB, #peer:read "a")
    assert.equal(conn, shutting:await())
  end)
end

helper.over_each("an error", errors)

describe("a stream", function()
  local function it(name, fn)
    helper.it(name, function()
      local conn, peer = core.memory_pair()
      fn(conn, peer)
      conn:close()
      peer:close()
    end)
  end

  it("bounds L and lines at 1 MiB, and a at nothing", function(conn, peer)
    local writer = proa.spawn(function()
      peer:write(("x"):rep(MIB + 1))
      peer:write "\n"
      peer:shutdown "w"
    end)
    assert.equal("LIMIT", select(3, conn:read "L"))
    assert.matches("longer than 1048576 bytes", helper.error_of(conn:lines()))
    assert.equal(MIB + 1, #conn:lines("l", MIB + 1)())
    conn:unread(("x"):rep(3 * MIB))
    assert.equal(3 * MIB, #conn:read "a")
    writer:await()
  end)

  it("is no descriptor for raw ops beside its own", function(conn)
    local socket <close> = helper.tcp_pair()
    for _, stream in ipairs { conn, socket } do
      assert.matches("proa.fd expected",
        helper.error_of(proa.op.recv, stream, proa.buffer(10)))
    end
  end)

  it("is read, written and closed by whoever has it", function(conn, peer)
    local conn_of = { conn }
    local reader = proa.spawn(function() return conn_of[1]:read "l" end)
    local writer = proa.spawn(function() return peer:write "line\n" end)
    assert.equal("line", reader:await())
    assert.equal(peer, writer:await())
    proa.spawn(function() conn_of[1]:close() end):await()
    assert.is_true(conn:closed())
    assert.is_nil(coroutine.wrap(function() return peer:read "l" end)())
  end)

  it("keeps a buffer lent to one read from every other use", function(conn, peer)
    local b = proa.buffer "0123456789"
    local reader = proa.spawn(conn.read_into, conn, b)
    helper.turns()
    for _, use in ipairs {
      function() return #b end, function() return b:string() end,
      function() return b:set(1, "x") end, function() return b:append "x" end,
      function() return b:slice(1, 2) end, function() return peer:write(b) end,
      function() return peer:read_into(b) end,
      function() return peer:unread(b) end,
    } do
      assert.matches("buffer is in use by read", helper.error_of(use))
    end
    b = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    peer:write "abc"
    assert.equal(3, reader:await())
  end)
end)
