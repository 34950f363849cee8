--- stream_end_spec.lua: a script writes, lets go of its stream, and ends: all
-- that was accepted arrives, however slow the reader is (O4).
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local MIB = 1024 * 1024
local interpreter = (os.getenv "PROA_LUA" or ""):match "." and
  os.getenv "PROA_LUA" or "lua5.4"

local block = ("0123456789abcdef"):rep(MIB // 16 - 1) .. "another line----"
local text = block:rep(8)

--- All that comes, slowly at first.
local function read_slowly(conn)
  local parts, n = {}, 0
  for data in conn:chunks(64 * 1024) do
    parts[#parts + 1], n = data, n + #data
    if n < 4 * MIB then proa.sleep(0.0005) end
  end
  return table.concat(parts)
end

local function lets_go(pair)
  helper.it("by a <close> variable of a cancelled task, which had to wait", function()
    local conn, peer = pair()
    local writer = proa.spawn(function()
      local mine <close> = conn
      mine:write(text)
      proa.sleep(1e9)
    end)
    helper.turns()
    assert.equal("waiting", (writer:status()))
    writer:cancel()
    assert.equal("CANCELLED", select(3, writer:await()))
    assert.is_true(conn:closed())
    assert.is_true(read_slowly(peer) == text)
    peer:close()
  end, { limit = 30 })

  helper.it("by closing it, with many writers before", function()
    local conn, peer = pair()
    local writers = {}
    for i = 1, 8 do writers[i] = proa.spawn(conn.write, conn, block) end
    local closer = proa.spawn(function()
      for i = 1, 8 do assert.equal(conn, writers[i]:await()) end
      conn:close()
    end)
    assert.is_true(read_slowly(peer) == text)
    closer:await()
    peer:close()
  end, { limit = 30 })
end

helper.over_each("letting go", lets_go)

if helper.driver == "sim" then return end -- its network ends with its process

local programs = {
  ["writes and closes in a task"] = [[
    proa.run(function()
      local conn = assert(proa.net.connect(address))
      assert(conn:write(text))
      conn:close()
    end)]],
  ["writes and closes in the main chunk"] = [[
    local conn = assert(proa.net.connect(address))
    assert(conn:write(text))
    conn:close()]],
  ["writes and forgets its stream"] = [[
    local conn = assert(proa.net.connect(address))
    assert(conn:write(text))]],
  ["cancels the writer whose <close> variable it was"] = [[
    local writer = proa.spawn(function()
      local conn <close> = assert(proa.net.connect(address))
      conn:write(text)
    end)
    repeat
      proa.sleep(0)
      local _, what = writer:status()
    until what == "write"
    writer:cancel()
    assert(select(3, writer:await()) == "CANCELLED")]],
  ["cancels it inside run, and ends at once"] = [[
    proa.run(function()
      local writer = proa.spawn(function()
        local conn <close> = assert(proa.net.connect(address))
        conn:write(text)
      end)
      repeat
        proa.sleep(0)
        local _, what = writer:status()
      until what == "write"
      writer:cancel()
    end)]],
  ["fails with an error after it wrote"] = [[
    local conn <close> = assert(proa.net.connect(address))
    proa.timeout(0, conn.write, conn, text)
    error "on purpose"]],
}

local names = {}
for name in pairs(programs) do names[#names + 1] = name end
table.sort(names)

describe("all of 8 MiB arrives from a script that", function()
  local function arrives(name, listen_at)
    return function()
      local at = listen_at()
      local listener <close> = assert(proa.net.listen(at))
      local source = ([[
        local proa = require "proa"
        local address = %q
        local block = ("0123456789abcdef"):rep((1 << 16) - 1) ..
          "another line----"
        local text = block:rep(8)
      ]]):format(listener:address()) .. programs[name]
      local fails = name:find "^fails" ~= nil
      local child = assert(io.popen(("PROA_DRIVER=%s timeout 20 %s %s %s"):format(
        helper.driver, interpreter, helper.temp_file("program.lua", source),
        fails and "2>/dev/null" or ""), "w"))
      local conn <close> = assert(listener:accept(10))
      assert.is_true(read_slowly(conn) == text)
      assert.equal(not fails, child:close() == true)
    end
  end

  for _, name in ipairs(names) do
    helper.it(name .. ", over TCP", arrives(name, function()
      return "127.0.0.1:0"
    end), { limit = 30 })
  end
  helper.it(names[1] .. ", over a Unix socket", arrives(names[1], function()
    return "unix:" .. helper.temp "socket"
  end), { limit = 30 })
end)
