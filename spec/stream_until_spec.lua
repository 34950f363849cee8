--- stream_until_spec.lua: read_until, peek, unread, lines and chunks, and the
-- options and limits that single calls take.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local KIB, MIB = 1024, 1024 * 1024

local function say(peer, text)
  assert(peer:write(text))
  assert(peer:shutdown "w")
end

--- In pieces that arrive one by one: the reader looks after each.
local function say_slowly(peer, pieces)
  return proa.spawn(function()
    for _, piece in ipairs(pieces) do
      peer:write(piece)
      peer:flush()
      helper.turns(2)
    end
    peer:shutdown "w"
  end)
end

--- Let all that was said arrive, and the end of stream.
local function arrive(conn, n)
  helper.wait_until(function()
    local data = conn:peek(n, 0)
    return data and #data == n
  end)
end

local function reads(pair)
  local it = helper.it_on(pair)

  -- -- read_until --

  it("reads until a delimiter, which is plain text and consumed", function(conn, peer)
    say(peer, "a.b%.c[1]--.*rest")
    assert.equal("a.b", conn:read_until "%.")
    assert.equal("c", conn:read_until "[1]")
    assert.equal("--", conn:read_until ".*")
    assert.equal("rest", conn:read "a")
  end)

  it("finds a delimiter cut at every place", function(conn, peer)
    local text, delimiter = "x\r\n\r\r\n\r\ny", "\r\n\r\n"
    local pieces, whole = {}, text:rep(#text)
    for cut = 1, #text do
      pieces[#pieces + 1] = text:sub(1, cut)
      pieces[#pieces + 1] = text:sub(cut + 1)
    end
    local writer = say_slowly(peer, pieces)
    for i = 1, #text do
      assert.equal(i == 1 and "x\r\n\r" or "yx\r\n\r", conn:read_until(delimiter))
    end
    assert.equal("y", conn:read "a")
    assert.equal(#whole, #table.concat(pieces))
    writer:await()
  end)

  it("finds a delimiter whose beginnings repeat, byte by byte", function(conn, peer)
    local pieces = {}
    for c in ("aabaaabaaaab<end"):gmatch "." do pieces[#pieces + 1] = c end
    local writer = say_slowly(peer, pieces)
    assert.equal("aabaaab", conn:read_until "aaaab")
    assert.equal("", conn:read_until "<")
    assert.equal("end", conn:read "a")
    writer:await()
  end)

  it("finds a delimiter across large chunks, and a large delimiter", function(conn, peer)
    local delimiter = ("<"):rep(70 * KIB) .. ">"
    local text = ("x"):rep(200 * KIB)
    local writer = proa.spawn(say, peer, text .. delimiter .. "rest")
    assert.is_true(conn:read_until(delimiter) == text)
    assert.equal("rest", conn:read "a")
    writer:await()
  end)

  it("looks anew when the delimiter is another one", function(conn, peer)
    peer:write "one two"
    arrive(conn, 7)
    assert.equal("TIMEOUT", select(3, conn:read_until("\n", { timeout = 0 })))
    assert.equal("one", conn:read_until " ")
    assert.equal("TIMEOUT", select(3, conn:read_until("\n", { timeout = 0 })))
    assert.equal("t", conn:read_until "wo")
  end)

  it("gives EOF without the delimiter and keeps the bytes", function(conn, peer)
    say(peer, "no end")
    local data, message, code = conn:read_until "!"
    assert.same({ nil, "read: the stream ended too early", "EOF" },
      { data, message, code })
    assert.equal("no end", conn:read "a")
    assert.same({ n = 1 }, table.pack(conn:read_until "!"))
  end)

  it("bounds what is before the delimiter, to the byte", function(conn, peer)
    say(peer, "12345<>12345<>")
    assert.equal("12345", conn:read_until("<>", 5))
    for _, options in ipairs { 4, { max = 4 }, 0 } do
      local data, message, code = conn:read_until("<>", options)
      assert.is_nil(data)
      assert.matches("longer than %d bytes", message)
      assert.equal("LIMIT", code)
    end
    assert.equal("12345", conn:read_until("<>", { max = 5 }))
  end)

  it("gives LIMIT before the delimiter comes, by default at 1 MiB", function(conn, peer)
    local writer = proa.spawn(function()
      peer:write(("x"):rep(MIB + 1))
      peer:write "y\n"
    end)
    assert.equal("LIMIT", select(3, conn:read_until "\n"))
    assert.equal("LIMIT", select(3, conn:read_until("\n", MIB)))
    assert.equal(MIB + 2, #conn:read_until("\n", MIB + 2))
    writer:await()
  end)

  it("limits lines to the byte when asked to", function(conn, peer)
    say(peer, "12345\n12345\n12345")
    assert.equal("LIMIT", select(3, conn:read("l", 4)))
    assert.equal("12345", conn:read("l", 5))
    assert.equal("LIMIT", select(3, conn:read("L", { max = 4 })))
    assert.equal("12345\n", conn:read("L", { max = 5 }))
    assert.equal("LIMIT", select(3, conn:read("l", 4)))
    assert.equal("LIMIT", select(3, conn:read("a", { max = 4 })))
    assert.equal("12345", conn:read("l", 5))
  end)

  -- -- peek and unread --

  it("peeks, and leaves what it saw", function(conn, peer)
    say(peer, "0123456789")
    arrive(conn, 10)
    assert.equal("0123", conn:peek(4))
    assert.equal("", conn:peek(0))
    assert.equal("0123456789", conn:peek())
    assert.equal("0123456789", conn:peek(11))
    assert.equal("01234", conn:read(5))
    assert.equal("56", conn:peek(2))
    assert.equal("56789", conn:read "a")
    assert.same({ n = 1 }, table.pack(conn:peek()))
    assert.same({ n = 1 }, table.pack(conn:peek(3)))
  end)

  it("peeks at more than its quota, and it all is there to be read", function(conn, peer)
    local text = ("0123456789abcdef"):rep(40 * KIB)
    local writer = proa.spawn(say, peer, text .. "end")
    assert.is_true(conn:peek(#text) == text)
    assert.is_true(conn:read(#text) == text)
    assert.equal("end", conn:read "a")
    writer:await()
  end)

  it("puts bytes back: the last ones are the first to be read", function(conn, peer)
    peer:write "line\n"
    assert.equal("li", conn:read(2))
    assert.equal(conn, conn:unread "li")
    assert.equal(conn, conn:unread(proa.buffer "a "))
    assert.equal(conn, conn:unread "")
    assert.equal("a line", conn:read "l")
    conn:unread "more\nthan it was\n"
    assert.equal("more", conn:read "l")
    assert.equal("than", conn:read_until " ")
    conn:unread "that "
    assert.equal("that it was", conn:read "l")
  end)

  it("puts a delimiter's half back", function(conn, peer)
    peer:write ">rest"
    arrive(conn, 5)
    assert.equal("TIMEOUT", select(3, conn:read_until("<>", { timeout = 0 })))
    conn:unread "x<"
    assert.equal("x", conn:read_until "<>")
    assert.equal("rest", conn:read(4))
  end)

  it("puts back after the end of stream, and much", function(conn, peer)
    say(peer, "all")
    local text = ("0123456789abcdef"):rep(60 * KIB)
    assert.equal("all", conn:read "a")
    assert.is_nil(conn:read_some())
    conn:unread "end"
    conn:unread(text)
    assert.is_true(conn:read_exact(#text) == text)
    assert.equal("EOF", select(3, conn:read_exact(4)))
    assert.equal("end", conn:read_exact(3))
    assert.is_nil(conn:read_some())
  end)

  it("puts nothing back under another task's read", function(conn, peer)
    local reader = proa.spawn(conn.read, conn, "l")
    helper.turns()
    assert.matches("being read by task", helper.error_of(conn.unread, conn, "x"))
    assert.matches("being read by task", helper.error_of(conn.peek, conn))
    assert.matches("being read by task",
      helper.error_of(conn.read_until, conn, "x"))
    peer:write "l\n"
    assert.equal("l", reader:await())
  end)

  it("puts back only what is text or a buffer that is not lent", function(conn)
    assert.matches("string expected", helper.error_of(conn.unread, conn, {}))
    assert.matches("string expected", helper.error_of(conn.unread, conn))
    local b = proa.buffer(5)
    local reader = proa.spawn(conn.read_into, conn, b)
    helper.turns()
    local other, peer = pair()
    assert.matches("in use by read", helper.error_of(other.unread, other, b))
    assert.matches("in use by read", helper.error_of(other.write, other, b))
    assert.matches("in use by read", helper.error_of(other.try_write, other, b))
    assert.matches("in use by read", helper.error_of(other.read_into, other, b))
    reader:cancel()
    reader:await()
    other:unread(b)
    assert.equal(("\0"):rep(5), other:read(5))
    other:close()
    peer:close()
  end)

  -- -- iterators --

  it("iterates over lines to the end of stream", function(conn, peer)
    say(peer, "one\n\nthree\nrest")
    local got = {}
    for line in conn:lines() do got[#got + 1] = line end
    assert.same({ "one", "", "three", "rest" }, got)
    assert.is_nil(conn:lines "L"())
  end)

  it("iterates with the newline, and within a limit", function(conn, peer)
    say(peer, "one\ntwo\ntoo long\n")
    local got = {}
    local message = helper.error_of(function()
      for line in conn:lines("L", { max = 3 }) do got[#got + 1] = line end
    end)
    assert.same({ "one\n", "two\n" }, got)
    assert.matches("line is longer than 3 bytes", message)
    assert.equal("too long", conn:read "l")
  end)

  it("iterates over chunks to the end of stream", function(conn, peer)
    local text = ("0123456789abcdef"):rep(30 * KIB)
    local writer = proa.spawn(say, peer, text)
    local got = {}
    for data in conn:chunks(1000) do
      assert.is_true(#data >= 1 and #data <= 1000)
      got[#got + 1] = data
    end
    assert.is_true(table.concat(got) == text)
    writer:await()
  end)

  it("leaves the stream open when an iteration breaks", function(conn, peer)
    peer:write "one\ntwo\nrest"
    for line in conn:lines() do
      assert.equal("one", line)
      if line == "one" then break end
    end
    assert.equal("two", conn:read "l")
    for data in conn:chunks(1) do
      assert.equal("r", data)
      if data == "r" then break end
    end
    assert.equal(conn, conn:write "ok\n")
    assert.equal("ok", peer:read "l")
    assert.equal("est", conn:read(3))
  end)

  it("raises in an iteration over a closed stream, and when time is up", function(conn)
    assert.matches("timed out", helper.error_of(function()
      for _ in conn:chunks(100, 0) do end
    end))
    assert.matches("timed out", helper.error_of(function()
      for _ in conn:lines("l", { timeout = 0 }) do end
    end))
    conn:unread "one\n"
    assert.matches("stream is closed", helper.error_of(function()
      for _ in conn:lines() do conn:close() end
    end))
  end)

  it("raises for iterations that it does not know", function(conn)
    assert.matches("bad format 'a'", helper.error_of(conn.lines, conn, "a"))
    assert.matches("at least 1", helper.error_of(conn.chunks, conn, 0))
    assert.matches("at least 1", helper.error_of(conn.chunks, conn, -1))
    assert.matches("unknown option 'maks'",
      helper.error_of(conn:lines("l", { maks = 1 })))
  end)

  -- -- options and limits of one call --

  it("takes a limit with each call, and consumes nothing then", function(conn, peer)
    peer:write "half"
    arrive(conn, 4)
    local b = proa.buffer "untouched"
    local calls = {
      { conn.read, "l", { timeout = 0 } }, { conn.read, "L", { timeout = 0 } },
      { conn.read, "a", { timeout = 0 } }, { conn.read, 5, { timeout = 0 } },
      { conn.read_exact, 5, 0 }, { conn.peek, 5, 0 },
      { conn.read_until, "x", { timeout = 0 } },
      { conn.read, "l", { timeout = -1 } }, { conn.read_exact, 5, 0 / 0 },
      { conn.read, "a", { timeout = 0.001, max = 100 } },
    }
    for i, call in ipairs(calls) do
      local data, message, code = call[1](conn, table.unpack(call, 2))
      assert.same({ nil, "read: timed out", "TIMEOUT" },
        { data, message, code }, "call " .. i)
    end
    assert.equal("half", conn:read_some(nil, 0))
    assert.equal("TIMEOUT", select(3, conn:read_some(nil, 0)))
    assert.equal("TIMEOUT", select(3, conn:peek(nil, 0)))
    assert.equal("TIMEOUT", select(3, conn:read_into(b, nil, nil, 0)))
    assert.equal("untouched", b:string())
  end)

  it("lets a call's own limit stand for the stream's", function(conn, peer)
    conn:timeout { read = 0 }
    local reader = proa.spawn(conn.read, conn, "l", { timeout = 30 })
    helper.turns(5)
    peer:write "late\n"
    assert.equal("late", reader:await())
    conn:timeout { read = math.huge }
    assert.equal("TIMEOUT", select(3, conn:read("l", { timeout = 0 })))
  end)

  it("raises for options that a call does not know", function(conn)
    local cases = {
      { "read: unknown option 'maximum'", conn.read, "l", { maximum = 1 } },
      { "read: unknown option 'max'", conn.read, 5, { max = 1 } },
      { "read: unknown option '?'", conn.read, "l", { 5 } },
      { "read: max is a number of bytes", conn.read, "l", { max = -1 } },
      { "read: max is a number of bytes", conn.read, "l", { max = 0 / 0 } },
      { "read: max is a number of bytes", conn.read, "l", 1.5 },
      { "read: a limit is a number of seconds", conn.read, "l",
        { timeout = "soon" } },
      { "table expected, got string", conn.read, "l", "x" },
      { "table expected, got number", conn.read, 5, 1 },
      { "read_until: unknown option 'idle'", conn.read_until, "x",
        { idle = 1 } },
      { "an empty delimiter", conn.read_until, "" },
      { "string expected", conn.read_until },
      { "not negative", conn.peek, -1 },
      { "number has no integer", conn.peek, 0 / 0 },
      { "number has no integer", conn.read_exact, math.huge },
      { "number expected", conn.read_exact, 1, "soon" },
    }
    for i, case in ipairs(cases) do
      local message = helper.error_of(case[2], conn, table.unpack(case, 3))
      assert.is_truthy(message:find(case[1], 1, true), i .. ": " .. message)
    end
  end)

  it("takes huge counts, and gives what there is", function(conn, peer)
    say(peer, "little")
    assert.equal("little", conn:peek(math.maxinteger))
    assert.equal("EOF", select(3, conn:read_exact(math.maxinteger)))
    assert.equal("EOF", select(3, conn:read_until("x", math.maxinteger)))
    assert.equal("litt", conn:read_until("l", math.maxinteger) == "" and
      conn:unread("l"):read(4))
    assert.equal("le", conn:read("a", math.maxinteger))
    assert.is_nil(conn:read(math.maxinteger))
    assert.is_nil(conn:read_some(math.maxinteger))
  end)

  it("is cancelled in any of them without loss", function(conn, peer)
    peer:write "half"
    arrive(conn, 4)
    for _, call in ipairs { { "read_until", "x" }, { "peek", 5 },
      { "read_exact", 5 }, { "read", "L" } } do
      local reader = proa.spawn(conn[call[1]], conn, call[2])
      helper.turns(1)
      reader:cancel()
      assert.equal("CANCELLED", select(3, reader:await()))
    end
    peer:write " and half"
    assert.equal("half and half", conn:read_exact(13))
  end)

  it("is closed in any of them with CLOSED", function()
    for _, call in ipairs { { "read_until", "x" }, { "peek" }, { "peek", 5 },
      { "read_some" } } do
      local conn, peer = pair()
      local reader = proa.spawn(conn[call[1]], conn, call[2])
      helper.turns(1)
      conn:close()
      assert.same({ nil, "read: the stream was closed", "CLOSED", n = 3 },
        table.pack(reader:await()))
      peer:close()
      for _, name in ipairs { "read_until", "peek", "unread", "try_write" } do
        assert.matches("stream is closed",
          helper.error_of(conn[name], conn, "x"))
      end
    end
  end)
end

helper.over_each("reading more", reads)

describe("an error after bytes", function()
  helper.it("comes behind what is whole, from every read", function()
    local conn, peer = helper.tcp_pair()
    local _ <close> = conn
    peer:write "one\ntwo"
    arrive(conn, 7)
    peer:abort()
    helper.wait_until(function()
      return select(3, conn:peek(100)) == "ECONNRESET"
    end)
    local lines = {}
    local message = helper.error_of(function()
      for line in conn:lines() do lines[#lines + 1] = line end
    end)
    assert.same({ "one" }, lines)
    assert.matches("read: connection reset by peer", message)
    assert.equal("ECONNRESET", select(3, conn:read_until "!"))
    assert.equal("ECONNRESET", select(3, conn:read(100)))
    assert.equal("two", conn:peek())
    conn:unread "o "
    assert.equal("o ", conn:read_until "two")
    assert.equal("ECONNRESET", select(3, conn:peek()))
    conn:unread "back"
    local got = {}
    message = helper.error_of(function()
      for data in conn:chunks() do got[#got + 1] = data end
    end)
    assert.same({ "back" }, got)
    assert.matches("connection reset", message)
  end)
end)
