--- task_local_spec: values that a task has, and what it spawns.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main

describe("a task-local", function()
  local function has_a_default()
    assert.is_nil(proa.task_local():get())
    local name = proa.task_local "nobody"
    assert.equal("nobody", name:get())
    name:set "me"
    assert.equal("me", name:get())
    name:set(nil)
    assert.is_nil(name:get())
    name:set(false)
    assert.is_false(name:get())
  end

  it("has a default, and what was set, nil and false too", has_a_default)
  it_main("does so in the main chunk", has_a_default)

  it("is inherited by what a task spawns, as it is then", function()
    local name = proa.task_local()
    name:set "first"
    local early = proa.spawn(function()
      proa.sleep(0.001)
      return name:get()
    end)
    name:set "second"
    local late = proa.spawn(function() return name:get() end)
    local scoped
    proa.scope(function(s)
      s:spawn(function()
        proa.spawn(function() scoped = name:get() end)
      end)
    end)
    assert.same({ "first", "second", "second" },
      { early:await(), late:await(), scoped })
  end)

  it("is not changed by what it spawned", function()
    local name = proa.task_local()
    name:set "mine"
    proa.spawn(function() name:set "theirs" end):await()
    assert.equal("mine", name:get())
    local a = proa.spawn(function()
      name:set "a"
      proa.sleep(0)
      return name:get()
    end)
    local b = proa.spawn(function()
      name:set "b"
      proa.sleep(0)
      return name:get()
    end)
    assert.same({ "a", "b" }, { a:await(), b:await() })
  end)

  it_main("goes from the main chunk to its tasks", function()
    local name = proa.task_local "default"
    name:set "main"
    assert.equal("main", proa.run(function() return name:get() end))
    name:with("bound", function()
      assert.equal("bound", proa.spawn(function() return name:get() end):await())
    end)
    name:set(nil)
  end)

  it("is bound for the time of a function", function()
    local name = proa.task_local "default"
    assert.same({ "inner", 1, nil, n = 3 }, table.pack(name:with("inner",
      function(...)
        proa.sleep(0)
        return name:get(), ...
      end, 1, nil)))
    assert.equal("default", name:get())
    local value = {}
    local ok, err = pcall(name.with, name, "x", error, value)
    assert.is_true(not ok and rawequal(value, err))
    assert.equal("default", name:get())
  end)

  it("is found innermost first, each by itself", function()
    local a, b = proa.task_local(), proa.task_local()
    a:set "a0"
    a:with("a1", function()
      b:with("b1", function()
        a:with("a2", function()
          assert.same({ "a2", "b1" }, { a:get(), b:get() })
          local seen = proa.spawn(function() return { a:get(), b:get() } end)
          assert.same({ "a2", "b1" }, seen:await())
          b:set "b2"
          a:set "a3"
        end)
        assert.same({ "a1", "b2" }, { a:get(), b:get() })
      end)
      assert.is_nil(b:get())
      b:set "stays"
    end)
    assert.same({ "a0", "stays" }, { a:get(), b:get() })
  end)

  it("that a generator bound is not its consumer's", function()
    local name = proa.task_local "consumer"
    local gen = coroutine.wrap(function()
      name:with("generator", function()
        for _ = 1, 2 do
          proa.sleep(0)
          coroutine.yield(name:get())
        end
      end)
    end)
    assert.equal("generator", gen())
    assert.equal("consumer", name:get())
    assert.equal("generator", gen())
    gen()
    assert.equal("consumer", name:get())
  end)

  it("does not lose the task's name, nor its traceback", function()
    helper.catch_errors()
    local name = proa.task_local()
    name:set "x"
    local task = proa.spawn(function(...)
      name:set(...)
      error(name:get(), 0)
    end, "y"):name "named"
    assert.equal("y", helper.error_of(task.await, task))
    assert.equal("named", task:name())
    assert.match("task_local_spec", task:traceback())
  end)

  it("keeps nothing of tasks that have ended", function()
    local name = proa.task_local()
    local weak = setmetatable({}, { __mode = "k" })
    do
      local value = {}
      weak[value] = true
      proa.spawn(function(v)
        name:set(v)
        proa.spawn(function() proa.sleep(0) end):await()
      end, value):await()
    end
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(weak))
  end)

  it("refuses what is no function, and to be set to nothing", function()
    local name = proa.task_local()
    assert.match("expected a function, got no value: write name:with%(value",
      helper.error_of(name.with, name, 1))
    assert.match("value expected", helper.error_of(name.set, name))
    assert.match("proa.task_local expected", helper.error_of(name.get, {}))
  end)
end)
