--- serve_spec.lua: how many clients are accepted, and what becomes of them
-- when the listener is closed. (What a handler is: listener_spec.)
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, client = helper.it_listening, helper.client

local function clients(address, n)
  local conns = {}
  for i = 1, n do conns[i] = client(address, "client " .. i) end
  return conns
end

--- Handlers that answer with the client's name when they are let go.
local function gate()
  local self = { running = 0, peak = 0, names = {}, held = {} }
  function self.handler(conn)
    self.running = self.running + 1
    self.peak = math.max(self.peak, self.running)
    local name = conn:read "l"
    local held = proa.future()
    self.names[#self.names + 1] = name
    self.held[name] = held
    local _ <close> = setmetatable({}, { __close = function()
      self.running = self.running - 1
    end })
    held:await()
    conn:write("hello ", name, "\n")
  end
  --- The nth handler that began goes on, as soon as it has begun.
  function self.let_go(n)
    helper.wait_until(function() return self.names[n] end)
    self.held[self.names[n]]:set(true)
    return self.names[n]
  end
  return self
end

local function check_answered(conn, name)
  assert.equal("hello " .. name, conn:read "l")
  assert.is_nil((conn:read "l"))
  conn:close()
end

--- Clients that are parked; in the simulation, which may end a multishot
-- accept as a kernel may, perhaps fewer than n: those count.
local function park(listener, address, n)
  proa.timeout(0, listener.accept, listener)
  local conns = clients(address, n)
  for _ = 1, 1000 do
    if listener:parked() >= n then break end
    proa.sleep(0)
  end
  assert.is_true(listener:parked() == n or helper.driver == "sim")
  return conns, listener:parked()
end

describe("serve with a limit", function()
  it("accepts the next client when a handler has ended, and loses no one",
    function(listener, address)
      local held = gate()
      local server = proa.spawn(listener.serve, listener, held.handler,
        { max = 2 })
      local conns = clients(address, 5)
      helper.wait_until(function() return #held.names == 2 end)
      helper.turns(20)
      assert.equal(2, held.running)
      assert.equal(0, listener:parked())
      for i = 1, 5 do held.let_go(i) end
      for i = 1, 5 do check_answered(conns[i], "client " .. i) end
      assert.equal(2, held.peak)
      listener:close()
      server:await()
    end)

  it("has room again when a handler fails or is cancelled", function(listener,
      address)
    local reports = helper.catch_errors()
    local tasks, ended = {}, 0
    local server = proa.spawn(listener.serve, listener, function(conn)
      local _ <close> = setmetatable({}, { __close = function()
        ended = ended + 1
      end })
      tasks[#tasks + 1] = proa.current()
      if conn:read "l" == "bad" then error "a handler's error" end
      conn:read "l"
    end, { max = 1 })
    local bad <close> = client(address, "bad")
    assert.is_nil((bad:read_some()))
    local slow <close> = client(address, "slow")
    helper.wait_until(function() return #tasks == 2 end)
    local last <close> = client(address, "last")
    helper.turns()
    assert.equal(2, #tasks)
    tasks[2]:cancel()
    assert.is_nil((slow:read_some()))
    helper.wait_until(function() return #tasks == 3 end)
    last:write "end\n"
    assert.is_nil((last:read_some()))
    assert.equal(3, ended)
    assert.equal(1, #reports)
    listener:close()
    server:await()
  end)

  it("serves those who were parked before, so many at once", function(listener,
      address)
    local conns, n = park(listener, address, 4)
    local held = gate()
    local server = proa.spawn(listener.serve, listener, held.handler,
      { max = 1 })
    for i = 1, 4 do
      held.let_go(i)
      check_answered(conns[i], "client " .. i)
    end
    assert.is_true(n > 0)
    assert.equal(1, held.peak)
    listener:close()
    server:await()
  end)

  it("returns at once when the listener is closed, also without room",
    function(listener, address)
      local held = gate()
      local server = proa.spawn(listener.serve, listener, held.handler,
        { max = 1 })
      local conn = client(address, "one")
      helper.wait_until(function() return held.names[1] end)
      helper.turns()
      assert.equal("serve", select(2, server:status()))
      listener:close()
      server:await()
      assert.equal(1, held.running)
      held.let_go(1)
      check_answered(conn, "one")
    end)

  it("many times in turn serves everybody", function(listener, address)
    local running, peak = 0, 0
    local server = proa.spawn(listener.serve, listener, function(conn)
      running = running + 1
      peak = math.max(peak, running)
      conn:write("hello ", conn:read "l", "\n")
      running = running - 1
    end, { max = 7 })
    local tasks = {}
    for i = 1, 300 do
      tasks[i] = proa.spawn(function()
        check_answered(client(address, "client " .. i), "client " .. i)
      end)
    end
    for i = 1, 300 do tasks[i]:await() end
    assert.is_true(peak <= 7)
    listener:close()
    server:await()
  end)

  it("or anything else that is no option raises", function(listener)
    local function refused(text, ...)
      assert.matches(text, helper.error_of(listener.serve, listener, ...), 1,
        true)
    end
    local function shown(value)
      return value == "1" and '"1"' or tostring(value)
    end
    refused("serve: a function expected, got nil")
    refused("serve: a table of options expected, got number", print, 7)
    refused("serve: unknown option 'mxa'", print, { mxa = 1 })
    for _, max in ipairs { 0, -1, 1.5, "1", true } do
      refused("serve: max: an integer above 0 expected, got " .. shown(max),
        print, { max = max })
    end
    for _, idle in ipairs { 0, -1, "1", true, 0 / 0 } do
      refused("serve: idle: a number of seconds above 0 expected, got "
        .. shown(idle), print, { idle = idle })
    end
    listener:close()
    refused("listener is closed", print)
  end)
end)

describe("serve with an idle limit", function()
  it("sets it on each connection, for the handler to meet", function(listener,
      address)
    local ends = proa.future()
    local server = proa.spawn(listener.serve, listener, function(conn)
      ends:set(select(3, conn:read "l"))
    end, { idle = 0.02 })
    local silent <close> = assert(proa.net.connect(address))
    assert.equal("TIMEOUT", ends:await())
    assert.is_nil((silent:read_some())) -- and then it was closed
    listener:close()
    server:await()
  end)
end)

describe("closing a listener that serves", function()
  it("leaves those who are parked to their handlers, so many at once",
    function(listener, address)
      local conns, n = park(listener, address, 4)
      local before = proa.stats().accepts_dropped
      local held = gate()
      local server = proa.spawn(listener.serve, listener, held.handler,
        { max = 1 })
      helper.wait_until(function() return held.names[1] end)
      listener:close()
      server:await()
      for i = 1, n do
        held.let_go(i)
        check_answered(conns[i], "client " .. i)
      end
      assert.equal(n, #held.names)
      assert.equal(1, held.peak)
      assert.equal(before, proa.stats().accepts_dropped)
      for i = n + 1, 4 do conns[i]:close() end
    end)

  it("lets a handler be cancelled before its turn, and the others go on",
    function(listener, address)
      local conns, n = park(listener, address, 4)
      local held = gate()
      local server = proa.spawn(listener.serve, listener, held.handler,
        { max = 1 })
      helper.wait_until(function() return held.names[1] end)
      listener:close()
      server:await()
      if n == 4 then
        helper.turns()
        local tasks = proa.tasks()
        tasks[#tasks - 1].task:cancel() -- of the third client
        assert.is_nil((conns[3]:read_some()))
      end
      for i = 1, n == 4 and 3 or n do held.let_go(i) end
      for i = 1, n do
        if n < 4 or i ~= 3 then check_answered(conns[i], "client " .. i) end
      end
      for i = 1, 4 do conns[i]:close() end
    end)

  -- Four clients come while it closes. Those that were accepted get their
  -- answer, the others were still the kernel's, which breaks the connection.
  local function close_under(round, server_options)
    local listener <close> = assert(proa.net.listen "127.0.0.1:0")
    local address, tasks, served, answered = listener:address(), {}, 0, 0
    local server = proa.spawn(listener.serve, listener, function(conn)
      served = served + 1
      conn:write("hello ", conn:read "l", "\n")
    end, server_options)
    proa.yield() -- it serves
    for i = 1, 4 do
      tasks[i] = proa.spawn(function()
        local conn <close> = proa.net.connect(address)
        if not conn then return end
        if i == 1 and round % 2 == 0 then listener:close() end
        conn:write "me\n"
        if conn:read "l" == "hello me" then answered = answered + 1 end
      end)
    end
    helper.turns(round % 5)
    if round % 2 == 1 then listener:close() end
    for i = 1, 4 do tasks[i]:await() end
    server:await()
    assert.equal(served, answered)
    return answered
  end

  it("drops nobody whose accept ends with it", function()
    local before, answered = proa.stats().accepts_dropped, 0
    for round = 1, 100 do
      local options = round % 3 == 0 and { max = 3 } or nil
      answered = answered + close_under(round, options)
    end
    assert.equal(before, proa.stats().accepts_dropped)
    assert.is_true(answered > 0)
  end)

  it("drops who is parked when serve was cancelled", function(listener, address)
    local conns, n = park(listener, address, 3)
    local before = proa.stats().accepts_dropped
    local held = gate()
    local server = proa.spawn(listener.serve, listener, held.handler,
      { max = 1 })
    helper.wait_until(function() return held.names[1] end)
    server:cancel()
    assert.equal("CANCELLED", select(3, server:await()))
    listener:close()
    held.let_go(1)
    check_answered(conns[1], "client 1")
    helper.wait_until(function()
      return proa.stats().accepts_dropped == before + n - 1
    end)
    for i = 2, 3 do conns[i]:close() end
  end)

  it("leaves the listener to others when serve was cancelled before",
    function(listener, address)
      local server = proa.spawn(listener.serve, listener, print, { max = 1 })
      helper.turns()
      server:cancel()
      server:await()
      local conn <close> = client(address, "one")
      local served <close> = assert(listener:accept())
      assert.equal("one", served:read "l")
      assert.is_false(conn:closed())
    end)

  it("in the middle of everything lets the script end", function()
    local program = [[
      local proa = require "proa"
      local listener = assert(proa.net.listen "127.0.0.1:0")
      proa.spawn(listener.serve, listener, function(conn) conn:read "l" end,
        { max = 1 }):background()
      local conns = {}
      for i = 1, 4 do conns[i] = proa.net.connect(listener:address()) end
      for _ = 1, 3 do proa.sleep(0) end
      if os.getenv "CLOSE" then listener:close() end
      print "ends"
    ]]
    for _, env in ipairs { "", "CLOSE=1" } do
      local output, status = helper.lua(program, { env = env })
      assert.equal("ends\n", output)
      assert.equal(0, status)
    end
  end)
end)

--- The number of the line that calls it.
local function line() return debug.getinfo(2, "l").currentline end

describe("the place of a handler's task", function()
  --- Where that of the listener's next client was spawned, by its record.
  local function spawned_at(address, handled)
    local _ <close> = client(address, "one")
    local id = handled:await()
    for _, record in ipairs(proa.tasks()) do
      if record.id == id then
        return record.spawned:match "[^/]*/?[^/]*$"
      end
    end
  end

  local function handler_of(handled)
    return function(conn)
      handled:set(proa.current():id())
      conn:read "l"
      conn:read "l"
    end, line() - 4
  end

  it("is where the handler is defined when serve is a task's function",
    function(listener, address)
      local handled = proa.future()
      local handler, defined = handler_of(handled)
      local server = proa.spawn(listener.serve, listener, handler)
      assert.equal("spec/serve_spec.lua:" .. defined,
        spawned_at(address, handled))
      listener:close()
      server:await()
    end)

  it("is the line that called serve otherwise", function(listener, address)
    local handled, called = proa.future(), nil
    local server = proa.spawn(function()
      called = line() + 1
      listener:serve((handler_of(handled)))
    end)
    local place = spawned_at(address, handled)
    assert.equal("spec/serve_spec.lua:" .. called, place)
    listener:close()
    server:await()
  end)
end)

describe("incoming", function()
  it("accepts one client for each step", function(listener, address)
    local conns, n = clients(address, 4), 0
    for conn in listener:incoming() do
      local _ <close> = conn
      n = n + 1
      helper.turns(10)
      assert.equal(0, listener:parked())
      conn:write("hello ", conn:read "l", "\n")
      if n == 4 then break end
    end
    for i = 1, 4 do check_answered(conns[i], "client " .. i) end
  end)

  it("ends when its own loop closes the listener", function(listener, address)
    local _ <close> = client(address, "one")
    local n = 0
    for conn in listener:incoming() do
      conn:close()
      listener:close()
      n = n + 1
    end
    assert.equal(1, n)
    assert.matches("listener is closed",
      helper.error_of(listener.incoming, listener))
  end)
end)
