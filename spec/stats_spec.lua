--- stats_spec: counters, and what there is at the moment.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it = helper.it

describe("stats", function()
  it("counts the operations in flight by name", function()
    local from, to = proa.fd.pair()
    local before = proa.stats().ops.recv or 0
    local recvs = { proa.op.recv(from, proa.buffer(1)),
      proa.op.recv(to, proa.buffer(1)) }
    local stats = proa.stats()
    assert.equal(before + 2, stats.ops.recv)
    local sum = 0
    for _, n in pairs(stats.ops) do sum = sum + n end
    assert.equal(stats.ops_in_flight, sum)
    assert.equal(2, stats.buffers_lent)
    for _, recv in ipairs(recvs) do recv:cancel() end
    for _, recv in ipairs(recvs) do recv:await() end
    assert.equal(before, proa.stats().ops.recv or 0)
    assert.equal(0, proa.stats().buffers_lent)
    from:close()
    to:close()
  end)

  helper.it_main("counts no operation where there is none", function()
    local output = helper.lua [[
      local proa = require "proa"
      print(proa.stats().ops_live)
      proa.run(function()
        local a, b = proa.fd.pair()
        a:close()
        b:close()
        repeat proa.sleep(0) until proa.stats().handles == 0
        print(proa.stats().ops_live)
      end)
    ]]
    assert.equal("0\n0\n", output)
  end)

  helper.it_listening("counts clients that nobody has accepted", function(
    listener, address)
    local before = proa.stats().parked
    assert.is_nil((listener:accept(0)))
    local clients = {}
    for i = 1, 3 do clients[i] = assert(proa.net.connect(address)) end
    helper.wait_until(function() return proa.stats().parked == before + 3 end)
    assert(listener:accept()):close()
    assert.equal(before + 2, proa.stats().parked)
    listener:close()
    for _, client in ipairs(clients) do client:close() end
    helper.wait_until(function() return proa.stats().parked == before end)
  end)

  it("counts tasks that are ready, and descriptors", function()
    local before = proa.stats()
    for _ = 1, 5 do proa.spawn(function() end) end
    assert.equal(before.tasks_ready + 5, proa.stats().tasks_ready)
    local a, b = proa.fd.pair()
    assert.equal(before.handles + 2, proa.stats().handles)
    a:close()
    b:close()
    helper.wait_until(function() return proa.stats().handles == before.handles end)
  end)

  it("knows how many buffers of the pool are free", function()
    local stats, info = proa.stats(), proa.info()
    assert.equal(info.buffers, stats.buffers_free + stats.buffers_taken)
  end)
end)
