--- signal_each_spec: iterating over signals, signals among others, limits.
-- A child of this process sends them: `kill $PPID`. What an unhandled signal
-- does is seen in processes of their own.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it = helper.it
local signal = proa.signal

--- Send this process a signal; it has come when this returns.
local function send(name)
  assert(proa.process.run { shell = "kill -" .. name .. " $PPID" }.ok)
end

local function program(source, options)
  return helper.lua([[
    local proa = require "proa"
    io.stdout:setvbuf "no"
    local function send(name)
      assert(proa.process.run { shell = "kill -" .. name .. " $PPID" }.ok)
    end
  ]] .. source, options)
end

describe("signal.each", function()
  it("gives each signal that comes, as it was written", function()
    local got = {}
    send "0"
    local task = proa.spawn(function()
      for name in signal.each("SIGUSR1", 12) do
        got[#got + 1] = name
        if #got == 3 then break end
      end
    end)
    helper.turns()
    send "USR1"
    helper.wait_until(function() return #got == 1 end)
    send "USR2"
    helper.wait_until(function() return #got == 2 end)
    send "USR1"
    task:await()
    assert.same({ "SIGUSR1", 12, "SIGUSR1" }, got)
  end)

  it("keeps what comes between two steps", function()
    local signals <close> = signal.each("USR1", "USR2")
    send "USR2"
    send "USR1"
    send "USR1"
    assert.equal("USR1", signals:wait())
    assert.equal("USR2", signals())
    assert.equal("TIMEOUT", select(3, signals:wait(0.01)))
  end)

  it("gives every iterator every signal", function()
    local a <close> = signal.each "USR1"
    local b <close> = signal.each("USR1", "USR2")
    send "USR1"
    assert.equal("USR1", a:wait())
    assert.equal("USR1", b:wait())
  end)

  it("ends its loop, and its waiters, when it is closed", function()
    local signals = signal.each "USR1"
    local loop = proa.spawn(function()
      for _ in signals do error "none came" end
      return "over"
    end)
    local waiter = proa.spawn(signals.wait, signals)
    helper.turns()
    signals:close()
    signals:close()
    assert.equal("over", loop:await())
    assert.equal("CLOSED", select(3, waiter:await()))
    assert.equal("CLOSED", select(3, signals:wait()))
    assert.is_nil((signals()))
    assert.equal("proa.signals USR1 (closed)", tostring(signals))
  end)

  it("is an entry of select", function()
    local signals <close> = signal.each("USR1", "USR2")
    assert.equal("timeout", proa.select { s = signals, timeout = 0.01 })
    send "USR2"
    assert.same({ "s", "USR2" }, { proa.select { s = signals, timeout = 5 } })
    local task = proa.spawn(proa.select, { s = signals })
    helper.turns()
    send "USR1"
    assert.same({ "s", "USR1" }, { task:await() })
    signals:close()
    assert.same({ "s", nil, "signal: it was closed", "CLOSED" },
      { proa.select { s = signals } })
  end)

  it("is cancelled, and loses nothing by that", function()
    local signals <close> = signal.each "USR1"
    local task = proa.spawn(signals.wait, signals)
    helper.turns()
    task:cancel()
    pcall(task.await, task)
    send "USR1"
    assert.equal("USR1", signals:wait())
  end)

  it("puts back what was there: break, error, close", function()
    for _, leave in ipairs { "break", "error 'x'", "proa.current():cancel() "
      .. "proa.sleep(1)" } do
      local output, status = program(([[
        proa.run(function()
          proa.spawn(function()
            pcall(function()
              for name in proa.signal.each "USR1" do
                print("got", name)
                %s
              end
            end)
          end)
          proa.sleep(0)
          send "USR1"
        end)
        print "now it kills"
        send "USR1"
        print "not reached"
      ]]):format(leave))
      assert.match("^got\tUSR1\nnow it kills\n", output)
      assert.not_match("not reached", output)
      assert.equal(128 + 10, status)
    end
  end)

  it("puts back what was there when it is collected", function()
    local output, status = program [[
      proa.signal.each "USR1"
      collectgarbage()
      collectgarbage()
      send "USR1"
      print "not reached"
    ]]
    assert.not_match("not reached", output)
    assert.equal(128 + 10, status)
  end)

  it("leaves no window for the default effect", function()
    local output, status = program [[
      proa.run(function()
        local n = 0
        local signals = proa.signal.each "USR1"
        local sender = proa.process.spawn {
          shell = "while kill -USR1 $PPID; do :; done" }
        for _ in signals do
          n = n + 1
          if n == 200 then
            sender:kill "KILL"
            sender:wait()
            signals:close()
          end
        end
        print(n)
      end)
    ]]
    assert.equal("200\n", output)
    assert.equal(0, status)
  end)

  it("with INT stands beside Lua's own: the loop's is back afterwards", function()
    local output, status = program [[
      proa.run(function()
        local signals = proa.signal.each "INT"
        send "INT"
        print(signals:wait())
        signals:close()
        print(pcall(send, "INT"))
        proa.sleep(3600)
      end)
    ]]
    assert.match("^INT\n", output)
    assert.match("interrupted!", output)
    assert.equal(1, status)
  end)

  it("with INT does not keep a busy loop from being ended", function()
    local output, status = program [[
      local signals <close> = proa.signal.each "INT"
      proa.process.spawn { shell = "kill -INT $PPID; "
        .. "while grep -q 'ShdPnd:.*2$' /proc/$PPID/status; do :; done; "
        .. "kill -INT $PPID" }
      proa.run(function() while true do end end)
    ]]
    assert.match("interrupted!", output)
    assert.equal(1, status)
  end)

  it("refuses what is no signal, or can't be caught", function()
    for _, bad in ipairs { "NOPE", "KILL", "SIGSTOP", "SEGV", 0, 65, 9, 1.5 } do
      helper.error_of(signal.each, "USR1", bad)
      helper.error_of(signal.wait, "USR1", bad)
    end
    helper.error_of(signal.each)
  end)
end)

describe("signal.wait", function()
  it("has a limit of its own", function()
    local output = program [[
      print(proa.signal.wait("USR1", { timeout = 0.01 }))
      send "USR1"
      print(proa.signal.wait("USR1", 12, { timeout = 5 }))
      send "USR2"
      print(proa.signal.wait("USR1", 12, { timeout = 5 }))
      print(pcall(proa.signal.wait, "USR1", { timeuot = 5 }))
      print(pcall(proa.signal.wait, "USR1", { timeout = "x" }))
    ]]
    assert.equal("nil\tsignal: timed out\tTIMEOUT\nUSR1\n12\n"
      .. "false\tsignal: unknown option 'timeuot'\n"
      .. "false\tsignal: a limit is a number of seconds\n",
      (output:gsub("\t%S+:%d+: ", "\t")))
  end)

  it("and an iterator do not take each other's", function()
    local output = program [[
      local signals = proa.signal.each "USR1"
      print(proa.signal.wait("USR1", { timeout = 0 }))
      send "USR1"
      print(signals:wait())
      print(proa.signal.wait("USR1"))
      signals:close()
      send "USR1"
      print(proa.signal.wait("USR1"))
    ]]
    assert.equal("nil\tsignal: timed out\tTIMEOUT\nUSR1\nUSR1\nUSR1\n", output)
  end)
end)
