--- 300: several tasks of one call failed with equal text. The traceback named
-- the one that was waited for last, and what failed in the same turn was
-- printed although the call's error was caught.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

--- Functions that fail alike, all in one turn, each in a task of its name.
local function failing(n)
  local list = {}
  for i = 1, n do
    list[i] = function()
      proa.current():name("number " .. i)
      proa.yield()
      error("alike", 0)
    end
  end
  return list
end

local function call(fn) return fn() end

local calls = {
  all = function() proa.all(failing(3)) end,
  race = function() proa.race(failing(3)) end,
  select = function() proa.select(failing(1)) end,
  map = function() proa.map(failing(3), call) end,
  each = function() proa.each(failing(3), call) end,
  scope = function()
    proa.scope(function(s)
      for _, fn in ipairs(failing(3)) do s:spawn(fn) end
    end)
  end,
}

for name, fails in pairs(calls) do
  describe("equal errors in " .. name, function()
    local reports
    before_each(function() reports = helper.catch_errors() end)

    helper.it("are told once, to who called", function()
      assert.match("^alike", helper.error_of(fails))
      helper.turns(5)
      assert.equal(0, #reports)
    end)

    helper.it("are told with the task that failed first", function()
      proa.spawn(fails)
      helper.wait_until(function() return #reports > 0 end)
      helper.turns(5)
      assert.equal(1, #reports)
      local text = tostring(reports[1].err) .. reports[1].traceback
      local named = {}
      for task in text:gmatch 'raised in task #%d+ "([^"]*)"' do
        named[task] = true
      end
      assert.same({ ["number 1"] = true }, named)
    end)
  end)
end

describe("what fails after the first one", function()
  helper.it("is only logged", function()
    local reports, lines = helper.catch_errors(), {}
    local saved = proa.on_log(function(level, text, fields)
      if fields.event == "failed" then lines[#lines + 1] = level .. " " .. text end
    end)
    local _ <close> = proa.defer(function() proa.on_log(saved) end)
    assert.equal("first", helper.error_of(proa.all, {
      function() error("first", 0) end, function() error("second", 0) end,
      function()
        local _ <close> = proa.defer(function() error("third", 0) end)
        proa.sleep(60)
      end }))
    helper.wait_until(function() return #lines == 2 end)
    table.sort(lines)
    assert.match("^debug proa.task #%d+ .*: second$", lines[1])
    assert.match("^debug proa.task #%d+ .*: third$", lines[2])
    assert.equal(0, #reports)
  end)
end)

describe("an error that pcall took from a scope", function()
  helper.it("is not where an equal one was raised later", function()
    local reports = helper.catch_errors()
    local function inner() error("alike", 0) end
    local function outer()
      pcall(proa.timeout, 60, inner)
      error("alike", 0)
    end
    local line = debug.getinfo(outer, "S").linedefined
    proa.spawn(outer)
    helper.wait_until(function() return #reports > 0 end)
    assert.match((":%d: in"):format(line + 2), reports[1].traceback, 1, true)
    assert.no.match((":%d: in"):format(line - 1), reports[1].traceback, 1, true)
  end)
end)
