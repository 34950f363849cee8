--- 120: what the fault loop found. In a release build there are no fault
-- points, and so no tests here; `make asan` and `make DEBUG=1 test` have them.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local path = package.searchpath("proa.core", package.cpath)
local open = package.loadlib(path, "luaopen_proa_core_fault")
if not open then return end

local fault = open()
local it = helper.it

--- fn's results while the nth visit of that point fails.
local function failing(point, nth, fn, ...)
  fault.arm(point, nth)
  local results = table.pack(pcall(fn, ...))
  assert.equal(1, fault.disarm(), point .. " was not visited")
  return table.unpack(results, 1, results.n)
end

describe("without memory", function()
  it("a coroutine that would await in a task is not resumed", function()
    local ran, list = 0, {}
    for i = 1, 100 do -- more than any room that is there
      list[i] = coroutine.create(function() ran = ran + 1 proa.sleep(0) end)
    end
    fault.arm("ptrmap_grow", 1)
    local tasks, refused = {}, 0
    for i, co in ipairs(list) do
      tasks[i] = proa.spawn(function()
        local ok, message = coroutine.resume(co)
        if not ok then refused = refused + 1 end
        assert(ok or message:find("not enough memory", 1, true), message)
      end)
    end
    for _, task in ipairs(tasks) do task:await() end
    fault.disarm()
    assert.equal(100, ran + refused)
  end)

  it("a client that cannot be parked is told to who accepts", function()
    local listener <close> = assert(proa.net.listen "127.0.0.1:0")
    local client <close> = assert(proa.net.connect(listener:address()))
    assert(client)
    local ok, stream, _, code = failing("listener_grow", 1, function()
      return listener:accept(5)
    end)
    assert.is_true(ok)
    assert.same({ nil, "ENOMEM" }, { stream, code })
  end)

  it("a client whose stream cannot be made is accepted the next time",
    function()
      local listener <close> = assert(proa.net.listen "127.0.0.1:0")
      local client <close> = assert(proa.net.connect(listener:address()))
      local _, stream, _, code = failing("stream_new", 1, function()
        return listener:accept(5)
      end)
      assert.same({ nil, "ENOMEM" }, { stream, code })
      local served <close> = assert(listener:accept(5))
      assert(served:write "x")
      assert.equal("x", client:read_exact(1, 5))
    end)

  it("a pair of streams leaves no descriptor", function()
    local _, a = failing("stream_new", 2, proa.net.pair)
    assert.is_nil(a) -- the helper looks at descriptors
  end)
end)

if helper.driver ~= "sim" then
  describe("a shutdown that the kernel refuses", function()
    it("is a failed write", function()
      local a, b = assert(proa.net.pair())
      local _ <close> = a
      local _ <close> = b
      fault.arm("shutdown", 1, 1, 5)
      local ok, _, code = a:shutdown "w"
      assert.equal(1, fault.disarm())
      assert.same({ nil, "EIO" }, { ok, code })
    end)
  end)
end
