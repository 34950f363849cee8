--- names_spec.lua: looking names up, and connecting to one of several addresses.
-- SPDX-License-Identifier: MIT

local connect = require "proa.connect"
local helper = require "spec.helper"
local proa = require "proa"

local it = helper.it
local net = proa.net
local simulated = helper.driver == "sim"

--- A port at which nobody listens: it was just given back.
local function dead_address()
  local listener = assert(net.listen "127.0.0.1:0")
  local address, handles = listener:address(), proa.stats().handles
  listener:close()
  helper.wait_until(function() return proa.stats().handles < handles end)
  return address
end

--- An address that answers nothing: documentation networks in the simulation,
-- elsewhere a listener with a full queue, and what keeps it full.
local function silent()
  if simulated then return "192.0.2.1:80", {} end
  local listener = assert(net.listen("127.0.0.1:0", { backlog = 1 }))
  local keep = { listener }
  repeat
    local conn = net.connect(listener:address(), { timeout = 0.05 })
    keep[#keep + 1] = conn
  until not conn
  return listener:address(), keep
end

local function close_all(list)
  for _, object in ipairs(list) do object:close() end
end

describe("resolving", function()
  it("gives addresses of the hosts file, each once", function()
    local list = assert(net.resolve("localhost", 80))
    local seen = {}
    for _, address in ipairs(list) do
      assert.is_nil(seen[address])
      seen[address] = true
      assert.is_truthy(address == "127.0.0.1:80" or address == "[::1]:80")
    end
  end)

  it("takes numbers, services, families", function()
    assert.same({ "127.0.0.1:0" }, net.resolve "127.0.0.1")
    assert.same({ "127.0.0.1:80" }, net.resolve("127.0.0.1", "http"))
    assert.same({ "[::1]:443" }, net.resolve("::1", "https"))
    assert.same({ "127.0.0.1:1" },
      net.resolve("localhost", 1, { family = "inet" }))
    assert.same({ "127.0.0.1:0" },
      net.resolve("127.0.0.1", { family = "inet", numeric = true }))
    assert.same({ "[fe80::1%1]:9" },
      net.resolve("fe80::1%lo", 9, { numeric = true }))
  end)

  it("tells what is wrong by the codes of getaddrinfo", function()
    local function fails(code, message, ...)
      local list, text, given = net.resolve(...)
      assert.is_nil(list)
      assert.equal(code, given)
      assert.equal(message, text)
    end
    fails("EAI_NONAME", "resolve no-number: there is no such name",
      "no-number", 1, { numeric = true })
    fails("EAI_SERVICE", "resolve localhost: there is no such service",
      "localhost", "no-such-service")
    fails("EAI_ADDRFAMILY", "resolve 127.0.0.1: the name has no such address",
      "127.0.0.1", 1, { family = "inet6" })
    fails("EAI_NONAME", "resolve bad\\x0aname: there is no such name",
      "bad\nname", 1, { numeric = true })
    local future = proa.op.resolve("::1", "no-such-service")
    assert.equal("EAI_SERVICE", select(3, future:await()))
  end)

  it("raises for what is no question", function()
    assert.matches("a name is a string, got nil", helper.error_of(net.resolve))
    assert.matches("zero bytes", helper.error_of(net.resolve, "a\0b"))
    assert.matches("too long", helper.error_of(net.resolve, ("x"):rep(300)))
    assert.matches("unknown option 'famly'",
      helper.error_of(net.resolve, "x", { famly = 1 }))
    assert.matches("inet or inet6 expected, got 4",
      helper.error_of(net.resolve, "x", 1, { family = 4 }))
  end)

  it("asks equal questions once", function()
    local before, tasks = proa.stats().ops_submitted, {}
    for i = 1, 20 do
      tasks[i] = proa.spawn(net.resolve, "localhost", 80)
    end
    local first = tasks[1]:await()
    for i = 2, 20 do assert.same(first, tasks[i]:await()) end
    assert.equal(1, proa.stats().ops_submitted - before)
    net.resolve("localhost", 80)
    assert.equal(2, proa.stats().ops_submitted - before)
  end)

  it("asks few at a time, and answers all", function()
    local before, tasks, most = proa.stats().ops_in_flight, {}, 0
    for i = 1, 50 do
      tasks[i] = proa.spawn(net.resolve, "127.0.0." .. i, 80)
    end
    local left = 50
    for i, task in ipairs(tasks) do
      proa.spawn(function()
        assert.same({ "127.0.0." .. i .. ":80" }, task:await())
        left = left - 1
      end)
    end
    while left > 0 do
      most = math.max(most, proa.stats().ops_in_flight - before)
      proa.sleep(0)
    end
    assert.is_true(most >= 1 and most <= 3, most)
  end)

  it("leaves at once when it is given up, and others have their answer",
    function()
      local kept = {}
      for i = 1, 10 do
        local name = "127.0.1." .. i % 5
        local left = proa.spawn(net.resolve, name)
        kept[i] = proa.spawn(net.resolve, name)
        proa.yield()
        left:cancel()
        assert.equal("CANCELLED", select(3, left:await()))
      end
      for i = 1, 10 do
        assert.same({ ("127.0.1.%d:0"):format(i % 5) }, kept[i]:await())
      end
      local gone = proa.spawn(net.resolve, "127.0.2.1")
      proa.yield()
      gone:cancel()
      assert.same({ "127.0.2.1:0" }, net.resolve "127.0.2.1")
    end)

  it("has a limit", function()
    local list, message, code = net.resolve("localhost", { timeout = 0 })
    if list then return end -- it was known already
    assert.equal("resolve localhost: timed out", message)
    assert.equal("TIMEOUT", code)
  end)
end)

describe("addresses of two families", function()
  it("are taken by turns, that of the first one first", function()
    assert.same({ "[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "3.3.3.3:1" },
      connect.interleave { "[::1]:1", "[::2]:1", "1.1.1.1:1", "2.2.2.2:1",
        "3.3.3.3:1" })
    assert.same({ "1.1.1.1:1", "[::1]:1", "[::2]:1" },
      connect.interleave { "1.1.1.1:1", "[::1]:1", "[::2]:1" })
    assert.same({}, connect.interleave {})
  end)
end)

describe("connecting to several addresses", function()
  it("takes the first that listens, and goes on at once after a failure",
    function()
      local listener <close> = assert(net.listen "127.0.0.1:0")
      local from = proa.now()
      local conn <close> = assert(net.connect({ dead_address(), dead_address(),
        listener:address() }, { stagger = 60 }))
      assert.equal(listener:address(), conn:peer())
      assert.is_true(proa.now() - from < 30)
    end)

  it("starts the next a quarter of a second after one that is silent",
    function()
      local listener <close> = assert(net.listen "127.0.0.1:0")
      local dead, keep = silent()
      local handles, from = proa.stats().handles, proa.now()
      local conn <close> = assert(net.connect { dead, dead, listener:address() })
      local took = proa.now() - from
      assert.is_true(took >= 0.5, took)
      if simulated then assert.is_true(took < 0.51, took) end
      assert.equal(listener:address(), conn:peer())
      -- the losers are closed
      helper.wait_until(function()
        return proa.stats().handles <= handles + 1
      end)
      close_all(keep)
    end)

  it("lets the slower one win that was there first", function()
    local first <close> = assert(net.listen "127.0.0.1:0")
    local second <close> = assert(net.listen "127.0.0.1:0")
    local conn <close> = assert(net.connect { first:address(),
      second:address() })
    assert.equal(first:address(), conn:peer())
    assert.equal("TIMEOUT", select(3, second:accept(0.01)))
  end)

  it("says what each attempt has met, in one message", function()
    local a, b = dead_address(), "unix:@proa.spec.nobody"
    local conn, message, code = net.connect { a, b }
    assert.is_nil(conn)
    assert.equal(("connect %s or %s: %s: connection refused; %s: connection "
      .. "refused"):format(a, b, a, b), message)
    assert.equal("ECONNREFUSED", code)
  end)

  it("says which name failed when none has an address", function()
    local _, message, code = net.connect({ "localhost:no-such-service",
      "[fe80::1%no-such-if]:1" })
    assert.equal("connect [fe80::1%no-such-if]:1: no such device", message)
    assert.equal("ENODEV", code)
    local listener <close> = assert(net.listen "127.0.0.1:0")
    local conn <close> = assert(net.connect { "localhost:no-such-service",
      listener:address() })
    assert.equal(listener:address(), conn:peer())
  end)

  it("ends in time, and leaves nothing behind", function()
    local dead, keep = silent()
    local conn, message, code = net.connect({ dead, dead },
      { timeout = 0.4, stagger = 0.1 })
    assert.is_nil(conn)
    assert.equal(("connect %s or %s: timed out"):format(dead, dead), message)
    assert.equal("TIMEOUT", code)
    local waiting = proa.spawn(net.connect, { dead, dead }, { stagger = 0 })
    helper.turns()
    waiting:cancel()
    assert.equal("CANCELLED", select(3, waiting:await()))
    close_all(keep)
  end)

  it("raises for what is no address", function()
    assert.matches("an empty list", helper.error_of(net.connect, {}))
    assert.matches("an address is a string like \":2\", got number",
      helper.error_of(net.connect, { "127.0.0.1:1", 2 }))
    assert.matches("stagger: a number of seconds expected",
      helper.error_of(net.connect, "127.0.0.1:1", { stagger = "x" }))
  end)

  it("does so for the addresses of a name", function()
    local listener <close> = assert(net.listen "127.0.0.1:0")
    local port = listener:address():match "%d+$"
    local conn <close> = assert(net.connect("localhost:" .. port))
    assert.equal(listener:address(), conn:peer())
  end)
end)
