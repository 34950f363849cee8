--- scope_spec: tasks that end before the block that started them.
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

describe("scope", function()
  local function returns_results()
    local ended = 0
    local results = table.pack(proa.scope(function(s)
      for i = 1, 3 do
        s:spawn(function()
          proa.sleep(i / 1000)
          ended = ended + 1
        end)
      end
      return 1, nil, 3, nil
    end))
    assert.same({ 1, nil, 3, nil, n = 4 }, results)
    assert.equal(3, ended)
  end

  it("returns its function's results when all its tasks have ended",
    returns_results)
  it_main("does so in the main chunk", returns_results)

  it("gives its tasks their arguments and hands them out", function()
    proa.scope(function(s)
      local task = s:spawn(function(...) return select("#", ...), ... end,
        nil, 2, nil)
      assert.same({ 3, nil, 2, nil, n = 4 }, table.pack(task:await()))
      local callable = setmetatable({}, { __call = function(_, x) return x end })
      assert.equal(7, s:spawn(callable, 7):await())
    end)
  end)

  it("returns at once without tasks", function()
    assert.equal("nothing", proa.scope(function() return "nothing" end))
  end)

  local function first_error(fails)
    local seen = {}
    local ok, err = pcall(proa.scope, function(s)
      s:spawn(forever(seen, "sibling"))
      s:spawn(function()
        proa.sleep(0)
        fails()
      end):name "bad"
      forever(seen, "body")()
    end)
    assert.is_false(ok)
    table.sort(seen)
    assert.same({ "body", "sibling" }, { seen[1], seen[2] })
    assert.equal("another task of its scope failed", seen.reason)
    return err
  end

  it("raises the first error, with its traceback and place of birth", function()
    local function deep() error "boom" end
    local err = first_error(deep)
    local line = debug.getinfo(deep, "S").linedefined
    assert.match("^spec/scope_spec.lua:" .. line .. ": boom\nraised in task " ..
      '#%d+ "bad" %(spec/scope_spec.lua:%d+%):\nstack traceback:\n.*' ..
      "spawned at spec/scope_spec.lua:%d+ by task", err)
    assert.match("scope_spec.lua:" .. line .. ": in ", err)
  end)

  it("raises an error that is no string as the same value", function()
    local value = { "mine" }
    assert.is_true(rawequal(value, first_error(function() error(value) end)))
    assert.equal(42, first_error(function() error(42) end))
    assert.is_nil(first_error(function() error(nil) end))
  end)

  it_main("raises the first error in the main chunk", function()
    local ok, err = pcall(proa.scope, function(s)
      s:spawn(error, "boom")
      proa.sleep(3600)
    end)
    assert.is_false(ok)
    assert.match("^boom\nraised in task #%d+ %(spec/scope_spec.lua:%d+%)", err)
  end)

  it("raises a task's error also when its function has returned", function()
    local err = helper.error_of(proa.scope, function(s)
      s:spawn(function()
        proa.sleep(0.001)
        error("late", 0)
      end)
      s:spawn(proa.sleep, 3600)
      return "result"
    end)
    assert.match("^late\n", err)
  end)

  it("raises a task's error though somebody has awaited it", function()
    local inner
    local err = helper.error_of(proa.scope, function(s)
      local task = s:spawn(error, "seen")
      inner = select(2, pcall(task.await, task))
    end)
    assert.equal("seen", inner)
    assert.match("^seen\n", err)
  end)

  it("raises its function's own error when the others have ended", function()
    local value, seen = {}, {}
    local ok, err = pcall(proa.scope, function(s)
      s:spawn(forever(seen))
      helper.turns()
      error(value)
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
    assert.same({ "ended" }, { seen[1] })
    assert.equal("its scope was left by an error", seen.reason)
  end)

  it("reports what tasks raise while they are cancelled", function()
    local reports = helper.catch_errors()
    local err = helper.error_of(proa.scope, function(s)
      s:spawn(function()
        pcall(proa.sleep, 3600)
        error("cleanup broke", 0)
      end)
      helper.turns()
      s:spawn(error, "first")
      proa.sleep(3600)
    end)
    assert.match("^first\n", err)
    assert.equal(1, #reports)
    assert.equal("cleanup broke", reports[1].err)
  end)

  it("does not report a task that passes the first error on", function()
    local reports, value = helper.catch_errors(), {}
    local ok, err = pcall(proa.scope, function(s)
      local gate = proa.future()
      local first = s:spawn(function() gate:await() error(value) end)
      s:spawn(function() proa.shield(first.await, first) end)
      helper.turns()
      gate:set()
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
    assert.same({}, reports)
  end)

  it("has the errors of an inner scope go through the outer one", function()
    local err = helper.error_of(proa.scope, function(outer)
      outer:spawn(function()
        proa.scope(function(inner)
          inner:spawn(error, "deep"):name "grandchild"
        end)
      end):name "child"
    end)
    assert.match('^deep\nraised in task #%d+ "grandchild".-raised in task ' ..
      '#%d+ "child"', err)
  end)

  it("is waited for, with its tasks, by the scope around it", function()
    local order = {}
    proa.scope(function(outer)
      outer:spawn(function()
        proa.scope(function(inner)
          inner:spawn(function()
            proa.sleep(0.001)
            order[#order + 1] = "inner"
          end)
        end)
        order[#order + 1] = "outer"
      end)
    end)
    assert.same({ "inner", "outer" }, order)
  end)

  it("is ended by a timeout around it, its tasks first", function()
    local seen = {}
    assert.same({ nil, "timed out", "TIMEOUT", n = 3 },
      table.pack(proa.timeout(0.001, proa.scope, function(s)
        s:spawn(forever(seen))
      end)))
    assert.same({ "ended" }, { seen[1] })
  end)

  it("is ended by the cancellation of its task, its tasks first", function()
    local seen = {}
    local task = proa.spawn(proa.scope, function(s)
      s:spawn(forever(seen, "child"))
      s:spawn(function()
        pcall(proa.sleep, 3600)
        proa.shield(proa.sleep, 0.001)
        seen[#seen + 1] = "cleanup"
      end)
      forever(seen, "body")()
    end)
    helper.turns()
    task:cancel()
    assert.equal("CANCELLED", select(3, task:await()))
    assert.equal("cleanup", table.remove(seen))
    table.sort(seen)
    assert.same({ "body", "child" }, { seen[1], seen[2] })
  end)

  it("is ended by a cancellation that its function did not notice", function()
    local seen = {}
    local task = proa.spawn(proa.scope, function(s)
      s:spawn(forever(seen))
      helper.turns()
      proa.current():cancel()
      return "not noticed"
    end)
    assert.equal("CANCELLED", select(3, task:await()))
    assert.equal("ended", seen[1])
  end)

  it("raises an error of a task before the cancellation that ended it", function()
    local task = proa.spawn(proa.scope, function(s)
      s:spawn(function()
        pcall(proa.sleep, 3600)
        error("cleanup broke", 0)
      end)
    end)
    helper.turns()
    task:cancel()
    assert.match("^cleanup broke\n", helper.error_of(task.await, task))
  end)

  it("lets the tasks of others alone", function()
    local outside = proa.spawn(proa.sleep, 3600)
    pcall(proa.scope, function(s) s:spawn(error, "x") end)
    assert.equal("waiting", (outside:status()))
    outside:cancel()
  end)

  it("ends its background when only that is left", function()
    local seen = {}
    proa.scope(function(s)
      s:spawn(forever(seen)):background()
      s:spawn(proa.sleep, 0.001)
    end)
    assert.equal("ended", seen[1])
    proa.scope(function(s)
      s:spawn(forever(seen)):background()
      helper.turns()
    end)
    assert.equal(2, #seen)
  end)

  it("waits for what spawn starts inside it, and what that spawns", function()
    local ended = 0
    proa.scope(function()
      proa.spawn(function()
        proa.spawn(function()
          proa.sleep(0.002)
          ended = ended + 1
        end)
        ended = ended + 1
      end)
    end)
    assert.equal(2, ended)
    assert.equal("ok", proa.scope(function()
      local task = proa.spawn(error, "handled")
      pcall(task.await, task)
      return "ok"
    end))
  end)

  it_main("fails at its end for an error of spawn that nobody awaited", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      proa.run(function()
        print(pcall(proa.scope, function() proa.spawn(error, "lost") end))
      end)
    ]]
    assert.equal(0, status, output)
    assert.match("failed: lost\n", output)
    assert.match("false\t%S+:3: 1 task failed and nobody awaited it", output)
  end)

  it("keeps the traceback of an error that passes through it", function()
    local function deep() error "deep" end
    local line = debug.getinfo(deep, "S").linedefined
    local task = proa.spawn(function()
      proa.scope(function() proa.timeout(60, proa.shield, deep) end)
    end)
    assert.match("deep$", helper.error_of(task.await, task))
    assert.match("scope_spec.lua:" .. line .. ": in ", task:traceback())
  end)

  it("takes no old traceback for a new error", function()
    local task = proa.spawn(function()
      pcall(proa.timeout, 60, function() error("first", 0) end)
      error("second", 0)
    end)
    local line = debug.getinfo(1, "l").currentline - 2
    pcall(task.await, task)
    assert.match("scope_spec.lua:" .. line .. ": in", task:traceback())
  end)

  it("refuses what is no function, and options it does not know", function()
    assert.match("expected a function, got string: write proa.scope%(function",
      helper.error_of(proa.scope, "x", {}))
    assert.match("table expected", helper.error_of(proa.scope, "x"))
    assert.match("scope: unknown option 'limits'",
      helper.error_of(proa.scope, function() end, { limits = 1 }))
    assert.match("unknown option", helper.error_of(proa.scope, { 1 }))
    assert.match("limit is a number of tasks, at least 1",
      helper.error_of(proa.scope, { limit = 0 }))
    assert.match('on_error is "cancel" or "collect", not \'ignore\'',
      helper.error_of(proa.scope, { on_error = "ignore" }))
    assert.match("function expected", helper.error_of(proa.scope,
      function(s) s:spawn(1) end))
  end)
end)
