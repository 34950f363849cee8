--- executor_spec: spawning, running, stopping, fairness, deadlock, and errors
-- that nobody awaits.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main

describe("spawn", function()
  it("never runs the task before it returns", function()
    local ran = false
    local task = proa.spawn(function() ran = true end)
    assert.is_false(ran)
    task:await()
    assert.is_true(ran)
  end)

  it("starts tasks in the order in which they were spawned", function()
    local order, tasks = {}, {}
    for i = 1, 5 do
      tasks[i] = proa.spawn(function(n) order[#order + 1] = n end, i)
    end
    for i = 1, 5 do tasks[i]:await() end
    assert.same({ 1, 2, 3, 4, 5 }, order)
  end)

  it("gives the function its arguments, nils included", function()
    local task = proa.spawn(function(...) return select("#", ...), ... end,
      nil, 2, nil)
    assert.same({ 3, nil, 2, nil, n = 4 }, table.pack(task:await()))
  end)

  it("refuses what is no function", function()
    assert.match("bad argument #1 to '[%w.]+' %(function expected, got number%)",
      helper.error_of(proa.spawn, 1))
    assert.match("bad argument #1", helper.error_of(proa.spawn))
  end)

  it("calls what has __call", function()
    local callable = setmetatable({}, { __call = function(_, x) return x end })
    assert.equal(7, proa.spawn(callable, 7):await())
  end)

  it("lets a task go on whose handle was dropped", function()
    local done = false
    proa.spawn(function()
      proa.sleep(0.01)
      done = true
    end)
    collectgarbage()
    collectgarbage()
    helper.wait_until(function() return done end)
  end)

  it("runs ten thousand tasks", function()
    local n = 0
    for _ = 1, 10000 do
      proa.spawn(function()
        proa.sleep(0)
        n = n + 1
      end)
    end
    helper.wait_until(function() return n == 10000 end)
  end)
end)

describe("run", function()
  it_main("returns what its function returns", function()
    assert.same({ 1, nil, 3, n = 3 },
      table.pack(proa.run(function(a) return a, nil, 3 end, 1)))
  end)

  it_main("waits for what its function spawned", function()
    local ended = 0
    proa.run(function()
      proa.spawn(function()
        proa.sleep(0.01)
        proa.spawn(function()
          proa.sleep(0.01)
          ended = ended + 1
        end)
        ended = ended + 1
      end)
    end)
    assert.equal(2, ended)
  end)

  it_main("raises its function's error when the others have ended", function()
    local err, unwound = { "mine" }, false
    local ok, raised = pcall(proa.run, function()
      proa.spawn(function()
        local _ <close> = setmetatable({}, {
          __close = function() unwound = true end,
        })
        proa.sleep(3600)
      end)
      proa.sleep(0)
      error(err)
    end)
    assert.is_false(ok)
    assert.is_true(raised == err)
    assert.is_true(unwound)
  end)

  it_main("may be called again, also after an error", function()
    assert.is_false((pcall(proa.run, error, "once")))
    for i = 1, 3 do
      assert.equal(i, proa.run(function() proa.sleep(0) return i end))
    end
  end)

  it_main("cancels background tasks at the end and awaits none", function()
    local cancelled
    proa.run(function()
      local task = proa.spawn(function()
        local ok, err = pcall(proa.sleep, 3600)
        cancelled = not ok and proa.is_cancelled(err)
      end)
      assert.equal(task, task:background())
      proa.sleep(0)
    end)
    assert.is_true(cancelled)
  end)

  it_main("is ended by stop from anywhere", function()
    local after = false
    local n = select("#", proa.run(function()
      proa.spawn(function()
        proa.sleep(0.001)
        proa.stop()
      end)
      proa.sleep(3600)
      after = true
    end))
    assert.equal(0, n)
    assert.is_false(after)
  end)

  it_main("takes no notice of a stop when nothing runs", function()
    proa.stop()
    assert.equal(1, proa.run(function() return 1 end))
  end)

  it("inside a task waits for its own tasks and returns", function()
    local ended = false
    local outside = proa.spawn(proa.sleep, 3600)
    local result = proa.run(function()
      proa.spawn(function()
        proa.sleep(0.01)
        ended = true
      end)
      return "inner"
    end)
    assert.equal("inner", result)
    assert.is_true(ended)
    assert.equal("waiting", (outside:status()))
    outside:cancel()
  end)

  it("inside a task that is cancelled ends its tasks first", function()
    local unwound = false
    local task = proa.spawn(proa.run, function()
      proa.spawn(function()
        local ok, err = pcall(proa.sleep, 3600)
        unwound = not ok and proa.is_cancelled(err)
      end)
      proa.sleep(3600)
    end)
    helper.turns()
    task:cancel()
    assert.equal("CANCELLED", select(3, task:await()))
    assert.is_true(unwound)
  end)

  it_main("without a function waits for what the main chunk spawned", function()
    local ended = 0
    for i = 1, 3 do
      proa.spawn(function()
        proa.sleep(i / 1000)
        ended = ended + 1
      end)
    end
    proa.run()
    assert.equal(3, ended)
  end)

  it_main("without a function and without tasks returns at once", function()
    proa.run()
  end)

  it("without a function is refused in a task", function()
    assert.match("belongs in the main chunk", helper.error_of(proa.run))
  end)

  it("refuses what is no function", function()
    assert.match("bad argument #1 to '[%w.]+' %(function expected, got table%)",
      helper.error_of(proa.run, {}))
  end)
end)

describe("the main chunk", function()
  it_main("awaits, and other tasks move meanwhile", function()
    local n = 0
    local task = proa.spawn(function()
      for _ = 1, 5 do
        proa.sleep(0.001)
        n = n + 1
      end
      return "done"
    end)
    proa.sleep(0.002)
    assert.equal("done", task:await())
    assert.equal(5, n)
  end)

  it_main("talks to a task over a socket", function()
    local a <close>, b = proa.net.pair()
    local server = proa.spawn(function()
      b:write(b:read "L")
      b:close()
    end)
    a:write "ping\n"
    assert.equal("ping", a:read "l")
    server:await()
  end)
end)

describe("fairness", function()
  it("ends a turn after a bounded number of resumes", function()
    local stop = false
    proa.spawn(function()
      proa.sleep(0.005)
      stop = true
    end)
    while not stop do proa.yield() end
  end)

  it("counts awaits that need not wait against a budget", function()
    local a <close>, b = proa.net.pair()
    a:write(("line\n"):rep(4000))
    b:read "l"
    local others, ended = 0, false
    proa.spawn(function()
      while not ended do
        others = others + 1
        proa.yield()
      end
    end)
    for _ = 2, 4000 do assert.equal("line", b:read "l") end
    ended = true
    assert.is_true(others >= 4000 // 128)
    b:close()
  end)
end)

-- In processes of their own: a test's deadline is a timer that can still fire.
local function run_program(source)
  return helper.lua("local proa = require 'proa'\n" .. source)
end

describe("a deadlock", function()
  it_main("is an error with the traceback of every task", function()
    local output, status = run_program [[
      print(pcall(proa.run, function()
        local f = proa.future()
        proa.spawn(function() f:await() end):name "waits for nobody"
        f:await()
      end))
      print(proa.run(function() proa.sleep(0) return "usable" end))
    ]]
    assert.equal(0, status, output)
    assert.match("^false\t.-deadlock: every task waits for another", output)
    assert.match('task #%d+ "waits for nobody" %(.-program.lua:%d+%)', output)
    assert.match("program.lua:4: in function", output)
    assert.match("program.lua:5: in function", output)
    assert.match("\nusable\n$", output)
  end)

  it_main("is seen when two tasks await each other", function()
    local output, status = run_program [[
      print(pcall(proa.run, function()
        local a, b
        a = proa.spawn(function() b:await() end)
        b = proa.spawn(function() a:await() end)
      end))
    ]]
    assert.equal(0, status, output)
    assert.match("deadlock", output)
  end)

  it_main("is seen after tasks have waited for something else", function()
    local output, status = run_program [[
      print(pcall(proa.run, function()
        proa.sleep(0.001)
        proa.future():await()
      end))
    ]]
    assert.equal(0, status, output)
    assert.match("deadlock", output)
  end)

  it_main("is seen by an await in the main chunk", function()
    local output, status = run_program "print(pcall(proa.future().await, proa.future()))"
    assert.equal(0, status, output)
    assert.match("deadlock", output)
  end)

  it_main("is none while a signal could end it", function()
    local output, status = run_program [[
      proa.run(function()
        local f = proa.future()
        proa.spawn(function() f:set(proa.signal.wait "USR1") end)
        proa.sleep(0)
        local kill <close> = io.popen "kill -USR1 $PPID"
        print(f:await())
      end)
    ]]
    assert.equal(0, status, output)
    assert.equal("USR1\n", output)
  end)
end)
