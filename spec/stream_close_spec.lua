--- stream_close_spec.lua: closing and aborting streams, and what comes after.
-- close returns at once and flushes in the background; abort drops what was
-- not sent; either wakes whoever waits, and a closed stream says so.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local MIB = 1024 * 1024
local interpreter = (os.getenv "PROA_LUA" or ""):match "." and
  os.getenv "PROA_LUA" or "lua5.4"

local function closes(pair)
  local it = helper.it_on(pair)

  it("sends 8 MiB after the close to a reader who is slow", function(conn, peer)
    local text = ("0123456789abcdef"):rep(8 * MIB // 16)
    -- accepted without room: the writer gives up, the bytes go all the same
    assert.is_nil(proa.timeout(0, conn.write, conn, text))
    local before = proa.now()
    assert.is_true(conn:close())
    assert.is_true(proa.now() - before < 1)
    assert.equal(1, proa.stats().lingering)
    local parts, n = {}, 0
    for data in function() return peer:read_some() end do
      parts[#parts + 1], n = data, n + #data
      if #parts % 50 == 0 then proa.sleep(0.001) end
    end
    assert.equal(8 * MIB, n)
    assert.is_true(table.concat(parts) == text)
  end, { limit = 30 })

  it("gives up lingering after the limit", function(conn, peer)
    assert.is_nil(proa.timeout(0, conn.write, conn, ("x"):rep(8 * MIB)))
    conn:close(0.05)
    helper.wait_until(function() return proa.stats().lingering == 0 end)
    local n, data = 0, nil
    repeat
      n = n + (data and #data or 0)
      data = peer:read_some()
    until not data
    assert.is_true(n < 8 * MIB)
  end)

  it("wakes a waiting reader with CLOSED", function(conn)
    for _, what in ipairs { "l", "a", 10 } do
      local other, peer = pair()
      local reader = proa.spawn(other.read, other, what)
      helper.turns()
      other:close()
      local data, message, code = reader:await()
      assert.is_nil(data)
      assert.equal("read: the stream was closed", message)
      assert.equal("CLOSED", code)
      peer:close()
    end
    local reader = proa.spawn(conn.read_exact, conn, 3)
    helper.turns()
    conn:abort()
    assert.equal("CLOSED", select(3, reader:await()))
  end)

  it("wakes a waiting writer and a flush with CLOSED", function(conn)
    local writer = proa.spawn(function()
      local result
      repeat result = table.pack(conn:write(("x"):rep(100000))) until not result[1]
      return result
    end)
    helper.wait_until(function()
      return select(2, writer:status()) == "write" and
        tonumber(tostring(conn):match "(%d+) unsent") > 0
    end)
    proa.sleep(0.02)
    local flusher = proa.spawn(conn.flush, conn)
    helper.turns()
    conn:abort()
    assert.same({ nil, "write: the stream was closed", "CLOSED", n = 3 },
      writer:await())
    assert.equal("CLOSED", select(3, flusher:await()))
  end)

  it("gives its peer the end of stream", function(conn, peer)
    local reader = proa.spawn(peer.read_some, peer)
    helper.turns()
    conn:close()
    assert.is_nil(reader:await())
    assert.is_nil(peer:read "l")
  end)

  it("raises after the close, except for closing", function(conn)
    assert.is_false(conn:closed())
    conn:close()
    assert.is_true(conn:closed())
    for _, name in ipairs { "read", "read_some", "write", "flush", "shutdown",
      "address", "peer" } do
      assert.matches("stream is closed",
        helper.error_of(conn[name], conn))
    end
    assert.matches("stream is closed",
      helper.error_of(conn.timeout, conn, { read = 1 }))
    assert.is_true(conn:close())
    conn:abort()
    assert.equal("proa.stream (closed)", tostring(conn))
  end)

  it("is closed by <close>, also when an error passes", function(conn, peer)
    assert.is_false(pcall(function()
      local mine <close> = conn
      mine:write "before"
      error "passes"
    end))
    assert.is_true(conn:closed())
    assert.equal("before", peer:read "a")
  end)

  it("is closed by the collector when nobody has it", function(_, peer)
    local peers = {}
    for i = 1, 10 do
      local conn, other = pair()
      conn:write "from a stream without an owner"
      peers[i] = other
    end
    collectgarbage()
    for _, other in ipairs(peers) do
      assert.equal("from a stream without an owner", other:read "a")
      other:close()
    end
    peer:close()
  end)

  it("tells where it leads and what is queued", function(conn, peer)
    conn:write "12345"
    local text = tostring(conn):gsub("fd %d+, ", "")
    assert.matches("^proa%.stream %S+ %(0 bytes unread, 5 unsent%)$", text)
    helper.wait_until(function()
      proa.timeout(0, peer.read, peer, "a")
      return tostring(peer):find("5 bytes unread, 0 unsent", 1, true)
    end)
  end)
end

helper.over_each("closing", closes)

describe("closing over TCP:", function()
  helper.it("aborts with a reset", function()
    local conn, peer = helper.tcp_pair()
    local _ <close> = peer
    conn:abort()
    local data, message, code = peer:read_some()
    assert.is_nil(data)
    assert.equal("read: connection reset by peer", message)
    assert.equal("ECONNRESET", code)
    assert.equal(0, proa.stats().lingering)
  end)

  helper.it("drops by abort what was not sent", function()
    local conn, peer = helper.tcp_pair()
    local _ <close> = peer
    assert.is_nil(proa.timeout(0, conn.write, conn, ("x"):rep(32 * MIB)))
    conn:abort()
    local n = 0
    for data in function() return peer:read_some() end do n = n + #data end
    assert.is_true(n < 32 * MIB)
  end)

  helper.it_main("run waits for what closes in the background", function()
    local text, got = ("x"):rep(8 * MIB), 0
    local listener = assert(proa.net.listen "127.0.0.1:0")
    local peer
    proa.run(function()
      local accepted = proa.spawn(listener.accept, listener)
      local conn = assert(proa.net.connect(listener:address()))
      peer = accepted:await()
      proa.spawn(function()
        for data in function() return peer:read_some() end do
          got = got + #data
        end
      end)
      proa.timeout(0, conn.write, conn, text)
      conn:close()
    end)
    assert.equal(8 * MIB, got)
    assert.equal(0, proa.stats().lingering)
    peer:close()
    listener:close()
  end)

  if helper.driver == "sim" then
    pending "lua_close: the simulation's network ends with its process"
    return
  end

  helper.it("lua_close sends what closed streams have accepted", function()
    local listener <close> = assert(proa.net.listen "127.0.0.1:0")
    local program = helper.temp_file("program.lua", ([[
      local proa = require "proa"
      local conn = assert(proa.net.connect %q)
      proa.timeout(0, conn.write, conn, ("x"):rep(8 * 1024 * 1024))
      conn:close()
    ]]):format(listener:address()))
    local child = assert(io.popen(("PROA_DRIVER=%s %s %s"):format(
      helper.driver, interpreter, program), "w"))
    local conn <close> = assert(listener:accept())
    assert.equal(8 * MIB, #conn:read "a")
    assert.is_true(child:close())
  end)
end)
