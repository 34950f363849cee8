--- 260: a scope was cancelled, and left before the task that waits inside ran
-- again. The wait counted as finished: awaiting a task read results that were
-- not there (an assertion), an event seemed set.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

describe("a limit that is cancelled and closed by another task", function()
  local function left(wait, ...)
    local args = table.pack(...)
    local limit
    local task = proa.spawn(function()
      limit = proa.timeout(60)
      return wait(table.unpack(args, 1, args.n))
    end)
    proa.yield()
    limit:cancel()
    limit:close()
    return pcall(task.await, task)
  end

  local reports
  before_each(function() reports = helper.catch_errors() end)

  helper.it("ends the await of a task as an error", function()
    local other = proa.spawn(proa.sleep, 60)
    local ok, err = left(other.await, other)
    assert.is_false(ok)
    assert.match("cancelled", tostring(err))
    assert.equal("waiting", (other:status()))
    other:cancel()
  end)

  helper.it("does not pretend that an event was set", function()
    local event = proa.sync.event()
    local ok, err = left(event.wait, event)
    assert.is_false(ok)
    assert.match("cancelled", tostring(err))
    assert.equal(0, #reports)
  end)
end)
