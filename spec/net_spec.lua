--- net_spec.lua: addresses, connecting, names.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local helper = require "spec.helper"
local proa = require "proa"

local it = helper.it
local net = proa.net

--- A port at which nobody listens: it was just given back.
local function dead_port()
  local listener <close> = assert(net.listen "127.0.0.1:0")
  return listener:address():match "%d+$"
end

-- The last machine without IPv6 is not dead.
local function has_ipv6()
  local listener = net.listen "[::1]:0"
  if listener then listener:close() end
  return listener ~= nil
end

describe("an address", function()
  --- listen(address) gives an address that connect takes; both ends see it.
  local function round_trip(address, expected)
    local listener <close> = assert(net.listen(address))
    local given = listener:address()
    assert.matches(expected, given)
    local conn <close> = assert(net.connect(given))
    local served <close> = assert(listener:accept())
    assert.equal(given, conn:peer())
    assert.equal(given, served:address())
    return given
  end

  it("of IPv4 round-trips", function()
    round_trip("127.0.0.1:0", "^127%.0%.0%.1:%d+$")
  end)

  it("without a host is every interface, on both families", function()
    local listener <close> = assert(net.listen ":0")
    local port = listener:address():match "%d+$"
    local hosts = { "127.0.0.1", "", has_ipv6() and "[::1]" or nil }
    for _, host in ipairs(hosts) do
      local conn <close> = assert(net.connect(host .. ":" .. port))
      local served <close> = assert(listener:accept())
      served:write "x"
      assert.equal("x", conn:read(1))
    end
  end)

  it("of every interface is one to connect to, of each end as it came",
    function()
      local listener <close> = assert(net.listen ":0")
      local port = listener:address():match "%d+$"
      for _, address in ipairs { listener:address(), "127.0.0.1:" .. port } do
        local conn <close> = assert(net.connect(address))
        local served <close> = assert(listener:accept())
        assert.equal(conn:peer(), served:address())
        assert.equal(conn:address(), served:peer())
        local again <close> = assert(net.connect(served:address()))
        assert(listener:accept()):close()
        assert.equal(served:address(), again:peer())
      end
    end)

  it("without a host is loopback to connect", function()
    local listener <close> = assert(net.listen "127.0.0.1:0")
    local port = listener:address():match "%d+$"
    local conn <close> = assert(net.connect(":" .. port))
    assert.equal("127.0.0.1:" .. port, conn:peer())
  end)

  it("of IPv6 round-trips in brackets", function()
    if not has_ipv6() then return pending "this machine has no IPv6" end
    round_trip("[::1]:0", "^%[::1%]:%d+$")
  end)

  it("of a Unix path round-trips", function()
    local address = "unix:" .. helper.temp "a socket"
    assert.equal(address, round_trip(address, "^unix:/"))
  end)

  it("that is none raises, with the reason", function()
    local function refused(address, reason)
      for _, use in ipairs { net.listen, net.connect } do
        local message = helper.error_of(use, address)
        assert.matches("bad address", message)
        assert.matches(reason, message, 1, true)
      end
    end
    refused("127.0.0.1", 'expected "host:port"')
    refused("", "no port")
    refused("127.0.0.1:", "no port")
    refused("127.0.0.1:65536", "a port is 0 to 65535")
    refused("127.0.0.1:99999999", "a port is 0 to 65535")
    refused(":http", "a port is a number here")
    refused("::1:80", "goes in brackets")
    refused("[::zz]:80", "not an IPv6 address")
    refused("unix:", "needs a path")
    refused("unix:" .. ("x"):rep(200), "at most 107 bytes")
    refused("host\0name:80", "zero bytes")
  end)

  it("that is no string raises", function()
    assert.matches("an address is a string", helper.error_of(net.connect, 80))
    assert.matches("an address is a string", helper.error_of(net.connect))
    assert.matches("an address is a string", helper.error_of(net.listen))
  end)

  it("to listen at is no name", function()
    assert.matches("'localhost' is a name; an address of this machine expected",
      helper.error_of(net.listen, "localhost:0"), 1, true)
  end)
end)

describe("listen", function()
  it("tells that the address is in use", function()
    local first <close> = assert(net.listen "127.0.0.1:0")
    local address = first:address()
    local second, message, code = net.listen(address)
    assert.is_nil(second)
    assert.equal("listen " .. address .. ": address already in use", message)
    assert.equal("EADDRINUSE", code)
  end)

  it("shares a port between listeners that all ask for it", function()
    local first <close> = assert(net.listen("127.0.0.1:0", { reuse_port = true }))
    local second = assert(net.listen(first:address(), { reuse_port = true }))
    assert.equal(first:address(), second:address())
    second:close()
  end)

  it("tells that the address or its interface is not of this machine",
    function()
      local listener, message, code = net.listen "192.0.2.1:0" -- RFC 5737
      assert.is_nil(listener)
      assert.equal("listen 192.0.2.1:0: cannot assign requested address",
        message)
      assert.equal("EADDRNOTAVAIL", code)
      listener, message, code = net.listen "[fe80::1%no-such-if]:0"
      assert.is_nil(listener)
      assert.equal("listen [fe80::1%no-such-if]:0: no such device", message)
      assert.equal("ENODEV", code)
    end)

  it("gives a port of its own to each that asks for any", function()
    local first <close> = assert(net.listen ":0")
    local second <close> = assert(net.listen ":0")
    assert.matches("^%[::%]:%d+$", has_ipv6() and first:address() or "[::]:1")
    assert.are_not.equal(first:address(), second:address())
  end)

  it("keeps as many clients as its backlog says, and one more", function()
    local listener <close> = assert(net.listen("127.0.0.1:0", { backlog = 2 }))
    local address, conns = listener:address(), {}
    local _, code
    repeat
      conns[#conns + 1], _, code = net.connect(address, { timeout = 0.1 })
    until code
    assert.equal("TIMEOUT", code)
    assert.equal(3, #conns)
    for _, conn in ipairs(conns) do conn:close() end
  end)

  it("raises for options that are none", function()
    local function refused(options, text)
      assert.matches(text, helper.error_of(net.listen, "127.0.0.1:0", options),
        1, true)
    end
    refused({ backlock = 1 }, "listen: unknown option 'backlock'")
    refused("backlog", "listen: a table of options expected, got string")
    for _, backlog in ipairs { 0, -1, 1.5, 65536, "many", true } do
      refused({ backlog = backlog },
        "listen: backlog: an integer of 1 to 65535 expected, got "
          .. tostring(backlog))
    end
    refused({ reuse_port = 1 }, "listen: reuse_port: a boolean expected, got 1")
  end)
end)

describe("connect", function()
  it("tells that nobody listens, and where", function()
    local address = "127.0.0.1:" .. dead_port()
    local conn, message, code
    helper.wait_until(function() -- until the listener is really gone
      conn, message, code = net.connect(address)
      if conn then conn:close() end
      return not conn
    end)
    assert.equal("connect " .. address .. ": connection refused", message)
    assert.equal("ECONNREFUSED", code)
  end)

  it("tells that there is no way there", function()
    -- TCP has no broadcast: the kernel says so before a packet leaves
    local conn, message, code = net.connect "255.255.255.255:1"
    assert.is_nil(conn)
    assert.equal("connect 255.255.255.255:1: network is unreachable", message)
    assert.equal("ENETUNREACH", code)
    conn, message, code = net.connect "[fe80::1%no-such-if]:1"
    assert.is_nil(conn)
    assert.equal("connect [fe80::1%no-such-if]:1: no such device", message)
    assert.equal("ENODEV", code)
  end)

  it("tells that nobody listens at a path, or at an abstract name", function()
    local file = helper.temp_file("file", "")
    for _, address in ipairs { "unix:" .. file, "unix:@" .. file } do
      local conn, message, code = net.connect(address)
      assert.is_nil(conn)
      assert.equal("connect " .. address .. ": connection refused", message)
      assert.equal("ECONNREFUSED", code)
    end
  end)

  it("tells that there is no such path", function()
    local address = "unix:" .. helper.temp "nothing"
    local conn, message, code = net.connect(address)
    assert.is_nil(conn)
    assert.equal("connect " .. address .. ": no such file or directory", message)
    assert.equal("ENOENT", code)
  end)

  it("ends in time when it has a limit", function()
    local listener <close> = assert(net.listen "127.0.0.1:0")
    local conn <close> = assert(net.connect(listener:address(), { timeout = 5 }))
    assert.equal(listener:address(), conn:peer())
  end)

  it("times out, tells where to, and leaves nothing behind", function()
    -- a listener whose queue is full keeps who connects waiting
    local listener <close> = assert(net.listen("127.0.0.1:0", { backlog = 1 }))
    local address, conns = listener:address(), {}
    local message, code
    repeat
      conns[#conns + 1], message, code = net.connect(address, { timeout = 0.1 })
    until message
    assert.equal("connect " .. address .. ": timed out", message)
    assert.equal("TIMEOUT", code)
    for _, conn in ipairs(conns) do conn:close() end
  end)

  it("is cancelled by a timeout around it", function()
    local listener <close> = assert(net.listen "127.0.0.1:0")
    local conn = proa.timeout(0, net.connect, listener:address())
    if conn then conn:close() end
  end)

  it("raises for options that it does not know", function()
    assert.matches("connect: unknown option 'timeuot'",
      helper.error_of(net.connect, "127.0.0.1:1", { timeuot = 1 }))
    assert.matches("connect: a table of options expected, got number",
      helper.error_of(net.connect, "127.0.0.1:1", 1))
    assert.matches("connect: timeout: a number of seconds expected",
      helper.error_of(net.connect, "127.0.0.1:1", { timeout = "1" }))
  end)
end)

describe("this end of a connection", function()
  it("has the address that it was given", function()
    local listener <close> = assert(net.listen "127.0.0.1:0")
    local port = listener:address():match "%d+$"
    for _, to in ipairs { listener:address(), "localhost:" .. port,
      { listener:address(), "127.0.0.1:1" } } do
      local conn <close> = assert(net.connect(to, { bind = "127.0.0.1:0",
        timeout = 10 }))
      local served <close> = assert(listener:accept())
      assert.matches("^127%.0%.0%.1:", conn:address())
      assert.equal(conn:address(), served:peer())
    end
  end)

  it("says why it cannot be there, or raises for what is no address", function()
    local listener <close> = assert(net.listen "127.0.0.1:0")
    local conn, message, code = net.connect(listener:address(),
      { bind = listener:address() })
    assert.is_nil(conn)
    assert.equal(("connect %s: bind %s: address already in use"):format(
      listener:address(), listener:address()), message)
    assert.equal("EADDRINUSE", code)
    for _, bad in ipairs { "localhost:0", "x", 7, {} } do
      assert.matches("connect: bind", helper.error_of(net.connect,
        listener:address(), { bind = bad }))
    end
  end)

  it("can be bound, step by step, as an fd", function()
    local fd <close> = assert(proa.fd.socket "127.0.0.1:1")
    assert.equal(fd, fd:bind("127.0.0.1:0", true))
    assert.matches("^127%.0%.0%.1:%d+$", fd:address())
    assert.equal("EINVAL", select(3, fd:bind "127.0.0.1:0"))
  end)
end)

describe("the name of an address", function()
  it("is found, or it is said that there is none", function()
    for _, address in ipairs { "127.0.0.1", "::1", "127.0.0.1:80", "[::1]:80" } do
      local name, message, code = net.name(address, { timeout = 20 })
      assert.is_string(name or message)
      if not name then assert.is_string(code) end
    end
  end)

  it("is not waited for any longer than the limit", function()
    local own = core.op.name
    local _ <close> = proa.defer(function() core.op.name = own end)
    function core.op.name() return core.future() end
    assert.same({ nil, "name 127.0.0.1:0: timed out", "TIMEOUT" },
      { net.name("127.0.0.1", { timeout = 0 }) })
  end)

  it("raises for what is none", function()
    for _, bad in ipairs { "localhost", "unix:/x", "", 7, {} } do
      assert.matches("^[^\n]*name: ", helper.error_of(net.name, bad))
    end
    assert.matches("unknown option", helper.error_of(net.name, "::1",
      { x = 1 }))
  end)
end)

describe("a name", function()
  it("resolves to addresses that connect takes", function()
    local list = assert(net.resolve("localhost", 7))
    assert.is_true(#list >= 1)
    for _, address in ipairs(list) do
      assert.is_truthy(address == "127.0.0.1:7" or address == "[::1]:7", address)
    end
    assert.same({ "127.0.0.1:80" }, net.resolve("127.0.0.1", "80"))
    assert.same({ "127.0.0.1:0" }, net.resolve "127.0.0.1")
  end)

  it("is resolved by connect", function()
    local listener <close> = assert(net.listen "127.0.0.1:0")
    local port = listener:address():match "%d+$"
    local conn <close> = assert(net.connect("localhost:" .. port))
    assert.equal(listener:address(), conn:peer())
  end)

  it("that does not exist is an error with its name", function()
    local list, message, code = net.resolve "no-such-host.invalid"
    assert.is_nil(list)
    assert.matches("^resolve no%-such%-host%.invalid: ", message)
    assert.is_string(code)
    local conn, text = net.connect "no-such-host.invalid:80"
    assert.is_nil(conn)
    assert.matches("no%-such%-host%.invalid", text)
  end, { limit = 30 })
end)

describe("a pair", function()
  it("is two connected streams", function()
    local a, b = net.pair()
    a:write "to b\n"
    b:write "to a\n"
    assert.equal("to b", b:read "l")
    assert.equal("to a", a:read "l")
    a:close()
    assert.is_nil(b:read "l")
    b:close()
  end)

  it("in memory needs no descriptor and no system call", function()
    local before = proa.stats()
    local a <close>, b = net.pair { memory = true }
    local _ <close> = b
    a:write "to b\n"
    assert.equal("to b", b:read "l")
    assert.equal("memory", a:peer())
    assert.equal("memory", b:address())
    assert.equal(before.handles, proa.stats().handles)
    assert.equal(before.ops_submitted, proa.stats().ops_submitted)
  end)

  it("in memory is not something outside that could end a deadlock",
    function()
      local output, status = helper.lua [[
        local proa = require "proa"
        proa.run(function()
          local a, b = proa.net.pair { memory = true }
          proa.spawn(b.read, b)
          a:read()
        end)]]
      assert.equal(1, status)
      assert.matches("deadlock", output)
      assert.matches("waits: read", output)
    end)

  it("raises for an unknown option", function()
    assert.matches("pair: unknown option 'memroy'",
      helper.error_of(net.pair, { memroy = true }))
  end)
end)
