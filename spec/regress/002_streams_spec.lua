--- Streams whose readers and writers give up or fail.
-- Symptoms: writers behind a failed one hung; a read that was rescheduled
-- undid another's lent buffer; the limit of a flush began anew at each wake;
-- a big read that was given up lifted the quota; a list of strings that
-- changed was sent from freed memory.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local KIB = 1024

describe("a stream", function()
  helper.it("wakes every writer that waits when its peer is gone", function()
    local a, b = proa.net.pair()
    local writers = {}
    for i = 1, 4 do
      writers[i] = proa.spawn(a.write, a, ("x"):rep(1024 * KIB))
    end
    helper.turns()
    b:close()
    for i = 1, 4 do
      local ok, _, code = writers[i]:await(5)
      assert.is_true(ok == nil and code ~= "TIMEOUT", code)
    end
    a:close()
  end)

  helper.it("wakes every writer that waits when it is shut down", function()
    local a, b = proa.net.pair()
    local writers, raised = {}, 0
    for i = 1, 4 do
      writers[i] = proa.spawn(pcall, a.write, a, ("x"):rep(1024 * KIB))
    end
    helper.turns()
    local shutting = proa.spawn(a.shutdown, a, "w")
    local reading = proa.spawn(b.read, b, "a")
    for i = 1, 4 do
      if not writers[i]:await(5) then raised = raised + 1 end
    end
    assert.is_true(raised >= 3)
    shutting:await()
    assert.equal(0, #reading:await() % (1024 * KIB))
    a:close()
    b:close()
  end)

  helper.it("bounds a flush although others keep the queue full", function()
    local a, b = proa.net.pair()
    a:timeout { write = 0.05 }
    local on = true
    local reader = proa.spawn(function()
      while b:read_some() do proa.sleep(0.001) end
    end)
    local writer = proa.spawn(function()
      while on do a:write(("y"):rep(48 * KIB)) end
    end)
    helper.turns()
    local start = proa.now()
    a:flush()
    assert.is_true(proa.now() - start < 2)
    on = false
    writer:await()
    a:close()
    reader:await()
    b:close()
  end)

  helper.it("is bounded again when a big read was given up", function()
    local a, b = proa.net.pair()
    b:timeout { read = 0.001 }
    assert.equal("TIMEOUT", select(3, b:read(1 << 40)))
    local writer = proa.spawn(function()
      while a:write(("z"):rep(64 * KIB)) do end
    end)
    for _ = 1, 50 do proa.sleep(0.001) end
    local unread = tonumber(tostring(b):match "(%d+) bytes unread")
    assert.is_true(unread <= 1024 * KIB, unread)
    b:close()
    writer:await()
    a:close()
  end)
end)

describe("sendmsg", function()
  helper.it("keeps the strings, whatever becomes of their list", function()
    local a, b = proa.fd.pair()
    local list = {}
    for i = 1, 8 do list[i] = tostring(i):rep(200 * KIB) end
    local sending = proa.op.sendmsg(a, list)
    for i = 1, 8 do list[i] = nil end
    local buffer, got = proa.buffer(256 * KIB), {}
    for _ = 1, 4 do collectgarbage() end
    repeat
      local n = assert(proa.op.recv(b, buffer):await())
      got[#got + 1] = buffer:string(1, n)
    until #table.concat(got) == 1600 * KIB
    assert.equal(1600 * KIB, sending:await())
    local text = table.concat(got)
    for i = 1, 8 do
      assert.equal(tostring(i), text:sub((i - 1) * 200 * KIB + 1, -1):sub(1, 1))
    end
    a:close()
    b:close()
  end)
end)
