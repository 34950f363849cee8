--- Spawning what can be called and is no function.
-- Symptom: a table with __call that was spawned without arguments failed with
-- "attempt to call a nil value"; the task took it for a table of its own.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

describe("a callable table", function()
  local calls
  local callable = setmetatable({}, {
    __call = function(_, ...)
      calls = calls + 1
      return "called", select("#", ...)
    end,
  })

  before_each(function() calls = 0 end)

  helper.it("runs as a task, with arguments and without", function()
    for n = 0, 2 do
      local task = proa.spawn(callable, table.unpack({ 1, 2 }, 1, n))
      assert.same({ "called", n }, { task:await() })
    end
    assert.equal(3, calls)
    assert.equal(0, #callable)
    assert.is_nil(next(callable))
  end)

  helper.it("keeps the name that it is given before it runs", function()
    local task = proa.spawn(callable):name "worker"
    assert.same({ "called", 0 }, { task:await() })
    assert.equal("worker", task:name())
    assert.is_nil(next(callable))
  end)
end)
