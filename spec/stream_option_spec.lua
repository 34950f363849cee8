--- stream_option_spec.lua: options of sockets by name, and writing without
-- waiting.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local frames = require "proa_spec_frames"
local helper = require "spec.helper"
local proa = require "proa"

local KIB = 1024

local function over(pair)
  return function(fn)
    return function()
      local conn, peer = pair()
      fn(conn, peer)
      conn:close()
      peer:close()
    end
  end
end

local tcp, unix, memory = over(helper.tcp_pair), over(proa.net.pair),
  over(core.memory_pair)

describe("an option of a TCP stream", function()
  local flags = { "nodelay", "keepalive", "reuseaddr", "quickack", "cork" }
  local numbers = { keepidle = 7, keepintvl = 8, keepcnt = 5,
    user_timeout = 2.5, ttl = 33, tos = 16, priority = 3 }

  helper.it("is a flag, to be read and set", tcp(function(conn)
    for _, name in ipairs(flags) do
      assert.equal(conn, conn:option(name, true), name)
      assert.is_true(conn:option(name), name)
      assert.equal(conn, conn:option(name, false), name)
      if name ~= "quickack" then -- the kernel's to take back
        assert.is_false(conn:option(name), name)
      end
    end
  end))

  helper.it("is a number, of seconds where it is a time", tcp(function(conn)
    for name, value in pairs(numbers) do
      assert.equal(conn, conn:option(name, value), name)
      assert.equal(value, conn:option(name), name)
    end
    assert.is_true(conn:option "maxseg" >= 0)
    local congestion = conn:option "congestion"
    assert.is_string(congestion)
    if congestion ~= "" then -- the simulation has none
      assert.equal(conn, conn:option("congestion", congestion))
    end
  end))

  helper.it("sizes the kernel's buffers", tcp(function(conn)
    for _, name in ipairs { "rcvbuf", "sndbuf" } do
      assert.equal(conn, conn:option(name, 32 * KIB))
      assert.is_true(conn:option(name) >= 32 * KIB)
    end
  end))

  helper.it("sends small writes at once unless told otherwise", tcp(function(conn, peer)
    assert.is_true(conn:option "nodelay")
    assert.is_true(peer:option "nodelay")
  end))

  helper.it("may be one to read only", tcp(function(conn)
    assert.equal(1, conn:option "type")
    assert.equal(2, conn:option "domain")
    assert.equal(0, conn:option "error")
    for _, name in ipairs { "type", "domain", "error" } do
      assert.matches("can only be read",
        helper.error_of(conn.option, conn, name, 1))
    end
  end))

  helper.it("raises when its name is unknown, with those that are not", tcp(function(conn)
    local message = helper.error_of(conn.option, conn, "nodely")
    assert.matches("unknown option 'nodely' %(nodelay, cork, .*, tos%)", message)
    assert.matches("unknown option ''", helper.error_of(conn.option, conn, ""))
    assert.matches("string expected", helper.error_of(conn.option, conn))
  end))

  helper.it("raises for values of the wrong kind", tcp(function(conn)
    local cases = {
      { "boolean expected", "nodelay", 1 }, { "boolean expected", "nodelay", nil },
      { "number expected", "keepidle", true }, { "out of range", "keepidle", -1 },
      { "out of range", "keepidle", 0 / 0 }, { "out of range", "rcvbuf", 1 << 40 },
      { "no integer representation", "rcvbuf", 1.5 },
      { "out of range", "user_timeout", math.huge },
      { "string expected", "congestion", {} },
    }
    for i, case in ipairs(cases) do
      assert.matches(case[1],
        helper.error_of(conn.option, conn, case[2], case[3]), i)
    end
  end))

  helper.it("that the kernel refuses is an error with its name", tcp(function(conn)
    local value, message, code = conn:option("congestion", ("x"):rep(1000))
    assert.is_nil(value)
    assert.matches("^option congestion: ", message)
    assert.is_true(code == "ENOENT" or code == "EINVAL", code)
  end))

  helper.it("reaches through a codec, and not a closed stream", tcp(function(conn)
    frames.wrap(conn)
    assert.is_true(conn:option "nodelay")
    conn:close()
    assert.matches("stream is closed",
      helper.error_of(conn.option, conn, "nodelay"))
  end))
end)

describe("an option of another stream", function()
  helper.it("is the socket's where it is a Unix one", unix(function(conn)
    assert.equal(1, conn:option "domain")
    assert.is_true(conn:option "sndbuf" > 0)
    local value, message, code = conn:option "nodelay"
    assert.is_nil(value)
    assert.matches("^option nodelay: ", message)
    assert.is_truthy(code)
  end))

  helper.it("is none in memory: ENOTSOCK", memory(function(conn)
    assert.equal("ENOTSOCK", select(3, conn:option "nodelay"))
    assert.equal("ENOTSOCK", select(3, conn:option("nodelay", true)))
    assert.matches("unknown option",
      helper.error_of(conn.option, conn, "nodely"))
    assert.equal("memory", conn:peer())
    assert.equal("memory", conn:address())
    frames.wrap(conn)
    assert.equal("ENOTSOCK", select(3, conn:option "nodelay"))
  end))
end)

local function tries(pair)
  local it = over(pair)

  helper.it("accepts all, in order with the writes", it(function(conn, peer)
    assert.equal(conn, conn:try_write("a", 1, proa.buffer "b"))
    assert.equal(conn, conn:write "c")
    assert.equal(conn, conn:try_write())
    assert.equal(conn, conn:try_write "d")
    conn:shutdown "w"
    assert.equal("a1bcd", peer:read "a")
    assert.matches("shut down for writing",
      helper.error_of(conn.try_write, conn, "x"))
    assert.matches("string expected", helper.error_of(peer.try_write, peer, {}))
  end))

  helper.it("accepts nothing where a write would wait: EAGAIN", it(function(conn, peer)
    local sent = { ("x"):rep(1024 * KIB) }
    assert.equal(conn, conn:try_write(sent[1]))
    for _ = 1, 3 do
      local ok, message, code = conn:try_write "never"
      assert.same({ nil, "write: the stream has no room now", "EAGAIN" },
        { ok, message, code })
    end
    local reader = proa.spawn(peer.read, peer, "a")
    helper.wait_until(function() return conn:try_write "later" end)
    conn:shutdown "w"
    assert.is_true(reader:await() == sent[1] .. "later")
  end))

  helper.it("does not go before writers that wait", it(function(conn, peer)
    local writers = {}
    for i = 1, 3 do
      writers[i] = proa.spawn(conn.write, conn, tostring(i):rep(1024 * KIB))
    end
    helper.turns()
    local reader = proa.spawn(peer.read, peer, "a")
    helper.wait_until(function() return conn:try_write "4" end)
    for i = 1, 3 do assert.equal(conn, writers[i]:await()) end
    conn:shutdown "w"
    local got = reader:await()
    assert.equal(3072 * KIB + 1, #got)
    assert.equal("34", got:sub(-2))
  end))

  helper.it("works where no task may wait", it(function(conn, peer)
    table.sort({ 3, 1, 2 }, function(a, b)
      assert.matches("cannot await here", helper.error_of(conn.write, conn, "!"))
      assert.matches("cannot await here", helper.error_of(conn.read, conn, "l"))
      assert.matches("cannot await here", helper.error_of(conn.flush, conn))
      assert.matches("cannot await here",
        helper.error_of(conn.copy_to, conn, peer))
      assert.matches("cannot await here",
        helper.error_of(frames.read, conn))
      assert.equal(conn, conn:try_write "x")
      assert.equal(conn, conn:unread "y")
      return a < b
    end)
    setmetatable({}, { __gc = function() conn:try_write "gc" end })
    collectgarbage()
    collectgarbage()
    conn:shutdown "w"
    assert.matches("^x+gc$", peer:read "a")
    assert.equal("y", conn:read(1))
  end))
end

helper.over_each("try_write", tries)
