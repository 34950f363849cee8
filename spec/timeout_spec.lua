--- timeout_spec: limits around a call, and those that calls take themselves.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main

local TIMED_OUT = { nil, "timed out", "TIMEOUT", n = 3 }

describe("timeout", function()
  it("returns what its function returns in time", function()
    assert.same({ 1, nil, "c", n = 3 },
      table.pack(proa.timeout(60, function(a) return a, nil, "c" end, 1)))
  end)

  it("returns nil, a message and TIMEOUT when the time was up", function()
    assert.same(TIMED_OUT, table.pack(proa.timeout(0.001, proa.sleep, 3600)))
  end)

  it("returns results that come late, when nothing waited", function()
    local result = proa.timeout(0, function()
      local start = os.clock()
      while os.clock() - start < 0.002 do end
      return "late"
    end)
    assert.equal("late", result)
  end)

  it("raises its function's errors as they are", function()
    local err = {}
    local ok, raised = pcall(proa.timeout, 60, error, err)
    assert.is_false(ok)
    assert.is_true(raised == err)
  end)

  it("raises a cancellation at each await until it returns", function()
    local errors = {}
    local result = proa.timeout(0.001, function()
      for i = 1, 3 do errors[i] = select(2, pcall(proa.sleep, 3600)) end
      return "caught"
    end)
    assert.equal("caught", result)
    assert.is_true(proa.is_cancelled(errors[1]) and proa.is_cancelled(errors[3]))
    proa.sleep(0) -- it is gone
  end)

  it("leaves nothing behind for the next await", function()
    for _ = 1, 3 do
      assert.same(TIMED_OUT, table.pack(proa.timeout(0, proa.sleep, 3600)))
      proa.sleep(0)
    end
  end)

  it("is told apart from one around it: the inner one ends first", function()
    local inner, code
    local outer = proa.timeout(3600, function()
      inner, code = select(2, proa.timeout(0.001, proa.sleep, 3600))
      return "outer goes on"
    end)
    assert.equal("timed out", inner)
    assert.equal("TIMEOUT", code)
    assert.equal("outer goes on", outer)
  end)

  it("is told apart from one inside it: the outer one ends first", function()
    local after = false
    local results = table.pack(proa.timeout(0.001, function()
      local inner = proa.timeout(3600, proa.sleep, 3600)
      after = true
      return inner
    end))
    assert.same(TIMED_OUT, results)
    assert.is_false(after)
  end)

  it("lets the outermost win when several are due at once", function()
    local levels = {}
    local results = table.pack(proa.timeout(0, function()
      local r = table.pack(proa.timeout(0, proa.sleep, 3600))
      levels[1] = r
      return "not reached"
    end))
    assert.same(TIMED_OUT, results)
    assert.same({}, levels)
  end)

  it("lets the cancellation of its task through", function()
    local task = proa.spawn(proa.timeout, 3600, proa.sleep, 3600)
    helper.turns()
    task:cancel()
    assert.equal("CANCELLED", select(3, task:await()))
    assert.equal("cancelled", (task:status()))
  end)

  it("runs <close> variables of what it ends", function()
    local closed = false
    proa.timeout(0.001, function()
      local _ <close> = setmetatable({}, {
        __close = function() closed = true end,
      })
      proa.sleep(3600)
    end)
    assert.is_true(closed)
  end)

  it("takes any number of seconds", function()
    assert.equal(1, proa.timeout(math.huge, function() proa.sleep(0) return 1 end))
    assert.same(TIMED_OUT, table.pack(proa.timeout(-1, proa.sleep, 3600)))
  end)

  it("shows the right call when it gets no function", function()
    local message = helper.error_of(proa.timeout, 1, "x")
    assert.match("expected a function, got string: write " ..
      "proa.timeout%(1, conn.read, conn, \"l\"%)", message)
    assert.match("expected a function, got nil",
      helper.error_of(proa.timeout, 1, nil))
    assert.match("number expected", helper.error_of(proa.timeout, nil, print))
  end)

  it_main("works in the main chunk", function()
    assert.same(TIMED_OUT, table.pack(proa.timeout(0.001, proa.sleep, 3600)))
    assert.equal(1, proa.timeout(1, function() proa.sleep(0) return 1 end))
  end)

  it("loses nothing of what a stream has", function()
    local a <close>, b = proa.net.pair()
    a:write "half a li"
    assert.same(TIMED_OUT, table.pack(proa.timeout(0.005, b.read, b, "l")))
    a:write "ne\n"
    assert.equal("half a line", b:read "l")
    b:close()
  end)
end)

describe("deadline", function()
  it("ends a call at a time of proa.now's clock", function()
    local at = proa.now() + 0.002
    assert.same(TIMED_OUT, table.pack(proa.deadline(at, proa.sleep, 3600)))
    assert.is_true(proa.now() >= at - 1e-6)
    assert.equal(1, proa.deadline(proa.now() + 60, function() return 1 end))
    assert.match("write proa.deadline%(proa.now%(%) %+ 1",
      helper.error_of(proa.deadline, 1, nil))
  end)
end)

describe("timeouts and deadlines", function()
  it("nest in each other, and the one that is over first ends its own", function()
    local soon, late = proa.now() + 0.001, proa.now() + 3600
    local function inner_over()
      return select(3, proa.deadline(soon, proa.sleep, 3600))
    end
    assert.equal("TIMEOUT", (proa.timeout(3600, inner_over)))
    assert.equal("TIMEOUT", (proa.deadline(late, inner_over)))
    local after = false
    assert.same(TIMED_OUT, table.pack(proa.timeout(0.001, function()
      proa.deadline(late, proa.timeout, 3600, proa.sleep, 3600)
      after = true
    end)))
    assert.is_false(after)
  end)

  it("nest as functions and as <close> variables", function()
    local limit
    assert.same(TIMED_OUT, table.pack(proa.timeout(0.001, function()
      limit = proa.timeout(3600)
      local _ <close> = limit
      proa.sleep(3600)
    end)))
    assert.is_false(limit.expired)
    local outer <close> = proa.timeout(3600)
    assert.same(TIMED_OUT, table.pack(proa.timeout(0.001, proa.sleep, 3600)))
    assert.is_false(outer.expired)
  end)
end)

describe("sleep", function()
  it("sleeps at least as long as it is told", function()
    local start = proa.now()
    proa.sleep(0.01)
    assert.is_true(proa.now() - start > 0.0099)
  end)

  it("wakes sleepers in the order of their times", function()
    local order, began
    repeat -- until they have begun at the same time, more or less
      order, began = {}, {}
      local tasks = {}
      for i, seconds in ipairs { 0.006, 0.002, 0.004, 0 } do
        tasks[i] = proa.spawn(function()
          began[i] = proa.now()
          if seconds == 0 then return end
          proa.sleep(seconds)
          order[#order + 1] = i
        end)
      end
      for i = 1, 4 do tasks[i]:await() end
    until began[4] - began[1] < 0.002
    assert.same({ 2, 3, 1 }, order)
  end)

  it("refuses what is no number", function()
    assert.match("number expected", helper.error_of(proa.sleep))
    assert.match("not a number", helper.error_of(proa.sleep, 0 / 0))
  end)
end)
