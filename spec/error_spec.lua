--- error_spec: errors of tasks, awaited or not, and where they are shown.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main

local UNOBSERVED = [[
local proa = require "proa"
local function deep() error "boom" end
local ok, err = pcall(proa.run, function()
  proa.spawn(function()
    deep()
  end)
  proa.sleep(0.01)
  print "main goes on"
end)
print(ok, err)
]]

describe("an error that nobody awaits", function()
  it("is printed at once with both places, and run fails at its end", function()
    local output, status = helper.lua(UNOBSERVED)
    assert.equal(0, status)
    assert.match("failed: .-program.lua:2: boom", output)
    assert.match("program.lua:5: in function", output)
    assert.match("spawned at .-program.lua:4", output)
    assert.match("1 task failed and nobody awaited it", output)
    local reported = output:find("boom", 1, true)
    assert.is_true(reported < output:find("main goes on", 1, true) or
      output:find("main goes on", 1, true) ~= nil)
    assert.match("\nfalse\t", "\n" .. output)
  end)

  it_main("goes to on_error, and run does not fail", function()
    local reports = helper.catch_errors()
    local seen = proa.run(function()
      proa.spawn(function() error "boom" end):name "bad"
      helper.turns()
      return #reports
    end)
    assert.equal(1, seen)
    assert.match("error_spec.lua:%d+: boom", reports[1].err)
    assert.match("stack traceback:.*error_spec.lua", reports[1].traceback)
    assert.match('#%d+ "bad" %(.-error_spec.lua:%d+%)', reports[1].label)
  end)

  it_main("keeps its value on the way to on_error", function()
    local reports, value = helper.catch_errors(), { "a table" }
    proa.run(function() proa.spawn(error, value) end)
    assert.is_true(reports[1].err == value)
  end)

  it_main("in on_error itself is printed and stops nothing", function()
    local output = helper.lua [[
      local proa = require "proa"
      proa.on_error(function() error "worse" end)
      print(proa.run(function()
        proa.spawn(error, "bad")
        proa.sleep(0)
        return "went on"
      end))
    ]]
    assert.match("proa: error in on_error: .-worse", output)
    assert.match("went on", output)
  end)

  it_main("of a task that is cancelled is none", function()
    local reports = helper.catch_errors()
    proa.run(function()
      local task = proa.spawn(proa.sleep, 3600)
      proa.sleep(0)
      task:cancel()
    end)
    assert.same({}, reports)
  end)

  it("of a serve handler is reported and does not end serve", function()
    local reports = helper.catch_errors()
    local listener = assert(proa.net.listen "127.0.0.1:0")
    local address = listener:address()
    local server = proa.spawn(listener.serve, listener, function(conn)
      error("handler " .. conn:read "l")
    end)
    for i = 1, 2 do
      local conn <close> = assert(proa.net.connect(address))
      conn:write(i, "\n")
      assert.is_nil((conn:read "l"))
    end
    listener:close()
    server:await()
    assert.equal(2, #reports)
    assert.match("handler 1", reports[1].err)
  end)
end)

describe("on_error", function()
  it_main("returns the handler before", function()
    local function one() end
    local function two() end
    assert.is_nil(proa.on_error(one))
    assert.equal(one, proa.on_error(two))
    assert.equal(two, proa.on_error(nil))
    assert.is_nil(proa.on_error())
  end)

  it_main("refuses what is no function", function()
    assert.match("bad argument #1", helper.error_of(proa.on_error, 1))
  end)
end)

describe("an error that is awaited", function()
  it("is raised with the same value, each time", function()
    local value = { "a table" }
    local task = proa.spawn(error, value)
    for _ = 1, 2 do
      local ok, err = pcall(task.await, task)
      assert.is_false(ok)
      assert.is_true(err == value)
    end
    assert.equal("failed", (task:status()))
  end)

  it("is not reported", function()
    local reports = helper.catch_errors()
    local task = proa.spawn(function()
      proa.sleep(0)
      error "seen"
    end)
    assert.match("seen", helper.error_of(task.await, task))
    assert.same({}, reports)
  end)

  it("may be nil", function()
    local task = proa.spawn(error)
    local ok, err = pcall(task.await, task)
    assert.is_false(ok)
    assert.is_nil(err)
  end)

  it("keeps the traceback of where it was raised", function()
    local function deep() error "here" end
    local task = proa.spawn(function() deep() end)
    pcall(task.await, task)
    assert.match("in .-deep.-error_spec.lua", task:traceback())
  end)

  it("ends a task whose <close> variables may await", function()
    local steps = {}
    local task = proa.spawn(function()
      local _ <close> = setmetatable({}, { __close = function(_, err)
        proa.sleep(0.001)
        steps[#steps + 1] = err
      end })
      error("first", 0)
    end)
    assert.equal("first", helper.error_of(task.await, task))
    assert.same({ "first" }, steps)
  end)
end)

describe("a task that runs out of memory", function()
  -- The limit has to be low for Lua and high enough to start at all. What is
  -- set aside before, in pieces, is enough for the runtime and the task, and
  -- in no layout of the heap for the read.
  it("fails alone, and its bytes are still in the stream", function()
    if helper.sanitized then return end
    local output, status = helper.lua([[
      local proa = require "proa"
      proa.run(function()
        local a, b = proa.net.pair()
        local size = 200 * 1024
        local writer = proa.spawn(function()
          a:write(("x"):rep(size)) a:flush() a:close()
        end)
        b:read_exact(1)
        -- one byte more than there is: consumes nothing, queues all of it
        assert(select(3, b:read_exact(size)) == "EOF")
        writer:await()
        local kept, aside = {}, {}
        for i = 1, 64 do aside[i] = string.rep(string.char(64 + i), 1000) end
        -- take all the memory there is
        local function take(n) kept[#kept + 1] = ("y"):rep(n) end
        local n = 1 << 24
        while n >= 1024 do
          if not pcall(take, n) then n = n // 2 end
        end
        aside = nil
        collectgarbage()
        local hungry = proa.spawn(function() return b:read_exact(size - 1) end)
        local on, message = pcall(hungry.await, hungry)
        kept = nil
        collectgarbage()
        print(on and #message or message)
        if not on then print(#b:read_exact(size - 1)) end
      end)
    ]], { before = "ulimit -v 200000" })
    assert.equal(0, status, output)
    assert.match("not enough memory\n204799\n$", output)
  end)
end)
