--- dump_spec: the table of tasks, when it is asked for and by a signal, and
--- how a deadlock is explained.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main

--- What proa.dump prints.
local function dumped()
  local parts = {}
  proa.dump { write = function(_, text) parts[#parts + 1] = text end }
  return table.concat(parts)
end

--- The output of a program, without the directories of its files.
local function output_of(source, options)
  local output, status = helper.lua(source, options)
  return output:gsub("[^%s<(]*/([%w_]+%.lua)", "%1"), status
end

describe("dump", function()
  it("prints what each task waits for, and its traceback below", function()
    local task = proa.spawn(function() proa.sleep(50) end):name "sleeper"
    helper.turns()
    local text = dumped()
    assert.match("^proa: %d+ tasks, ", text)
    assert.match("\nmain chunk +waiting .- run %d+ tasks? to end\n", text)
    assert.match('\n#%d+ "sleeper" +waiting +%d[%d.]* s +%d[%d.]* s +sleep, 50 '
      .. "s left\n    %[C%]: in function 'proa.sleep'\n    .-dump_spec.lua:%d+: "
      .. "in function <.->\n    spawned at .-dump_spec.lua:%d+ by task #%d+\n",
      text)
    task:cancel()
  end)

  it("is aligned, whatever the names are", function()
    local tasks = {}
    for i, name in ipairs { "a", "Übergröße" } do -- three would be one line
      tasks[i] = proa.spawn(proa.sleep, 60):name(name)
    end
    helper.turns()
    local starts = {}
    for line in dumped():gmatch "[^\n]+" do
      local before = line:match '^(#%d+ ".-" +)waiting'
      if before then starts[utf8.len(before)] = true end
    end
    assert.is_truthy(next(starts))
    assert.is_nil(next(starts, (next(starts))))
    for _, task in ipairs(tasks) do task:cancel() end
  end)

  it("shows tasks that wait at one line as one", function()
    local tasks, n = {}, 1000
    for i = 1, n do tasks[i] = proa.spawn(proa.sleep, 60) end
    helper.turns()
    local text = dumped()
    assert.match(("\n#%d to #%d +waiting .-%%(the oldest of %d%%)\n"):format(
      tasks[1]:id(), tasks[n]:id(), n), text)
    assert.is_true(select(2, text:gsub("\n", "")) < 40)
    for _, task in ipairs(tasks) do task:cancel() end
  end)

  it("escapes control characters of names", function()
    local task = proa.spawn(proa.sleep, 60):name "red\27[31m\n"
    local text = dumped()
    assert.is_nil(text:find "\27")
    assert.match("red\\\\x1b%[31m\\\\x0a", text)
    task:cancel()
  end)

  it("refuses what is no file", function()
    assert.match("dump: a file expected, got string",
      helper.error_of(proa.dump, "tasks.txt"))
  end)

  it_main("goes to stderr, from the main chunk as well", function()
    local output = output_of "require 'proa'.dump()"
    assert.match("^proa: 0 tasks, .-\nmain chunk +running\n", output)
  end)
end)

-- The signal asks at each of the places where a program may be. It comes from
-- a shell that the program starts; io.popen does not wait for it.
local function asked(body, options)
  return output_of(([[
    local proa = require "proa"
    proa.setup { dump_signal = "USR1" }
    local function ask()
      io.popen("kill -USR1 $PPID"):close()
    end
    %s
    print "ends well"
  ]]):format(body), options)
end

describe("the signal that asks for a dump", function()
  it_main("is answered while a task does not let go of the loop", function()
    local output, status = asked [[proa.run(function()
      proa.current():name "hog"
      ask()
      local t = os.clock()
      while os.clock() - t < 0.02 do end
    end)]]
    assert.equal(0, status, output)
    assert.match('#1 "hog" +running .-in upvalue \'ask\'.-spawned at '
      .. "program.lua:6 by the main chunk\n", output)
    assert.is_nil(output:find "dump.lua")
    assert.match("ends well\n$", output)
  end)

  it_main("is answered while the loop sleeps", function()
    if helper.driver == "sim" then return end -- its clock does not sleep
    local said = helper.temp_file("stderr", "")
    local output, status = asked(([[
      proa.run(function()
        proa.spawn(proa.sleep, 60):background()
        local asking = io.popen("until grep -q left %s; do sleep 0.01; "
          .. "kill -USR1 $PPID; done")
        proa.fd(asking):readable() -- at its end
        asking:close()
      end)
    ]]):format(said), { before = "exec 2>" .. said })
    assert.equal("ends well\n", output)
    assert.equal(0, status)
    assert.match("#2 %(background%) +waiting .- sleep, %d+%.?%d* s left\n",
      helper.read_file(said))
  end)

  it_main("is answered by the main chunk, and by code under a hook", function()
    local output, status = asked [[
      local lines = 0
      debug.sethook(function() lines = lines + 1 end, "l")
      ask()
      local hook, mask = debug.gethook()
      debug.sethook()
      assert(hook and mask == "l" and lines >= 3)
    ]]
    assert.equal(0, status, output)
    assert.match("main chunk +running\n.-in local 'ask'", output)
  end)

  it_main("is refused when it has no such name, or is set twice", function()
    local output = output_of [[
      local proa = require "proa"
      print(pcall(proa.setup, { dump_signal = "KILL" }))
      proa.setup { dump_signal = "QUIT" }
      print(pcall(proa.setup, { dump_signal = "USR1" }))
    ]]
    assert.match("invalid option 'KILL'", output)
    assert.match("dump_signal is set already", output)
  end)
end)

describe("the explanation of a deadlock", function()
  it_main("names a circle of tasks", function()
    local output = output_of [[
      local proa = require "proa"
      print(select(2, pcall(proa.run, function()
        local a, b, c
        a = proa.spawn(function() b:await() end):name "a"
        b = proa.spawn(function()
          proa.scope(function(s) s:spawn(function() c:await() end) end)
        end):name "b"
        c = proa.spawn(function() a:await() end):name "c"
      end)))
    ]]
    assert.match('\nin a circle:\n\t#2 "a" %(program.lua:4%) waits %(await task%) '
      .. 'for\n\t#3 "b" %(program.lua:5%) waits %(scope%) for\n\t#5 '
      .. '%(program.lua:6%) waits %(await task%) for\n\t#4 "c" '
      .. '%(program.lua:8%) waits %(await task%) for\n\t#2\n', output)
    assert.match("\nthe main chunk waits: run 3 tasks to end\n", output)
    assert.match('\ntask #4 "c" %(program.lua:8%) waits: await task #2 "a" '
      .. "%(program.lua:4%)\nstack traceback:\n\t%[C%]: in method 'await'\n"
      .. "\tprogram.lua:8: in function <program.lua:8>\n\tspawned at "
      .. "program.lua:8 by task #1\n", output)
  end)

  it_main("names who holds the mutexes that two tasks want of each other", function()
    local output = output_of [[
      local proa = require "proa"
      print(select(2, pcall(proa.run, function()
        local left, right = proa.sync.mutex(), proa.sync.mutex()
        proa.spawn(function()
          local a <close> = left:lock()
          proa.sleep(0)
          local b <close> = right:lock()
        end)
        proa.spawn(function()
          local b <close> = right:lock()
          proa.sleep(0)
          local a <close> = left:lock()
        end)
      end)))
    ]]
    assert.match("\nin a circle:\n\t#2 [^\n]- waits %(lock%) for\n\t#3 [^\n]- "
      .. "waits %(lock%) for\n\t#2\n", output)
    assert.match("\ntask #2 .- waits: lock held by task #3\n", output)
  end)

  it_main("goes through select, all, and coroutines", function()
    local output = output_of [[
      local proa = require "proa"
      print(select(2, pcall(proa.run, function()
        local a, b
        a = proa.spawn(function()
          coroutine.wrap(function() proa.select { other = b, never = proa.future() } end)()
        end)
        b = proa.spawn(function() proa.all { a } end)
      end)))
    ]]
    assert.match("\nin a circle:\n\t#2 [^\n]- waits %(select%) for\n\t#3 [^\n]- "
      .. "waits %(select%) for\n\t#2\n", output)
    assert.match("\ntask #2 .- waits: select the first of 2\n", output)
    assert.match("\ntask #3 .- waits: select the next of 1\n", output)
  end)

  it_main("tells many that wait at one line as one", function()
    local output = output_of [[
      local proa = require "proa"
      print(select(2, pcall(proa.run, function()
        local future = proa.future()
        for _ = 1, 1000 do proa.spawn(future.await, future) end
      end)))
    ]]
    assert.match("waits: await future\n%(and 999 more like it%)\n", output)
    assert.is_true(#output < 1000)
  end)
end)
