--- codec_spec.lua: what the seam promises a codec, shown by the toy of
-- spec/codec/frames.c. That a stream of codecs keeps every promise of streams
-- is shown where those are (helper.over_each).
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local frames = require "proa_spec_frames"
local helper = require "spec.helper"
local proa = require "proa"

local KIB, MIB = 1024, 1024 * 1024

local function frame(text)
  return string.pack(">s4", text)
end

local plain = {
  { name = "TCP", pair = helper.tcp_pair },
  { name = "a Unix socket", pair = proa.net.pair },
  { name = "memory", pair = core.memory_pair },
}

local function over_plain(what, fn)
  for _, kind in ipairs(plain) do
    describe(("%s over %s:"):format(what, kind.name), function()
      fn(function(name, test, options)
        helper.it(name, function()
          local conn, peer = kind.pair()
          test(conn, peer)
          conn:close()
          peer:close()
        end, options)
      end, kind)
    end)
  end
end

over_plain("messages", function(it)
  it("are read as they were written", function(conn, peer)
    for _, text in ipairs { "one", "", ("x"):rep(100 * KIB), "\0" } do
      frames.write(peer, text)
    end
    local shutting = proa.spawn(peer.shutdown, peer, "w")
    assert.equal("one", frames.read(conn))
    assert.equal("", frames.read(conn))
    assert.equal(100 * KIB, #frames.read(conn))
    assert.equal("\0", frames.read(conn))
    assert.same({ n = 1 }, table.pack(frames.read(conn)))
    shutting:await()
  end)

  it("say when it is time to wait for room", function(conn, peer)
    local reader = proa.spawn(conn.read, conn, "a")
    assert.is_true(frames.write(peer, "small"))
    assert.is_false(frames.write(peer, ("x"):rep(100 * KIB)))
    assert.equal(peer, peer:write "")
    assert.is_true(frames.write(peer, "small"))
    peer:shutdown "w"
    assert.is_false(frames.write(peer, "too late"))
    assert.equal(100 * KIB + 10 + 12, #reader:await())
  end)

  it("are found when they are cut at every byte", function(conn, peer)
    local text = frame "first" .. frame "" .. frame "second"
    local writer = proa.spawn(function()
      for cut = 0, #text do
        peer:write(text:sub(1, cut))
        helper.turns(1)
        peer:write(text:sub(cut + 1))
      end
      peer:shutdown "w"
    end)
    for _ = 0, #text do
      assert.equal("first", frames.read(conn))
      assert.equal("", frames.read(conn))
      assert.equal("second", frames.read(conn))
    end
    assert.is_nil(frames.read(conn))
    writer:await()
  end)

  it("lose nothing by a limit, a cancellation, a byte at a time", function(conn, peer)
    local text = frame "a message"
    conn:timeout { read = 0 }
    for i = 1, #text - 1 do
      peer:write(text:sub(i, i))
      local data, message, code = frames.read(conn)
      assert.same({ nil, "read frame: timed out", "TIMEOUT" },
        { data, message, code })
      local reader = proa.spawn(proa.timeout, 9, frames.read, conn)
      reader:cancel()
      assert.is_truthy(({ CANCELLED = true, TIMEOUT = true })[
        select(3, reader:await())])
      assert.equal("TIMEOUT", select(3, proa.timeout(0, frames.read, conn)))
    end
    conn:timeout { read = 10 }
    peer:write(text:sub(-1))
    assert.equal("a message", frames.read(conn))
  end)

  it("lie beside everything else that reads", function(conn, peer)
    peer:write("HELLO\n", frame "body", "rest\n")
    assert.equal("HELLO", conn:read "l")
    assert.equal(frame "body", conn:peek(8))
    assert.equal("body", frames.read(conn))
    conn:unread(frame "again")
    assert.equal("again", frames.read(conn))
    assert.equal("rest", conn:read "l")
  end)

  it("of which a part comes no more are the end of stream", function(conn, peer)
    peer:write(frame "whole", "\0\0\0\9cut")
    peer:shutdown "w"
    assert.equal("whole", frames.read(conn))
    assert.is_nil(frames.read(conn))
    assert.equal("\0\0\0\9cut", conn:read "a")
  end)

  it("are waited for until the stream is closed: CLOSED", function(conn)
    local reader = proa.spawn(frames.read, conn)
    helper.turns()
    conn:close()
    assert.same({ nil, "read frame: the stream was closed", "CLOSED", n = 3 },
      table.pack(reader:await()))
    assert.matches("stream is closed", helper.error_of(frames.read, conn))
    assert.matches("stream is closed", helper.error_of(frames.write, conn, "x"))
  end)

  it("have one reader, and tell who it is", function(conn, peer)
    local reader = proa.spawn(frames.read, conn):name "parser"
    helper.turns()
    for _, read in ipairs { frames.read, conn.read, conn.peek } do
      assert.matches('being read by task #%d+ "parser"',
        helper.error_of(read, conn))
    end
    frames.write(peer, "for it")
    assert.equal("for it", reader:await())
  end)
end)

over_plain("a codec", function(it, kind)
  it("decodes what was queued before", function(below, peer)
    peer:write(frame "before", frame "as well")
    assert.equal(frame "before", below:peek(10))
    local conn = frames.wrap(below)
    assert.equal(below, conn)
    assert.equal("beforeas well", conn:read(13))
  end)

  it("lets out what was accepted before, before its own", function(below, peer)
    local text = ("x"):rep(8 * MIB)
    below:timeout { write = 0 }
    below:write(text)
    below:timeout { write = math.huge }
    local conn = frames.wrap(below)
    local reader = proa.spawn(function()
      return peer:read(#text), frames.read(peer)
    end)
    assert.equal(conn, conn:write "framed")
    local first, second = reader:await()
    assert.is_true(first == text)
    assert.equal("framed", second)
  end)

  it("that waits for a greeting sends nothing before it", function(below, peer)
    local conn = frames.wrap(below, true)
    assert.equal(conn, conn:write "early ")
    local flusher = proa.spawn(conn.flush, conn)
    helper.turns()
    assert.equal("TIMEOUT", select(3, peer:read("a", { timeout = 0.01 })))
    assert.equal("flush", select(2, flusher:status()))
    assert.equal(conn, conn:write "bird")
    frames.write(peer, "hello")
    assert.equal("early bird", frames.read(peer))
    assert.equal(conn, flusher:await())
    assert.equal("hello", conn:read(5))
  end)

  it("whose greeting never comes fails what waits for it", function(below, peer)
    local conn = frames.wrap(below, true)
    conn:write "never"
    local flusher = proa.spawn(conn.flush, conn)
    helper.turns()
    peer:close()
    local ok, message, code = flusher:await()
    assert.is_nil(ok)
    assert.matches("^write: ", message)
    assert.equal("ECONNRESET", code)
    assert.equal("ECONNRESET", select(3, conn:write "nor this"))
  end)

  it("delivers what came before its error, which has a code of its own", function(below, peer)
    local conn = frames.wrap(below)
    peer:write(frame "good ", frame "and fine", "\255\0\0\0never")
    assert.equal("good and fine", conn:read(13))
    for _ = 1, 2 do
      local data, message, code = conn:read "l"
      assert.same({ nil, "read: a frame is longer than 1 MiB", "PROTOCOL" },
        { data, message, code })
    end
    assert.equal("PROTOCOL", select(3, conn:read "a"))
    conn:unread "back"
    assert.equal("back", conn:read(4))
    -- the other direction goes on
    assert.equal(conn, conn:write "bad luck")
    assert.equal("bad luck", frames.read(peer))
  end)

  it("wakes who waits with its error", function(below, peer)
    local conn = frames.wrap(below)
    local reader = proa.spawn(conn.read, conn, "a")
    helper.turns()
    peer:write "\255\255\255\255"
    assert.equal("PROTOCOL", select(3, reader:await()))
  end)

  it("tells a peer that vanishes from one that says goodbye", function(below, peer)
    local conn = frames.wrap(below)
    peer:write(frame "text", frame "")
    peer:close()
    assert.equal("text", conn:read "a")
    local other, gone = kind.pair()
    frames.wrap(other)
    gone:write(frame "text")
    gone:close()
    assert.equal("text", other:read(4))
    local data, message, code = other:read "l"
    assert.same({ nil, "read: connection reset by peer", "ECONNRESET" },
      { data, message, code })
    other:close()
  end)

  it("says goodbye when it is shut down, once, behind everything", function(below, peer)
    local conn = frames.wrap(below)
    conn:write "last"
    assert.equal(conn, conn:shutdown "w")
    assert.equal(frame "last" .. frame "", peer:read "a")
    frames.write(peer, "answer")
    assert.equal("answer", conn:read(6))
  end)

  it("can't be put on a stream where somebody waits", function(below, peer)
    local cases = {
      function() return below:read "l" end,
      function() return frames.read(below) end,
      function() return below:copy_to(peer) end,
      function() return peer:copy_to(below) end,
    }
    for _, case in ipairs(cases) do
      local waiter = proa.spawn(case)
      helper.turns()
      assert.matches("the stream is in use", helper.error_of(frames.wrap, below))
      waiter:cancel()
      waiter:await()
    end
    below:option("sndbuf", 32 * KIB)
    peer:option("rcvbuf", 32 * KIB)
    below:timeout { write = 0 }
    below:write(("x"):rep(8 * MIB))
    below:timeout { write = math.huge }
    for _, case in ipairs { function() return below:flush() end,
      function() return below:write "x" end } do
      local waiter = proa.spawn(case)
      helper.turns()
      assert.matches("the stream is in use", helper.error_of(frames.wrap, below))
      waiter:cancel()
      waiter:await()
    end
    below:abort()
  end)

  it("bounds what it holds for a reader who is slow", function(below, peer)
    local conn, other = frames.wrap(below), frames.wrap(peer)
    local text = ("0123456789abcdef"):rep(4 * MIB // 16)
    local writer = proa.spawn(function()
      other:write(text)
      other:shutdown "w"
    end)
    assert.equal("0", conn:read(1))
    helper.turns(20)
    local unread = tonumber(tostring(conn):match "(%d+) bytes unread")
    assert.is_true(unread <= 512 * KIB, unread)
    local rest = conn:read "a"
    assert.is_true("0" .. rest == text)
    writer:await()
  end)
end)

describe("a state that closes", function()
  helper.it_main("with codecs open ends at once, and sends what was accepted", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      local core, frames = require "proa.core", require "proa_spec_frames"
      local kept = {}
      local function wrapped(pair)
        local a, b = pair()
        kept[#kept + 1] = frames.wrap(a)
        kept[#kept + 1] = frames.wrap(frames.wrap(b))
        return a, b
      end
      for _, pair in ipairs { proa.net.pair, core.memory_pair } do
        local a = wrapped(pair)
        a:write "unread"
        local b = wrapped(pair)
        b:timeout { write = 0, read = 0 }
        b:write(("x"):rep(1 << 20))
        b:read "l"
        b:close(0.05)
        local c = wrapped(pair)
        proa.spawn(c.read, c, "l")
        proa.spawn(c.copy_to, a, c)
        wrapped(pair):abort()
      end
      pcall(proa.run, proa.yield)
      print "end"
    ]]
    assert.equal("end\n", output)
    assert.equal(0, status)
  end)
end)
