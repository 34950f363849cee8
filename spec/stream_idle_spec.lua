--- stream_idle_spec.lua: timeout{idle=}: a byte must move, in any direction,
-- while a call waits. On the simulation the times are exact; elsewhere there is
-- room around them.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local helper = require "spec.helper"
local proa = require "proa"

local KIB = 1024
local sim = helper.driver == "sim"
local unit = 0.1 -- seconds
local idle = 6 * unit
local step = 2 * unit -- less than idle, by much

--- How long fn takes, and its results.
local function timed(fn, ...)
  local start = proa.now()
  local results = table.pack(fn(...))
  return proa.now() - start, results
end

--- It gave up for want of movement, `idle` after the last, which was `before`
-- that call at most.
local function check_timeout(verb, took, results, before)
  assert.equal("TIMEOUT", results[3])
  assert.matches("^" .. verb .. ": timed out", results[2])
  assert(took > idle - (before or 0) - 1e-6, took .. " s")
  if sim then assert(took < idle + 0.01, took .. " s") end
end

local function limits(pair)
  local function it(name, fn)
    helper.it(name, function()
      local conn, peer = pair()
      fn(conn, peer)
      conn:abort()
      peer:abort()
    end)
  end

  it("ends each read when nothing has moved for so long", function(conn, peer)
    conn:timeout { idle = idle }
    local took, results = timed(conn.read, conn, "l")
    check_timeout("read", took, results)
    peer:write "here\n"
    assert.equal("here", conn:read "l")
  end)

  it("lets a read wait as long as bytes come", function(conn, peer)
    conn:timeout { idle = idle }
    local reader = proa.spawn(conn.read, conn, 6)
    for i = 1, 5 do
      proa.sleep(step)
      peer:write(tostring(i))
    end
    local took, results = timed(reader.await, reader)
    check_timeout("read", took, results, unit)
    assert.equal("12345", conn:read(5))
  end)

  it("lets a read wait as long as bytes go", function(conn, peer)
    conn:timeout { idle = idle }
    local reader = proa.spawn(conn.read, conn, "l")
    for i = 1, 5 do
      proa.sleep(step)
      conn:write(tostring(i))
    end
    peer:write "at last\n"
    assert.equal("at last", reader:await())
    assert.equal("12345", peer:read(5))
  end)

  it("lets a write and a flush wait as long as bytes come", function(conn, peer)
    conn:timeout { idle = idle }
    local reading = proa.spawn(conn.chunks(conn))
    local writer = proa.spawn(conn.write, conn, ("x"):rep(16384 * KIB))
    local flusher = proa.spawn(conn.flush, conn)
    peer:write "0"
    reading:await()
    reading = proa.spawn(function()
      for data in conn:chunks() do
        if data:find "5" then break end
      end
    end)
    for i = 1, 5 do
      proa.sleep(step)
      peer:write(tostring(i))
    end
    reading:await()
    assert.equal("waiting", (writer:status()))
    assert.equal("flush", select(2, flusher:status()))
    local took, results = timed(writer.await, writer)
    check_timeout("write", took, results, unit)
    check_timeout("flush", took, table.pack(flusher:await()), unit)
  end)

  it("is not what the read and write limits are", function(conn, peer)
    conn:timeout { idle = idle, read = step }
    assert.equal("TIMEOUT", select(3, conn:read "l"))
    conn:timeout { idle = 1e9, read = math.huge, write = 0 }
    assert.equal("TIMEOUT", select(3, conn:read("l", { timeout = step })))
    conn:timeout { idle = 0 }
    assert.equal("TIMEOUT", select(3, conn:read "l"))
    conn:timeout { idle = math.huge }
    peer:write "here\n"
    assert.equal("here", conn:read "l")
  end)
end

for _, kind in ipairs(helper.transports) do
  -- time is real elsewhere: there one stands for the others
  if sim or kind.name == "TCP" then
    describe(("idle over %s:"):format(kind.name), function()
      limits(kind.pair)
    end)
  end
end

if not sim then return end

describe("idle of a copy", function()
  local function it(name, fn)
    helper.it(name, function()
      local feeder, from = core.memory_pair()
      local to, sink = core.memory_pair()
      fn(feeder, from, to, sink)
      for _, conn in ipairs { feeder, from, to, sink } do conn:abort() end
    end)
  end

  it("ends it when neither stream moves", function(feeder, from, to)
    feeder:write "12"
    local took, results = timed(from.copy_to, from, to, { idle = idle })
    check_timeout("copy", took, results)
    assert.equal(2, results[4])
  end)

  it("is the shorter one of the streams' own", function(_, from, to)
    from:timeout { idle = 20 * idle }
    to:timeout { idle = idle }
    local took, results = timed(from.copy_to, from, to)
    check_timeout("copy", took, results)
  end)

  it("counts what moves on either stream, in any direction", function(feeder, from, to, sink)
    local copy = proa.spawn(from.copy_to, from, to, { idle = idle })
    local movers = {
      function() feeder:write "1" end,
      function() sink:write "2" end,
      function() from:write "3" end,
      function() to:write "4" end,
    }
    for i = 1, 8 do
      proa.sleep(step)
      movers[(i - 1) % 4 + 1]()
    end
    feeder:shutdown "w"
    assert.equal(2, copy:await())
  end)

  it("counts while it waits for room", function(feeder, from, to, sink)
    to:timeout { write = 0 }
    to:write(("x"):rep(2048 * KIB))
    feeder:write "last"
    local copy = proa.spawn(from.copy_to, from, to, { idle = idle })
    for _ = 1, 4 do
      proa.sleep(step)
      assert.equal(300 * KIB, #sink:read(300 * KIB))
    end
    local took, results = timed(copy.await, copy)
    check_timeout("copy", took, results, unit)
    assert.equal(0, results[4])
    assert.equal("last", from:read(4))
  end)
end)
