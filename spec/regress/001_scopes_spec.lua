--- Scopes that leave a task's stack in unusual ways.
-- Symptoms: memory of a collected scope was written when its coroutine was
-- closed and resumed; a shield forgave a cancellation; run said CANCELLED
-- where its caller's timeout had expired.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local function collect()
  for _ = 1, 3 do collectgarbage() end
end

describe("a scope", function()
  helper.it("goes with a coroutine that is closed inside it", function()
    local co = coroutine.create(function()
      proa.timeout(10, proa.timeout, 20, coroutine.yield)
    end)
    assert.is_true(coroutine.resume(co))
    assert.is_true(coroutine.close(co))
    collect()
    local ok, message = coroutine.resume(co)
    assert.is_false(ok)
    assert.equal("cannot resume dead coroutine", message)
    proa.sleep(0)
  end)

  helper.it("is dropped with a coroutine that nobody resumes", function()
    do
      local step = coroutine.wrap(function()
        proa.shield(proa.timeout, 10, coroutine.yield)
      end)
      step()
    end
    collect()
    assert.equal("TIMEOUT", select(3, proa.timeout(0.001, proa.sleep, 5)))
  end)

  helper.it("that shields does not forgive the cancellation around it", function()
    local rounds = 0
    local saved = proa.on_error(function() end)
    local task = proa.spawn(function()
      while true do
        pcall(proa.sleep, 5)
        proa.shield(function() end)
        rounds = rounds + 1
        assert(rounds < 1e5, "it starves the others")
      end
    end)
    proa.yield()
    task:cancel()
    assert.equal("CANCELLED", select(3, task:await()))
    proa.on_error(saved)
  end)

  helper.it("around a run is told from the run's own end", function()
    local function forever()
      return proa.run(function() proa.sleep(60) end)
    end
    assert.equal("TIMEOUT", select(3, proa.timeout(0.001, forever)))
  end)
end)

describe("a task that is closed for ignoring its cancellation", function()
  helper.it("takes the coroutines that await inside it along", function()
    local inner, closed
    local saved = proa.on_error(function() end)
    local task = proa.spawn(function()
      inner = coroutine.create(function()
        local mark <close> = setmetatable({}, { __close = function()
          closed = true
        end })
        while mark do pcall(proa.sleep, 5) end
      end)
      coroutine.resume(inner)
    end)
    proa.yield()
    task:cancel()
    task:await()
    task = nil
    collect()
    assert.is_nil(task)
    assert.is_true(closed)
    assert.equal("dead", coroutine.status(inner))
    assert.is_false(coroutine.resume(inner))
    proa.on_error(saved)
  end)
end)
