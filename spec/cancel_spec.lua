--- cancel_spec: cancelling tasks, and what a cancelled task may still do.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main

local function closing(fn)
  return setmetatable({}, { __close = fn })
end

describe("a cancellation", function()
  it("is raised at the await, as a unique object", function()
    local seen = {}
    local function body()
      local ok, err = pcall(proa.sleep, 3600)
      seen[#seen + 1] = err
      assert.is_false(ok)
      error(err, 0)
    end
    local a, b = proa.spawn(body), proa.spawn(body)
    helper.turns()
    a:cancel()
    b:cancel()
    a:await()
    b:await()
    assert.is_true(proa.is_cancelled(seen[1]) and proa.is_cancelled(seen[2]))
    assert.is_false(rawequal(seen[1], seen[2]))
    assert.is_false(proa.is_cancelled "cancelled")
  end)

  it("carries the reason that was given, the first one", function()
    local err
    local task = proa.spawn(function()
      err = select(2, pcall(proa.sleep, 3600))
      error(err, 0)
    end)
    helper.turns()
    task:cancel "not needed"
    task:cancel "too late to say"
    local _, message, code = task:await()
    assert.equal("cancelled: not needed", tostring(err))
    assert.equal("not needed", err.reason)
    assert.is_nil(err.anything)
    assert.equal("the task was cancelled: not needed", message)
    assert.equal("CANCELLED", code)
  end)

  it("without a reason has none", function()
    local err
    local task = proa.spawn(function()
      err = select(2, pcall(proa.sleep, 3600))
      error(err, 0)
    end)
    task:cancel()
    assert.equal("the task was cancelled", select(2, task:await()))
    assert.equal("cancelled", tostring(err))
    assert.is_nil(err.reason)
    assert.match("string expected", helper.error_of(task.cancel, task, {}))
  end)

  it("is raised only in the cancelled task", function()
    local inner = proa.spawn(proa.sleep, 3600)
    local outer = proa.spawn(function() return select(3, inner:await()) end)
    helper.turns()
    inner:cancel()
    assert.equal("CANCELLED", outer:await())
    assert.equal("ended", (outer:status()))
  end)

  it("of one who awaits does not cancel what is awaited", function()
    local inner = proa.spawn(function() proa.sleep(0.01) return "whole" end)
    local outer = proa.spawn(inner.await, inner)
    helper.turns()
    outer:cancel()
    outer:await()
    assert.equal("whole", inner:await())
  end)

  it("reaches a task that has not started", function()
    local started = false
    local task = proa.spawn(function()
      started = true
      proa.sleep(3600)
    end)
    task:cancel()
    assert.equal("CANCELLED", select(3, task:await()))
    assert.is_true(started)
  end)

  it("is raised again at the next await when a pcall swallowed it", function()
    local errors = {}
    local task = proa.spawn(function()
      for i = 1, 3 do errors[i] = select(2, pcall(proa.sleep, 3600)) end
    end)
    helper.turns()
    task:cancel()
    task:await()
    assert.equal(3, #errors)
    assert.is_true(rawequal(errors[1], errors[3]))
    assert.equal("ended", (task:status()))
  end)

  it("does not touch what a task does between awaits", function()
    local task = proa.spawn(function()
      pcall(proa.sleep, 3600)
      return "made without waiting"
    end)
    helper.turns()
    task:cancel()
    assert.equal("made without waiting", task:await())
  end)

  it("that meets a completed op delivers the result first", function()
    local f, got, next_ok, next_err = proa.future(), nil, nil, nil
    local task = proa.spawn(function()
      got = f:await()
      next_ok, next_err = pcall(proa.sleep, 0)
    end)
    helper.turns()
    f:set "result"
    task:cancel()
    task:await()
    assert.equal("result", got)
    assert.is_false(next_ok)
    assert.is_true(proa.is_cancelled(next_err))
  end)

  it("that meets read bytes delivers them or leaves them", function()
    local a <close>, b = proa.net.pair()
    local got
    local task = proa.spawn(function() got = b:read_exact(5) end)
    helper.turns()
    a:write "hello"
    a:flush()
    helper.turns(2)
    task:cancel()
    task:await()
    assert.equal("hello", got or b:read_exact(5))
    b:close()
  end)

  it("runs <close> variables, which await under a shield", function()
    local steps = {}
    local task = proa.spawn(function()
      local _ <close> = closing(function(_, err)
        steps[#steps + 1] = proa.is_cancelled(err)
        steps[#steps + 1] = pcall(proa.sleep, 0)
        steps[#steps + 1] = proa.shield(function(x)
          proa.sleep(0.001)
          return x
        end, "slept")
      end)
      proa.sleep(3600)
    end)
    helper.turns()
    task:cancel()
    assert.equal("CANCELLED", select(3, task:await()))
    assert.same({ true, false, "slept" }, steps)
  end)

  it("comes through a shield only when that has ended", function()
    local steps = {}
    local task = proa.spawn(function()
      proa.shield(function()
        proa.sleep(0.005)
        steps[#steps + 1] = "shielded"
      end)
      steps[#steps + 1] = "after"
      proa.sleep(0)
      steps[#steps + 1] = "never"
    end)
    helper.turns()
    task:cancel()
    task:await()
    assert.same({ "shielded", "after" }, steps)
  end)

  it("may be cancelled by its own task", function()
    local after = false
    local task
    task = proa.spawn(function()
      task:cancel()
      proa.sleep(0)
      after = true
    end)
    assert.equal("CANCELLED", select(3, task:await()))
    assert.is_false(after)
  end)
end)

describe("a cancelled task that goes on and on", function()
  it("starves nobody and is closed in the end", function()
    local reports, closed, ticks = helper.catch_errors(), false, 0
    local task = proa.spawn(function()
      local _ <close> = closing(function() closed = true end)
      while true do pcall(proa.sleep, 3600) end
    end)
    local other = proa.spawn(function()
      for _ = 1, 10 do
        proa.sleep(0)
        ticks = ticks + 1
      end
    end)
    helper.turns()
    task:cancel()
    assert.equal("CANCELLED", select(3, task:await()))
    other:await()
    assert.is_true(closed)
    assert.equal(10, ticks)
    assert.equal(1, #reports)
    assert.match("caught its cancellation %d+ times", reports[1].err)
  end)

  it_main("does not keep run from returning", function()
    helper.catch_errors()
    assert.equal("done", proa.run(function()
      proa.spawn(function()
        while true do pcall(proa.yield) end
      end):background()
      proa.sleep(0)
      return "done"
    end))
  end)
end)

describe("is_cancelled", function()
  it("refuses to be asked about nothing", function()
    assert.match("value expected", helper.error_of(proa.is_cancelled))
    assert.is_false(proa.is_cancelled(nil))
  end)
end)

describe("shield", function()
  it("returns what its function returns and raises what it raises", function()
    assert.same({ 1, nil, n = 2 },
      table.pack(proa.shield(function() return 1, nil end)))
    assert.match("inside", helper.error_of(proa.shield, error, "inside"))
    assert.match("expected a function, got no value: write proa.shield%(function",
      helper.error_of(proa.shield))
  end)

  it("lets a timeout inside it work", function()
    assert.equal("TIMEOUT", select(3, proa.shield(function()
      return proa.timeout(0.001, proa.sleep, 3600)
    end)))
  end)
end)
