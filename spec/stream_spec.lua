--- stream_spec.lua: reading from streams, over TCP and Unix sockets.
-- Reads are transactions: one that times out, is cancelled or fails consumes
-- nothing. Writing and ending are in stream_write_spec.lua and
-- stream_close_spec.lua, random cuts in stream_random_spec.lua.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local MIB = 1024 * 1024

--- Let bytes arrive: waits until `conn` holds n unread ones. A read of more
-- than that, given up, starts the receiving; again, because the simulation, as
-- a kernel may, ends a multishot receive at times.
local function arrive(conn, n)
  helper.wait_until(function()
    proa.timeout(0, conn.read_exact, conn, n + 1)
    return tonumber(tostring(conn):match "(%d+) bytes unread") >= n
  end)
end

--- All that peer says.
local function say(peer, text)
  assert(peer:write(text))
  assert(peer:shutdown "w")
end

local function reads(pair)
  local it = helper.it_on(pair)

  it("reads lines without their newline, and the rest as the last", function(conn, peer)
    say(peer, "one\n\nthree\nrest")
    assert.equal("one", conn:read "l")
    assert.equal("", conn:read())
    assert.equal("three", conn:read "l")
    assert.equal("rest", conn:read "l")
    assert.same({ n = 1 }, table.pack(conn:read "l"))
  end)

  it("keeps the newline with L", function(conn, peer)
    say(peer, "one\r\n\nrest")
    assert.equal("one\r\n", conn:read "L")
    assert.equal("\n", conn:read "L")
    assert.equal("rest", conn:read "L")
    assert.is_nil(conn:read "L")
  end)

  it("takes the star of old formats", function(conn, peer)
    say(peer, "one\ntwo\nall\nof it")
    assert.equal("one", conn:read "*l")
    assert.equal("two\n", conn:read "*L")
    assert.equal("all\nof it", conn:read "*a")
  end)

  it("reads all, the empty string at end of stream", function(conn, peer)
    say(peer, "some\nbytes\0 with zero")
    assert.equal("some\nbytes\0 with zero", conn:read "a")
    assert.equal("", conn:read "a")
  end)

  it("reads n bytes, fewer at end of stream, then nil alone", function(conn, peer)
    say(peer, "0123456789")
    assert.equal("0123", conn:read(4))
    assert.equal("", conn:read(0))
    assert.equal("456789", conn:read(100))
    local results = table.pack(conn:read(1))
    assert.same({ n = 1 }, results)
  end)

  it("reads some: what there is, at most the maximum", function(conn, peer)
    say(peer, "0123456789")
    arrive(conn, 10)
    assert.equal("0123", conn:read_some(4))
    assert.equal("456789", conn:read_some())
    assert.same({ n = 1 }, table.pack(conn:read_some()))
  end)

  it("reads exactly n or gives EOF and keeps the bytes", function(conn, peer)
    say(peer, "0123456789")
    assert.equal("01234", conn:read_exact(5))
    local data, message, code = conn:read_exact(6)
    assert.is_nil(data)
    assert.equal("read: the stream ended too early", message)
    assert.equal("EOF", code)
    assert.equal("56789", conn:read "a")
  end)

  it("reads exactly many bytes as they come in pieces", function(conn, peer)
    local text = ("0123456789abcdef"):rep(MIB // 16)
    local writer = proa.spawn(function()
      for i = 1, #text, 99991 do assert(peer:write(text:sub(i, i + 99990))) end
    end)
    assert.is_true(conn:read_exact(MIB) == text)
    writer:await()
  end)

  it("reads more than its quota at once when asked to", function(conn, peer)
    local text = ("x"):rep(3 * MIB) .. "end"
    local writer = proa.spawn(function()
      assert(peer:write(text))
      assert(peer:shutdown "w")
    end)
    assert.is_true(conn:read "a" == text)
    writer:await()
  end)

  it("receives on by itself when a full queue was taken", function(conn, peer)
    local quota, rest = 256 * 1024, 100 * 1024
    local writer = proa.spawn(function()
      assert(peer:write(("x"):rep(quota + rest)))
    end)
    assert.equal(quota, #conn:read_exact(quota)) -- in the turn that stopped it
    helper.wait_until(function()
      return tostring(conn):find(rest .. " bytes unread", 1, true)
    end)
    assert.equal(rest, #conn:read_exact(rest))
    writer:await()
  end)

  it("limits a: code LIMIT, and nothing is consumed", function(conn, peer)
    say(peer, ("x"):rep(1000))
    local data, _, code = conn:read("a", 999)
    assert.is_nil(data)
    assert.equal("LIMIT", code)
    assert.equal(1000, #conn:read("a", 1000))
  end)

  it("limits a line to 1 MiB: code LIMIT, and nothing is consumed", function(conn, peer)
    local writer = proa.spawn(function()
      assert(peer:write(("x"):rep(MIB + 10), "\nnext\n"))
    end)
    local line, message, code = conn:read "l"
    assert.is_nil(line)
    assert.equal("LIMIT", code)
    assert.equal("read: the line is longer than 1048576 bytes", message)
    assert.equal(MIB + 10, #conn:read_exact(MIB + 10))
    assert.equal("", conn:read "l")
    assert.equal("next", conn:read "l")
    writer:await()
  end)

  it("reads into a buffer, into a part of it, and reports how much", function(conn, peer)
    say(peer, "abcdefgh")
    arrive(conn, 8)
    local b = proa.buffer(("."):rep(10))
    assert.equal(3, conn:read_into(b, 2, 4))
    assert.equal(".abc......", b:string())
    assert.equal(5, conn:read_into(b))
    assert.equal("defgh.....", b:string())
    assert.same({ n = 1 }, table.pack(conn:read_into(b)))
    assert.equal("defgh.....", b:string())
  end)

  it("lends the buffer while it waits", function(conn, peer)
    local b = proa.buffer(10)
    local reader = proa.spawn(conn.read_into, conn, b)
    helper.turns()
    local message = helper.error_of(b.string, b)
    assert.matches("buffer is in use by read", message)
    assert.matches("buffer is in use by read",
      helper.error_of(function() return #b end))
    assert.equal("proa.buffer (10 bytes, in use by read)", tostring(b))
    peer:write "hello"
    local n = reader:await()
    assert.equal(("hello"):sub(1, n), b:string(1, n))
    assert.is_true(n > 0)
  end)

  it("gives the buffer back after a timeout", function(conn)
    local b = proa.buffer "untouched"
    conn:timeout { read = 0.01 }
    local n, message, code = conn:read_into(b)
    assert.is_nil(n)
    assert.equal("read: timed out", message)
    assert.equal("TIMEOUT", code)
    assert.equal("untouched", b:string())
  end)

  it("gives the buffer back after a cancellation and a close", function(conn)
    local b = proa.buffer "untouched"
    local reader = proa.spawn(conn.read_into, conn, b)
    helper.turns()
    reader:cancel()
    assert.equal("CANCELLED", select(3, reader:await()))
    assert.equal("untouched", b:string())
    reader = proa.spawn(conn.read_into, conn, b)
    helper.turns()
    conn:close()
    assert.equal("CLOSED", select(3, reader:await()))
    assert.equal("untouched", b:string())
  end)

  it("consumes nothing in a read that times out", function(conn, peer)
    peer:write "half a li"
    conn:timeout { read = 0.01 }
    local line, message, code = conn:read "l"
    assert.is_nil(line)
    assert.equal("read: timed out", message)
    assert.equal("TIMEOUT", code)
    assert.equal("TIMEOUT", select(3, conn:read(100)))
    assert.equal("TIMEOUT", select(3, conn:read_exact(100)))
    assert.equal("TIMEOUT", select(3, conn:read "a"))
    assert.equal("TIMEOUT", select(3, proa.timeout(0.01, conn.read, conn, 99)))
    peer:write "ne\n"
    assert.equal("half a line", conn:read "l")
  end)

  it("consumes nothing in a read that is cancelled", function(conn, peer)
    peer:write "half a li"
    for _, what in ipairs { "l", "a", 100 } do
      local reader = proa.spawn(conn.read, conn, what)
      helper.turns()
      reader:cancel()
      assert.equal("CANCELLED", select(3, reader:await()))
    end
    peer:write "ne\n"
    assert.equal("half a line", conn:read "l")
  end)

  it("has no limit once it is taken back", function(conn, peer)
    conn:timeout { read = 0.005 }
    assert.equal("TIMEOUT", select(3, conn:read "l"))
    assert.equal(conn, conn:timeout { read = math.huge })
    local reader = proa.spawn(conn.read, conn, "l")
    proa.sleep(0.02)
    peer:write "late\n"
    assert.equal("late", reader:await())
  end)

  it("tells who reads when a second task wants to", function(conn, peer)
    local reader = proa.spawn(conn.read, conn, "l"):name "first"
    helper.turns()
    local message = helper.error_of(conn.read, conn, "l")
    assert.matches('stream is being read by task #%d+ "first"', message)
    peer:write "for the first\n"
    assert.equal("for the first", reader:await())
  end)

  it("keeps a second task from the bytes that another waits for", function(conn, peer)
    local reader = proa.spawn(conn.read_exact, conn, 10)
    peer:write "01234"
    helper.wait_until(function()
      return tostring(conn):find("5 bytes unread", 1, true)
    end)
    local message = helper.error_of(conn.read_some, conn)
    assert.matches("stream is being read by task", message)
    peer:write "56789"
    assert.equal("0123456789", reader:await())
  end)

  it("reads and writes at once, from different tasks", function(conn, peer)
    local reader = proa.spawn(conn.read, conn, "l")
    helper.turns()
    conn:write "ping\n"
    assert.equal("ping", peer:read "l")
    peer:write "pong\n"
    assert.equal("pong", reader:await())
  end)

  it("raises for what is no format and no count", function(conn)
    assert.matches("invalid format", helper.error_of(conn.read, conn, "x"))
    assert.matches("not negative", helper.error_of(conn.read, conn, -1))
    assert.matches("not negative", helper.error_of(conn.read_some, conn, -1))
    assert.matches("integer", helper.error_of(conn.read, conn, 1.5))
    assert.matches("number expected", helper.error_of(conn.read_exact, conn))
    assert.matches("proa.buffer expected",
      helper.error_of(conn.read_into, conn, "text"))
    assert.matches("proa.stream expected", helper.error_of(conn.read, {}))
  end)
end

helper.over_each("reading", reads)

describe("reading over TCP:", function()
  helper.it("gives the bytes before a reset, then the error each time", function()
    local conn, peer = helper.tcp_pair()
    local _ <close> = conn
    peer:write "before"
    arrive(conn, 6)
    peer:abort()
    helper.wait_until(function()
      return select(3, conn:read_exact(100)) == "ECONNRESET"
    end)
    assert.equal("before", conn:read_some())
    local data, message, code = conn:read_some()
    assert.is_nil(data)
    assert.equal("read: connection reset by peer", message)
    assert.equal("ECONNRESET", code)
    assert.equal("ECONNRESET", select(3, conn:read "l"))
    assert.equal("ECONNRESET", select(3, conn:read "a"))
  end)

  helper.it("wakes a waiting reader with the reset", function()
    local conn, peer = helper.tcp_pair()
    local _ <close> = conn
    local reader = proa.spawn(conn.read, conn, "l")
    helper.turns()
    peer:abort()
    assert.equal("ECONNRESET", select(3, reader:await()))
  end)
end)
