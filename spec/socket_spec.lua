--- socket_spec.lua: proa.socket keeps LuaSocket's promises, inside tasks.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"
local socket = require "proa.socket"

local it = helper.it

--- A server and a connected client of it: fn(client, server's end).
local function it_on(name, fn, options)
  return it(name, function()
    local server = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    local client = assert(socket.connect("127.0.0.1", port))
    local peer = assert(server:accept())
    fn(client, peer)
    for _, object in ipairs { client, peer, server } do object:close() end
  end, options)
end

describe("socket.tcp", function()
  it("becomes a server or a client", function()
    local server = socket.tcp()
    assert.matches("^tcp{master}", tostring(server))
    assert.equal(1, server:setoption("reuseaddr", true))
    assert.equal(1, server:bind("*", 0))
    assert.equal(1, server:listen(32))
    assert.matches("^tcp{server}", tostring(server))
    local host, port, family = server:getsockname()
    assert.equal("0.0.0.0", host)
    assert.equal("inet", family)
    assert.equal("integer", math.type(port))
    local client = socket.tcp()
    assert.equal(1, client:connect("localhost", port))
    assert.matches("^tcp{client}", tostring(client))
    local peer = assert(server:accept())
    local client_host, client_port = client:getsockname()
    local peer_host, peer_port = peer:getpeername()
    assert.equal(client_host, peer_host)
    assert.equal(client_port, peer_port)
    assert.same({ nil, "already connected" },
      { client:connect("localhost", port) })
    for _, object in ipairs { client, peer, server } do
      assert.equal(1, object:close())
    end
    assert.same({ nil, "closed", 0 }, { client:send "x" })
    assert.same({ nil, "closed", "" }, { client:receive() })
    assert.same({ nil, "closed" }, { server:accept() })
  end)

  it("tells why it is not connected", function()
    local server = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    assert.same({ nil, "address already in use" },
      { socket.bind("127.0.0.1", port) })
    server:close()
    proa.sleep(0.01)
    assert.same({ nil, "connection refused" },
      { socket.connect("127.0.0.1", port) })
    assert.same({ nil, "service not supported for socket type" },
      { socket.connect("127.0.0.1", "no-such-service") })
  end)

  it_on("carries lines, numbers of bytes, and all", function(client, peer)
    assert.equal(19, client:send "one\r\ntwo\r\n12345rest")
    client:shutdown "send"
    assert.equal("one", peer:receive())
    assert.equal("two", peer:receive "*l")
    assert.equal("12345", peer:receive(5))
    assert.equal("rest", peer:receive "*a")
    assert.same({ nil, "closed", "" }, { peer:receive "*a" })
    assert.same({ nil, "closed", "" }, { peer:receive() })
    assert.equal("", peer:receive(0))
    assert.equal(6, peer:send "answer")
    peer:close()
    assert.same({ nil, "closed", "answer" }, { client:receive(10) })
  end)

  it_on("gives what came before the end, or before its limit",
    function(client, peer)
      client:send "no line yet"
      peer:settimeout(0.02)
      assert.same({ nil, "timeout", "no line yet" }, { peer:receive() })
      client:send " ... now\nand part"
      assert.equal("no line yet ... now", peer:receive("*l", "no line yet"))
      assert.same({ nil, "timeout", "and part" }, { peer:receive(20) })
      assert.same({ nil, "timeout", "" }, { peer:receive "*a" })
      client:send "ial"
      client:close()
      assert.same({ nil, "closed", "and partial" },
        { peer:receive("*l", "and part") })
    end)

  it_on("takes a prefix into account", function(client, peer)
    client:send "67890abc\n"
    assert.equal("1234567890", peer:receive(10, "12345"))
    assert.equal("1234567890", peer:receive(5, "1234567890"))
    assert.equal("xyzabc", peer:receive("*l", "xyz"))
  end)

  it_on("has limits of each wait, or of the call", function(client, peer)
    assert.equal(1, peer:settimeout(1))
    local from = socket.gettime()
    local sender = proa.spawn(function()
      for _ = 1, 5 do
        socket.sleep(0.25)
        client:send "x"
      end
    end)
    assert.equal("xxxxx", peer:receive(5)) -- each wait is short enough
    assert.is_true(socket.gettime() - from >= 1.2)
    sender:await()
    peer:settimeout(0.02, "t")
    local _, message = peer:receive(1)
    assert.equal("timeout", message)
    local block, total = peer:gettimeout()
    assert.equal(1, block)
    assert.equal(0.02, total)
    peer:settimeout(nil)
    peer:settimeout(-1, "t")
    assert.matches("invalid timeout mode",
      helper.error_of(peer.settimeout, peer, 1, "x"))
  end)

  it_on("does not wait with a limit of zero", function(client, peer)
    peer:settimeout(0)
    assert.same({ nil, "timeout", "" }, { peer:receive(1) })
    client:send "x"
    helper.wait_until(function() return peer:receive(1) == "x" end)
    client:settimeout(0)
    local last, message
    repeat
      last, message = client:send(("x"):rep(1 << 20))
    until not last
    assert.equal("timeout", message)
  end)

  it_on("sends parts of a string, and says how far it came",
    function(client, peer)
      assert.equal(4, client:send("abcdef", 2, 4))
      assert.equal(6, client:send("abcdef", -2))
      assert.equal(5, client:send("abcdef", 5, -2))
      assert.equal("bcdefe", peer:receive(6))
      peer:close()
      local last, message, at
      helper.wait_until(function()
        last, message, at = client:send "x"
        return not last
      end)
      assert.equal("closed", message)
      assert.equal(0, at)
    end)

  it_on("carries much both ways at once", function(client, peer)
    local much = ("0123456789abcdef"):rep(1 << 16)
    local sending = proa.spawn(function()
      assert.equal(#much, client:send(much))
      client:shutdown "send"
      return client:receive "*a"
    end)
    local got = peer:receive "*a"
    assert.is_true(got == much)
    assert.equal(#much, peer:send(got))
    peer:shutdown()
    assert.is_true(sending:await() == much)
    local received, sent, age = client:getstats()
    assert.equal(#much, received)
    assert.equal(#much, sent)
    assert.is_true(age >= 0)
  end)

  it("accepts within its limit", function()
    local server = assert(socket.bind("127.0.0.1", 0))
    server:settimeout(0.01)
    assert.same({ nil, "timeout" }, { server:accept() })
    server:close()
  end)

  it("is bound first, as a server or as a client", function()
    local server = socket.tcp()
    assert.equal(1, server:bind("127.0.0.1", 0))
    local host, port, family = server:getsockname()
    assert.same({ "127.0.0.1", "inet" }, { host, family })
    assert.equal("inet4", server:getfamily())
    assert.same({ nil, "invalid argument" }, { server:bind("127.0.0.1", 0) })
    assert.matches("^tcp{master}", tostring(server))
    -- it does not listen yet
    assert.same({ nil, "connection refused" },
      { socket.connect("127.0.0.1", port) })
    assert.equal(1, server:listen(5))
    local client = socket.tcp()
    assert.equal(1, client:setoption("reuseaddr", true))
    assert.equal(1, client:setsockname("127.0.0.1", 0))
    local _, own = client:getsockname()
    assert.equal(1, client:setpeername("localhost", port))
    assert.equal(own, select(2, client:getsockname()))
    local peer = assert(server:accept())
    assert.equal(own, select(2, peer:getpeername()))
    assert.equal(6, client:send "hello\n")
    assert.equal("hello", peer:receive())
    local other = assert(socket.connect("127.0.0.1", port, "127.0.0.1", 0))
    assert.equal("127.0.0.1", (other:getsockname()))
    local message = select(2, socket.connect("127.0.0.1", port, "127.0.0.1",
      port))
    assert.is_string(message)
    for _, object in ipairs { client, peer, other, server } do
      object:close()
    end
    assert.same({ nil, "invalid argument" }, { socket.tcp():listen() })
    local unused = socket.tcp()
    assert.equal(1, unused:bind("*", 0))
    assert.is_true(unused:getfd() >= 0)
    unused:close()
    assert.equal(-1, unused:getfd())
  end)

  it("that is bound connects within its limit, and in steps", function()
    local server = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    for _, limit in ipairs { 5, 0 } do
      local client = socket.tcp()
      assert.equal(1, client:bind("127.0.0.1", 0))
      client:settimeout(limit)
      local ok, message = client:connect("127.0.0.1", port)
      if message == "timeout" then
        socket.select(nil, { client }, 5)
        ok = client:connect("127.0.0.1", port)
      end
      assert.equal(1, ok)
      client:close()
      server:accept():close()
    end
    server:close()
    proa.sleep(0.01)
    local client = socket.tcp()
    client:bind("127.0.0.1", 0)
    assert.same({ nil, "connection refused" },
      { client:connect("127.0.0.1", port) })
    client:close()
  end)

  it_on("drops what was not sent with a linger of no time",
    function(client, peer)
      client:setoption("linger", { on = true, timeout = 0 })
      assert.same({ on = true, timeout = 0 }, client:getoption "linger")
      peer:send "not read"
      client:close()
      assert.same({ nil, "closed", "" }, { peer:receive() })
    end)

  it_on("takes digits for a number of bytes", function(client, peer)
    client:send "12345"
    assert.equal("123", peer:receive "3")
    assert.equal("45", peer:receive "2")
  end)

  it("connects in steps with a limit of zero", function()
    local server = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    local client = socket.tcp()
    client:settimeout(0)
    local ok, message = client:connect("127.0.0.1", port)
    if not ok then
      assert.equal("timeout", message)
      local _, w = socket.select(nil, { client }, 5)
      assert.equal(client, w[1])
      assert.equal(1, client:connect("127.0.0.1", port))
    end
    assert.same({ nil, "already connected" },
      { client:connect("127.0.0.1", port) })
    assert.equal(5, client:send "hello")
    local peer = assert(server:accept())
    assert.equal("hello", peer:receive(5))
    for _, object in ipairs { client, peer, server } do object:close() end
    -- nobody is there by now
    proa.sleep(0.01)
    client = socket.tcp()
    client:settimeout(0)
    ok, message = client:connect("127.0.0.1", port)
    if message == "timeout" then
      assert.equal(client, select(2, socket.select(nil, { client }, 5))[1])
      ok, message = client:connect("127.0.0.1", port)
    end
    assert.is_nil(ok)
    assert.equal("connection refused", message)
    -- given up
    client = socket.tcp()
    client:settimeout(0)
    client:connect("127.0.0.1", port)
    client:close()
  end)

  it_on("knows its options", function(client)
    assert.equal(1, client:setoption("tcp-nodelay", true))
    assert.is_true(client:getoption "tcp-nodelay")
    assert.equal(1, client:setoption("keepalive", true))
    assert.is_true(client:getoption "keepalive")
    assert.equal(1, client:setoption("linger", { on = true, timeout = 1 }))
    assert.matches("unsupported option `no%-such'",
      helper.error_of(client.setoption, client, "no-such", 1))
  end)

  it_on("raises for what is no argument of its", function(client)
    assert.matches("invalid receive pattern",
      helper.error_of(client.receive, client, "*x"))
    assert.matches("invalid receive pattern",
      helper.error_of(client.receive, client, -1))
    assert.matches("string expected, got table",
      helper.error_of(client.send, client, {}))
    assert.matches("invalid shutdown method",
      helper.error_of(client.shutdown, client, "x"))
    assert.matches("string expected, got nil", helper.error_of(socket.connect))
  end)
end)

describe("socket.select", function()
  it_on("tells who can be received from", function(client, peer)
    local r, w, message = socket.select({ client, peer }, nil, 0.01)
    assert.same({}, r)
    assert.same({}, w)
    assert.equal("timeout", message)
    client:send "x"
    r = socket.select({ client, peer }, nil, 5)
    assert.equal(peer, r[1])
    assert.equal(1, r[peer])
    assert.equal("x", peer:receive(1))
    client:close()
    r = socket.select({ peer })
    assert.equal(peer, r[1])
    assert.same({ nil, "closed", "" }, { peer:receive() })
  end)

  it_on("sees bytes that were received and not read", function(client, peer)
    client:send "a line\nmore"
    assert.equal("a line", peer:receive())
    helper.wait_until(function() return peer:dirty() end)
    local r = socket.select({ peer, client }, nil, 5)
    assert.equal(peer, r[1])
    assert.equal("more", peer:receive(4))
  end)

  it_on("tells who can be sent to", function(client)
    local r, w = socket.select(nil, { client }, 5)
    assert.same({}, r)
    assert.equal(client, w[1])
    assert.equal(1, w[client])
  end)

  it("tells who can accept, and loses no client", function()
    local server = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    assert.equal("timeout", select(3, socket.select({ server }, nil, 0)))
    local client = assert(socket.connect("127.0.0.1", port))
    local r = socket.select({ server }, nil, 5)
    assert.equal(server, r[1])
    local peer = assert(server:accept())
    assert.equal(select(2, client:getsockname()),
      select(2, peer:getpeername()))
    for _, object in ipairs { client, peer, server } do object:close() end
  end)

  it_on("passes over what is closed, or no socket", function(client, peer)
    local closed = socket.tcp()
    closed:close()
    local fresh = socket.tcp()
    local r, w, message = socket.select({ closed, fresh, 7, "x", peer },
      { closed, fresh }, 0.01)
    assert.same({ {}, {}, "timeout" }, { r, w, message })
    client:send "x"
    r = socket.select({ closed, 7, peer }, nil, 5)
    assert.equal(peer, r[1])
    assert.equal("timeout", select(3, socket.select({ closed }, nil, 0.01)))
  end)

  it("takes objects of others by their descriptor", function()
    local from <close>, to = proa.fd.pipe()
    local other = { getfd = function() return from:fileno() end }
    assert.equal("timeout", select(3, socket.select({ other }, nil, 0.001)))
    assert(proa.op.write(to, "x"):await())
    assert.equal(other, socket.select({ other }, nil, 5)[1])
    to:close()
  end)
end)

describe("socket.udp", function()
  it("sends and receives", function()
    local server, client = socket.udp(), socket.udp()
    assert.equal(1, server:setsockname("127.0.0.1", 0))
    local _, port = server:getsockname()
    assert.equal(5, client:sendto("hello", "127.0.0.1", port))
    local data, host, from = server:receivefrom()
    assert.equal("hello", data)
    assert.equal("127.0.0.1", host)
    assert.equal(2, server:sendto("hi", host, from))
    assert.equal("h", client:receive(1))
    assert.equal(1, client:setpeername("127.0.0.1", port))
    assert.matches("^udp{connected}", tostring(client))
    assert.equal(1, client:send "x")
    assert.equal("x", server:receive())
    server:settimeout(0.001)
    assert.same({ nil, "timeout" }, { server:receive() })
    assert.equal("timeout", select(3, socket.select({ server }, nil, 0.001)))
    client:send "selected"
    assert.equal(server, socket.select({ server }, nil, 5)[1])
    assert.equal("selected", server:receive())
    server:close()
    assert.same({ nil, "closed" }, { server:receive() })
    helper.wait_until(function()
      local _, message = client:send "nobody"
      return message == "connection refused"
    end)
    client:close()
  end)
end)

describe("an option that is set before there is a socket", function()
  it("is there when a server is bound, and can be read", function()
    local server = socket.tcp()
    assert.equal(1, server:setoption("tcp-fastopen", 16))
    assert.equal(1, server:setoption("tcp-defer-accept", 5))
    assert.equal(1, server:setoption("keepalive", true))
    assert.equal(16, server:getoption "tcp-fastopen")
    assert.equal(1, server:bind("127.0.0.1", 0))
    for _ = 1, 2 do -- bound, and then a server
      assert.equal(16, server:getoption "tcp-fastopen")
      assert.is_true(server:getoption "tcp-defer-accept" >= 5)
      assert.is_true(server:getoption "keepalive")
      server:listen()
    end
    assert.equal(1, server:setoption("tcp-fastopen", 32))
    assert.equal(32, server:getoption "tcp-fastopen")
    server:close()
  end)

  it("keeps IPv4 away with ipv6-v6only, or lets it in", function()
    for _, only in ipairs { true, false } do
      local server = socket.tcp6()
      assert.equal(1, server:setoption("ipv6-v6only", only))
      local bound = server:bind("::", 0)
      if not bound then return end -- no IPv6 here
      assert.equal(only, server:getoption "ipv6-v6only")
      server:listen()
      local _, port = server:getsockname()
      local client = socket.tcp4()
      local ok, message = client:connect("127.0.0.1", port)
      assert.equal(not only, ok == 1, message)
      client:close()
      server:close()
    end
  end)

  it("lets a client send with its first packet", function()
    local server = assert(socket.bind("127.0.0.1", 0))
    assert.equal(1, server:setoption("tcp-fastopen", 16))
    local host, port = server:getsockname()
    for _, value in ipairs { 1, true } do
      local client = socket.tcp()
      assert.equal(1, client:setoption("tcp-fastopen-connect", value))
      assert.equal(1, client:connect(host, port))
      assert.is_true(client:getoption "tcp-fastopen-connect")
      assert.equal(6, client:send "hello\n")
      local conn = assert(server:accept())
      assert.equal("hello", conn:receive())
      conn:close()
      client:close()
    end
    server:close()
  end)

  it("is told of by bind and connect when the kernel refuses it", function()
    local client = socket.tcp4()
    client:setoption("ipv6-v6only", true)
    assert.is_nil(client:bind("127.0.0.1", 0))
    local server = assert(socket.bind("127.0.0.1", 0))
    assert.is_nil(client:connect(server:getsockname()))
    client:close()
    server:close()
    local unix = require "proa.socket.unix"
    local path = helper.temp "socket"
    server = unix.stream()
    assert(server:bind(path))
    server:listen()
    client = unix.stream()
    client:setoption("tcp-nodelay", true)
    assert.same({ nil, "operation not supported" }, { client:connect(path) })
    client:close()
    server:close()
  end)
end)

describe("socket.udp", function()
  it("has the options that a socket needs before it is bound", function()
    local a, b = socket.udp(), socket.udp()
    for _, object in ipairs { a, b } do
      assert.equal(1, object:setoption("reuseaddr", true))
      assert.equal(1, object:setoption("reuseport", true))
    end
    assert.equal(1, a:setsockname("127.0.0.1", 0))
    assert.equal(1, b:setsockname("127.0.0.1", select(2, a:getsockname())))
    assert.is_true(a:getoption "reuseport")
    a:close()
    b:close()
  end)

  it("joins groups by the address of an interface", function()
    local object = socket.udp()
    assert.equal(1, object:setsockname("*", 0))
    local _, port = object:getsockname()
    local group = { multiaddr = "239.255.7.8", interface = "127.0.0.1" }
    assert.equal(1, object:setoption("ip-add-membership", group))
    assert.equal(1, object:setoption("ip-multicast-if", "127.0.0.1"))
    assert.equal(1, object:setoption("ip-multicast-loop", true))
    assert.equal(1, object:sendto("x", group.multiaddr, port))
    object:settimeout(5)
    assert.equal("x", object:receive())
    assert.equal(1, object:setoption("ip-drop-membership", group))
    assert.is_nil(object:setoption("ip-drop-membership", group))
    assert.is_nil(object:setoption("ip-add-membership",
      { multiaddr = "239.255.7.8", interface = "192.0.2.1" }))
    object:close()
  end)

  it("can join a group before it has an address", function()
    local group = { multiaddr = "239.255.7.9", interface = "127.0.0.1" }
    local object = socket.udp()
    assert.equal(1, object:setoption("reuseaddr", true))
    assert.equal(1, object:setoption("ip-add-membership", group))
    assert.is_nil(object:setoption("ip-add-membership", group))
    assert.is_true(object:getoption "reuseaddr")
    assert.equal(1, object:setsockname("*", 0))
    assert.same({ nil, "invalid argument" }, { object:setsockname("*", 0) })
    local _, port = object:getsockname()
    assert.equal(1, object:setoption("ip-multicast-if", "127.0.0.1"))
    assert.equal(1, object:sendto("x", group.multiaddr, port))
    object:settimeout(5)
    assert.equal("x", object:receive())
    object:close()
  end)

  it("says which options it has none of, or cannot have", function()
    local object = socket.udp4()
    for _, name in ipairs { "tcp-fastopen", "keepalive", "linger", "error" } do
      assert.matches("unsupported option",
        helper.error_of(object.setoption, object, name, 1))
    end
    assert.equal(1, object:setoption("ipv6-v6only", true))
    local ok, message = object:setsockname("127.0.0.1", 0)
    assert.is_nil(ok)
    assert.is_string(message)
    object:close()
  end)

  it("is of the family of its first address", function()
    local object = socket.udp()
    if not object:setsockname("::1", 0) then return end -- no IPv6 here
    assert.equal("inet6", object:getfamily())
    assert.equal("inet6", select(3, object:getsockname()))
    object:close()
  end)
end)

describe("socket.unix", function()
  local unix = require "proa.socket.unix"

  it("has streams by path", function()
    local path = helper.temp "stream"
    local server = unix()
    assert.matches("^unixstream{master}", tostring(server))
    assert.equal(1, server:bind(path))
    assert.equal(path, server:getsockname())
    assert.equal(1, server:listen())
    local client = unix.stream()
    client:settimeout(5)
    assert.equal(1, client:connect(path))
    assert.equal(path, client:getpeername())
    local peer = assert(server:accept())
    assert.matches("^unixstream{client}", tostring(peer))
    assert.equal(6, client:send "hello\n")
    assert.equal("hello", peer:receive())
    peer:close()
    assert.same({ nil, "closed", "" }, { client:receive() })
    assert.same({ nil, "no such file or directory" },
      { unix():connect(path .. "x") })
    assert.same({ nil, "path too long" }, { unix():connect(("x"):rep(200)) })
    assert.matches("string expected, got nil", helper.error_of(client.connect,
      client))
    for _, object in ipairs { client, server } do object:close() end
    assert.is_true(os.remove(path)) -- it stays, as LuaSocket has it
  end)

  it("has datagrams by path", function()
    local path = helper.temp "dgram"
    local server, client = unix.dgram(), unix.udp()
    assert.equal(1, server:bind(path))
    assert.equal(path, server:getsockname())
    assert.equal(1, client:sendto("x", path))
    local data, from = server:receivefrom()
    assert.equal("x", data)
    server:settimeout(5)
    assert.equal(1, server:sendto("y", from))
    assert.equal("y", client:receive())
    assert.equal(1, client:connect(path))
    assert.equal(2, client:send "zz")
    assert.equal("zz", server:receive())
    assert.equal(1, client:connect "*")
    assert.same({ nil, "refused" }, { client:send "x" })
    server:close()
    client:close()
  end)
end)

describe("the rest of proa.socket", function()
  it("has the time, names, and exceptions", function()
    assert.is_true(math.abs(socket.gettime() - os.time()) < 5)
    assert.equal("127.0.0.1", (socket.dns.toip "localhost"))
    assert.equal("inet", socket.dns.getaddrinfo "127.0.0.1"[1].family)
    assert.is_string(socket.dns.gethostname())
    local name, resolved = socket.dns.tohostname "127.0.0.1"
    if resolved ~= "host not found" then -- the machine's own business
      assert.equal(name, resolved.name)
      assert.same({ "127.0.0.1" }, resolved.ip)
    end
    local names, service = socket.dns.getnameinfo("127.0.0.1", "80")
    assert.is_string(names[1])
    assert.equal("80", service)
    socket.sleep(-1)
    local finalised = false
    local try = socket.newtry(function() finalised = true end)
    local guarded = socket.protect(function(...)
      return "value", try(...)
    end)
    assert.same({ "value", 1, 2 }, { guarded(1, 2) })
    assert.same({ nil, "why" }, { guarded(nil, "why") })
    assert.is_true(finalised)
    assert.matches("a real error", helper.error_of(socket.protect(function()
      error "a real error"
    end)))
    assert.equal("c", socket.skip(2, "a", "b", "c"))
  end)

  it_on("has sinks and sources", function(client, peer)
    local sink = socket.sink("close-when-done", client)
    assert(sink "some bytes")
    assert(sink(nil))
    local source, parts = socket.source("until-closed", peer), {}
    for chunk in source do parts[#parts + 1] = chunk end
    assert.equal("some bytes", table.concat(parts))
  end)

  it_on("lets a cancellation through protect", function(_, peer)
    local task = proa.spawn(socket.protect(function()
      return socket.try(peer:receive())
    end))
    helper.turns()
    task:cancel()
    assert.equal("CANCELLED", select(3, task:await()))
  end)

  it("serves many clients at once, as a plain program would", function()
    local server = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    local serving = proa.spawn(function()
      for _ = 1, 20 do
        local conn = server:accept()
        proa.spawn(function()
          local line = conn:receive()
          while line do
            conn:send(line:upper() .. "\n")
            line = conn:receive()
          end
          conn:close()
        end)
      end
    end)
    local clients = {}
    for i = 1, 20 do
      clients[i] = proa.spawn(function()
        local conn = assert(socket.connect("127.0.0.1", port))
        for n = 1, 10 do
          assert(conn:send(("client %d, line %d\n"):format(i, n)))
          assert.equal(("CLIENT %d, LINE %d"):format(i, n), conn:receive())
        end
        conn:close()
      end)
    end
    for _, client in ipairs(clients) do client:await() end
    serving:await()
    server:close()
  end)

  it("is what LuaSocket's own modules work with", function()
    if not package.searchpath("socket.http", package.path) then
      return pending "LuaSocket is not installed"
    end
    local output, status = helper.lua [[
      local proa = require "proa"
      require "proa.socket".install()
      local http = require "socket.http"
      proa.run(function()
        local listener = assert(proa.net.listen "127.0.0.1:0")
        proa.spawn(listener.serve, listener, function(conn)
          local path = conn:read "l":match "^GET /(%S+)"
          repeat local line = conn:read "l" until line:gsub("\r", "") == ""
          conn:write "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
          conn:write(("%x\r\n%s\r\n0\r\n\r\n"):format(#path, path))
        end)
        local tasks = {}
        for i = 1, 20 do
          tasks[i] = proa.spawn(http.request,
            ("http://%s/page%d"):format(listener:address(), i))
        end
        for i, task in ipairs(tasks) do
          local body, code = task:await()
          assert(body == "page" .. i and code == 200)
        end
        listener:close()
        print "all"
      end)]]
    assert.equal("all\n", output)
    assert.equal(0, status)
  end)

  it("is what require gives after install", function()
    local output, status = helper.lua [[
      require "proa.socket".install()
      local socket = require "socket"
      local core = require "socket.core"
      print(socket == core, socket == require "proa.socket")
      local server = socket.bind("127.0.0.1", 0)
      local client = socket.connect("127.0.0.1", (select(2, server:getsockname())))
      client:send "hello\n"
      print(server:accept():receive())
    ]]
    assert.equal("true\ttrue\nhello\n", output)
    assert.equal(0, status)
  end)
end)
