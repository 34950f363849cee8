--- listener_spec.lua: accepting without loss.
-- Whoever arrives while nobody waits, or while the one who waited gives up,
-- is parked and served by the next accept (O6).
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, client = helper.it_listening, helper.client

--- Let n clients be parked. The simulation, as a kernel may, ends a multishot
-- accept at times; then they are not: they wait in the backlog.
local function parked(listener, n)
  for _ = 1, 1000 do
    if listener:parked() >= n then break end
    proa.sleep(0)
  end
  assert.is_true(listener:parked() == n or helper.driver == "sim")
end

describe("accept:", function()
  it("gives a connected stream with both addresses", function(listener, address)
    local conn <close> = assert(proa.net.connect(address))
    local served <close> = assert(listener:accept())
    assert.equal(address, served:address())
    assert.equal(address, conn:peer())
    assert.equal(conn:address(), served:peer())
    conn:write "hello\n"
    assert.equal("hello", served:read "l")
  end)

  it("waits for a client", function(listener, address)
    local accepting = proa.spawn(listener.accept, listener)
    helper.turns()
    assert.equal("accept", select(2, accepting:status()))
    local _ <close> = client(address, "one")
    local served <close> = accepting:await()
    assert.equal("one", served:read "l")
  end)

  it("times out, and the late client is served next", function(listener,
      address)
    local stream, message, code = listener:accept(0.01)
    assert.is_nil(stream)
    assert.equal("accept: timed out", message)
    assert.equal("TIMEOUT", code)
    local _ <close> = client(address, "late")
    parked(listener, 1)
    local served <close> = assert(listener:accept(1))
    assert.equal("late", served:read "l")
  end)

  it("loses no one when it is cancelled", function(listener, address)
    local accepting = proa.spawn(listener.accept, listener)
    helper.turns()
    accepting:cancel()
    assert.equal("CANCELLED", select(3, accepting:await()))
    local _ <close> = client(address, "late")
    local served <close> = assert(listener:accept())
    assert.equal("late", served:read "l")
  end)

  it("raced against a timeout loses no one either", function(listener, address)
    local which = proa.select { client = listener, timeout = 0.01 }
    assert.equal("timeout", which)
    local _ <close> = client(address, "late")
    local name, served = proa.select { client = listener, timeout = 5 }
    local _ <close> = served
    assert.equal("client", name)
    assert.equal("late", served:read "l")
  end)

  it("serves those who came first, first", function(listener, address)
    proa.timeout(0, listener.accept, listener)
    local conns, names = {}, {}
    for i = 1, 5 do
      conns[i] = client(address, "client " .. i)
      parked(listener, i)
    end
    for i = 1, 5 do
      local served <close> = assert(listener:accept())
      names[i] = served:read "l"
      conns[i]:close()
    end
    assert.same({ "client 1", "client 2", "client 3", "client 4", "client 5" },
      names)
  end)

  it("serves several tasks that wait, one client each", function(listener,
      address)
    local accepting, conns, names = {}, {}, {}
    for i = 1, 3 do
      accepting[i] = proa.spawn(listener.accept, listener)
    end
    helper.turns()
    for i = 1, 3 do conns[i] = client(address, "client " .. i) end
    for i = 1, 3 do
      local served <close> = accepting[i]:await()
      names[i] = served:read "l"
      conns[i]:close()
    end
    table.sort(names)
    assert.same({ "client 1", "client 2", "client 3" }, names)
  end)

  -- A client comes for the first of two who wait; the first is cancelled
  -- before its turn. `first` gives a stream or nothing.
  local function cancelled_after_waking(listener, address, first)
    local connecting = proa.spawn(client, address, "one")
    local second = proa.spawn(listener.accept, listener)
    -- spinning, this task stands in the ready queue before the woken one
    while listener:parked() == 0 and first:status() == "waiting" do
      proa.yield()
    end
    first:cancel()
    local served = select(-1, first:await())
    if type(served) ~= "userdata" then served = second:await(2) end
    assert.is_truthy(served, "the second waits while a client is parked")
    assert.equal("one", served:read "l")
    served:close()
    second:cancel()
    connecting:await():close()
  end

  it("hands on whom a cancelled task was woken for", function(listener, address)
    local first = proa.spawn(listener.accept, listener)
    helper.turns()
    cancelled_after_waking(listener, address, first)
  end)

  it("hands on whom a cancelled select was woken for", function(listener,
      address)
    local first = proa.spawn(proa.select, { client = listener })
    helper.turns()
    cancelled_after_waking(listener, address, first)
  end)

  it("survives a client that has left already", function(listener, address)
    for _ = 1, 10 do proa.net.connect(address):abort() end
    local _ <close> = client(address, "stays")
    local name
    repeat
      local served <close> = assert(listener:accept(5))
      name = served:read "l"
    until name == "stays"
  end)

  it("takes 300 clients at once, and no descriptor is left", function(listener,
      address)
    local accepted, clients = 0, {}
    for i = 1, 300 do
      clients[i] = proa.spawn(function()
        local conn <close> = assert(proa.net.connect(address))
        assert.equal("x", conn:read_exact(1))
      end)
    end
    while accepted < 300 do
      local served <close> = assert(listener:accept(5))
      served:write "x"
      accepted = accepted + 1
    end
    for _, task in ipairs(clients) do task:await() end
  end)
end)

describe("closing a listener:", function()
  it("wakes who waits with CLOSED", function(listener)
    local tasks = {}
    for i = 1, 3 do tasks[i] = proa.spawn(listener.accept, listener) end
    local selecting = proa.spawn(proa.select, { l = listener })
    helper.turns()
    listener:close()
    for i = 1, 3 do
      assert.same({ nil, "accept: the listener was closed", "CLOSED", n = 3 },
        table.pack(tasks[i]:await()))
    end
    assert.same({ "l", nil, "accept: the listener was closed", "CLOSED", n = 4 },
      table.pack(selecting:await()))
  end)

  it("closes and counts who is parked", function(listener, address)
    proa.timeout(0, listener.accept, listener)
    local conns = {}
    for i = 1, 3 do conns[i] = assert(proa.net.connect(address)) end
    parked(listener, 3)
    local n, before = listener:parked(), proa.stats().accepts_dropped
    listener:close()
    helper.wait_until(function()
      return proa.stats().accepts_dropped >= before + n
    end)
    for i = 1, 3 do
      assert.is_nil(conns[i]:read_some())
      conns[i]:close()
    end
  end)

  it("refuses clients afterwards", function(listener, address)
    listener:close()
    helper.wait_until(function()
      local conn, _, code = proa.net.connect(address)
      if conn then conn:close() end
      return code == "ECONNREFUSED"
    end)
  end)

  it("may be done twice; everything else raises", function(listener)
    assert.is_false(listener:closed())
    listener:close()
    listener:close()
    assert.is_true(listener:closed())
    assert.equal("proa.listener (closed)", tostring(listener))
    for _, name in ipairs { "accept", "address", "parked" } do
      assert.matches("listener is closed",
        helper.error_of(listener[name], listener))
    end
  end)

  it("gives its address back", function(listener, address)
    listener:close()
    local again
    helper.wait_until(function()
      again = proa.net.listen(address)
      return again
    end)
    assert.equal(address, again:address())
    again:close()
  end)
end)

describe("incoming:", function()
  it("iterates over clients until the listener is closed", function(listener,
      address)
    local names = {}
    local server = proa.spawn(function()
      for conn in listener:incoming() do
        local _ <close> = conn
        names[#names + 1] = conn:read "l"
      end
      return "ended"
    end)
    for i = 1, 3 do
      local conn <close> = client(address, "client " .. i)
      assert.is_nil(conn:read_some())
    end
    listener:close()
    assert.equal("ended", server:await())
    assert.same({ "client 1", "client 2", "client 3" }, names)
  end)

  it("leaves the listener open after a break", function(listener, address)
    local _ <close> = client(address, "one")
    for conn in listener:incoming() do
      local name = conn:read "l"
      conn:close()
      if name == "one" then break end
    end
    local _ <close> = client(address, "two")
    local served <close> = assert(listener:accept())
    assert.equal("two", served:read "l")
  end)
end)

describe("serve:", function()
  it("handles each client in a task of its own", function(listener, address)
    local server = proa.spawn(listener.serve, listener, function(conn)
      conn:write("hello ", conn:read "l", "\n")
    end)
    local slow <close> = assert(proa.net.connect(address))
    local quick <close> = client(address, "quick")
    assert.equal("hello quick", quick:read "l")
    assert.is_nil(quick:read "l")
    slow:write "slow\n"
    assert.equal("hello slow", slow:read "l")
    listener:close()
    server:await()
  end)

  it("closes the client when its handler fails, and goes on", function(listener,
      address)
    local reports = helper.catch_errors()
    local server = proa.spawn(listener.serve, listener, function(conn)
      local name = conn:read "l"
      if name == "bad" then error "a handler's error" end
      conn:write(name)
    end)
    local bad <close> = client(address, "bad")
    assert.is_nil(bad:read_some())
    local good <close> = client(address, "good")
    assert.equal("good", good:read "a")
    assert.equal(1, #reports)
    assert.matches("a handler's error", reports[1].err)
    assert.matches("listener_spec", reports[1].traceback)
    listener:close()
    server:await()
  end)

  it("leaves open what its handler keeps", function(listener, address)
    local kept = proa.future()
    local server = proa.spawn(listener.serve, listener, function(conn)
      kept:set(conn:keep())
    end)
    local conn <close> = client(address, "hello")
    local served <close> = kept:await()
    proa.yield() -- the handler has returned
    assert.is_false(served:closed())
    assert.equal("hello", served:read "l")
    served:write "still here\n"
    assert.equal("still here", conn:read "l")
    listener:close()
    server:await()
  end)

  it("closes what a handler keeps with its own <close>", function(listener,
      address)
    local server = proa.spawn(listener.serve, listener, function(conn)
      local own <close> = conn
      own:keep()
    end)
    local conn <close> = client(address, "hello")
    assert.is_nil((conn:read_some()))
    listener:close()
    server:await()
  end)

  it("raises for what is no function", function(listener)
    assert.matches("serve: a function expected, got nil",
      helper.error_of(listener.serve, listener))
  end)
end)

describe("a Unix listener:", function()
  helper.it("accepts at its path", function()
    local address = "unix:" .. helper.temp "socket"
    local listener <close> = assert(proa.net.listen(address))
    assert.equal(address, listener:address())
    assert.equal("proa.listener " .. address, tostring(listener))
    local conn <close> = client(address, "one")
    local served <close> = assert(listener:accept())
    assert.equal("one", served:read "l")
    assert.equal(address, conn:peer())
  end)

  helper.it("accepts at an abstract name", function()
    local address = "unix:@proa-listener-spec-" .. os.tmpname()
    os.remove(address:match "/.*")
    local listener <close> = assert(proa.net.listen(address))
    assert.equal(address, listener:address())
    local _ <close> = client(address, "one")
    local served <close> = assert(listener:accept())
    assert.equal("one", served:read "l")
  end)
end)
