--- scope_option_spec: scopes that collect errors, that run few tasks at once,
-- and that are cancelled by hand.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main

--- A task body that waits forever and notes how it was ended.
local function forever(seen, name)
  return function()
    local ok, err = pcall(proa.sleep, 3600)
    seen[#seen + 1] = name or "ended"
    seen.reason = err.reason
    if not ok then error(err, 0) end
  end
end

describe("scope with on_error = \"collect\"", function()
  local COLLECT = { on_error = "collect" }

  it("returns the errors, then its function's results", function()
    local value, other = { "mine" }, false
    local errors, a, b = proa.scope(function(s)
      s:spawn(error, "one"):name "first"
      s:spawn(function()
        proa.sleep(0.002)
        other = true
      end)
      s:spawn(function()
        proa.sleep(0.001)
        error(value)
      end)
      return "a", nil
    end, COLLECT)
    assert.is_true(other)
    assert.same({ "a" }, { a, b })
    assert.equal(2, #errors)
    assert.equal("one", errors[1].error)
    assert.equal("first", errors[1].task:name())
    assert.match("stack traceback", errors[1].traceback)
    assert.is_true(rawequal(value, errors[2].error))
  end)

  it("returns an empty list when none has failed", function()
    assert.same({ {}, "fine", n = 2 }, table.pack(proa.scope(function(s)
      s:spawn(proa.sleep, 0)
      return "fine"
    end, COLLECT)))
  end)

  it("raises its function's own error all the same", function()
    local seen = {}
    assert.equal("body", helper.error_of(proa.scope, function(s)
      s:spawn(forever(seen))
      s:spawn(error, "collected")
      helper.turns()
      error("body", 0)
    end, COLLECT))
    assert.equal("ended", seen[1])
  end)
end)

describe("scope with a limit", function()
  local function at_once(limit, n)
    local running, most, order = 0, 0, {}
    proa.scope(function(s)
      for i = 1, n do
        s:spawn(function()
          running = running + 1
          most = math.max(most, running)
          order[#order + 1] = i
          proa.sleep(0.0001 * (i % 3))
          running = running - 1
        end)
      end
    end, { limit = limit })
    for i = 1, n do assert.equal(i, order[i]) end
    return most
  end

  it("runs at most so many at once, in order", function()
    assert.equal(1, at_once(1, 10))
    assert.equal(3, at_once(3, 30))
    assert.equal(5, at_once(50, 5))
  end)

  it_main("does so in the main chunk", function()
    assert.equal(2, at_once(2, 10))
  end)

  it("lets several spawners in, in the order in which they asked", function()
    local order = {}
    proa.scope(function(s)
      proa.scope(function(spawners)
        for name = 1, 3 do
          spawners:spawn(function()
            for i = 1, 3 do
              s:spawn(function()
                order[#order + 1] = i * 10 + name
                proa.sleep(0)
              end)
            end
          end)
        end
      end)
    end, { limit = 1 })
    assert.same({ 11, 21, 12, 13, 31, 22, 23, 32, 33 }, order)
  end)

  it("cancels a spawn that waits for room, and starts nothing", function()
    local started = 0
    local err = helper.error_of(proa.scope, function(s)
      s:spawn(function()
        started = started + 1
        proa.sleep(0.001)
        error("x", 0)
      end)
      s:spawn(function() started = started + 1 end)
    end, { limit = 1 })
    assert.match("^x\n", err)
    assert.equal(1, started)
  end)

  it("goes on after a spawn that gave up", function()
    local order = {}
    proa.scope(function(s)
      local function add(what)
        return s:spawn(function()
          proa.sleep(0.003)
          order[#order + 1] = what
        end)
      end
      add "first"
      assert.equal("TIMEOUT", select(3, proa.timeout(0.001, add, "never")))
      add "second"
    end, { limit = 1 })
    assert.same({ "first", "second" }, order)
  end)

  it("waits for what a spawner outside starts in its last moment", function()
    local ended, s = false, nil
    local closer = proa.spawn(function() s:close() end)
    local spawner = proa.spawn(function()
      return s:spawn(function()
        proa.sleep(0.001)
        ended = true
      end)
    end)
    s = proa.scope { limit = 1 }
    s:spawn(proa.sleep, 0.001)
    closer:await()
    assert.is_true(ended)
    assert.equal("ended", (spawner:await():status()))
  end)
end)

describe("s:cancel", function()
  it("ends the tasks and the function, and says why", function()
    local seen = {}
    local results = table.pack(proa.scope(function(s)
      s:spawn(forever(seen))
      helper.turns()
      assert.is_true(s:cancel "enough")
      forever(seen, "body")()
    end))
    assert.same({ nil, "the scope was cancelled: enough", "CANCELLED", n = 3 },
      results)
    table.sort(seen)
    assert.same({ "body", "ended" }, { seen[1], seen[2] })
    assert.equal("enough", seen.reason)
  end)

  it("leaves the results of a function that ends all the same", function()
    assert.equal("done", proa.scope(function(s)
      s:spawn(proa.sleep, 3600)
      s:cancel()
      return "done"
    end))
  end)

  it("may come from a task of it, or from outside", function()
    for _, from in ipairs { "inside", "outside" } do
      local code = select(3, proa.scope(function(s)
        local function cancel() s:cancel "over" end
        if from == "inside" then s:spawn(cancel) end
        local outside = from == "outside" and proa.spawn(cancel)
        proa.sleep(3600)
        return outside
      end))
      assert.equal("CANCELLED", code)
    end
  end)

  it("cancels what is spawned afterwards as well", function()
    local state
    proa.scope(function(s)
      s:cancel()
      local task = s:spawn(proa.sleep, 3600)
      proa.shield(task.await, task)
      state = task:status()
    end)
    assert.equal("cancelled", state)
  end)

  it("is false when it has ended, and harms nobody", function()
    local scope
    proa.scope(function(s) scope = s end)
    assert.is_false(scope:cancel())
    assert.equal("proa.scope (ended)", tostring(scope))
    assert.match("the scope has ended", helper.error_of(scope.spawn, scope, print))
    proa.sleep(0)
  end)

  it("lets an outer cancellation win", function()
    local results = table.pack(proa.timeout(0.001, function()
      proa.scope(function(s)
        s:spawn(proa.sleep, 3600)
        pcall(proa.sleep, 3600)
        s:cancel()
        proa.sleep(3600)
      end)
      return "not reached"
    end))
    assert.same({ nil, "timed out", "TIMEOUT", n = 3 }, results)
  end)
end)
