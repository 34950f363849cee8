--- foreign_spec.lua: descriptors of other libraries, and proa in other loops.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it = helper.it
local simulated = helper.driver == "sim"

proa.pollfd() -- it stays open from the first time on

--- A pipe that stands for a library's: its numbers, and how to move bytes.
local function it_on_pipe(name, fn)
  return it(name, function()
    local from, to = proa.fd.pipe()
    local function fill(text) assert(proa.op.write(to, text):await()) end
    local function empty()
      local buffer = proa.buffer(100)
      return buffer:string(1, assert(proa.op.read(from, buffer):await()))
    end
    fn(from:fileno(), to:fileno(), fill, empty)
    from:close()
    to:close()
  end)
end

describe("a foreign descriptor", function()
  it_on_pipe("is waited for until it is readable", function(from, _, fill)
    local fd = proa.fd(from)
    assert.same({ nil, "wait: timed out", "TIMEOUT", n = 3 },
      table.pack(fd:readable(0.001)))
    local waiting = proa.spawn(fd.readable, fd)
    helper.turns()
    assert.equal("waiting", (waiting:status()))
    fill "x"
    assert.is_true(waiting:await())
    assert.is_true(fd:readable())
  end)

  it_on_pipe("is waited for until it is writable", function(_, to, fill, empty)
    local fd = proa.fd(to)
    assert.is_true(fd:writable(5))
    assert.equal("w", fd:wait("w", 5))
    assert.equal("w", fd:wait("rw", 5))
    for _ = 1, 16 do fill(("x"):rep(4096)) end
    assert.equal("TIMEOUT", select(3, fd:writable(0.001)))
    local waiting = proa.spawn(fd.writable, fd, 5)
    helper.turns()
    for _ = 1, 50 do empty() end
    assert.is_true(waiting:await())
  end)

  it_on_pipe("at its end is readable", function(from, _, fill)
    fill "x"
    assert.equal("r", proa.fd(from):wait("r", 5))
  end)

  it_on_pipe("may be waited for by several, each of whom wakes",
    function(from, _, fill)
      local tasks = {}
      for i = 1, 5 do
        tasks[i] = proa.spawn(function() return proa.fd(from):readable(5) end)
      end
      helper.turns()
      fill "x"
      for _, task in ipairs(tasks) do assert.is_true(task:await()) end
    end)

  it_on_pipe("that is given up is no longer watched", function(from, _, fill)
    local fd = proa.fd(from)
    local waiting = proa.spawn(fd.readable, fd)
    helper.turns()
    waiting:cancel()
    assert.equal("CANCELLED", select(3, waiting:await()))
    helper.wait_until(function() return proa.stats().ops_in_flight == 0 end)
    fill "x"
    assert.is_true(fd:readable())
  end)

  it("is that of a number, a file, or an object that has one", function()
    local file = assert(io.open(helper.temp_file("file", "x")))
    local fd = proa.fd(file)
    assert.is_true(fd:readable(5))
    local number = fd:fileno()
    for _, name in ipairs { "fileno", "getfd", "pollfd" } do
      local object = { [name] = function() return number end }
      assert.equal(number, proa.fd(object):fileno())
      local userdata = setmetatable({}, { __index = object })
      assert.equal(number, proa.fd(userdata):fileno())
    end
    fd:close() -- only this object; the file is not ours
    assert.equal("x", file:read "a")
    file:close()
    local a <close>, b = proa.net.pair()
    assert.is_true(proa.fd(a):writable(5))
    b:close()
    assert.is_true(proa.fd(a):readable(5))
  end)

  it("keeps what it is of, as long as it is kept", function()
    local collected = false
    local function borrowed()
      local object = setmetatable({ fileno = function() return 0 end },
        { __gc = function() collected = true end })
      return proa.fd(object)
    end
    local fd = borrowed()
    collectgarbage()
    collectgarbage()
    assert.is_false(collected)
    assert.equal(0, fd:fileno())
    fd:close()
  end)

  it("is nothing else", function()
    for _, bad in ipairs { -1, 1.5, "x", {}, true } do
      assert.is_string(helper.error_of(proa.fd, bad))
    end
    assert.is_string(helper.error_of(proa.fd))
    local file = assert(io.open(helper.temp_file("file", "x")))
    file:close()
    assert.matches("it is closed", helper.error_of(proa.fd, file))
    assert.matches("it has no descriptor",
      helper.error_of(proa.fd, { fileno = function() return "x" end }))
    local fd = proa.fd(0)
    assert.matches("invalid option", helper.error_of(fd.wait, fd, "x"))
    fd:close()
  end)
end)

describe("an object with pollfd, events and timeout", function()
  --- As a library of that protocol would have it.
  local function object_of(number, events, timeout)
    return { pollfd = function() return number end,
      events = function() return events end,
      timeout = function() return timeout end }
  end

  it_on_pipe("is ready when its descriptor is", function(from, to, fill)
    local reader, writer = object_of(from, "r"), object_of(to, "w")
    assert.equal(writer, proa.fd.poll(reader, writer))
    fill "x"
    assert.equal(reader, proa.fd.poll(reader))
    assert.equal(reader, proa.fd.poll(object_of(from, "rw", 60) and reader))
  end)

  it_on_pipe("is ready when its own time is over", function(from)
    local slow, fast = object_of(from, "r", 60), object_of(from, "r", 0.01)
    assert.equal(fast, proa.fd.poll(slow, fast))
    local timer = object_of(nil, nil, 0.005)
    assert.equal(timer, proa.fd.poll(timer, slow))
    assert.equal(timer, proa.fd.poll(timer))
  end)

  it_on_pipe("has the limit of the call", function(from)
    local object = object_of(from, "r")
    assert.same({ nil, "poll: timed out", "TIMEOUT", n = 3 },
      table.pack(proa.fd.poll(object, 0.001)))
    assert.same({ nil, "poll: timed out", "TIMEOUT", n = 3 },
      table.pack(proa.fd.poll(0.001)))
    local waiting = proa.spawn(proa.fd.poll, object)
    helper.turns()
    waiting:cancel()
    waiting:await()
  end)

  it_on_pipe("may stand beside descriptors and streams", function(from, _, fill)
    local a <close>, b = proa.net.pair()
    local fd = proa.fd(from)
    assert.equal("TIMEOUT", select(3, proa.fd.poll(a, fd, 0.001)))
    fill "x"
    assert.equal(fd, proa.fd.poll(a, fd, 5))
    b:write "x"
    b:flush()
    assert.equal(a, proa.fd.poll(a, 5))
    b:close()
  end)

  it("raises for what is none", function()
    assert.matches("nothing to wait for", helper.error_of(proa.fd.poll))
    assert.matches("expected, got string", helper.error_of(proa.fd.poll, "x"))
    assert.matches("some of \"rwp\" expected",
      helper.error_of(proa.fd.poll, object_of(0, "x")))
  end)
end)

-- A loop of its own: another proactor, which knows nothing of this one, waits
-- for the descriptor as poll(2) would.
local foreign = [[
  local proa = require "proa"
  local outer = proa.proactor.new()
  local fd = outer:attach(proa.pollfd())
  local key, state
  local sleeps, events = 0, 0
  local function loop(over)
    while not over() do
      proa.step()
      local hint = proa.timeout_hint()
      if hint ~= 0 and not over() then
        if not key then
          state, key = outer:push("ready", fd, "r")
          if state == "ready" then key = nil end
        end
        sleeps = sleeps + 1
        if key and #outer:poll(hint or 10) > 0 then
          events = events + 1
          outer:pop(key)
          key = nil
        end
      end
    end
  end
]]

describe("proa in another loop", function()
  it("runs tasks by steps, and its descriptor tells when", function()
    if simulated then return pending "the simulation has no descriptor" end
    local output, status = helper.lua(foreign .. [[
      local listener = assert(proa.net.listen "127.0.0.1:0")
      proa.spawn(listener.serve, listener, function(conn)
        for line in conn:lines() do conn:write(line:upper(), "\n") end
      end)
      local done = 0
      for i = 1, 10 do
        proa.spawn(function()
          local conn <close> = assert(proa.net.connect(listener:address()))
          for n = 1, 20 do
            conn:write("line ", n, "\n")
            assert(conn:read "l" == "LINE " .. n)
          end
          proa.sleep(0.02)
          assert(proa.net.resolve "localhost")
          done = done + 1
        end)
      end
      loop(function() return done == 10 end)
      listener:close()
      loop(function() return proa.step() == 0 end)
      print(done, events > 0, sleeps < 2000)
    ]])
    assert.equal("10\ttrue\ttrue\n", output)
    assert.equal(0, status)
  end)

  it("does not spin while nothing happens, and wakes for a deadline",
    function()
      if simulated then return pending "the simulation has no descriptor" end
      local output, status = helper.lua(foreign .. [[
        local over
        proa.spawn(function() proa.sleep(0.2) over = true end)
        local a, b = proa.net.pair()
        proa.spawn(function() return b:read() end)
        local from = proa.now()
        loop(function() return over end)
        local took = proa.now() - from
        print(took >= 0.2, sleeps < 50)
        a:close()
        loop(function() return proa.step() == 0 end)
        print(proa.timeout_hint())
      ]])
      assert.equal("true\ttrue\nnil\n", output)
      assert.equal(0, status)
    end)

  it("waits itself when it is told to", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      local over
      proa.spawn(function() proa.sleep(0.05) over = true end)
      local steps = 0
      while not over do
        local live = proa.step(10)
        assert(live == (over and 0 or 1))
        steps = steps + 1
      end
      print(steps < 10, proa.step())
      local from = proa.now()
      proa.step(60)
      print(proa.now() - from < 30 or "it waited though nothing could come")
    ]]
    assert.equal("true\t0\ntrue\n", output)
    assert.equal(0, status)
  end)

  it("is stepped from outside alone", function()
    assert.matches("step is for the loop around proa",
      helper.error_of(proa.step))
  end)

  it("raises an interrupt while it waits", function()
    local output = helper.lua([[
      local proa = require "proa"
      local from = proa.net.pair()
      proa.spawn(from.read, from)
      io.popen("sleep 0.2; kill -INT " .. io.open("/proc/self/stat")
        :read("a"):match "%d+")
      local ok, message
      repeat ok, message = pcall(proa.step, 10) until not ok
      print(message)
      print(pcall(proa.step))
    ]])
    assert.matches("interrupted!", output)
    assert.matches("true\t1", output)
  end)

  it("is an object for loops of cqueues' protocol", function()
    local loop = proa.pollable()
    assert.equal("r", loop:events())
    if simulated then
      assert.equal("ENOTSUP", select(3, proa.pollfd()))
    else
      assert.equal(proa.pollfd(), loop:pollfd())
    end
    local hint = loop:timeout()
    assert.is_true(hint == nil or hint >= 0)
    assert.matches("step is for", helper.error_of(loop.step, loop))
  end)
end)

-- -- libraries that are there or not --

local function installed(name)
  return package.searchpath(name, package.path) or
    package.searchpath(name, package.cpath)
end

--- Why not, or nil.
local function cannot_live_in(name)
  if simulated then return "the simulation has no descriptor to wait for" end
  if not installed(name) then return name .. " is not installed" end
end

describe("with cqueues", function()
  it("a controller runs inside a task", function()
    if not installed "cqueues" then return pending "cqueues is not installed" end
    local cqueues = require "cqueues"
    local controller, log = cqueues.new(), {}
    for i = 1, 3 do
      controller:wrap(function()
        cqueues.sleep(0.01 * i)
        log[#log + 1] = i
      end)
    end
    while not controller:empty() do
      proa.fd.poll(controller)
      assert(controller:step(0))
    end
    table.sort(log) -- what is due at once it runs in any order
    assert.same({ 1, 2, 3 }, log)
  end)

  it("proa runs inside a controller", function()
    local missing = cannot_live_in "cqueues"
    if missing then return pending(missing) end
    local output, status = helper.lua [[
      local proa, cqueues = require "proa", require "cqueues"
      local a, b = proa.net.pair()
      local got
      proa.spawn(function() got = b:read "l" end)
      proa.spawn(function() proa.sleep(0.01) a:write "hello\n" end)
      local controller, loop = cqueues.new(), proa.pollable()
      controller:wrap(function()
        while not got do
          loop:step()
          if not got then cqueues.poll(loop) end
        end
      end)
      assert(controller:loop())
      print(got)
    ]]
    assert.equal("hello\n", output)
    assert.equal(0, status)
  end)
end)

describe("with luv", function()
  it("proa runs inside its loop", function()
    local missing = cannot_live_in "luv"
    if missing then return pending(missing) end
    local output, status = helper.lua [[
      local proa, uv = require "proa", require "luv"
      local poll, timer = uv.new_poll(proa.pollfd()), uv.new_timer()
      local a, b = proa.net.pair()
      local got
      local function turn()
        proa.step()
        if got then
          poll:stop()
          timer:stop()
          return
        end
        local hint = proa.timeout_hint()
        if hint then timer:start(math.ceil(hint * 1000), 0, turn) end
      end
      proa.spawn(function() got = b:read "l" end)
      proa.spawn(function() proa.sleep(0.01) a:write "hello\n" end)
      poll:start("r", turn)
      turn()
      uv.run()
      print(got)
    ]]
    assert.equal("hello\n", output)
    assert.equal(0, status)
  end)
end)

-- libunbound asks in a thread of its own, and its descriptor tells when there
-- are answers (Debian: lua-unbound).
describe("with lunbound", function()
  --- A DNS server that tells how often it was asked, as an address.
  local function dns_server()
    local socket = assert(proa.net.udp { bind = "127.0.0.1:0" })
    local asked = 0
    local task = proa.spawn(function()
      for query, from in socket:incoming() do
        local last = query:find("\0", 13, true) + 4 -- of the question
        local kind = (">I2"):unpack(query, last - 3)
        local answer = ""
        if kind == 1 then
          asked = asked + 1
          answer = "\xc0\x0c\0\1\0\1" .. (">I4I2"):pack(60, 4) .. "\10\0\0"
            .. string.char(asked)
        end
        socket:send_to(query:sub(1, 2) .. "\x85\x80"
          .. (">I2I2I2I2"):pack(1, answer == "" and 0 or 1, 0, 0)
          .. query:sub(13, last) .. answer, from)
      end
    end)
    return socket, task
  end

  it("many questions are under way while a task waits for its descriptor",
    function()
      if simulated then return pending "the simulation has no descriptor" end
      if not installed "lunbound" then
        return pending "lunbound is not installed"
      end
      local socket, serving = dns_server()
      local context = require "lunbound".new { async = true, hoststxt = false,
        resolvconf = false,
        forward = "127.0.0.1@" .. socket:address():match "%d+$",
        options = { ["do-not-query-localhost:"] = "no",
          ["module-config:"] = "iterator" } }
      local left, seen = 20, {}
      for i = 1, left do
        assert(context:resolve_async(function(result)
          left = left - 1
          seen[i] = result.havedata and result[1] and #result[1]
        end, ("host%d.example.com."):format(i), 1, 1))
      end
      local ticks = 0
      local ticking = proa.spawn(function()
        while left > 0 do
          ticks = ticks + 1
          proa.sleep(0.001)
        end
      end)
      while left > 0 do
        assert(proa.fd(context):readable(20))
        context:process()
      end
      ticking:await()
      for i = 1, 20 do assert.equal(4, seen[i]) end
      assert.is_true(ticks >= 1)
      socket:close()
      serving:await()
    end, { limit = 60 })
end)
