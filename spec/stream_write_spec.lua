--- stream_write_spec.lua: writing to streams, over TCP and Unix sockets.
-- A write accepts all or nothing; what is accepted goes out in order, even if
-- the writer is cancelled while it waits for room.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local KIB, MIB = 1024, 1024 * 1024

-- Text in which every place looks different.
local function pattern(n)
  local parts = {}
  for i = 1, n // 8 do parts[i] = ("%08d"):format(i) end
  return table.concat(parts)
end

--- Write until a write has to wait; the peer reads nothing.
---@return string written proa.task writer waits in its last write
local function fill(conn)
  local block, written = pattern(32 * KIB), {}
  local writer = proa.spawn(function()
    while true do
      written[#written + 1] = block
      assert(conn:write(block))
    end
  end)
  -- simulated time passes while the others wait, so a pause tells
  local before
  repeat
    before = #written
    proa.sleep(0.02)
  until #written == before
  assert.equal("write", select(2, writer:status()))
  -- it goes on at half the mark: what is between belongs to whoever comes
  while conn:try_write(block) do written[#written + 1] = block end
  return table.concat(written), writer
end

local function writes(pair)
  local it = helper.it_on(pair)

  it("returns the stream and takes strings, numbers, buffers", function(conn,
      peer)
    assert.equal(conn, conn:write("a", 1, 2.5, proa.buffer "buf", "\0z"))
    assert.equal(conn, conn:write())
    assert.equal(conn, conn:write "")
    conn:close()
    assert.equal("a12.5buf\0z", peer:read "a")
  end)

  it("accepts nothing when one argument is none of them", function(conn, peer)
    assert.matches("string expected",
      helper.error_of(conn.write, conn, "first", {}, "last"))
    conn:write "only this"
    conn:close()
    assert.equal("only this", peer:read "a")
  end)

  it("copies: a buffer may be changed after the write", function(conn, peer)
    local b = proa.buffer(("a"):rep(100 * KIB))
    local reader = proa.spawn(peer.read, peer, "a")
    assert(conn:write(b))
    b:set(1, ("b"):rep(100 * KIB))
    conn:close()
    assert.is_true(reader:await() == ("a"):rep(100 * KIB))
  end)

  it("sends small and large writes in order", function(conn, peer)
    local parts = {}
    local reader = proa.spawn(peer.read, peer, "a")
    for i = 1, 200 do
      parts[i] = tostring(i):rep(i % 7 == 0 and 3000 or i % 5)
      assert(conn:write(parts[i]))
    end
    conn:close()
    assert.is_true(reader:await() == table.concat(parts))
  end)

  it("sends 16 MiB in one write to a reader who is slow", function(conn, peer)
    local block, parts = pattern(MIB), {}
    for i = 1, 16 do parts[i] = ("%08d"):format(i) .. block end
    local text = table.concat(parts)
    local reader = proa.spawn(function()
      local got = {}
      for data in function() return peer:read_some(256 * KIB) end do
        got[#got + 1] = data
        if #got % 16 == 0 then proa.yield() end
      end
      return table.concat(got)
    end)
    assert.equal(conn, conn:write(text))
    conn:close()
    assert.is_true(reader:await() == text)
  end, { limit = 30 })

  it("lets a writer wait for room, not below the mark", function(conn, peer)
    for _ = 1, 8 do conn:write(("x"):rep(8 * KIB)) end
    local written, writer = fill(conn)
    writer:cancel()
    writer:await()
    local got = peer:read_exact(64 * KIB + #written)
    assert.is_true(got == ("x"):rep(64 * KIB) .. written)
  end)

  it("sends what a cancelled writer's call was accepted with", function(conn,
      peer)
    local written, writer = fill(conn)
    writer:cancel()
    assert.equal("CANCELLED", select(3, writer:await()))
    local reader = proa.spawn(peer.read, peer, "a")
    conn:write "end"
    conn:close()
    assert.is_true(reader:await() == written .. "end")
  end)

  it("sends what a timed out writer's call was accepted with", function(conn,
      peer)
    local written, writer = fill(conn)
    writer:cancel()
    writer:await()
    conn:timeout { write = 0.01 }
    local result, message, code = conn:write("y")
    assert.is_nil(result)
    assert.matches("^write: timed out", message)
    assert.equal("TIMEOUT", code)
    local got = peer:read_exact(#written)
    assert.is_true(got == written)
  end)

  it("accepts nothing from a writer behind others who gives up", function(conn,
      peer)
    local written, first = fill(conn)
    local second = proa.spawn(conn.write, conn, "never")
    helper.turns()
    second:cancel()
    assert.equal("CANCELLED", select(3, second:await()))
    first:cancel()
    first:await()
    local reader = proa.spawn(peer.read, peer, "a")
    conn:write "end"
    conn:close()
    assert.is_true(reader:await() == written .. "end")
  end)

  it("bounds what writers who give up leave behind", function(conn)
    local _, writer = fill(conn)
    writer:cancel()
    writer:await()
    conn:timeout { write = 0.001 }
    local block = ("x"):rep(64 * KIB)
    for _ = 1, 20 do
      assert.equal("TIMEOUT", select(3, conn:write(block)))
    end
    local unsent = tonumber(tostring(conn):match "(%d+) unsent")
    assert.is_true(unsent <= 256 * KIB, unsent .. " bytes are queued")
    conn:abort()
  end)

  it("keeps the calls of several writers whole", function(conn, peer)
    local reader = proa.spawn(peer.read, peer, "a")
    local writers = {}
    for i = 1, 5 do
      writers[i] = proa.spawn(function()
        for _ = 1, 20 do
          conn:write(("<%d"):format(i), ("."):rep(5000 * i), ">\n")
        end
      end)
    end
    for _, writer in ipairs(writers) do writer:await() end
    conn:close()
    local text, counts = reader:await(), { 0, 0, 0, 0, 0 }
    for line in text:gmatch "([^\n]*)\n" do
      local i, dots = line:match "^<(%d)(%.*)>$"
      assert.is_truthy(i, "a call was cut")
      i = tonumber(i)
      assert.equal(5000 * i, #dots)
      counts[i] = counts[i] + 1
    end
    assert.same({ 20, 20, 20, 20, 20 }, counts)
  end)

  it("gives every writer its turn", function(conn, peer)
    local done = 0
    local greedy = proa.spawn(function()
      local block = ("x"):rep(128 * KIB)
      while conn:write(block) do done = done + 1 end
    end)
    helper.turns()
    local modest = proa.spawn(function()
      conn:write(("y"):rep(128 * KIB))
      return done
    end)
    local reader = proa.spawn(function()
      while peer:read_some() do end
    end)
    local before = done
    local after = modest:await(5)
    greedy:cancel()
    assert.is_truthy(after, "the other writer starved it")
    assert.is_true(after - before < 100,
      ("%d writes of another went first"):format(after - before))
    conn:abort()
    reader:await()
  end)

  it("coalesces what is written meanwhile", function(conn, peer)
    local before = proa.stats().ops_submitted
    for _ = 1, 1000 do conn:write "0123456789" end
    assert.is_true(#peer:read_exact(10000) == 10000)
    local ops = proa.stats().ops_submitted - before
    -- the simulation cuts sends as it likes
    if helper.driver ~= "sim" then
      assert.is_true(ops < 100, ops .. " ops for 1000 writes")
    end
  end)

  it("flushes: returns when the kernel has taken all", function(conn, peer)
    local written, writer = fill(conn)
    local flusher = proa.spawn(conn.flush, conn)
    helper.turns()
    assert.equal("flush", select(2, flusher:status()))
    writer:cancel()
    writer:await()
    assert.equal(#written, #peer:read_exact(#written))
    assert.equal(conn, flusher:await())
    assert.matches("0 unsent", tostring(conn))
    assert.equal(conn, conn:flush())
  end)

  it("limits a flush by the write timeout", function(conn)
    local _, writer = fill(conn)
    writer:cancel()
    writer:await()
    conn:timeout { write = 0.01 }
    local result, message, code = conn:flush()
    assert.is_nil(result)
    assert.equal("flush: timed out", message)
    assert.equal("TIMEOUT", code)
    conn:abort()
  end)

  it("shuts down for writing and reads on", function(conn, peer)
    conn:write "last words"
    assert.equal(conn, conn:shutdown "w")
    assert.equal("last words", peer:read "a")
    assert.matches("shut down for writing",
      helper.error_of(conn.write, conn, "more"))
    peer:write "answer\n"
    assert.equal("answer", conn:read "l")
    assert.equal(conn, conn:shutdown())
    assert.matches("invalid option", helper.error_of(conn.shutdown, conn, "x"))
  end)

  it("raises for options of timeout that it does not know", function(conn)
    assert.matches("timeout: unknown option 'reed'",
      helper.error_of(conn.timeout, conn, { reed = 1 }))
    assert.matches("a number of seconds",
      helper.error_of(conn.timeout, conn, { read = "soon" }))
    assert.matches("table expected", helper.error_of(conn.timeout, conn, 1))
  end)
end

helper.over_each("writing", writes)

describe("writing to a peer that is gone:", function()
  local expected = { ECONNRESET = true, EPIPE = true }

  local function fails(pair)
    return function()
      local conn, peer = pair()
      local _ <close> = conn
      peer:abort()
      local result, message, code
      helper.wait_until(function()
        result, message, code = conn:write "?"
        return not result
      end)
      assert.is_true(expected[code], code)
      assert.matches("^write: ", message)
      return conn
    end
  end

  helper.it("tells the error with its code, over TCP", fails(helper.tcp_pair))
  helper.it("tells the error with its code, over Unix", fails(proa.net.pair))

  helper.it("tells by close what no write could tell any more", function()
    local conn, peer = helper.tcp_pair()
    peer:abort()
    assert.equal("ECONNRESET", select(3, conn:read_some()))
    assert.equal(conn, conn:write "?")
    helper.wait_until(function() return tostring(conn):find "0 unsent" end)
    local ok, message, code = conn:close()
    assert.is_nil(ok)
    assert.is_true(expected[code], code)
    assert.matches("^write: ", message)
    assert.is_true(conn:close())
  end)

  helper.it("wakes a writer that waits for room", function()
    local conn, peer = helper.tcp_pair()
    local _ <close> = conn
    local result
    local writer = proa.spawn(function()
      repeat result = table.pack(conn:write(("x"):rep(64 * KIB))) until not result[1]
    end)
    helper.turns(10)
    peer:abort()
    writer:await()
    assert.is_true(expected[result[3]], result[3])
  end)
end)
