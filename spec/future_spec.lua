--- future_spec: hand-made futures, and what futures of ops add.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main

describe("a hand-made future", function()
  it("gives its values to everyone who awaits, then and later", function()
    local f, got = proa.future(), {}
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = proa.spawn(function() got[i] = table.pack(f:await()) end)
    end
    helper.turns()
    assert.is_true(f:set(1, nil, 3, nil))
    for i = 1, 3 do tasks[i]:await() end
    for i = 1, 3 do assert.same({ 1, nil, 3, nil, n = 4 }, got[i]) end
    assert.same({ 1, nil, 3, nil, n = 4 }, table.pack(f:await()))
  end)

  it("raises the error it failed with, the same value each time", function()
    local f, err = proa.future(), { "mine" }
    assert.is_true(f:fail(err))
    for _ = 1, 2 do
      local ok, raised = pcall(f.await, f)
      assert.is_false(ok)
      assert.is_true(raised == err)
    end
  end)

  it("is polled without waiting", function()
    local f = proa.future()
    assert.same({ false, n = 1 }, table.pack(f:poll()))
    f:set("a", nil)
    assert.same({ true, "a", nil, n = 3 }, table.pack(f:poll()))
  end)

  it("is set or failed once", function()
    local f = proa.future()
    f:set(1)
    assert.match("the future is set already", helper.error_of(f.set, f, 2))
    assert.match("the future is set already", helper.error_of(f.fail, f, 2))
    local g = proa.future()
    g:fail "x"
    assert.match("the future is failed already", helper.error_of(g.set, g))
  end)

  it("that was cancelled tells so to who awaits and who sets it", function()
    local f = proa.future()
    local task = proa.spawn(f.await, f)
    helper.turns()
    assert.is_true(f:cancel())
    assert.same({ nil, "the future was cancelled", "CANCELLED", n = 3 },
      table.pack(task:await()))
    assert.is_false(f:cancel())
    assert.is_false(f:set(1))
    assert.is_false(f:fail(1))
  end)

  it("is awaited no longer than the limit", function()
    local f = proa.future()
    assert.same({ nil, "timed out", "TIMEOUT", n = 3 },
      table.pack(f:await(0.001)))
    f:set "later"
    assert.equal("later", f:await(0))
  end)

  it("may be dropped while tasks await it elsewhere", function()
    local task = proa.spawn(function()
      return proa.future():await(0.005)
    end)
    helper.turns()
    collectgarbage()
    collectgarbage()
    assert.equal("TIMEOUT", select(3, task:await()))
  end)

  it_main("is awaited in the main chunk", function()
    local f = proa.future()
    proa.spawn(function()
      proa.sleep(0.001)
      f:set "from a task"
    end)
    assert.equal("from a task", f:await())
  end)
end)

describe("the future of an op", function()
  it("cannot be set or failed", function()
    local f <const> = proa.op.timer(60)
    assert.match("the future of an op cannot be set", helper.error_of(f.set, f))
    assert.match("the future of an op cannot be failed",
      helper.error_of(f.fail, f))
    f:cancel()
    f:await()
  end)

  it("gives the same result each time", function()
    local a <close>, b = proa.fd.pair()
    local f = proa.op.send(a, "hello")
    for _ = 1, 3 do assert.equal(5, f:await()) end
    assert.same({ true, 5 }, { f:poll() })
    b:close()
  end)

  it("may be set to nothing", function()
    local f = proa.future()
    assert.is_true(f:set())
    assert.equal(0, select("#", f:await()))
    assert.same({ n = 1, true }, table.pack(f:poll()))
    assert.same({ n = 1, "f" }, table.pack(proa.select { f = f }))
    assert.same({ n = 1, 1 }, table.pack(proa.select { f }))
    assert.equal(0, select("#", f:await()))
  end)

  it("goes on when a wait for it is given up", function()
    local a <close>, b = proa.fd.pair()
    local buffer = proa.buffer(1)
    local f = proa.op.recv(a, buffer)
    assert.equal("TIMEOUT", select(3, f:await(0.001)))
    local task = proa.spawn(f.await, f)
    helper.turns()
    task:cancel()
    task:await()
    assert.equal(1, proa.op.send(b, "x"):await())
    assert.equal(1, f:await())
    assert.equal("x", buffer:string())
    b:close()
  end)

  it("may be dropped: its result is put away", function()
    do
      local listening <close> = assert(proa.fd.listen "127.0.0.1:0")
      local client <close> = assert(proa.fd.socket(listening:address()))
      proa.op.accept(listening)
      assert.is_true(proa.op.connect(client, listening:address()):await())
      helper.turns()
      proa.op.open "/dev/null"
    end
    collectgarbage() -- the helper looks at the descriptors
  end)
end)
