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
    assert.match("false\t1 task failed and nobody awaited it", output)
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

describe("a scope in a <close> variable", function()
  local function waits()
    local ended = false
    do
      local s <close> = proa.scope()
      s:spawn(function()
        proa.sleep(0.001)
        ended = true
      end)
    end
    assert.is_true(ended)
  end

  it("waits for its tasks at the end of the block", waits)
  it_main("does so in the main chunk", waits)

  it("keeps what the block returns", function()
    local function block()
      local s <close> = proa.scope()
      s:spawn(proa.sleep, 0.001)
      return 1, nil, 3
    end
    assert.same({ 1, nil, 3, n = 3 }, table.pack(block()))
  end)

  it("cancels its tasks when the block is left by an error", function()
    local seen, value = {}, {}
    local ok, err = pcall(function()
      local s <close> = proa.scope()
      s:spawn(forever(seen))
      helper.turns()
      error(value)
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
    assert.equal("ended", seen[1])
  end)

  it("raises the first error of its tasks from the block", function()
    local err = helper.error_of(function()
      local s <close> = proa.scope()
      s:spawn(error, "boom")
      proa.sleep(3600)
    end)
    assert.match("^boom\nraised in task", err)
    err = helper.error_of(function()
      local s <close> = proa.scope()
      s:spawn(error, "boom")
    end)
    assert.match("^boom\nraised in task", err)
  end)

  it("turns its own cancellation into a plain error", function()
    local err = helper.error_of(function()
      local s <close> = proa.scope()
      s:cancel "enough"
      proa.sleep(3600)
    end)
    assert.match("the scope was cancelled: enough$", err)
    assert.is_false(proa.is_cancelled(err))
    proa.sleep(0)
  end)

  it("takes options, and tells its errors afterwards", function()
    local s = proa.scope { on_error = "collect", limit = 2 }
    do
      local _ <close> = s
      for i = 1, 3 do s:spawn(error, i) end
    end
    local errors = s:errors()
    assert.same({ 1, 2, 3 },
      { errors[1].error, errors[2].error, errors[3].error })
  end)

  it("can be closed by hand, once", function()
    local s = proa.scope()
    local task = s:spawn(proa.sleep, 0.001)
    assert.equal("proa.scope (1 task)", tostring(s))
    s:close()
    assert.equal("ended", (task:status()))
    s:close()
    assert.match("the scope has ended", helper.error_of(s.spawn, s, print))
  end)

  it("cannot be closed by one of its own tasks", function()
    local err = helper.error_of(function()
      local s <close> = proa.scope()
      s:spawn(s.close, s)
    end)
    assert.match("a task of the scope cannot wait for its end", err)
  end)

  it("is ended from outside with the task that is in it", function()
    local seen = {}
    local task = proa.spawn(function()
      local s <close> = proa.scope()
      s:spawn(forever(seen))
    end)
    helper.turns()
    task:cancel()
    assert.equal("CANCELLED", select(3, task:await()))
    assert.equal("ended", seen[1])
  end)

  it("that nobody closes is cancelled when its task ends", function()
    local seen = {}
    proa.run(function()
      proa.spawn(function()
        local s = proa.scope()
        s:spawn(forever(seen))
        helper.turns()
      end):await()
    end)
    assert.equal("ended", seen[1])
  end)

  it("goes and comes with a generator that yields in it", function()
    local ended = 0
    local gen = coroutine.wrap(function()
      local s <close> = proa.scope()
      for i = 1, 3 do
        s:spawn(function()
          proa.sleep(0.001)
          ended = ended + 1
        end)
        coroutine.yield(i)
      end
    end)
    assert.equal(1, gen())
    -- the scope is the generator's: nothing here joins it
    local outside = proa.spawn(proa.sleep, 3600)
    assert.equal(2, gen())
    assert.equal(3, gen())
    gen()
    assert.equal(3, ended)
    assert.equal("waiting", (outside:status()))
    outside:cancel()
  end)

  it("is dropped with a generator that nobody resumes", function()
    local seen = {}
    do
      local gen = coroutine.wrap(function()
        local s <close> = proa.scope()
        s:spawn(forever(seen))
        coroutine.yield()
      end)
      gen()
      helper.turns()
    end
    helper.wait_until(function()
      collectgarbage()
      return seen[1]
    end)
  end)

  it("is given up when its coroutine is closed", function()
    local seen = {}
    local co = coroutine.create(function()
      local s <close> = proa.scope()
      s:spawn(forever(seen))
      coroutine.yield()
    end)
    coroutine.resume(co)
    helper.turns()
    assert.is_true(coroutine.close(co))
    helper.wait_until(function() return seen[1] end)
  end)
end)

describe("run inside a task", function()
  it("is a scope: its function runs in the same task", function()
    local me = proa.current()
    assert.is_true(proa.run(function(x) return proa.current() == me and x end,
      true))
  end)

  it_main("is ended by stop when it is the outermost", function()
    local after, count = false, nil
    proa.spawn(function()
      count = select("#", proa.run(function()
        proa.spawn(proa.stop)
        proa.sleep(3600)
        after = true
      end))
    end):await()
    assert.equal(0, count)
    assert.is_false(after)
  end)
end)
