--- serve_until_spec: servers that end by a signal, gently at first.
-- The signals are USR1 and USR2, sent by a child of this process.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it = helper.it

local function send(name)
  assert(proa.process.run { shell = "kill -" .. name .. " $PPID" }.ok)
end

--- A listener whose handler says hello, then waits for a line and repeats it;
-- and the task that serves it.
local function server(options)
  local listener = assert(proa.net.listen "127.0.0.1:0")
  local task = proa.spawn(listener.serve, listener, function(conn)
    conn:write "hello\n"
    conn:write(conn:read "L" or "")
  end, options)
  return listener, task
end

--- A client that is being served.
local function client(listener)
  local conn = assert(proa.net.connect(listener:address()))
  assert.equal("hello", conn:read "l")
  return conn
end

local function refused(address)
  return select(3, proa.net.connect(address)) == "ECONNREFUSED"
end

describe("serve_until", function()
  it("stops accepting, and lets those end who are being served", function()
    local listener, serving = server()
    local address = listener:address()
    local conn <close> = client(listener)
    local waiting = proa.spawn(proa.serve_until, "USR1", listener)
    helper.turns()
    send "USR1"
    serving:await()
    helper.wait_until(function() return refused(address) end)
    assert.equal("waiting", waiting:status())
    conn:write "last words\n"
    assert.equal("last words", conn:read "l")
    assert.is_nil(conn:read "l")
    assert.same({ "USR1", true }, { waiting:await() })
  end)

  it("ends at once by a second signal", function()
    local listener = server()
    local conn <close> = client(listener)
    local waiting = proa.spawn(proa.serve_until, { "SIGUSR1", 12 }, listener)
    helper.turns()
    send "USR1"
    helper.wait_until(function() return listener:closed() end)
    send "USR2"
    assert.same({ "SIGUSR1", false }, { waiting:await() })
    assert.equal("ECONNRESET", select(3, conn:read "l"))
  end)

  it("ends at once when the time to drain is over", function()
    local listener = server { max = 1 }
    local conn <close> = client(listener)
    local waiting = proa.spawn(proa.serve_until, "USR1", listener,
      { drain = 0.02 })
    helper.turns()
    send "USR1"
    assert.same({ "USR1", false }, { waiting:await() })
    assert.equal("ECONNRESET", select(3, conn:read "l"))
  end)

  it("returns at once when nobody is being served", function()
    local a, b = server(), server { max = 5 }
    client(a):close()
    local waiting = proa.spawn(proa.serve_until, "USR1", a, b)
    helper.turns()
    send "USR1"
    assert.same({ "USR1", true }, { waiting:await() })
    assert.is_true(a:closed() and b:closed())
  end)

  it("knows whatever else has a close, a drain, an abort", function()
    local said = {}
    local function stub(name, drain)
      return {
        close = function() said[#said + 1] = name .. " close" end,
        abort = function() said[#said + 1] = name .. " abort" end,
        drain = drain and function()
          said[#said + 1] = name .. " drain"
          drain()
        end,
      }
    end
    local waiting = proa.spawn(proa.serve_until, "USR1",
      stub("a", function() end), stub("b", function() proa.sleep(60) end),
      stub "c", { drain = 0.01 })
    helper.turns()
    send "USR1"
    assert.same({ "USR1", false }, { waiting:await() })
    assert.same({ "a close", "b close", "c close", "a drain", "b drain",
      "a abort", "b abort", "c abort" }, said)
  end)

  it("leaves the signals as they were when it is cancelled", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      io.stdout:setvbuf "no"
      proa.run(function()
        local task = proa.spawn(proa.serve_until, "USR1")
        proa.sleep(0)
        task:cancel()
        pcall(task.await, task)
        print "cancelled"
        proa.process.run { shell = "kill -USR1 $PPID" }
        print "not reached"
      end)
    ]]
    assert.match("^cancelled\n", output)
    assert.not_match("not reached", output)
    assert.equal(128 + 10, status)
  end)

  it("ends a program by TERM, with what was accepted served", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      proa.run(function()
        local listener = assert(proa.net.listen "127.0.0.1:0")
        proa.spawn(listener.serve, listener, function(conn)
          conn:write "hello\n"
          conn:write(conn:read "L")
        end)
        local conn = proa.net.connect(listener:address())
        local talk = proa.spawn(function()
          print(conn:read "l")
          conn:write "half"
          proa.process.run { shell = "kill -TERM $PPID" }
          conn:write " and half\n"
          print(conn:read "l")
          conn:close()
        end)
        local name, drained = proa.serve_until("TERM", listener)
        talk:await()
        print(name, drained)
      end)
    ]]
    assert.equal("hello\nhalf and half\nTERM\ttrue\n", output)
    assert.equal(0, status)
  end)

  it("raises for what is no server and no option", function()
    local function raises(text, ...)
      local arguments = table.pack(...)
      local message = helper.error_of(function()
        proa.serve_until(table.unpack(arguments, 1, arguments.n))
      end)
      assert.match("^spec/serve_until_spec", message)
      assert.truthy(message:find(text, 1, true), message)
    end
    raises("server 1: a number cannot be closed", "USR1", 1)
    raises("server 2: a nil", "USR1", { close = print }, nil)
    raises("unknown option 'drian'", "USR1", { drian = 1 })
    raises("drain: a number of seconds", "USR1", { drain = "1" })
    helper.error_of(proa.serve_until, "NOPE")
  end)
end)

describe("listener:drain", function()
  it("waits for handlers and serve, and says who is left", function()
    local listener, serving = server()
    local a <close> = client(listener)
    local b = client(listener)
    assert.same({ n = 3, nil, "drain: timed out, with 2 being served",
      "TIMEOUT" }, table.pack(listener:drain(0.01)))
    b:close()
    a:write "x\n"
    assert.is_true(listener:drain())
    serving:await()
    assert.is_true(listener:drain(0))
  end)

  it("is true for one that nobody serves", function()
    local listener = assert(proa.net.listen "127.0.0.1:0")
    assert.is_true(listener:drain())
    assert.is_true(listener:closed())
  end)

  it("is not misled by handlers that failed or were cancelled", function()
    local reports = helper.catch_errors()
    local listener = assert(proa.net.listen "127.0.0.1:0")
    local tasks = {}
    proa.spawn(listener.serve, listener, function(conn)
      tasks[#tasks + 1] = proa.current()
      if conn:read "l" == "fail" then error "failed" end
    end)
    local a <close> = assert(proa.net.connect(listener:address()))
    local b <close> = assert(proa.net.connect(listener:address()))
    helper.wait_until(function() return #tasks == 2 end)
    a:write "fail\n"
    helper.wait_until(function() return #reports == 1 end)
    tasks[1]:cancel()
    tasks[2]:cancel()
    assert.is_true(listener:drain(5))
    assert.is_nil(b:read "l")
  end)
end)

describe("listener:abort", function()
  it("cancels handlers and drops their connections", function()
    local listener, serving = server()
    local conns = {}
    for i = 1, 40 do conns[i] = client(listener) end
    for i = 1, 20 do
      conns[i]:write "x\n"
      assert.equal("x", conns[i]:read "l")
    end
    listener:abort()
    serving:await()
    for i = 21, 40 do
      assert.equal("ECONNRESET", select(3, conns[i]:read "l"))
    end
    assert.is_true(listener:drain(5))
    for _, conn in ipairs(conns) do conn:close() end
  end)
end)
