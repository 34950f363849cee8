--- block_limit_spec: timeout and deadline without a function, and defer: what
-- is bound to the end of a block.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main

describe("a timeout in a <close> variable", function()
  local function expires()
    local limit = proa.timeout(0.001)
    do
      local _ <close> = limit
      assert.is_false(limit.expired)
      local ok, err = pcall(proa.sleep, 3600)
      assert.is_false(ok)
      assert.is_true(proa.is_cancelled(err))
      assert.equal("timed out", err.reason)
      assert.is_true(limit.expired)
    end
    proa.sleep(0) -- it is gone
    assert.is_true(limit.expired)
  end

  it("cancels the awaits of its block when the time is up", expires)
  it_main("does so in the main chunk", expires)

  it("makes a plain error of a cancellation that leaves its block", function()
    local limit
    local ok, err = pcall(function()
      limit = proa.timeout(0.001)
      local _ <close> = limit
      proa.sleep(3600)
    end)
    assert.is_false(ok)
    assert.match("timed out$", err)
    assert.is_true(limit.expired)
    proa.sleep(0)
  end)

  it("ends with its block, and harms nobody afterwards", function()
    local limit
    local function block()
      limit = proa.timeout(0.002)
      local _ <close> = limit
      return "in time" -- nothing has awaited: it had no chance
    end
    assert.equal("in time", block())
    proa.sleep(0.004)
    assert.is_false(limit.expired)
    assert.equal("proa.timeout (closed)", tostring(limit))
  end)

  it("lets other errors of its block pass", function()
    local value = {}
    local ok, err = pcall(function()
      local _ <close> = proa.timeout(60)
      error(value)
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
  end)

  it("lets a cancellation from outside pass, whichever is due", function()
    local inner
    local results = table.pack(proa.timeout(0, function()
      inner = proa.timeout(0)
      local _ <close> = inner
      proa.sleep(3600)
    end))
    assert.same({ nil, "timed out", "TIMEOUT", n = 3 }, results)
    local task = proa.spawn(function()
      local _ <close> = proa.timeout(60)
      proa.sleep(3600)
    end)
    helper.turns()
    task:cancel()
    assert.equal("CANCELLED", select(3, task:await()))
  end)

  it("nests: the one that is over ends what is inside it", function()
    local after
    local ok, err = pcall(function()
      local outer <close> = proa.timeout(3600)
      local caught = select(2, pcall(function()
        local _ <close> = proa.timeout(0.001)
        proa.sleep(3600)
      end))
      assert.match("timed out", caught)
      assert.is_false(outer.expired)
      proa.sleep(0)
      after = true
    end)
    assert.is_true(ok, err)
    assert.is_true(after)
  end)

  it("can be extended, until it is over", function()
    local limit <close> = proa.timeout(0.002)
    assert.is_true(limit:extend(3600))
    proa.sleep(0.004)
    assert.is_false(limit.expired)
    assert.is_true(limit:extend(0))
    assert.is_false((pcall(proa.sleep, 3600)))
    assert.is_true(limit.expired)
    assert.is_false(limit:extend(3600))
    limit:close()
    proa.sleep(0)
    assert.is_false(limit:extend(1))
  end)

  it("can be cancelled for a reason, and has not expired then", function()
    local limit
    local err = helper.error_of(function()
      limit = proa.timeout(3600)
      local _ <close> = limit
      assert.is_true(limit:cancel "changed my mind")
      assert.equal("proa.timeout (cancelled)", tostring(limit))
      local seen = select(2, pcall(proa.sleep, 3600))
      assert.equal("cancelled: changed my mind", tostring(seen))
      proa.sleep(3600)
    end)
    assert.match("cancelled: changed my mind$", err)
    assert.is_false(limit.expired)
    assert.is_false(limit:cancel())
  end)

  it("goes and comes with a generator that yields in it", function()
    local limit
    local gen = coroutine.wrap(function()
      limit = proa.timeout(0.001)
      local _ <close> = limit
      coroutine.yield "open"
      coroutine.yield((pcall(proa.sleep, 3600)))
    end)
    assert.equal("open", gen())
    proa.sleep(0.003) -- not reached by it
    assert.is_true(limit.expired)
    assert.is_false(gen())
    gen()
  end)

  it("that nobody closes ends with its task", function()
    proa.spawn(function() proa.timeout(3600) end):await()
    assert.match("expected a function, got nil", helper.error_of(proa.timeout, 1,
      nil))
  end)
end)

describe("a deadline in a <close> variable", function()
  it("ends its block at a time of proa.now's clock", function()
    local at = proa.now() + 0.002
    local limit <close> = proa.deadline(at)
    assert.is_false((pcall(proa.sleep, 3600)))
    assert.is_true(proa.now() >= at - 1e-6)
    assert.is_true(limit.expired)
  end)
end)

describe("defer", function()
  local function runs()
    local steps = {}
    do
      local _ <close> = proa.defer(function(err)
        proa.sleep(0.001)
        steps[#steps + 1] = err == nil and "deferred"
      end)
      steps[#steps + 1] = "body"
    end
    assert.same({ "body", "deferred" }, steps)
  end

  it("runs its function at the end of the block, where it may await", runs)
  it_main("does so in the main chunk", runs)

  it("gives its function the error that left the block", function()
    local value, seen = {}, nil
    local ok, err = pcall(function()
      local _ <close> = proa.defer(function(e) seen = e end)
      error(value)
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(value, err) and rawequal(value, seen))
  end)

  it("may await in a task that is cancelled", function()
    local steps = {}
    local task = proa.spawn(function()
      local _ <close> = proa.defer(function(err)
        steps[#steps + 1] = err.reason
        proa.sleep(0.001)
        steps[#steps + 1] = "cleaned up"
      end)
      proa.sleep(3600)
    end)
    helper.turns()
    task:cancel "enough"
    assert.equal("CANCELLED", select(3, task:await()))
    assert.same({ "enough", "cleaned up" }, steps)
  end)

  it("may await when a timeout has ended its block", function()
    local done = false
    assert.equal("TIMEOUT", select(3, proa.timeout(0.001, function()
      local _ <close> = proa.defer(function()
        proa.sleep(0.001)
        done = true
      end)
      proa.sleep(3600)
    end)))
    assert.is_true(done)
  end)

  it("raises the error of its function instead", function()
    assert.equal("second", helper.error_of(function()
      local _ <close> = proa.defer(function() error("second", 0) end)
      error("first", 0)
    end))
  end)

  it("runs in the reverse order of the block", function()
    local order = {}
    do
      local _ <close> = proa.defer(function() order[#order + 1] = 1 end)
      local _ <close> = proa.defer(function() order[#order + 1] = 2 end)
    end
    assert.same({ 2, 1 }, order)
  end)

  it("runs also where nothing may await", function()
    local ran, err = false, nil
    local co = coroutine.create(function()
      local _ <close> = proa.defer(function()
        ran, err = true, select(2, pcall(proa.sleep, 0))
      end)
      coroutine.yield()
    end)
    coroutine.resume(co)
    assert.is_true(coroutine.close(co))
    assert.is_true(ran)
    assert.match("cannot await here", err)
  end)

  it_main("runs when the program ends in its block", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      proa.spawn(function()
        local _ <close> = proa.defer(function() print "deferred" end)
        proa.sleep(3600)
      end)
      proa.sleep(0)
    ]]
    assert.equal(0, status, output)
    assert.equal("deferred\n", output)
  end)

  it("tells its state, and refuses what is no function", function()
    local d = proa.defer(function() end)
    assert.equal("proa.defer (waits)", tostring(d))
    do local _ <close> = d end
    assert.equal("proa.defer (done)", tostring(d))
    do local _ <close> = d end -- once
    assert.match("expected a function, got no value: write local _ <close> = proa",
      helper.error_of(proa.defer))
  end)
end)
