--- select_spec: select, all, any, race, interval.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it = helper.it

local function after(seconds, ...)
  local results = table.pack(...)
  return function()
    proa.sleep(seconds)
    return table.unpack(results, 1, results.n)
  end
end

describe("select", function()
  it("returns the name and the results of the first", function()
    local f = proa.future()
    f:set("a", nil, "c")
    assert.same({ "future", "a", nil, "c", n = 4 },
      table.pack(proa.select { future = f, never = proa.future() }))
  end)

  it("takes functions, tasks and listeners", function()
    local listener <close> = assert(proa.net.listen "127.0.0.1:0")
    assert.same({ "fn", 1 }, { proa.select { l = listener, fn = after(0, 1) } })
    local task = proa.spawn(after(0.001, 2))
    assert.same({ "task", 2 }, { proa.select { l = listener, task = task } })
    local client <close> = assert(proa.net.connect(listener:address()))
    local name, server = proa.select { l = listener, never = proa.future() }
    assert.equal("l", name)
    assert.equal(client:address(), server:peer())
    server:close()
  end)

  it("returns timeout alone when the time is up", function()
    assert.same({ "timeout", n = 1 },
      table.pack(proa.select { a = proa.future(), timeout = 0.001 }))
    assert.same({ "timeout", n = 1 }, table.pack(proa.select { timeout = 0 }))
  end)

  it("cancels only what it started", function()
    local cancelled, task = false, proa.spawn(after(0.01, "whole"))
    proa.select {
      quick = function() end,
      slow = function()
        local _, err = pcall(proa.sleep, 3600)
        cancelled = proa.is_cancelled(err)
      end,
      task = task,
    }
    assert.is_true(cancelled)
    assert.equal("whole", task:await())
  end)

  it("chooses among all kinds at once", function()
    local listener <close> = assert(proa.net.listen "127.0.0.1:0")
    local signals <close> = proa.signal.each "USR1"
    local full, empty, e = proa.channel(1), proa.channel(1), proa.sync.event()
    full:send "queued"
    local entries = { listener = listener, future = proa.future(),
      task = proa.spawn(after(0.001, "task")), recv = empty,
      send = proa.sending(full, "sent"), event = e,
      signal = signals, timeout = 5,
      process = assert(proa.process.spawn { shell = "kill -USR1 $PPID" }),
      fn = after(0.002, "fn") }
    local client
    proa.spawn(function()
      proa.sleep(0.001)
      client = assert(proa.net.connect(listener:address()))
      full:recv()
      empty:send "received"
      entries.future:set "future"
      e:set()
    end)
    local got = {}
    for _ = 1, 9 do
      local name, value = proa.select(entries)
      got[name], entries[name] = value, nil
    end
    assert.same({ "timeout" }, { proa.select { never = proa.future(),
      timeout = 0 } })
    got.listener:close()
    client:close()
    assert.is_true(got.process.ok)
    got.listener, got.process = nil, nil
    assert.same({ future = "future", task = "task", recv = "received",
      send = true, event = true, signal = "USR1", fn = "fn" }, got)
    assert.equal("sent", full:recv())
  end)

  it("begins no function when something else is ready at once", function()
    local begun, done = false, proa.future()
    done:set "done"
    assert.same({ "done", "done" }, { proa.select { done = done,
      fn = function() begun = true end } })
    assert.is_false(begun)
  end)

  it("refuses the task that it would wait in", function()
    local task
    task = proa.spawn(function()
      return helper.error_of(proa.select, { task, proa.future() })
    end)
    assert.matches("cannot await itself", task:await())
  end)

  it("refuses names and limits that are none", function()
    assert.matches("names are strings or numbers", helper.error_of(proa.select,
      { [true] = proa.future() }))
    assert.matches("timeout is a number", helper.error_of(proa.select,
      { a = proa.future(), timeout = proa.future() }))
  end)

  it("loses no connection that it does not choose", function()
    local listener <close> = assert(proa.net.listen "127.0.0.1:0")
    local client <close> = assert(proa.net.connect(listener:address()))
    local done = proa.future()
    done:set()
    for _ = 1, 4 do
      proa.select { done = done, other = proa.future() }
      local name, server = proa.select { done = done, l = listener }
      if name == "l" then
        assert.equal(client:address(), server:peer())
        server:close()
        return
      end
    end
    local server <close> = assert(listener:accept())
    assert.equal(client:address(), server:peer())
  end)

  it("is fair among those that are ready", function()
    local a, b, seen = proa.future(), proa.future(), {}
    a:set()
    b:set()
    for _ = 1, 10 do seen[proa.select { a = a, b = b }] = true end
    assert.same({ a = true, b = true }, seen)
  end)

  it("raises the error of the one it chooses", function()
    assert.match("bad", helper.error_of(proa.select, {
      f = function() error "bad" end,
    }))
  end)

  it("is cancelled with its task, and cleans up", function()
    local cancelled = false
    local task = proa.spawn(proa.select, {
      slow = function()
        cancelled = not pcall(proa.sleep, 3600)
      end,
    })
    helper.turns()
    task:cancel()
    assert.equal("CANCELLED", select(3, task:await()))
    assert.is_true(cancelled)
  end)

  it("refuses what can't be waited for", function()
    assert.match("cannot wait for a string", helper.error_of(proa.select,
      { a = "x" }))
    assert.match("cannot wait for a proa.buffer", helper.error_of(proa.select,
      { a = proa.buffer(1) }))
    assert.match("cannot wait for a proa.buffer", helper.error_of(proa.all,
      { proa.buffer(1) }))
    assert.match("nothing to wait for", helper.error_of(proa.select, {}))
  end)
end)

describe("all", function()
  it("returns the first result of each, in order", function()
    assert.same({ 1, 2, 3 },
      proa.all { after(0.003, 1), after(0.001, 2), after(0.002, 3) })
    assert.same({}, proa.all {})
  end)

  it("returns the first failure and ends the rest", function()
    local cancelled = false
    local results = table.pack(proa.all {
      function() cancelled = not pcall(proa.sleep, 3600) end,
      after(0, nil, "no such thing", "ENOENT"),
    })
    assert.same({ nil, "no such thing", "ENOENT", 2, n = 4 }, results)
    assert.is_true(cancelled)
  end)

  it("raises what an entry raises", function()
    assert.match("bad", helper.error_of(proa.all, {
      after(3600), function() error "bad" end,
    }))
  end)

  it("collects results and errors when asked to", function()
    local results, errors = proa.all {
      after(0, 1), after(0, nil, "failed"), function() error("raised", 0) end,
      collect = true,
    }
    assert.same({ 1 }, results)
    assert.same({ [2] = "failed", [3] = "raised" }, errors)
  end)

  it("reports no error that it collects", function()
    local reports = helper.catch_errors()
    local function fail() error("both", 0) end
    local _, errors = proa.all { fail, fail, collect = true }
    assert.same({ "both", "both" }, errors)
    assert.equal(0, #reports)
  end)

  it("reports an error that it leaves to others", function()
    local reports = helper.catch_errors()
    local function fail() error("twice", 0) end
    local a, b = proa.spawn(fail), proa.spawn(fail)
    assert.equal("twice", helper.error_of(proa.all, { a, b }))
    assert.equal(1, #reports)
  end)

  it("takes the lowest of several that fail at once", function()
    local function entry(name)
      return function() return nil, name end
    end
    local results = table.pack(proa.all {
      after(3600), entry "b", entry "c", entry "a",
    })
    assert.same({ nil, "b", nil, 2, n = 4 }, results)
  end)

  it("takes one entry twice, and a connection from a listener", function()
    local listener = assert(proa.net.listen "127.0.0.1:0")
    local task = proa.spawn(function() return "once" end)
    local client
    local results = proa.all {
      task, listener, task,
      function() client = proa.net.connect(listener:address()) return true end,
    }
    assert.equal("once", results[1])
    assert.equal("once", results[3])
    results[2]:close()
    client:close()
    listener:close()
  end)

  it("waits for many in steps, not in squares of them", function()
    local n, list = 20000, {}
    for i = 1, n do
      list[i] = function()
        proa.yield()
        return i
      end
    end
    local start = os.clock()
    local results = proa.all(list)
    assert.equal(n, #results)
    assert.equal(n, results[n])
    assert.is_true(os.clock() - start < 5)
  end)
end)

describe("any", function()
  it("returns the first success", function()
    assert.same({ "ok", 2 }, { proa.any {
      after(0, nil, "failed"), after(0.001, "ok", 2), after(3600),
    } })
  end)

  it("returns the last failure when all have failed", function()
    local first = proa.spawn(after(0, nil, "first", "E1"))
    local results = table.pack(proa.any {
      function()
        first:await()
        proa.sleep(0)
        return nil, "last", "E2"
      end, first,
    })
    assert.same({ nil, "last", "E2", 1, n = 4 }, results)
    assert.match("nothing to wait for", helper.error_of(proa.any, {}))
  end)
end)

describe("race", function()
  it("returns the first end, success or not", function()
    assert.same({ nil, "failed", n = 2 }, table.pack(proa.race {
      after(0, nil, "failed"), after(3600),
    }))
    assert.match("bad", helper.error_of(proa.race, {
      after(3600), function() error "bad" end,
    }))
    assert.match("nothing to wait for", helper.error_of(proa.race, {}))
  end)
end)

describe("interval", function()
  it("counts periods and skips those that were missed", function()
    local start, counts = proa.now(), {}
    for n in proa.interval(0.01) do
      counts[#counts + 1] = n
      if #counts == 2 then proa.sleep(0.025) end
      if #counts == 3 then break end
    end
    assert.is_true(counts[1] >= 1 and counts[2] > counts[1])
    assert.is_true(counts[3] >= counts[2] + 2)
    if helper.driver == "sim" then assert.same({ 1, 2, 4 }, counts) end
    assert.is_true(proa.now() - start >= 0.01 * counts[3] - 1e-4)
    assert.match("above 0", helper.error_of(proa.interval, 0))
  end)
end)
