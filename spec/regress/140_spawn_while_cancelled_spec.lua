--- A task that spawns while it is cancelled.
-- Symptom: what it spawned was not cancelled, so a run that had failed, been
-- stopped or timed out went on until that ended by itself.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

describe("a task that is cancelled with its run or scope", function()
  local function leaves(around)
    local err
    pcall(around, function()
      proa.spawn(function()
        pcall(proa.sleep, 3600)
        proa.spawn(function()
          err = select(2, pcall(proa.sleep, 3600))
          error(err, 0)
        end)
      end)
      helper.turns()
      error("over", 0)
    end)
    assert.is_true(proa.is_cancelled(err))
  end

  helper.it_main("leaves nothing behind that it spawned, in a run", function()
    leaves(proa.run)
  end)

  helper.it("leaves nothing behind that it spawned, in a scope", function()
    leaves(proa.scope)
  end)

  local function cleans_up(around)
    local result
    pcall(around, function()
      proa.spawn(function()
        local _ <close> = proa.defer(function()
          local cleanup = proa.spawn(function()
            proa.sleep(0.001)
            return "done"
          end)
          result = cleanup:await()
        end)
        proa.sleep(3600)
      end)
      helper.turns()
      error("over", 0)
    end)
    assert.equal("done", result)
  end

  helper.it_main("may spawn what its cleanup needs, in a run", function()
    cleans_up(proa.run)
  end)

  helper.it("may spawn what its cleanup needs, in a scope", function()
    cleans_up(proa.scope)
  end)
end)
