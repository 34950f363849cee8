--- task_spec: what a task's handle tells and does, and how every handle of
-- proa shows itself.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main

describe("task:await", function()
  it("returns all results, as often as it is asked", function()
    local task = proa.spawn(function() return 1, nil, 3, nil end)
    for _ = 1, 2 do
      assert.same({ 1, nil, 3, nil, n = 4 }, table.pack(task:await()))
    end
  end)

  it("returns many results", function()
    local task = proa.spawn(function()
      return table.unpack({}, 1, 5000)
    end)
    assert.equal(5000, select("#", task:await()))
  end)

  it("wakes all who wait", function()
    local task, n = proa.spawn(proa.sleep, 0.001), 0
    local waiting = {}
    for i = 1, 10 do
      waiting[i] = proa.spawn(function()
        task:await()
        n = n + 1
      end)
    end
    for i = 1, 10 do waiting[i]:await() end
    assert.equal(10, n)
  end)

  it("gives up after its own limit and leaves the task alone", function()
    local task = proa.spawn(proa.sleep, 3600)
    assert.same({ nil, "timed out", "TIMEOUT", n = 3 },
      table.pack(task:await(0.001)))
    assert.equal("waiting", (task:status()))
    task:cancel()
  end)

  it("refuses a task that awaits itself", function()
    local task
    task = proa.spawn(function() task:await() end)
    assert.match("cannot await itself", helper.error_of(task.await, task))
  end)

  it("of a task that was cancelled returns CANCELLED", function()
    local task = proa.spawn(proa.sleep, 3600)
    task:cancel()
    for _ = 1, 2 do
      local results = table.pack(task:await())
      assert.same({ nil, "the task was cancelled", "CANCELLED", n = 3 }, results)
    end
  end)

  it_main("works in the main chunk", function()
    assert.equal(3, proa.spawn(function() return 3 end):await())
  end)
end)

describe("task:status", function()
  it("tells ready, running, what is waited for, and the end", function()
    local states = {}
    local task
    task = proa.spawn(function()
      states[2] = task:status()
      proa.sleep(0)
    end)
    states[1] = task:status()
    helper.turns(1)
    states[3] = select(2, task:status()) or "?"
    task:await()
    states[4] = task:status()
    assert.same({ "ready", "running" }, { states[1], states[2] })
    assert.equal("ended", states[4])
  end)

  it("names what is waited for", function()
    local task = proa.spawn(proa.sleep, 3600)
    helper.turns()
    assert.same({ "waiting", "sleep" }, { task:status() })
    task:cancel()
    task:await()
    assert.equal("cancelled", (task:status()))
  end)

  it("tells read, accept and await apart", function()
    local listener <close> = assert(proa.net.listen "127.0.0.1:0")
    local a <close>, b = proa.net.pair()
    local accept = proa.spawn(listener.accept, listener)
    local read = proa.spawn(b.read, b, "l")
    local await = proa.spawn(read.await, read)
    helper.turns()
    assert.equal("accept", select(2, accept:status()))
    assert.equal("read", select(2, read:status()))
    assert.equal("await task", select(2, await:status()))
    a:close()
    listener:close()
    await:await()
  end)
end)

describe("task:cancel", function()
  it("is true while the task lives and false afterwards", function()
    local task = proa.spawn(proa.sleep, 3600)
    assert.is_true(task:cancel())
    task:await()
    assert.is_false(task:cancel())
    local ended = proa.spawn(function() end)
    ended:await()
    assert.is_false(ended:cancel())
    assert.equal("ended", (ended:status()))
  end)
end)

describe("a task", function()
  it("has a name that can be set", function()
    local task = proa.spawn(function() end)
    assert.equal("", task:name())
    assert.equal(task, task:name "worker")
    assert.equal("worker", task:name())
    task:name(("long "):rep(100))
    assert.match("^long long", task:name())
  end)

  it("keeps name, traceback and results apart", function()
    local reports = helper.catch_errors()
    local early = proa.spawn(function() error("early", 0) end):name "first"
    local late = proa.spawn(function(...)
      proa.current():name "second"
      proa.sleep(0)
      return ...
    end, 1, nil, 3, nil)
    assert.match("^stack traceback:\n\tspawned at [^\n]*task_spec.lua:%d+ by "
      .. "task #%d+\n", early:traceback())
    assert.equal("early", helper.error_of(early.await, early))
    assert.match("task_spec", early:traceback())
    collectgarbage()
    assert.equal("first", early:name())
    assert.same({ 1, nil, 3, nil, n = 4 }, table.pack(late:await()))
    assert.equal("second", late:name())
    assert.is_nil(late:traceback())
    assert.equal(0, #reports)
  end)

  it("takes the place of an ended one in the list, last", function()
    local kept = proa.spawn(proa.sleep, 60)
    for _ = 1, 3 do
      local batch = {}
      for i = 1, 5 do batch[i] = proa.spawn(function() return i end) end
      for i = 1, 5 do assert.equal(i, batch[i]:await()) end
    end
    local last = proa.spawn(proa.sleep, 60)
    local list = proa.tasks()
    assert.equal(kept, list[#list - 1].task)
    assert.equal(last, list[#list].task)
    kept:cancel()
    last:cancel()
  end)

  it("has a number of its own", function()
    local a, b = proa.spawn(function() end), proa.spawn(function() end)
    assert.is_true(math.type(a:id()) == "integer" and a:id() < b:id())
  end)

  it("shows where it waits", function()
    local task = proa.spawn(function()
      proa.sleep(3600)
    end)
    helper.turns()
    local line = debug.getinfo(1, "l").currentline - 3
    assert.match("task_spec.lua:" .. line, task:traceback())
    task:cancel()
  end)

  it("is what current returns, and nil in the main chunk", function()
    local task
    task = proa.spawn(function() return proa.current() == task end)
    assert.is_true(task:await())
  end)

  it_main("is none in the main chunk", function()
    assert.is_nil(proa.current())
  end)

  it("is listed while it lives, in order of birth", function()
    local before = #proa.tasks()
    local a, b = proa.spawn(proa.sleep, 60), proa.spawn(proa.sleep, 60)
    local list = proa.tasks()
    assert.equal(before + 2, #list)
    assert.equal(a, list[#list - 1].task)
    assert.equal(b, list[#list].task)
    a:cancel()
    b:cancel()
    a:await()
    b:await()
    assert.equal(before, #proa.tasks())
  end)

  it("can be marked as background twice, and when it has ended", function()
    local task = proa.spawn(proa.sleep, 0)
    assert.equal(task, task:background():background())
    task:await()
    assert.equal(task, task:background())
  end)

  it("has methods that refuse what is no task", function()
    local task = proa.spawn(function() end)
    assert.match("bad argument #1", helper.error_of(task.await, {}))
    assert.match("proa.task expected", helper.error_of(task.status, "x"))
  end)
end)

describe("tostring", function()
  it("tells a task's number, name, place and state", function()
    local task = proa.spawn(proa.sleep, 60)
    assert.match("^proa.task #%d+ %(.-task_spec.lua:%d+%) ready$", tostring(task))
    task:name "nap"
    helper.turns()
    assert.match('^proa.task #%d+ "nap" %(.*%) waiting: sleep$', tostring(task))
    task:cancel()
    task:await()
    assert.match("cancelled$", tostring(task))
  end)

  it("tells a listener's address and that it is closed", function()
    local listener = assert(proa.net.listen "127.0.0.1:0")
    assert.equal("proa.listener " .. listener:address(), tostring(listener))
    listener:close()
    assert.equal("proa.listener (closed)", tostring(listener))
  end)

  it("tells a stream's peer and that it is closed", function()
    local a, b = helper.tcp_pair()
    assert.match("^proa.stream " .. a:peer():gsub("%p", "%%%0") .. " %(",
      tostring(a))
    a:close()
    b:close()
    assert.equal("proa.stream (closed)", tostring(a))
  end)

  it("tells a future's op or state", function()
    local timer = proa.op.timer(60)
    assert.equal("proa.future (timer op)", tostring(timer))
    timer:cancel()
    timer:await()
    assert.equal("proa.future (set)", tostring(timer))
    local f = proa.future()
    assert.equal("proa.future (pending)", tostring(f))
    f:cancel()
    assert.equal("proa.future (cancelled)", tostring(f))
  end)

  it("tells a descriptor, a buffer and a proactor", function()
    local a <close>, b = proa.fd.pair()
    assert.equal(("proa.fd %d (0 in flight)"):format(a:fileno()), tostring(a))
    b:close()
    assert.equal("proa.fd (closed)", tostring(b))
    assert.equal("proa.buffer (3 bytes)", tostring(proa.buffer "abc"))
    local p = proa.proactor.new()
    assert.match("^proa.proactor %(%w+, 0 in flight%)$", tostring(p))
    p:close()
    assert.equal("proa.proactor (closed)", tostring(p))
  end)

  it("does not let a metatable be taken or changed", function()
    local task = proa.spawn(function() end)
    assert.is_false(getmetatable(task))
    assert.match("protected", helper.error_of(setmetatable, proa.buffer(1), {})
      :gsub(".*expected.*", "protected"))
  end)
end)
