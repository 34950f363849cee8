--- stream_copy_spec.lua: copy_to, from every kind of stream to its like.
-- Whatever ends a copy, no byte is lost: what the destination has accepted
-- arrives there, the rest is in the source.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local helper = require "spec.helper"
local proa = require "proa"

local KIB, MIB = 1024, 1024 * 1024

--- Text in which every place looks different.
local places = {}
for i = 1, MIB // 8 do places[i] = ("%08d"):format(i) end
local places_text = table.concat(places)

local function pattern(n)
  local parts = {}
  for i = 1, n // MIB do parts[i] = ("%8d"):format(i) .. places_text:sub(9) end
  parts[#parts + 1] = places_text:sub(1, n % MIB)
  return table.concat(parts)
end

local function unread(conn)
  return tonumber(tostring(conn):match "(%d+) bytes unread")
end

local function unsent(conn)
  return tonumber(tostring(conn):match "(%d+) unsent")
end

local function copies(pair)
  --- fn(feeder, from, to, sink): what feeder says is copied to what sink reads
  local function it(name, fn, options)
    helper.it(name, function()
      local feeder, from = pair()
      local to, sink = pair()
      fn(feeder, from, to, sink)
      for _, conn in ipairs { feeder, from, to, sink } do conn:close() end
    end, options)
  end

  it("copies to the end of stream and counts", function(feeder, from, to, sink)
    local text = pattern(3 * MIB)
    local reader = proa.spawn(sink.read, sink, "a")
    local writer = proa.spawn(function()
      feeder:write(text)
      feeder:shutdown "w"
    end)
    assert.equal(#text, from:copy_to(to))
    to:write "behind it"
    to:shutdown "w"
    assert.is_true(reader:await() == text .. "behind it")
    writer:await()
    -- neither was closed: the other direction is as it was
    sink:write "back\n"
    assert.equal("back", to:read "l")
    from:write "back\n"
    assert.equal("back", feeder:read "l")
  end)

  it("copies what is queued and put back first, and no more than max", function(
      feeder, from, to, sink)
    feeder:write "0123456789"
    assert.equal("0", from:read(1))
    from:unread "zero, "
    assert.equal(8, from:copy_to(to, 8))
    assert.equal("zero, 12", sink:read(8))
    assert.equal(0, from:copy_to(to, { max = 0 }))
    assert.equal(2, from:copy_to(to, { max = 2 }))
    assert.equal("34", sink:read(2))
    assert.equal("56789", from:read(5))
    feeder:shutdown "w"
    assert.equal(0, from:copy_to(to))
  end)

  it("gives TIMEOUT with the count, and loses nothing", function(feeder, from, to, sink)
    feeder:write "12345"
    assert.equal("12345", from:peek(5))
    local n, message, code, count = from:copy_to(to, { timeout = 0.01 })
    assert.same({ nil, "copy: timed out", "TIMEOUT", 5 },
      { n, message, code, count })
    assert.equal("12345", sink:read(5))
    assert.same({ nil, "copy: timed out", "TIMEOUT", 0 },
      { from:copy_to(to, { timeout = 0 }) })
    feeder:write "6"
    assert.equal("6", from:read(1))
  end)

  it("gives TIMEOUT when nothing moves for its idle time", function(_, from, to)
    local n, _, code, count = from:copy_to(to, { idle = 0.01 })
    assert.same({ nil, "TIMEOUT", 0 }, { n, code, count })
    from:timeout { idle = 0.01 }
    assert.equal("TIMEOUT", select(3, from:copy_to(to)))
    from:timeout { idle = math.huge }
    to:timeout { idle = 0.01 }
    assert.equal("TIMEOUT", select(3, from:copy_to(to)))
  end)

  it("is cancelled anywhere: each byte is in the source or arrives", function(
      feeder, from, to, sink)
    local text = pattern(2 * MIB)
    local writer = proa.spawn(function()
      feeder:write(text)
      feeder:shutdown "w"
    end)
    local arrived = proa.spawn(sink.read, sink, "a")
    for i = 0, 30 do
      local copy = proa.spawn(from.copy_to, from, to)
      helper.turns(i % 4)
      copy:cancel()
      local n, _, code = copy:await()
      assert.is_true(n ~= nil or code == "CANCELLED")
    end
    -- and a part of it by hand
    to:write(from:read(1000) or "")
    from:copy_to(to)
    to:shutdown "w"
    assert.is_true(arrived:await() == text)
    writer:await()
  end)

  it("holds back a source whose bytes nobody takes", function(feeder, from, to, sink)
    local text = pattern(4 * MIB)
    local writer = proa.spawn(function()
      feeder:write(text)
      feeder:shutdown "w"
    end)
    -- or else the kernel takes it all (in memory: ENOTSOCK)
    for _, conn in ipairs { feeder, from, to, sink } do
      conn:option("sndbuf", 64 * KIB)
      conn:option("rcvbuf", 64 * KIB)
    end
    local copy = proa.spawn(from.copy_to, from, to)
    local before
    repeat
      before = { unread(from), unsent(to) }
      proa.sleep(0.01)
      -- the quota, and what was on its way when it was reached
      assert.is_true(unread(from) <= MIB, unread(from))
      assert.is_true(unsent(to) <= 256 * KIB, unsent(to))
    until before[1] == unread(from) and before[2] == unsent(to)
    assert.equal("copy", select(2, copy:status()))
    local reader = proa.spawn(sink.read, sink, "a")
    assert.equal(#text, copy:await())
    to:shutdown "w"
    assert.is_true(reader:await() == text)
    writer:await()
  end)

  it("queues with the writers of its destination", function(feeder, from, to, sink)
    local block = ("x"):rep(MIB)
    local reader
    feeder:write(("c"):rep(50 * KIB))
    local first = proa.spawn(to.write, to, block)
    helper.turns()
    local copy = proa.spawn(from.copy_to, from, to, 50 * KIB)
    local last = proa.spawn(to.write, to, "last")
    helper.turns()
    reader = proa.spawn(sink.read, sink, "a")
    assert.equal(to, first:await())
    assert.equal(50 * KIB, copy:await())
    assert.equal(to, last:await())
    to:shutdown "w"
    local got = reader:await()
    assert.equal(#block + 50 * KIB + 4, #got)
    assert.is_true(got:sub(1, #block) == block)
  end)

  it("reads alone: others raise, and so does a second copy", function(feeder, from, to)
    local copy = proa.spawn(from.copy_to, from, to)
    helper.turns()
    assert.matches("being read by task #%d+", helper.error_of(from.read, from))
    assert.matches("being read by task",
      helper.error_of(from.copy_to, from, to))
    assert.matches("being read by task", helper.error_of(from.unread, from, "x"))
    feeder:shutdown "w"
    assert.equal(0, copy:await())
    assert.same({ n = 1 }, table.pack(from:read "l"))
    local reader = proa.spawn(to.read, to, "l")
    helper.turns()
    assert.matches("being read by task", helper.error_of(to.copy_to, to, from))
    to:close()
    assert.equal("CLOSED", select(3, reader:await()))
  end)

  it("copies both directions at once, to both half-closes", function(feeder, from, to, sink)
    local there, back = pattern(600 * KIB), pattern(400 * KIB):reverse()
    local function say(conn, text)
      return proa.spawn(function()
        conn:write(text)
        conn:shutdown "w"
      end)
    end
    local function forward(a, b)
      return proa.spawn(function()
        local n = a:copy_to(b)
        b:shutdown "w"
        return n
      end)
    end
    local talks = { say(feeder, there), say(sink, back) }
    local one, other = forward(from, to), forward(to, from)
    local answer = proa.spawn(feeder.read, feeder, "a")
    assert.is_true(sink:read "a" == there)
    assert.is_true(answer:await() == back)
    assert.equal(#there, one:await())
    assert.equal(#back, other:await())
    for _, task in ipairs(talks) do task:await() end
  end)

  it("raises for what can't be copied to", function(_, from, to)
    assert.matches("proa.stream expected", helper.error_of(from.copy_to, from))
    assert.matches("proa.stream expected",
      helper.error_of(from.copy_to, from, io.stdout))
    assert.matches("not copied to itself",
      helper.error_of(from.copy_to, from, from))
    assert.matches("copy_to: unknown option 'limit'",
      helper.error_of(from.copy_to, from, to, { limit = 1 }))
    assert.matches("copy_to: max is a number of bytes",
      helper.error_of(from.copy_to, from, to, { max = -1 }))
    assert.matches("copy_to: a limit is a number of seconds",
      helper.error_of(from.copy_to, from, to, { idle = {} }))
    to:shutdown "w"
    assert.matches("destination was shut down",
      helper.error_of(from.copy_to, from, to))
    to:close()
    assert.matches("stream is closed", helper.error_of(from.copy_to, from, to))
    assert.matches("stream is closed", helper.error_of(to.copy_to, to, from))
  end)

  it("wakes with CLOSED, the count behind it, when its source is closed", function(
      feeder, from, to, sink)
    feeder:write "123"
    local copy = proa.spawn(from.copy_to, from, to)
    assert.equal("123", sink:read(3))
    from:close()
    assert.same({ nil, "copy: the stream was closed", "CLOSED", 3, n = 4 },
      table.pack(copy:await()))
  end)

  it("raises when its destination is shut down under it", function(feeder, from, to, sink)
    local copy = proa.spawn(pcall, from.copy_to, from, to)
    helper.turns()
    to:shutdown "w"
    feeder:write "too late"
    local ok, message = copy:await()
    assert.is_false(ok)
    assert.matches("destination was shut down", message)
    assert.equal("too late", from:read(8))
    assert.equal("", sink:read "a")
  end)
end

helper.over_each("copying", copies)

describe("copying", function()
  local kinds = helper.transports

  helper.it("goes from any kind of stream to any other", function()
    local text = pattern(300 * KIB)
    for i, kind in ipairs(kinds) do
      local feeder, from = kind.pair()
      local to, sink = kinds[i % #kinds + 1].pair()
      local writer = proa.spawn(function()
        feeder:write(text)
        feeder:close()
      end)
      local reader = proa.spawn(sink.read, sink, "a")
      assert.equal(#text, from:copy_to(to))
      to:close()
      assert.is_true(reader:await() == text, kind.name)
      writer:await()
      from:close()
      sink:close()
    end
  end)

  helper.it("gives the source's error, what came before it copied", function()
    local feeder, from = helper.tcp_pair()
    local to, sink = core.memory_pair()
    feeder:write "12345"
    assert.equal("12345", from:peek(5))
    feeder:abort()
    local n, message, code, count = from:copy_to(to)
    assert.same({ nil, "copy: read: connection reset by peer", "ECONNRESET" },
      { n, message, code })
    assert.equal("12345", sink:read(count))
    for _, conn in ipairs { from, to, sink } do conn:close() end
  end)

  helper.it("gives the destination's error; the rest stays in the source", function()
    for _, pair in ipairs { helper.tcp_pair, proa.net.pair, core.memory_pair } do
      local feeder, from = core.memory_pair()
      local to, sink = pair()
      local text = pattern(256 * KIB)
      local writer = proa.spawn(feeder.write, feeder, text:rep(32))
      local copy = proa.spawn(from.copy_to, from, to)
      local got = #sink:read(1000)
      sink:abort()
      local n, message, code, count = copy:await()
      assert.is_nil(n)
      assert.matches("^copy: write: ", message)
      assert.is_true(code == "EPIPE" or code == "ECONNRESET", code)
      assert.is_true(count >= got)
      -- it goes on at the very next byte
      local at = count % #text
      assert.equal((text .. text):sub(at + 1, at + 100), from:read(100))
      from:close()
      writer:await()
      feeder:close()
      to:close()
    end
  end)
end)
