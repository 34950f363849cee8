--- scope_block_spec: scopes in <close> variables, and run inside a task.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main

--- A task body that waits forever and notes how it was ended.
local function forever(seen, name)
  return function()
    local ok, err = pcall(proa.sleep, 3600)
    seen[#seen + 1] = name or "ended"
    seen.reason = err.reason
    if not ok then error(err, 0) end
  end
end

describe("a scope in a <close> variable", function()
  local function waits()
    local ended = false
    do
      local s <close> = proa.scope()
      s:spawn(function()
        proa.sleep(0.001)
        ended = true
      end)
    end
    assert.is_true(ended)
  end

  it("waits for its tasks at the end of the block", waits)
  it_main("does so in the main chunk", waits)

  it("keeps what the block returns", function()
    local function block()
      local s <close> = proa.scope()
      s:spawn(proa.sleep, 0.001)
      return 1, nil, 3
    end
    assert.same({ 1, nil, 3, n = 3 }, table.pack(block()))
  end)

  it("cancels its tasks when the block is left by an error", function()
    local seen, value = {}, {}
    local ok, err = pcall(function()
      local s <close> = proa.scope()
      s:spawn(forever(seen))
      helper.turns()
      error(value)
    end)
    assert.is_false(ok)
    assert.is_true(rawequal(value, err))
    assert.equal("ended", seen[1])
  end)

  it("raises the first error of its tasks from the block", function()
    local err = helper.error_of(function()
      local s <close> = proa.scope()
      s:spawn(error, "boom")
      proa.sleep(3600)
    end)
    assert.match("^boom\nraised in task", err)
    err = helper.error_of(function()
      local s <close> = proa.scope()
      s:spawn(error, "boom")
    end)
    assert.match("^boom\nraised in task", err)
  end)

  it("turns its own cancellation into a plain error", function()
    local err = helper.error_of(function()
      local s <close> = proa.scope()
      s:cancel "enough"
      proa.sleep(3600)
    end)
    assert.match("the scope was cancelled: enough$", err)
    assert.is_false(proa.is_cancelled(err))
    proa.sleep(0)
  end)

  it("takes options, and tells its errors afterwards", function()
    local s = proa.scope { on_error = "collect", limit = 2 }
    do
      local _ <close> = s
      for i = 1, 3 do s:spawn(error, i) end
    end
    local errors = s:errors()
    assert.same({ 1, 2, 3 },
      { errors[1].error, errors[2].error, errors[3].error })
  end)

  it("can be closed by hand, once", function()
    local s = proa.scope()
    local task = s:spawn(proa.sleep, 0.001)
    assert.equal("proa.scope (1 task)", tostring(s))
    s:close()
    assert.equal("ended", (task:status()))
    s:close()
    assert.match("the scope has ended", helper.error_of(s.spawn, s, print))
  end)

  it("cannot be closed by one of its own tasks", function()
    local err = helper.error_of(function()
      local s <close> = proa.scope()
      s:spawn(s.close, s)
    end)
    assert.match("a task of the scope cannot wait for its end", err)
  end)

  it("is ended from outside with the task that is in it", function()
    local seen = {}
    local task = proa.spawn(function()
      local s <close> = proa.scope()
      s:spawn(forever(seen))
    end)
    helper.turns()
    task:cancel()
    assert.equal("CANCELLED", select(3, task:await()))
    assert.equal("ended", seen[1])
  end)

  it("that nobody closes is cancelled when its task ends", function()
    local seen = {}
    proa.run(function()
      proa.spawn(function()
        local s = proa.scope()
        s:spawn(forever(seen))
        helper.turns()
      end):await()
    end)
    assert.equal("ended", seen[1])
  end)

  it("goes and comes with a generator that yields in it", function()
    local ended = 0
    local gen = coroutine.wrap(function()
      local s <close> = proa.scope()
      for i = 1, 3 do
        s:spawn(function()
          proa.sleep(0.001)
          ended = ended + 1
        end)
        coroutine.yield(i)
      end
    end)
    assert.equal(1, gen())
    -- the scope is the generator's: nothing here joins it
    local outside = proa.spawn(proa.sleep, 3600)
    assert.equal(2, gen())
    assert.equal(3, gen())
    gen()
    assert.equal(3, ended)
    assert.equal("waiting", (outside:status()))
    outside:cancel()
  end)

  it("is dropped with a generator that nobody resumes", function()
    local seen = {}
    do
      local gen = coroutine.wrap(function()
        local s <close> = proa.scope()
        s:spawn(forever(seen))
        coroutine.yield()
      end)
      gen()
      helper.turns()
    end
    helper.wait_until(function()
      collectgarbage()
      return seen[1]
    end)
  end)

  it("that is given up lets go of who closes it by hand", function()
    local s
    local co = coroutine.create(function()
      local mine <close> = proa.scope()
      s = mine
      s:spawn(proa.sleep, 3600)
      coroutine.yield()
    end)
    coroutine.resume(co)
    local closer = proa.spawn(s.close, s)
    helper.turns()
    assert.same({ "waiting", "scope" }, { closer:status() })
    coroutine.close(co)
    closer:await()
    assert.equal("proa.scope (ended)", tostring(s))
  end)

  it("is given up when its coroutine is closed", function()
    local seen = {}
    local co = coroutine.create(function()
      local s <close> = proa.scope()
      s:spawn(forever(seen))
      coroutine.yield()
    end)
    coroutine.resume(co)
    helper.turns()
    assert.is_true(coroutine.close(co))
    helper.wait_until(function() return seen[1] end)
  end)
end)

-- In processes of their own: a test's deadline is a timer that can still fire.
describe("a scope in the main chunk", function()
  it_main("that can never end is a deadlock, and leaves nothing", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      local function forever() proa.future():await() end
      print(pcall(proa.scope, function(s) s:spawn(forever):name "stuck" end))
      print(pcall(function()
        local s <close> = proa.scope()
        s:spawn(forever)
      end))
      print(#proa.tasks(), proa.scope(function() return "usable" end))
    ]]
    assert.equal(0, status, output)
    local _, count = output:gsub("false\t[^\n]*deadlock: every task waits", "")
    assert.equal(2, count)
    assert.match('task #%d+ "stuck" %(.-program.lua:3%)', output)
    assert.match("\n0\tusable\n$", output)
  end)

  it_main("that is interrupted ends its tasks first", function()
    if helper.driver == "sim" then return end -- its clock would not wait
    local output, status = helper.lua [[
      local proa = require "proa"
      proa.spawn(function()
        proa.sleep(0.05)
        local _ <close> = io.popen "kill -INT $PPID"
        proa.sleep(60)
      end)
      print(pcall(proa.scope, function(s)
        s:spawn(function()
          local _ <close> = proa.defer(function() print "cleaned up" end)
          proa.sleep(60)
        end)
        proa.sleep(60)
      end))
      os.exit(true, false)
    ]]
    assert.equal(0, status, output)
    assert.match("cleaned up\nfalse\t[^\n]*interrupted!", output)
  end)
end)

describe("run inside a task", function()
  it("is a scope: its function runs in the same task", function()
    local me = proa.current()
    assert.is_true(proa.run(function(x) return proa.current() == me and x end,
      true))
  end)

  it_main("is ended by stop when it is the outermost", function()
    local after, count = false, nil
    proa.spawn(function()
      count = select("#", proa.run(function()
        proa.spawn(proa.stop)
        proa.sleep(3600)
        after = true
      end))
    end):await()
    assert.equal(0, count)
    assert.is_false(after)
  end)
end)
