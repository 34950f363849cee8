--- insight_spec: what proa.tasks tells, and tracebacks across tasks.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_on = helper.it, helper.it_on

--- The record of a task.
local function record_of(task)
  for _, record in ipairs(proa.tasks()) do
    if record.task == task then return record end
  end
  error "the task is not listed"
end

--- The record of a task that does this, once it waits.
local function waiting(fn, ...)
  local task = proa.spawn(fn, ...)
  helper.wait_until(function() return task:status() == "waiting" end)
  local record = record_of(task)
  task:cancel()
  task:await()
  return record
end

local function line() return debug.getinfo(2, "l").currentline end

describe("the record of a task", function()
  it("tells who it is, where it was spawned, and by whom", function()
    local task = proa.spawn(proa.sleep, 60):name "sleeper"
    local place = "insight_spec.lua:" .. line() - 1
    local record = record_of(task)
    assert.equal(task:id(), record.id)
    assert.equal("sleeper", record.name)
    assert.equal("ready", record.status)
    assert.equal(proa.current():id(), record.by)
    assert.equal(place, record.spawned:match "insight_spec.lua:%d+$")
    assert.is_nil(record.op)
    assert.is_nil(record.background)
    task:background()
    assert.is_true(record_of(task).background)
    task:cancel()
  end)

  it("tells how long it has lived and waited, and how long it will", function()
    local task = proa.spawn(function()
      proa.sleep(0.1)
      proa.sleep(60)
    end)
    proa.sleep(0.15)
    local record = record_of(task)
    assert.is_true(record.age >= 0.14)
    assert.is_true(record.waited < record.age)
    assert.is_true(record.left > 0 and record.left <= 60)
    assert.equal("sleep", record.op)
    task:cancel()
  end)

  it("knows the main chunk as who spawned", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      proa.spawn(proa.sleep, 1)
      print(proa.tasks()[1].by, (proa.tasks()[1].traceback:gsub("%S*/", "")))
      os.exit(true, true)
    ]]
    assert.equal("0\tstack traceback:\n"
      .. "\tspawned at program.lua:2 by the main chunk\n", output)
    assert.equal(0, status)
  end)

  it("tells the line where it is, in its own code", function()
    local at
    local record = waiting(function()
      at = "insight_spec.lua:" .. line() + 1
      proa.all { function() proa.sleep(60) end }
    end)
    assert.equal(at, record.at:match "insight_spec.lua:%d+$")
  end)
end)

describe("what a task waits for", function()
  it_on(helper.tcp_pair)("is a stream, with descriptor and peer", function(conn)
    local record = waiting(conn.read, conn, 1)
    assert.equal("read", record.op)
    assert.equal(conn:peer(), record.peer)
    assert.is_true(record.fd > 2)
    assert.equal(("%s (fd %d)"):format(conn:peer(), record.fd), record.on)
  end)

  it_on(helper.tcp_pair)("is room to write", function(conn)
    local record = waiting(conn.write, conn, ("x"):rep(32 << 20))
    assert.equal("write", record.op)
    assert.equal(conn:peer(), record.peer)
    conn:abort()
  end)

  it_on(helper.tcp_pair)("is both ends of a copy", function(conn, peer)
    local record = waiting(conn.copy_to, conn, peer)
    assert.equal("copy", record.op)
    assert.match("^from " .. conn:peer():gsub("%p", "%%%0") .. " %(fd %d+%) to "
      .. peer:peer():gsub("%p", "%%%0") .. " %(fd %d+%)$", record.on)
  end)

  it_on(function() return proa.net.pair { memory = true } end)(
    "is memory, without descriptor", function(conn)
      local record = waiting(conn.read, conn, 1)
      assert.equal("read", record.op)
      assert.equal("memory", record.on)
      assert.is_nil(record.fd)
    end)

  helper.it_listening("is a listener, with its address", function(listener,
    address)
    local record = waiting(listener.accept, listener)
    assert.equal("accept", record.op)
    assert.equal(address, record.peer)
    assert.match("%(fd %d+%)$", record.on)
  end)

  it("is an op, by name and descriptor, awaited at once or later", function()
    local a, b = proa.fd.pair()
    local from <close> = a
    local to <close> = b
    local record = waiting(function()
      proa.op.ready(from, "r"):await()
    end)
    assert.equal("ready", record.op)
    assert.equal(from:fileno(), record.fd)
    assert.is_true(to:fileno() > 2)
    helper.turns()
  end)

  it("is a task, by its label", function()
    local other = proa.spawn(proa.sleep, 60):name "other"
    local record = waiting(other.await, other)
    assert.equal("await task", record.op)
    assert.match('^#%d+ "other" %(.*insight_spec.lua:%d+%)$', record.on)
    other:cancel()
  end)

  it("is so many tasks of a scope, and of a run inside a task", function()
    local record = waiting(proa.scope, function(s) s:spawn(proa.sleep, 60) end)
    assert.equal("scope", record.op)
    assert.equal("1 task to end", record.on)
    record = waiting(proa.run, function() proa.spawn(proa.sleep, 60) end)
    assert.equal("scope", record.op)
    assert.equal("1 task to end", record.on)
  end)

  it("is room in a scope with a limit", function()
    local record = waiting(proa.scope, function(s)
      for _ = 1, 2 do s:spawn(proa.sleep, 60) end
    end, { limit = 1 })
    assert.equal("spawn", record.op)
    assert.equal("room: 1 of 1 run", record.on)
  end)

  it("is a signal, by name", function()
    local record = waiting(proa.signal.wait, "USR2", "SIGHUP")
    assert.equal("signal", record.op)
    assert.equal("USR2, SIGHUP", record.on)
  end)

  it("is a datagram, with the socket's own address", function()
    local socket <close> = assert(proa.net.udp { bind = "127.0.0.1:0" })
    local record = waiting(socket.recv, socket)
    assert.equal("receive a datagram", record.op)
    assert.equal(socket:address(), record.peer)
  end)

  it("shows no control characters of a peer", function()
    if helper.driver == "sim" then return end -- names are the kernel's there
    local name = "unix:@proa\27[31m" .. math.random(1 << 40)
    local listener <close> = assert(proa.net.listen(name))
    local record = waiting(listener.accept, listener)
    assert.match("^unix:@proa\\x1b%[31m", record.peer)
    assert.is_nil(record.on:find "%c")
  end)
end)

describe("a traceback of a task", function()
  it("leaves out the runtime's own frames, but for the one called", function()
    local record = waiting(function()
      proa.race { function() proa.sleep(60) end }
    end)
    local frames = select(2, record.traceback:gsub("\n\t%[proa%]: in ", ""))
    assert.equal(1, frames)
    assert.is_nil(record.traceback:find "combine.lua:%d+: in")
    assert.is_nil(record.traceback:find "%[C%]")
  end)

  it("names the public function that was called", function()
    for _, name in ipairs { "select", "all", "any", "race" } do
      local record = waiting(function()
        proa[name] { function() proa.sleep(60) end }
        return name -- no tail call
      end)
      assert.match("^stack traceback:\n\t%[proa%]: in function 'proa." .. name
        .. "'\n\t[^\n]*insight_spec.lua:%d+: in function <", record.traceback)
    end
  end)

  it("goes on with what spawned it, up to the main chunk", function()
    local output = helper.lua [[
      local proa = require "proa"
      local function leaf() proa.sleep(60) end
      proa.run(function()
        proa.spawn(function()
          proa.current():name "middle"
          proa.spawn(leaf)
        end):await()
        proa.spawn(leaf)
        proa.sleep(0)
        for _, record in ipairs(proa.tasks()) do
          print((record.traceback:gsub("[^%s<]*/", "")))
        end
        proa.stop()
      end)
    ]]
    assert.match([[
	%[C%]: in function 'proa.sleep'
	program.lua:2: in function <program.lua:2>
	spawned at program.lua:6 by task #2
	which was spawned at program.lua:4
	which was spawned at program.lua:3 by the main chunk
]], output)
    assert.match("\tspawned at program.lua:8 by task #1\n"
      .. "\twhich was spawned at program.lua:3 by the main chunk\n", output)
  end)

  it("names a spawner that lives", function()
    proa.current():name "parent"
    local record = waiting(proa.sleep, 60)
    assert.match('spawned at [^\n]*insight_spec.lua:%d+ by task #%d+ "parent"',
      record.traceback)
  end)

  it("is of bounded length when each task spawns the next", function()
    local left, last = 500, nil
    local function next_one()
      left = left - 1
      if left > 0 then proa.spawn(next_one) else last = record_of(proa.current()) end
    end
    proa.spawn(next_one)
    helper.wait_until(function() return last end)
    assert.match("as its spawners were\n\tthe first of them by one that was "
      .. "spawned at [^\n]*insight_spec.lua:%d+\n\twhich", last.traceback)
    assert.is_true(select(2, last.traceback:gsub("\n", "")) < 20)
  end)

  it("is of bounded length when tasks of two kinds spawn each other", function()
    local left, last = 500, nil
    local ping, pong
    function ping()
      left = left - 1
      if left > 0 then proa.spawn(pong) else last = record_of(proa.current()) end
    end
    function pong() proa.spawn(ping) end
    proa.spawn(ping)
    helper.wait_until(function() return last end)
    assert.match("%(earlier ones are left out%)$", last.traceback)
    assert.is_true(select(2, last.traceback:gsub("\n", "")) < 40)
  end)

  it("goes through coroutines inside the task, the innermost first", function()
    local function outer()
      return coroutine.wrap(function()
        local inner = coroutine.wrap(function() proa.sleep(60) end)
        inner()
      end)
    end
    local first = line() - 5
    local record = waiting(function() outer()() end)
    local frames = {}
    for at in record.traceback:gmatch "insight_spec.lua:(%d+): in" do
      frames[#frames + 1] = tonumber(at) - first
    end
    assert.same({ 1, 2, frames[3] }, frames)
    assert.is_true(frames[3] > 4)
  end)

  it("shows both ends of a deep stack", function()
    local function deep(n) if n == 0 then proa.sleep(60) end return 1 + deep(n - 1) end
    local record = waiting(deep, 1000)
    assert.match("%(skipping %d+ levels%)", record.traceback)
    assert.is_true(select(2, record.traceback:gsub("\n", "")) < 40)
  end)

  it("of an error goes with it to on_error, with the descent", function()
    local reports = helper.catch_errors()
    proa.spawn(function() proa.spawn(error, "broken") end)
    helper.wait_until(function() return #reports > 0 end)
    assert.match("^stack traceback:\n.*\n\tspawned at .*\n\twhich was spawned at",
      reports[1].traceback)
  end)
end)

describe("an error that ends the program", function()
  local function output_of(source)
    return (helper.lua(source):gsub("[^%s<(:]*/([%w_]+%.lua)", "%1"))
  end

  helper.it_main("tells where it was raised, up to the main chunk", function()
    local output = output_of [[
      local proa = require "proa"
      local function inner() error "broken" end
      proa.run(function()
        proa.spawn(function() inner() end):await()
      end)
    ]]
    assert.match("program.lua:2: broken\n"
      .. "raised in task #1 %(program.lua:3%):\nstack traceback:\n"
      .. "\t%[C%]: in method 'await'\n"
      .. "\tprogram.lua:4: in function <program.lua:3>\n"
      .. "\tspawned at program.lua:3 by the main chunk\n"
      .. "raised in task #2 %(program.lua:4%):\nstack traceback:\n"
      .. "\t%[C%]: in function 'error'\n"
      .. "\tprogram.lua:2: in .- 'inner'\n"
      .. "\tprogram.lua:4: in function <program.lua:4>\n"
      .. "\tspawned at program.lua:4 by task #1\n"
      .. "\twhich was spawned at program.lua:3 by the main chunk\n", output)
  end)

  helper.it_main("is what it was when it is no string, or caught before",
    function()
      local output = output_of [[
        local proa = require "proa"
        local err = {}
        local ok, raised = pcall(proa.run, function() error(err) end)
        print(ok, rawequal(raised, err))
        proa.run(function()
          print(pcall(proa.run, function() error("inside", 0) end))
          local task = proa.spawn(error, "awaited", 0)
          print(pcall(task.await, task))
        end)
        print(select(2, pcall(proa.run, error, "first line", 0)):match "[^\n]*")
      ]]
      assert.match("^false\ttrue\nfalse\tinside\nfalse\tawaited\nfirst line\n", output)
    end)

  it("of a task that awaited another tells of both to on_error", function()
    local reports = helper.catch_errors()
    proa.spawn(function() proa.spawn(error, "deep", 0):await() end)
    helper.wait_until(function() return #reports > 0 end)
    assert.equal("deep", reports[1].err)
    assert.match("in method 'await'.-\nraised in task #%d+ %(.-'error'\n\tspawned at",
      reports[1].traceback)
  end)
end)
