--- log_spec: what the runtime says to who listens.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main

--- Runs a function and collects what is said meanwhile.
local function said(fn)
  local entries = {}
  local before = proa.on_log(function(level, message, fields)
    entries[#entries + 1] = { level = level, message = message, fields = fields }
  end)
  local ok, err = pcall(fn)
  helper.turns()
  proa.on_log(before)
  if not ok then error(err, 0) end
  return entries
end

local function with_event(entries, event)
  for _, entry in ipairs(entries) do
    if entry.fields.event == event then return entry end
  end
end

describe("the log", function()
  it_main("names the driver, and why it is not a better one", function()
    local output, status = helper.lua([[
      local proa = require "proa"
      proa.setup { driver = "poll", log = function(level, message, fields)
        print(level, message, fields.event, fields.driver)
      end }
      proa.run(function() end)
    ]])
    assert.equal(0, status, output)
    assert.equal("info\tthe driver is poll\tdriver\tpoll\n", output)
  end)

  it("tells of a result that came too late", function()
    local entries = said(function()
      proa.op.timer(0.001) -- nobody keeps its future
      collectgarbage()
      proa.sleep(0.01)
    end)
    local late = with_event(entries, "late")
    assert.equal("debug", late.level)
    assert.equal("timer", late.fields.op)
  end)

  it_main("tells of tasks that had not ended when the state was closed", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      proa.on_log(function(level, message, fields)
        if fields.event == "leak" then print(level, message, fields.task) end
      end)
      proa.spawn(proa.sleep, 60):name "forgotten"
      proa.sleep(0)
      os.exit(0, true)
    ]]
    assert.equal(0, status, output)
    assert.match('^warn\ttask #1 "forgotten" %(.-program.lua:5%) had not ended '
      .. "when its Lua state was closed\t1\n$", output)
  end)

  it("tells of a task that hogs the loop", function()
    local entries = said(function()
      local reported
      local watchdog <close> = proa.watchdog(0.02, function() reported = true end)
      proa.spawn(function()
        local start = os.time()
        while not reported and os.time() - start < 9 do end
      end):await()
      assert.truthy(watchdog)
    end)
    local hog = with_event(entries, "hog")
    assert.equal("warn", hog.level)
    assert.equal("integer", math.type(hog.fields.task))
  end)

  it("gives back what was set before, and nothing after nil", function()
    local function mine() end
    assert.is_nil(proa.on_log(mine))
    assert.equal(mine, proa.on_log(nil))
    assert.is_nil(proa.on_log(nil))
    assert.match("function expected", helper.error_of(proa.on_log, 1))
  end)

  it_main("goes on after an error in its function, and prints it", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      proa.on_log(function() error "oops" end)
      proa.run(function() end)
      print "ends well"
    ]]
    assert.equal(0, status, output)
    assert.match("^proa: error in on_log: .-oops\nends well\n$", output)
  end)
end)
