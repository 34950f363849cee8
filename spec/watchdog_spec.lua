--- watchdog_spec: tasks that do not let go of the loop are reported.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main

--- Compute, in Lua, until the condition holds; the test's limit is the shell's
--- or none, so it is bounded by the clock as well.
local function hog(condition)
  local start = os.time()
  while not condition() and os.time() - start < 9 do end
end

describe("a watchdog", function()
  it("reports a task while it runs, with its traceback", function()
    local reports, hogging = {}, nil
    local task
    local watchdog <close> = proa.watchdog(0.02, function(who, seconds, text)
      if who ~= task or not text:find "'hog'" then return end -- a slow machine
      reports[#reports + 1] = { seconds = seconds, text = text,
        hogging = hogging }
    end)
    task = proa.spawn(function()
      hogging = true
      hog(function() return reports[1] end)
      hogging = false
    end)
    task:await()
    assert.is_true(reports[1].hogging)
    assert.is_true(reports[1].seconds >= 0.02)
    assert.match("in .-'hog'.-watchdog_spec.lua:%d+: in function <.->\n\t"
      .. "spawned at .-watchdog_spec.lua:%d+ by task #%d+\n", reports[1].text)
    assert.match("^proa.watchdog %(0.02 s%)$", tostring(watchdog))
  end)

  it("reports it again when it goes on for twice the time", function()
    local seconds, task = {}, nil
    local watchdog <close> = proa.watchdog(0.02, function(who, so_long)
      if who == task then seconds[#seconds + 1] = so_long end
    end)
    task = proa.spawn(hog, function() return seconds[3] end)
    task:await()
    assert.is_true(seconds[2] >= 2 * seconds[1])
    assert.is_true(seconds[3] >= 2 * seconds[2])
    assert.truthy(watchdog)
  end)

  it("is quiet about tasks that let go, however many they are", function()
    local reports = 0
    local watchdog <close> = proa.watchdog(5, function() reports = reports + 1 end)
    local start = os.clock()
    while os.clock() - start < 0.05 do proa.yield() end
    assert.equal(0, reports)
    assert.truthy(watchdog)
  end)

  it("puts back the hook that was there", function()
    local reported
    local watchdog <close> = proa.watchdog(0.02, function() reported = true end)
    local lines, hook, mask = 0, nil, nil
    proa.spawn(function()
      debug.sethook(function() lines = lines + 1 end, "l")
      hog(function() return reported end)
      local before = lines
      hook, mask = debug.gethook()
      debug.sethook()
      assert(lines > before)
    end):await()
    assert.equal("function", type(hook))
    assert.equal("l", mask)
    assert.truthy(watchdog)
  end)

  it("goes on after an error in its function, and prints it", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      local n = 0
      local watchdog = proa.watchdog(0.02, function() n = n + 1 error "oops" end)
      proa.run(function() while n < 2 do end end)
    ]]
    assert.equal(0, status, output)
    assert.equal(2, select(2, output:gsub("error in watchdog: .-oops\n", "")))
  end)

  it_main("prints to stderr by default, kept or not", function()
    local said = helper.temp_file("stderr", "")
    local output, status = helper.lua(([[
      local proa = require "proa"
      proa.watchdog(0.02)
      collectgarbage() collectgarbage()
      proa.run(function()
        local said <close> = io.open(%q)
        while not said:read(1) do said:seek "set" end
      end)
    ]]):format(said), { before = "exec 2>" .. said })
    assert.equal(0, status, output)
    assert.match("proa: task #1 %(.-program.lua:4%) has not let go of the loop "
      .. "for %d+.%d s\nstack traceback:\n.-program.lua:%d: in function",
      helper.read_file(said))
  end)

  it_main("tells of a task that a C function blocks, and more when that returns",
    function()
      local said = helper.temp_file("stderr", "")
      local output, status = helper.lua(([[
        local proa = require "proa"
        proa.watchdog(0.02)
        proa.run(function()
          local pipe = io.popen "until grep -q still %s; do sleep 0.01; done"
          pipe:read "a"
          print "unblocked"
          pipe:close()
        end)
      ]]):format(said), { before = "exec 2>" .. said })
      assert.equal("unblocked\n", output)
      assert.equal(0, status)
      -- a slow machine may have it reported before, as it makes the pipe
      local line, after = helper.read_file(said):match(
        "(proa: task #1 [^\n]* still\n)(.*)$")
      assert.match("^proa: task #1 %(.-program.lua:3%) is blocked inside a C "
        .. "function for %d+.%d s; the loop stands still\n$", line)
      assert.match("%[C%]: in method 'read'\n", after)
    end)

  it("is one at a time, and closes twice", function()
    local watchdog = proa.watchdog(10)
    assert.match("there is a watchdog already",
      helper.error_of(proa.watchdog, 10))
    watchdog:close()
    watchdog:close()
    assert.match("closed", tostring(watchdog))
    proa.watchdog(10):close()
  end)

  it("refuses what is no time or no function", function()
    for _, bad in ipairs { 0, -1, 0 / 0, "x" } do
      assert.match("bad argument #1", helper.error_of(proa.watchdog, bad))
    end
    assert.match("bad argument #2", helper.error_of(proa.watchdog, 1, 1))
  end)

  it_main("leaves a forked child alone, and its parent's watch goes on", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      local reported
      proa.watchdog(0.02, function() reported = true end)
      proa.run(function()
        os.execute "true"
        local start = os.time()
        while not reported and os.time() - start < 5 do end
      end)
      print(reported)
    ]]
    assert.equal(0, status, output)
    assert.match("true\n$", output)
  end)
end)
