--- A select that finds something ready leaves room for others.
-- Symptom: where to begin was counted on for each select, so of two that took
-- turns each was always given the same entry; and a loop over what is always
-- ready never let another task run.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it = helper.it

describe("a select that does not wait", function()
  it("is fair to selects that take turns", function()
    local seen = { {}, {} }
    local function round(i)
      local a, b = proa.future(), proa.future()
      a:set()
      b:set()
      seen[i][proa.select { a = a, b = b }] = true
    end
    for _ = 1, 20 do
      round(1)
      round(2)
    end
    assert.same({ { a = true, b = true }, { a = true, b = true } }, seen)
  end)

  it("gives other tasks their turn although something is always ready",
    function()
      local done, turns = proa.future(), 0
      done:set()
      local other = proa.spawn(function()
        for _ = 1, 3 do
          turns = turns + 1
          proa.yield()
        end
      end)
      for _ = 1, 1000 do proa.select { done } end
      assert.equal(3, turns)
      other:await()
    end)
end)
