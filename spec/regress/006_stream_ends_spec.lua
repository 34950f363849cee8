--- Streams that end, fill up or change while a call of theirs is under way.
-- Symptoms: awaiting in the main chunk what the program had just written to a
-- stream in memory was called a deadlock; a finaliser that closed the stream
-- which was being read or written crashed the process; so did a metamethod in
-- the table for timeout{}; flush waited for ever for what was written before a
-- codec was put on the stream; a codec said goodbye behind bytes that were
-- dropped, so that its peer took the rest for the whole; over the cap of
-- setup{memory=} a message's reader was refused one that was there, or slept
-- on, and a copy spun.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local frames = require "proa_spec_frames"
local helper = require "spec.helper"
local proa = require "proa"

local KIB = 1024

--- What a program prints whose main chunk has a pair of streams in memory.
local function main_chunk(source)
  return helper.lua([[
    local proa, core = require "proa", require "proa.core"
    local frames = require "proa_spec_frames"
    local a, b = core.memory_pair()
  ]] .. source)
end

describe("the main chunk", function()
  helper.it("awaits what it wrote to a stream in memory", function()
    assert.equal("itself\nin frames\n", (main_chunk [[
      a:write "itself"
      print(b:read_some())
      frames.wrap(a)
      frames.wrap(b)
      a:write "in frames"
      print(b:read_some())
    ]]))
  end)

  helper.it("is told when what it wrote is not enough", function()
    local output, status = main_chunk [[a:write "four" b:read(5)]]
    assert.matches("deadlock", output)
    assert.equal(1, status)
  end)
end)

describe("a finaliser", function()
  -- The collector runs it when a read allocates its string.
  helper.it("may close a stream that is being read", function()
    local output = helper.lua [[
      local core = require "proa.core"
      local text, size, closed = ("x"):rep(1 << 22), 30000, 0
      for _ = 1, 20 do
        local conn, peer = core.memory_pair()
        conn:unread(text)
        setmetatable({}, { __gc = function() conn:close() end })
        local read, n, ok = conn.read, 0
        repeat
          n, ok = n + size, pcall(read, conn, size)
        until not ok or n + size > #text
        if not ok then closed = closed + 1 end
        conn:close()
        peer:close()
      end
      print(closed > 0)
    ]]
    assert.equal("true\n", output)
  end)
end)

describe("lua_close", function()
  for _, case in ipairs {
    { "waits", "" },
    { "was woken", "peer:try_write 'x' proa.yield() proa.yield()" },
    { "was told of a close", "conn:close()" },
  } do
    helper.it("frees the buffer of a read_into that " .. case[1], function()
      local output, status = helper.lua(([[
        local proa = require "proa"
        local conn, peer = require "proa.core".memory_pair()
        proa.spawn(conn.read_into, conn, proa.buffer(100))
        proa.spawn(function() %s os.exit(0, true) end)
        proa.run()
      ]]):format(case[2]))
      assert.same({ "", 0 }, { output, status })
    end)
  end
end)

describe("timeout{}", function()
  helper.it("runs no metamethods of its table", function()
    local conn, peer = core.memory_pair()
    conn:timeout(setmetatable({}, {
      __index = function()
        conn:close()
        return 1
      end,
    }))
    assert.is_false(conn:closed())
    conn:close()
    peer:close()
  end)
end)

helper.over_each("a codec put on a stream", function(pair)
  helper.it("flushes what was written before", function()
    local conn, peer = pair()
    local n = 4096 * KIB
    proa.timeout(0, conn.write, conn, ("x"):rep(n))
    frames.wrap(conn)
    local flush = proa.spawn(conn.flush, conn)
    helper.turns()
    assert.equal(n, #peer:read_exact(n))
    assert.equal(conn, flush:await(5))
    conn:abort()
    peer:close()
  end)
end)

describe("a codec", function()
  helper.it("put on a stream tells of what failed before", function()
    local conn, peer = core.memory_pair()
    conn:write "to nobody"
    peer:close()
    helper.turns()
    frames.wrap(conn)
    assert.equal("EPIPE", select(3, conn:close()))
  end)

  helper.it("says no goodbye behind bytes that were dropped", function()
    local conn, peer = core.memory_pair()
    frames.wrap(conn, true)
    frames.wrap(peer)
    assert.is_nil(proa.timeout(0, conn.flush, conn:write "lost"))
    conn:close(0)
    assert.equal("ECONNRESET", select(3, peer:read "a"))
    peer:close()
  end)
end)

--- A program in which `hold(n)` makes a stream hold n unread bytes, and `peer`
-- sends 80,000 bytes that come in one frame, or all but the last.
local capped = [[
  local proa, core = require "proa", require "proa.core"
  local frames = require "proa_spec_frames"
  proa.setup { memory = 300000 }
  local other = core.memory_pair()
  local function hold(n) other:unread(("z"):rep(n)) end
  local conn, peer = core.memory_pair()
  local frame = string.pack(">I4", 80000) .. ("m"):rep(80000)
  proa.run(function() %s end)
]]

local function assert_capped(expected, source)
  helper.it(expected[1], function()
    assert.equal(expected[2], (helper.lua(capped:format(source))))
  end)
end

describe("over the cap of all streams", function()
  assert_capped({ "a message that is there is read", "80000\n" }, [[
    local reader = proa.spawn(frames.read, conn)
    proa.sleep(0)
    peer:write(frame:sub(1, 4))
    proa.sleep(0)
    peer:try_write(frame:sub(5))
    hold(290000)
    print(#assert(reader:await()))
  ]])

  assert_capped({ "a message that can't come is not waited for", "LIMIT\n" }, [[
    peer:write(frame:sub(1, -2))
    proa.sleep(0)
    hold(290000)
    print((select(3, frames.read(conn))))
  ]])

  assert_capped({ "a copy ends where a read would", "LIMIT\t0\n" }, [[
    frames.wrap(conn)
    peer:write(frame:sub(1, -2))
    proa.sleep(0)
    hold(290000)
    print(select(3, proa.timeout(1, conn.copy_to, conn, (core.memory_pair()))))
  ]])
end)
