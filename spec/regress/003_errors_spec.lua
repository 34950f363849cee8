--- Errors that somebody sees late, or nobody would have seen.
-- Symptoms: run failed for an error that had been awaited meanwhile; of two
-- tasks that failed under one select the other was lost; stop hid the error
-- of a cleanup.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"

-- In processes of their own: they print to stderr and have no on_error.
local function output_of(source)
  local output, status = helper.lua("local proa = require 'proa'\n" .. source)
  assert.equal(0, status, output)
  return output
end

describe("run", function()
  helper.it_main("does not fail for an error that was awaited late", function()
    local output = output_of [[
      print(pcall(proa.run, function()
        local task = proa.spawn(function() error("late", 0) end)
        proa.sleep(0.001)
        print(pcall(task.await, task))
        return "fine"
      end))
    ]]
    assert.match("false\tlate\n", output)
    assert.match("true\tfine\n", output)
  end)

  helper.it_main("reports a failure that select saw and did not choose",
    function()
      local output = output_of [[
        print(pcall(proa.run, function()
          local go = proa.future()
          local function fail(e) return function() go:await() error(e, 0) end end
          local a, b = proa.spawn(fail "A"), proa.spawn(fail "B")
          proa.spawn(function() go:set() end)
          pcall(proa.select, { a = a, b = b })
        end))
      ]]
      assert.match("failed: [AB]\n", output)
      assert.match("1 task failed and nobody awaited it", output)
    end)

  helper.it_main("raises what a cleanup raised after stop", function()
    local output = output_of [[
      print(pcall(proa.run, function()
        proa.spawn(proa.stop)
        if not pcall(proa.sleep, 5) then error("cleanup broke", 0) end
      end))
    ]]
    assert.match("false\tcleanup broke", output)
  end)
end)
