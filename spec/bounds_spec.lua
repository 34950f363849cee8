--- bounds_spec.lua: memory is bounded in bytes (O9), and peers that behave
-- badly cost the others nothing. Programs of their own, which report what they
-- hold; how long the others wait is measured elsewhere.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"

local KIB = 1024

local prelude = [[
local proa = require "proa"
local KIB = 1024
local function resident() -- KiB
  local file <close> = io.open "/proc/self/statm"
  return file:read "a":match "%d+ (%d+)" * 4
end
local function unread(conn)
  return tonumber(tostring(conn):match "(%d+) bytes unread")
end
local function held() return proa.stats().queued_bytes // KIB end
local function wait_until(condition)
  local till = proa.now() + 10
  while not condition() do
    assert(proa.now() < till, "waited too long")
    proa.sleep(0)
  end
end
]]

--- Run a program; what it prints as "name value" lines.
local function report(source, options)
  local output, status = helper.lua(prelude .. source, options)
  assert.equal(0, status, output)
  local values = {}
  for name, value in output:gmatch "([%a_]+)%s+(%S+)" do
    values[name] = tonumber(value) or value
  end
  return values
end

local function at_most(limit, values, name)
  assert(values[name], name .. " was not reported")
  assert(values[name] <= limit, ("%s: %s"):format(name, values[name]))
end

describe("a server", function()
  helper.it_main("serves everybody beside who drips, is silent or never reads", function()
    local values = report([[
      proa.run(function()
        local listener <close> = assert(proa.net.listen "127.0.0.1:0")
        local address, block = listener:address(), ("x"):rep(32 * KIB)
        local ways = {}
        function ways.deaf(conn) while conn:write(block) do end end
        function ways.drip(conn) return conn:read_exact(1 << 20) end
        function ways.echo(conn)
          for line in conn:lines "L" do conn:write(line) end
        end
        local server = proa.spawn(listener.serve, listener, function(conn)
          local way = conn:read "l"
          if way then ways[way](conn) end
        end):background()
        local function connect(way)
          local conn = assert(proa.net.connect(address))
          if way then conn:write(way, "\n") end
          return conn
        end
        local bad = {}
        local base = resident()
        for i = 1, 1000 do bad[i] = connect() end
        for _ = 1, 5 do bad[#bad + 1] = connect "deaf" end
        local drip, dripped = connect "drip", 0
        bad[#bad + 1] = drip
        proa.spawn(function()
          while drip:write "." do
            dripped = dripped + 1
            proa.sleep(0)
          end
        end):background()
        local exchanges = 0
        local tasks = {}
        for i = 1, 10 do
          tasks[i] = proa.spawn(function()
            local conn <close> = connect "echo"
            for j = 1, 20 do
              local text = ("%d of %d"):format(j, i)
              conn:write(text, "\n")
              assert(conn:read "l" == text)
              exchanges = exchanges + 1
            end
            return true
          end)
        end
        for i = 1, 10 do assert(tasks[i]:await(10)) end
        local stats = proa.stats()
        print("exchanges", exchanges)
        print("dripped", dripped)
        print("queued", stats.queued_bytes)
        print("buffers", stats.buffers_taken)
        print("pool", proa.info().buffers)
        print("resident", resident() - base)
        for _, conn in ipairs(bad) do conn:abort() end
        proa.stop()
      end)
    ]], { before = "ulimit -n 4096" })
    assert.equal(200, values.exchanges)
    assert.is_true(values.dripped > 10)
    at_most(5 * 128 * KIB + 64 * KIB, values, "queued")
    at_most(values.pool // 4, values, "buffers")
    if not helper.sanitized then at_most(40 * KIB, values, "resident") end
  end)
end)

describe("a pool that is too small", function()
  helper.it_main("costs no byte: each stream receives for itself", function()
    local values = report [[
      proa.setup { buffers = 2, buffer_size = 4096 }
      proa.run(function()
        local text = ("0123456789abcdef"):rep(4 * KIB)
        local tasks, right = {}, 0
        for _ = 1, 40 do
          local a, b = proa.net.pair()
          tasks[#tasks + 1] = proa.spawn(function()
            a:write(text)
            a:close()
          end)
          tasks[#tasks + 1] = proa.spawn(function()
            if b:read "a" == text then right = right + 1 end
            b:close()
          end)
        end
        for _, task in ipairs(tasks) do task:await() end
        print("right", right)
        print("enobufs", proa.stats().enobufs)
        print("buffers", proa.stats().buffers_taken)
      end)
    ]]
    assert.equal(40, values.right)
    assert.is_true(values.enobufs > 0)
    assert.equal(0, values.buffers)
  end)

  helper.it_main("does not let single bytes hold a buffer each", function()
    local values = report [[
      proa.setup { buffers = 2, buffer_size = 4096 }
      proa.run(function()
        local kept = {}
        repeat -- the pool is theirs
          local a, b = proa.net.pair()
          a:write(("x"):rep(3000))
          assert(b:peek(3000))
          kept[#kept + 1] = { a, b }
        until proa.stats().buffers_taken == 2
        print("taken", proa.stats().buffers_taken)
        local a, b = proa.net.pair()
        local base = resident()
        for i = 1, 3000 do
          a:write "."
          assert(#b:peek(i) == i)
        end
        print("resident", resident() - base)
        print("enobufs", proa.stats().enobufs)
        assert(b:read(3000) == ("."):rep(3000))
      end)
    ]]
    assert.equal(2, values.taken)
    assert.is_true(values.enobufs >= 1000, values.enobufs)
    if not helper.sanitized then at_most(4 * KIB, values, "resident") end
  end)
end)

describe("a limit for all streams", function()
  local cap = [[
      proa.setup { memory = 1024 * KIB }
      local function fill(n, each) -- unread, in so many streams
        local list = {}
        for i = 1, n do
          local a, b = proa.net.pair()
          proa.spawn(function()
            for _ = 1, each // KIB do
              if a:closed() or not a:write(("x"):rep(KIB)) then break end
            end
          end):background()
          proa.spawn(b.peek, b, each):background()
          list[i] = { a, b }
        end
        return list
      end
      local function drop(list)
        for _, pair in ipairs(list) do
          pair[1]:abort()
          pair[2]:abort()
        end
      end
  ]]

  helper.it_main("leaves each stream its floor, and reads LIMIT above", function()
    local values = report(cap .. [[
      proa.run(function()
        local filled = fill(12, 240 * KIB)
        wait_until(function() return proa.stats().queued_bytes > 1024 * KIB end)
        local before
        repeat
          before = held()
          proa.sleep(0.01)
        until held() == before
        print("held", held())
        -- one that has more than its floor, and waits for more
        local full
        for _, pair in ipairs(filled) do
          if unread(pair[2]) > 64 * KIB then full = pair[2] end
        end
        local _, message, code = full:read_exact(1024 * KIB, 1)
        print("code", code)
        print("names", message:match "setup{memory=}")
        -- a new one has its floor
        local a, b = proa.net.pair()
        local writer = proa.spawn(a.write, a, ("y"):rep(60 * KIB))
        print("floor", #b:read_exact(60 * KIB, 5))
        writer:await()
        for i = 1, 50 do
          a:write("ping\n")
          assert(b:read("l", { timeout = 5 }) == "ping")
        end
        -- and when memory is free again everything goes on
        drop(filled)
        wait_until(function() return held() < 500 end)
        local c, d = proa.net.pair()
        proa.spawn(c.write, c, ("z"):rep(240 * KIB))
        print("free", #d:read_exact(240 * KIB, 5))
        proa.stop()
      end)
    ]])
    assert.equal("LIMIT", values.code)
    assert.equal("setup{memory=}", values.names)
    assert.equal(60 * KIB, values.floor)
    assert.equal(240 * KIB, values.free)
    -- each may have its floor, and what was under way when the limit was hit
    at_most(1024 + 12 * (64 + 64), values, "held")
  end)

  helper.it_main("is met by the reader of a codec, which then goes on", function()
    local values = report [[
      proa.setup { memory = 4096 * KIB }
      local frames = require "proa_spec_frames"
      proa.run(function()
        local hog, other = proa.net.pair()
        hog:unread(("x"):rep(6144 * KIB)) -- over the limit by itself
        local a, b = proa.net.pair()
        frames.wrap(frames.wrap(b))
        local frame = string.pack(">s4", ("x"):rep(900 * KIB))
        local writer = proa.spawn(a.write, a, string.pack(">s4", frame))
        local _, _, code = b:read_exact(900 * KIB, 5)
        print("code", code)
        print("again", select(3, b:read("l", { timeout = 5 })))
        hog:abort()
        other:abort()
        wait_until(function() return held() < 4096 end)
        print("free", #b:read_exact(900 * KIB, 5))
        writer:await()
        b:close()
        proa.stop()
      end)
    ]]
    assert.equal("LIMIT", values.code)
    assert.equal("LIMIT", values.again)
    assert.equal(900 * KIB, values.free)
  end)

  helper.it_main("is told at once to who waits for more than its floor", function()
    local values = report(cap .. [[
      local core = require "proa.core"
      proa.run(function()
        local a, b = core.memory_pair()
        local c, d = core.memory_pair()
        a:write(("x"):rep(100 * KIB))
        local reader = proa.spawn(b.read_exact, b, 300 * KIB)
        wait_until(function() return unread(b) == 100 * KIB end)
        -- nothing will come any more: others have it all
        c:try_write(("y"):rep(2048 * KIB))
        print("code", select(3, reader:await(5)))
        print("kept", unread(b))
        for _, s in ipairs { a, b, c, d } do s:abort() end
      end)
    ]])
    assert.equal("LIMIT", values.code)
    assert.equal(100 * KIB, values.kept)
  end)

  helper.it_main("lets everything through as it is read", function()
    local values = report(cap .. [[
      proa.run(function()
        local most, total = 0, 0
        local tasks = {}
        for i = 1, 20 do
          local a, b = proa.net.pair()
          tasks[#tasks + 1] = proa.spawn(function()
            for _ = 1, 8 do a:write(("x"):rep(100 * KIB)) end
            a:close()
          end)
          tasks[#tasks + 1] = proa.spawn(function()
            for data in b:chunks() do
              total = total + #data
              most = math.max(most, held())
              if total % 3 == 0 then proa.sleep(0) end
            end
            b:close()
          end)
        end
        for _, task in ipairs(tasks) do task:await(10) end
        print("total", total)
        print("most", most)
      end)
    ]])
    assert.equal(20 * 800 * KIB, values.total)
    -- beside the limit each may have its floor, what one call has brought, and
    -- a write on top of what was left of the one before
    at_most(1024 + 20 * (64 + 64 + 32 + 100), values, "most")
  end)

  helper.it_main("lets writers wait, whose bytes are not gone", function()
    local values = report(cap .. [[
      proa.run(function()
        local filled = fill(12, 240 * KIB)
        wait_until(function() return proa.stats().queued_bytes > 1024 * KIB end)
        local a, b = proa.net.pair()
        assert(a:try_write "accepted, ")
        print("code", select(3, a:try_write "not yet"))
        local writer = proa.spawn(a.write, a, "and this")
        local data = b:read_exact(18, 5)
        print("data", (data:gsub(" ", "_")))
        writer:await()
        drop(filled)
        proa.stop()
      end)
    ]])
    assert.equal("EAGAIN", values.code)
    assert.equal("accepted,_and_this", values.data)
  end)
end)
