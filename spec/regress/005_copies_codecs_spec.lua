--- Copies whose other side ends, and codecs over streams.
-- Symptoms: a copy that waited for bytes slept on when its destination was
-- closed or had failed, and one that waited for room when its source was
-- closed; a stream's timeout{} took the sense of progress from a copy's idle;
-- bytes of a long frame were no progress; the error of a lower codec was
-- explained by the upper one; a wrap that raised leaked the codec's state; the
-- limit of a message began anew with each of its pieces, and a message in the
-- queue was taken from the task that was reading; single bytes put back held a
-- block each; what nobody could read any more was held while a closed stream
-- lingered.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local frames = require "proa_spec_frames"
local helper = require "spec.helper"
local proa = require "proa"

local KIB = 1024
local unit = 0.4 -- seconds, which cost nothing in the simulation

--- Timers are the same on every driver; the times are exact on this one.
local function timed(name, fn)
  if helper.driver == "sim" then helper.it(name, fn) end
end

local function pairs_of(pair, fn)
  local a, b = pair()
  local c, d = pair()
  fn(a, b, c, d)
  for _, stream in ipairs { a, b, c, d } do stream:close() end
end

--- Fill what leads from `to` to whoever does not read: a copy waits for room.
local function copy_to_full(from, feeder, to)
  assert.is_nil(proa.timeout(0, to.write, to, ("x"):rep(16 * KIB * KIB)))
  feeder:write "does not fit"
  local copy = proa.spawn(from.copy_to, from, to)
  helper.wait_until(function() return select(2, copy:status()) == "copy" end)
  helper.turns()
  return copy
end

helper.over_each("a copy", function(pair)
  helper.it("that waits for bytes wakes when its destination is closed", function()
    pairs_of(pair, function(a, b, c)
      b:write "first"
      local copy = proa.spawn(a.copy_to, a, c)
      helper.turns()
      c:close()
      local n, message, code, count = copy:await(5)
      assert.same({ nil, "copy: the stream was closed", "CLOSED" },
        { n, message, code })
      -- as many as had come: the simulation cuts where it likes
      assert.is_true(count >= 0 and count <= 5)
    end)
  end)

  helper.it("that waits for room wakes when its source is closed", function()
    pairs_of(pair, function(a, b, c)
      local copy = copy_to_full(a, b, c)
      a:close()
      assert.equal("CLOSED", select(3, copy:await(5)))
      c:abort()
    end)
  end)
end)

describe("a copy", function()
  helper.it("that waits for bytes wakes when its destination fails", function()
    pairs_of(core.memory_pair, function(a, _, c, d)
      local copy = proa.spawn(a.copy_to, a, c)
      helper.turns()
      d:close()
      c:try_write "to nobody"
      assert.equal("EPIPE", select(3, copy:await(5)))
    end)
  end)

  helper.it("leaves the other writers of its destination their turns", function()
    pairs_of(core.memory_pair, function(a, b, c, d)
      local copy = copy_to_full(a, b, c)
      local writers = {}
      for i = 1, 3 do writers[i] = proa.spawn(c.write, c, tostring(i)) end
      helper.turns()
      a:close()
      assert.equal("CLOSED", select(3, copy:await(5)))
      local reader = proa.spawn(d.read, d, "a")
      for i = 1, 3 do assert.equal(c, writers[i]:await(5)) end
      c:close()
      assert.equal("123", reader:await():sub(-3))
    end)
  end)

  timed("keeps its idle limit when its stream's are set", function()
    pairs_of(core.memory_pair, function(a, b, c, d)
      local copy = proa.spawn(a.copy_to, a, c, { idle = 5 * unit })
      helper.turns()
      a:timeout { read = 1 }
      c:timeout { write = 1 }
      for _ = 1, 4 do
        proa.sleep(2 * unit)
        d:write "the other direction moves"
      end
      b:close()
      assert.equal(0, copy:await())
    end)
  end)
end)

describe("a codec", function()
  timed("moves while bytes of a long frame come", function()
    local below, peer = core.memory_pair()
    local conn <close> = frames.wrap(below):timeout { idle = 5 * unit }
    local reader = proa.spawn(conn.read, conn, 6)
    peer:write "\0\0\0\6"
    for i = 1, 6 do
      proa.sleep(2 * unit)
      peer:write(tostring(i))
    end
    assert.equal("123456", reader:await())
    peer:close()
  end)

  timed("moves while what it has sent goes", function()
    local below, peer = helper.tcp_pair()
    local conn <close> = frames.wrap(below):timeout { idle = 5 * unit }
    local block = ("x"):rep(1000 * KIB)
    proa.timeout(0, conn.write, conn, block:rep(8))
    local flusher = proa.spawn(conn.flush, conn)
    local n = 0
    for _ = 1, 8 do
      proa.sleep(2 * unit)
      n = n + #peer:read(#block)
    end
    local reader = proa.spawn(peer.read, peer, "a")
    assert.equal(conn, flusher:await())
    conn:close()
    n = n + #reader:await()
    assert.is_true(n > 8 * #block)
    peer:close()
  end)

  helper.it("leaves the errors of the one below to that one", function()
    local below, peer = core.memory_pair()
    local conn <close> = frames.wrap(frames.wrap(below, "the lower"),
      "the upper")
    peer:write "\255\255\255\255"
    local _, message, code = conn:read "a"
    assert.equal("read: a frame is longer than 1 MiB (the lower)", message)
    assert.equal("PROTOCOL", code)
    peer:close()
  end)

  helper.it("that can't be put on a stream takes nothing", function()
    local conn, peer = core.memory_pair()
    local reader = proa.spawn(conn.read, conn, "l")
    helper.turns()
    assert.matches("the stream is in use", helper.error_of(frames.wrap, conn))
    peer:write "still there\n"
    assert.equal("still there", reader:await())
    peer:shutdown "w"
    assert.matches("was shut down", helper.error_of(frames.wrap, peer))
    peer:close()
    assert.matches("is closed", helper.error_of(frames.wrap, peer))
    assert.matches("proa.stream expected", helper.error_of(frames.wrap, {}))
    conn:close()
  end)

  timed("limits a message, whatever its pieces", function()
    local conn, peer = core.memory_pair()
    conn:timeout { read = 6 * unit }
    local start = proa.now()
    local reader = proa.spawn(frames.read, conn)
    proa.sleep(4 * unit)
    peer:write "\0\0\0\9"
    local data, message, code = reader:await()
    assert.same({ nil, "read frame: timed out", "TIMEOUT" },
      { data, message, code })
    local took = proa.now() - start
    assert.is_true(took < 9 * unit, took)
    peer:write "123456789"
    assert.equal("123456789", frames.read(conn))
    conn:close()
    peer:close()
  end)

  helper.it("takes no message from a task that reads", function()
    local conn, peer = core.memory_pair()
    local reader = proa.spawn(conn.read_exact, conn, 100)
    peer:write "\0\0\0\1x"
    helper.turns()
    assert.matches("being read by task", helper.error_of(frames.read, conn))
    conn:close()
    reader:await()
    peer:close()
  end)
end)

describe("a stream", function()
  helper.it("holds what is put back byte by byte in little memory", function()
    local conn, peer = core.memory_pair()
    local function resident()
      return tonumber(helper.read_file "/proc/self/statm":match "%d+ (%d+)") * 4
    end
    local before, letters = resident(), {}
    for i = 1, 20000 do
      letters[i] = string.char(i % 251)
      conn:unread(letters[i])
    end
    local grown = resident() - before
    assert.is_true(grown < 16 * KIB, grown .. " KiB")
    assert.equal(table.concat(letters):reverse(), conn:read(20000))
    conn:close()
    peer:close()
  end)

  helper.it("holds nothing unread once it is closed", function()
    local conn, peer = proa.net.pair()
    conn:unread(("x"):rep(1024 * KIB))
    conn:try_write(("x"):rep(1024 * KIB))
    local before = proa.stats().queued_bytes
    conn:close()
    helper.turns(1)
    assert.equal(1, proa.stats().lingering)
    assert.is_true(proa.stats().queued_bytes <= before - 1024 * KIB)
    assert.equal(1024 * KIB, #peer:read "a")
    peer:close()
  end)

  helper.it("knows an option by its whole name", function()
    local conn, peer = core.memory_pair()
    assert.matches("unknown option 'max timeout'", helper.error_of(conn.read,
      conn, "l", { ["max timeout"] = 1 }))
    assert.matches("unknown option 'read write'", helper.error_of(conn.timeout,
      conn, { ["read write"] = 1 }))
    assert.matches("at least 1", helper.error_of(conn.chunks, conn, 0))
    conn:close()
    peer:close()
  end)
end)
