--- signal_spec: SIGINT while the loop runs, as in the stock interpreter;
-- waiting for signals; SIGPIPE. Processes of their own, because handlers are
-- the process's. `kill $PPID` in a popen comes from the program's own child.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"

local it = helper.it_main

local INTERRUPT = [[
  local proa = require "proa"
  io.stdout:setvbuf "no"
  local function interrupt()
    KILL = io.popen "kill -INT $PPID"
  end
]] -- and then they wait for what is real: a simulated hour is over at once

local function program(source, options)
  return helper.lua(INTERRUPT .. source, options)
end

describe("SIGINT", function()
  it("ends a script that waits in run, with a traceback", function()
    local output, status = program [[
      proa.run(function()
        interrupt()
        proa.signal.wait "USR2"
      end)
    ]]
    assert.equal(1, status, output)
    assert.match("interrupted!", output)
    assert.match("stack traceback:.*program.lua", output)
  end)

  it("ends a busy loop in a task", function()
    local output, status = program [[
      proa.run(function()
        interrupt()
        while true do end
      end)
    ]]
    assert.equal(1, status, output)
    assert.match("interrupted!", output)
    assert.match("stack traceback:", output)
  end)

  it("ends a busy loop in a coroutine of a task", function()
    local output, status = program [[
      proa.run(function()
        interrupt()
        coroutine.wrap(function() while true do end end)()
      end)
    ]]
    assert.equal(1, status, output)
    assert.match("interrupted!", output)
  end)

  it("ends tasks that only yield to each other", function()
    local output, status = program [[
      proa.run(function()
        for _ = 1, 3 do
          proa.spawn(function() while true do proa.yield() end end)
        end
        interrupt()
      end)
    ]]
    assert.equal(1, status, output)
    assert.match("interrupted!", output)
  end)

  it("ends an await in the main chunk", function()
    local output, status = program [[
      interrupt()
      proa.signal.wait "USR2"
    ]]
    assert.equal(1, status, output)
    assert.match("interrupted!", output)
  end)

  it("names the line of the script that waits inside of proa", function()
    local output, status = program [[
      local listener = assert(proa.net.listen "127.0.0.1:0")
      proa.spawn(interrupt) -- it may end this task as well
      listener:serve(function() end)
    ]]
    assert.equal(1, status, output)
    assert.match("lua[^:\n]*: [^:\n]*program.lua:8: interrupted!\n", output)
  end)

  it("leaves the runtime usable behind a pcall", function()
    local output, status = program [[
      local unwound = false
      print(pcall(proa.run, function()
        proa.spawn(function()
          local _ <close> = setmetatable({}, {
            __close = function() unwound = true end,
          })
          proa.sleep(3600)
        end)
        interrupt()
        proa.signal.wait "USR2"
      end))
      if KILL then KILL:close() end -- it may have come inside of popen
      print(unwound, proa.run(function() proa.sleep(0.001) return "usable" end))
      print(#proa.tasks(), proa.stats().ops_in_flight)
    ]]
    assert.equal(0, status, output)
    assert.match("^false\t[^\n]*interrupted!", output)
    assert.match("true\tusable\n0\t0\n$", output)
  end)

  it("has its stock effect outside the loop", function()
    local output, status = program [[
      proa.run(function() proa.sleep(0) end)
      interrupt()
      while true do end
    ]]
    assert.equal(1, status, output)
    assert.match("interrupted!", output)
  end)
end)

describe("signal.wait", function()
  it("returns the name of the one that came", function()
    local output, status = helper.lua([[
      local proa = require "proa"
      proa.run(function()
        for _, name in ipairs { "USR1", "SIGTERM", "INT", "HUP" } do
          local task = proa.spawn(proa.signal.wait, "USR1", "SIGTERM", "INT", "HUP")
          proa.sleep(0)
          local kill <close> = io.popen("kill -" .. name:gsub("SIG", "") .. " $PPID")
          print(task:await())
        end
      end)
    ]])
    assert.equal("USR1\nSIGTERM\nINT\nHUP\n", output)
    assert.equal(0, status)
  end)

  it("is given up with a timeout", function()
    local output = helper.lua([[
      local proa = require "proa"
      print(select(3, proa.timeout(0.005, proa.signal.wait, "USR1")))
    ]])
    assert.equal("TIMEOUT\n", output)
  end)

  it("refuses names that are none", function()
    local output = helper.lua [[
      local proa = require "proa"
      print(pcall(proa.signal.wait, "NOPE"))
      print(pcall(proa.signal.wait))
    ]]
    assert.match("unknown signal", output)
    assert.match("name of a signal expected", output)
  end)
end)

describe("SIGPIPE", function()
  it("does not kill: a write to a closed pipe is an error", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      proa.run(function()
        local r, w = proa.fd.pipe()
        proa.op.close(r):await()
        print(select(3, proa.op.write(w, "x"):await()))
      end)
    ]]
    assert.equal("EPIPE\n", output)
    assert.equal(0, status)
  end)

  it("is at its default in children", function()
    local output = helper.lua [[
      local proa = require "proa"
      proa.run(function() proa.sleep(0) end)
      local p = io.popen "grep SigIgn /proc/self/status"
      print(p:read "a")
    ]]
    local ignored = tonumber(output:match "SigIgn:%s*(%x+)", 16)
    assert.equal(0, ignored & (1 << 12))
  end)
end)

describe("the interactive interpreter", function()
  it("awaits at top level", function()
    local output, status = helper.interactive("-i", table.concat({
      'proa = require "proa"',
      'a, b = proa.net.pair()',
      't = proa.spawn(function() b:write(b:read "L") end)',
      'a:write "ping\\n"',
      'print(a:read "l")',
      'print(t:status())',
      'print(proa.timeout(0.001, proa.sleep, 9))',
      'proa.run(error, "raised")',
      'print(proa.run(function() proa.sleep(0) return "after" end))',
    }, "\n") .. "\n")
    assert.equal(0, status)
    assert.match("ping", output)
    assert.match("ended", output)
    assert.match("nil\ttimed out\tTIMEOUT", output)
    assert.match("raised", output)
    assert.match("after", output)
  end)
end)
