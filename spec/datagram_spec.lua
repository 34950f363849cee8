--- datagram_spec.lua: sockets of datagrams, UDP and Unix.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local lfs = require "lfs"
local proa = require "proa"

local it = helper.it
local net = proa.net

--- A receiver on loopback and a sender that is connected to it.
local function it_on(name, fn, options)
  return it(name, function()
    local server <close> = assert(net.udp { bind = "127.0.0.1:0" })
    local client <close> = assert(net.udp { connect = server:address() })
    fn(server, client)
  end, options)
end

--- The port of a socket that is closed, its descriptor too.
local function dead_address()
  local socket = assert(net.udp { bind = "127.0.0.1:0" })
  local address, fds = socket:address(), proa.stats().handles
  socket:close()
  helper.wait_until(function() return proa.stats().handles < fds end)
  return address
end

local function has_ipv6()
  local socket = net.udp { bind = "[::1]:0" }
  if socket then socket:close() end
  return socket ~= nil
end

describe("a datagram", function()
  it_on("arrives whole, with its sender, who can be answered",
    function(server, client)
      assert.equal(5, client:send "hello")
      local data, from, full = server:recv_from()
      assert.equal("hello", data)
      assert.equal(client:address(), from)
      assert.is_nil(full)
      assert.equal(6, server:send_to("answer", from))
      assert.same({ "answer", n = 1 }, table.pack(client:recv()))
    end)

  it_on("without bytes is one", function(server, client)
    assert.equal(0, client:send "")
    assert.equal(1, client:send "x")
    local got = { (server:recv()), (server:recv()) }
    table.sort(got)
    assert.same({ "", "x" }, got)
  end)

  it_on("is binary", function(server, client)
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
    client:send(table.concat(bytes))
    assert.equal(table.concat(bytes), server:recv())
    client:send(proa.buffer "of a buffer")
    assert.equal("of a buffer", server:recv())
  end)

  it("that is longer than the socket takes is cut, and its length told",
    function()
      for _, size in ipairs { 4, 1000 } do
        local server <close> = assert(net.udp { bind = "127.0.0.1:0",
          size = size })
        local client <close> = assert(net.udp { connect = server:address() })
        client:send(("abcde"):rep(size))
        local data, from, full = server:recv_from()
        if size == 4 then assert.equal("abcd", data) end
        assert.equal(client:address(), from)
        assert.equal(5 * size, full)
        client:send(("x"):rep(size))
        assert.same({ ("x"):rep(size), n = 1 }, table.pack(server:recv()))
        client:send(("abcde"):rep(size))
        local entry = server:recv_batch()[1]
        assert.equal(5 * size, entry.full)
        assert.equal(#data, #entry.data)
      end
    end)

  it("of the largest size arrives where it is asked for", function()
    local server <close> = assert(net.udp { bind = "127.0.0.1:0",
      size = 65507 })
    local client <close> = assert(net.udp { connect = server:address() })
    local much = ("0123456789"):rep(6551):sub(1, 65507)
    for _ = 1, 3 do
      assert.equal(65507, client:send(much))
      assert.is_true(much == server:recv())
    end
    local n, message, code = client:send(much .. "x")
    assert.is_nil(n)
    assert.equal("send: message too long", message)
    assert.equal("EMSGSIZE", code)
  end)
end)

describe("receiving", function()
  it_on("waits, and its limit ends the wait without a loss",
    function(server, client)
      assert.same({ nil, "receive: timed out", "TIMEOUT", n = 3 },
        table.pack(server:recv(0.001)))
      server:timeout { read = 0.001 }
      assert.equal("TIMEOUT", select(3, server:recv_from()))
      local waiting = proa.spawn(server.recv, server, 10)
      helper.turns()
      client:send "late"
      assert.equal("late", waiting:await())
    end)

  it_on("that is cancelled leaves what comes to the next",
    function(server, client)
      local waiting = proa.spawn(server.recv, server)
      helper.turns()
      client:send "one"
      waiting:cancel()
      local got = waiting:await() or server:recv()
      assert.equal("one", got)
    end)

  it_on("gives each datagram to one of those who wait", function(server, client)
    local got = {}
    local function take()
      local data = server:recv()
      got[#got + 1] = data
    end
    local tasks = {}
    for i = 1, 5 do tasks[i] = proa.spawn(take) end
    helper.turns()
    for i = 1, 5 do client:send(tostring(i)) end
    for _, task in ipairs(tasks) do task:await() end
    table.sort(got)
    assert.same({ "1", "2", "3", "4", "5" }, got)
  end)

  it_on("in batches takes what there is, at most so many",
    function(server, client)
      for i = 1, 10 do client:send(tostring(i)) end
      local got = {}
      while #got < 10 do
        local batch = server:recv_batch(4)
        assert.is_true(#batch >= 1 and #batch <= 4)
        for _, entry in ipairs(batch) do
          assert.equal(client:address(), entry.from)
          got[#got + 1] = tonumber(entry.data)
        end
      end
      table.sort(got)
      assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }, got)
      assert.equal("TIMEOUT", select(3, server:recv_batch(4, 0)))
    end)

  it("is an entry of select, and what is not chosen stays", function()
    local a <close> = assert(net.udp { bind = "127.0.0.1:0" })
    local b <close> = assert(net.udp { bind = "127.0.0.1:0" })
    local sender <close> = assert(net.udp())
    assert.equal("timeout", (proa.select { a = a, b = b, timeout = 0.001 }))
    local choosing = proa.spawn(proa.select, { a = a, b = b })
    helper.turns()
    sender:send_to("to b", b:address())
    local name, data = choosing:await()
    assert.equal("b", name)
    assert.equal("to b", data)
    sender:send_to("1", a:address())
    sender:send_to("2", b:address())
    local got = {}
    for _ = 1, 2 do
      local _, text = proa.select { a, b }
      got[#got + 1] = text
    end
    table.sort(got)
    assert.same({ "1", "2" }, got)
    a:close()
    assert.same({ "a", nil, "receive: the socket was closed", "CLOSED" },
      { proa.select { a = a, b = b } })
  end)

  it_on("ends when the socket is closed", function(server)
    local waiting = proa.spawn(server.recv_from, server)
    helper.turns()
    server:close()
    assert.same({ nil, "receive: the socket was closed", "CLOSED", n = 3 },
      table.pack(waiting:await()))
    assert.equal("proa.datagram (closed)", tostring(server))
    assert.is_true(server:closed())
    server:close()
    assert.matches("datagram socket is closed",
      helper.error_of(server.recv, server))
  end)

  it_on("iterates until the socket is closed", function(server, client)
    local got = {}
    local loop = proa.spawn(function()
      for data, from in server:incoming() do
        got[#got + 1] = data
        server:send_to(data:upper(), from)
      end
      return "over"
    end)
    for _, word in ipairs { "a", "b", "c" } do
      client:send(word)
      assert.equal(word:upper(), client:recv())
    end
    server:close()
    assert.equal("over", loop:await())
    assert.same({ "a", "b", "c" }, got)
  end)

  it("queues up to a limit while nobody takes, then drops and counts",
    function()
      local server <close> = assert(net.udp { bind = "127.0.0.1:0",
        queue = 4096, rcvbuf = 4096 })
      local client <close> = assert(net.udp { connect = server:address() })
      server:recv(0) -- from now on it receives
      local sent = 200
      for _ = 1, sent do assert(client:send(("x"):rep(500))) end
      helper.turns(20)
      if helper.driver == "sim" then proa.sleep(0.1) end
      assert.is_true(server:dropped() > 0)
      local got = 0
      while server:recv(0.02) do got = got + 1 end
      assert.equal(sent, got + server:dropped())
      assert.is_true(got < sent / 2)
      client:send "again"
      assert.equal("again", server:recv())
    end)

  it("is bounded for all sockets together, and goes on", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      proa.setup { memory = 20000 }
      proa.run(function()
        local a = proa.net.udp { bind = "127.0.0.1:0", queue = 1000000 }
        local b = proa.net.udp { connect = a:address() }
        a:recv(0)
        for _ = 1, 100 do b:send(("x"):rep(1000)) end
        proa.sleep(0.1)
        print(proa.stats().queued_bytes < 25000)
        while a:recv(0.05) do end
        for i = 1, 3 do b:send(i .. "") print(a:recv(5)) end
      end)]]
    assert.equal("true\n1\n2\n3\n", output)
    assert.equal(0, status)
  end)
end)

describe("sending", function()
  it_on("several at once gives how many", function(server, client)
    local list = {}
    for i = 1, 200 do list[i] = tostring(i) end
    assert.equal(200, client:send_batch(list))
    local sum = 0
    for _ = 1, 200 do sum = sum + tonumber((server:recv(5))) end
    assert.equal(200 * 201 // 2, sum)
    assert.equal(0, client:send_batch {})
  end)

  it("several, each to its own address", function()
    local sockets, list = {}, {}
    for i = 1, 3 do
      sockets[i] = assert(net.udp { bind = "127.0.0.1:0" })
      list[#list + 1] = { "to " .. i, sockets[i]:address() }
      list[#list + 1] = { data = "again " .. i, to = sockets[i]:address() }
    end
    local sender <close> = assert(net.udp())
    assert.equal(6, sender:send_batch(list))
    for i, socket in ipairs(sockets) do
      local got = { (socket:recv(5)), (socket:recv(5)) }
      table.sort(got)
      assert.same({ "again " .. i, "to " .. i }, got)
      socket:close()
    end
  end)

  it("several tells which address failed, and how many went", function()
    local server <close> = assert(net.datagram { bind = "unix:@proa.spec.b" })
    local sender <close> = assert(net.datagram { bind = "unix:" })
    local n, message, code, sent = sender:send_batch {
      { "1", server:address() }, { "2", "unix:@proa.spec.nobody" },
      { "3", server:address() } }
    assert.is_nil(n)
    assert.equal("send unix:@proa.spec.nobody: connection refused", message)
    assert.equal("ECONNREFUSED", code)
    assert.equal(1, sent)
    assert.equal("1", server:recv())
    assert.equal("TIMEOUT", select(3, server:recv(0)))
  end)

  it_on("raises for what is no datagram", function(_, client)
    assert.matches("entry 2: a string, or {data, address} expected",
      helper.error_of(client.send_batch, client, { "1", {} }))
    assert.matches("bad address", helper.error_of(client.send_to, client, "x",
      "nowhere"))
    assert.matches("a name must be resolved first",
      helper.error_of(client.send_to, client, "x", "localhost:1"))
    assert.matches("string expected",
      helper.error_of(client.send_to, client, "x"))
  end)

  it("to nobody in particular is an error", function()
    local socket <close> = assert(net.udp { bind = "127.0.0.1:0" })
    assert.equal("EDESTADDRREQ", select(3, socket:send "x"))
  end)
end)

describe("a port at which nobody is", function()
  it("is told to a connected socket", function()
    local client <close> = assert(net.udp { connect = dead_address() })
    assert.equal(1, client:send "x")
    local data, message, code = client:recv(5)
    assert.is_nil(data)
    assert.equal("receive: connection refused", message)
    assert.equal("ECONNREFUSED", code)
  end)

  it("is told to the next send when nobody receives", function()
    local client <close> = assert(net.udp { connect = dead_address() })
    local code
    helper.wait_until(function()
      code = select(3, client:send "x")
      return code
    end)
    assert.equal("ECONNREFUSED", code)
  end)

  it("is not told to others, who go on", function()
    local dead = dead_address()
    local a <close> = assert(net.udp { bind = "127.0.0.1:0" })
    local b <close> = assert(net.udp { bind = "127.0.0.1:0" })
    assert.equal(1, a:send_to("x", dead))
    assert.equal(1, a:send_to("y", b:address()))
    assert.equal("y", b:recv(5))
    assert.equal("TIMEOUT", select(3, a:recv(0.001)))
  end)
end)

describe("the address of a socket", function()
  it("of IPv6 round-trips", function()
    if not has_ipv6() then return pending "this machine has no IPv6" end
    local server <close> = assert(net.udp { bind = "[::1]:0" })
    local client <close> = assert(net.udp { bind = "[::1]:0" })
    client:send_to("six", server:address())
    local _, from = server:recv_from(5)
    assert.equal(client:address(), from)
    server:send_to("back", from)
    assert.equal("back", client:recv(5))
  end)

  it("of every interface takes both families, and answers by the same",
    function()
      local server <close> = assert(net.udp { bind = ":0" })
      local port = server:address():match "%d+$"
      for _, host in ipairs { "127.0.0.1", has_ipv6() and "[::1]" or nil } do
        local client <close> = assert(net.udp { connect = host .. ":" .. port })
        client:send(host)
        local data, from = server:recv_from(5)
        assert.equal(host, data)
        assert.equal(client:address(), from)
        server:send_to("answer", from)
        assert.equal("answer", client:recv(5))
      end
    end)

  it("is that of its peer once it is connected, and nobody else is heard",
    function()
      local a <close> = assert(net.udp { bind = "127.0.0.1:0" })
      local b <close> = assert(net.udp { bind = "127.0.0.1:0" })
      local c <close> = assert(net.udp { bind = "127.0.0.1:0" })
      assert.equal("ENOTCONN", select(3, a:peer()))
      assert.equal(a, a:connect(b:address()))
      assert.equal(b:address(), a:peer())
      c:send_to("not heard", a:address())
      b:send_to("heard", a:address())
      assert.equal("heard", a:recv(5))
      assert.equal("TIMEOUT", select(3, a:recv(0)))
      assert.equal(a, a:connect())
      c:send_to("heard again", a:address())
      assert.equal("heard again", a:recv(5))
    end)

  it("to connect to may be a name", function()
    local server <close> = assert(net.udp { bind = "127.0.0.1:0" })
    local port = server:address():match "%d+$"
    local client <close> = assert(net.udp { bind = "127.0.0.1:0",
      connect = "127.0.0.1:" .. port })
    local named <close> = assert(net.udp { connect = "localhost:" .. port })
    client:send "1"
    assert.equal("1", server:recv(5))
    assert.is_string(named:peer())
  end)

  it("that is in use is an error with its name", function()
    local a <close> = assert(net.udp { bind = "127.0.0.1:0" })
    local b, message, code = net.udp { bind = a:address() }
    assert.is_nil(b)
    assert.equal(("bind %s: address already in use"):format(a:address()),
      message)
    assert.equal("EADDRINUSE", code)
    local shared <close> = assert(net.udp { bind = "127.0.0.1:0",
      reuseport = true })
    local other <close> = assert(net.udp { bind = shared:address(),
      reuseport = true })
    assert.equal(shared:address(), other:address())
  end)
end)

describe("the options of a socket", function()
  it("are set and read by name", function()
    local socket <close> = assert(net.udp { bind = "127.0.0.1:0",
      broadcast = true, ttl = 9, rcvbuf = 20000 })
    assert.is_true(socket:option "broadcast")
    assert.equal(9, socket:option "ttl")
    assert.is_true(socket:option "rcvbuf" >= 20000)
    assert.equal(socket, socket:option("ttl", 10))
    assert.equal(10, socket:option "ttl")
    if has_ipv6() then
      local six <close> = assert(net.udp { bind = "[::1]:0", ttl = 11 })
      assert.equal(11, six:option "ttl")
    end
  end)

  it("that are not known, or wrong, raise", function()
    local function refused(options, message)
      assert.matches(message, helper.error_of(net.udp, options), 1, true)
    end
    refused({ bnid = ":0" }, "udp: unknown option 'bnid'")
    refused(1, "udp: a table of options expected, got number")
    refused({ bind = "name:0" }, "udp: bind: 'name' is a name")
    refused({ bind = 1 }, "udp: bind: a string expected, got number")
    refused({ connect = "127.0.0.1" }, "udp: bad address '127.0.0.1'")
    refused({ size = 0 }, "udp: size: an integer of 1 to 1048576 expected")
    refused({ bind = ":0", mode = "600" }, "udp: mode is for paths")
    refused({ bind = "unix:@x" }, "proa.net.datagram takes it")
    local socket <close> = assert(net.udp())
    assert.matches("unknown option 'ttll'",
      helper.error_of(socket.option, socket, "ttll"))
    assert.matches("timeout: unknown option 'raed'",
      helper.error_of(socket.timeout, socket, { raed = 1 }))
  end)

  it("allow broadcasts", function()
    local server <close> = assert(net.udp { bind = "0.0.0.0:0" })
    local address = "127.255.255.255:" .. server:address():match "%d+$"
    local client <close> = assert(net.udp { bind = "127.0.0.1:0" })
    assert.equal("EACCES", select(3, client:send_to("x", address)))
    assert(client:option("broadcast", true))
    assert.equal(1, client:send_to("x", address))
    assert.equal("x", server:recv(5))
  end)

  it("join a group of receivers and leave it", function()
    local group = "239.255.7.7"
    local server <close> = assert(net.udp { bind = "0.0.0.0:0" })
    local to = group .. ":" .. server:address():match "%d+$"
    local client <close> = assert(net.udp { bind = "127.0.0.1:0",
      multicast_if = "lo", multicast_ttl = 1, multicast_loop = true })
    assert.equal(server, server:join(group, "lo"))
    assert.equal(1, client:send_to("x", to))
    assert.equal("x", server:recv(5))
    assert.equal(server, server:leave(group, "lo"))
    assert.equal("EADDRNOTAVAIL", select(3, server:leave(group, "lo")))
    for _, none in ipairs { "no-such", "0", "-1", tostring((1 << 32) + 1) } do
      assert.equal("ENODEV", select(3, server:join(group, none)))
    end
    assert.matches("bad address", helper.error_of(server.join, server, "x y"))
  end)
end)

describe("a Unix datagram", function()
  it("goes between paths, which are removed with their sockets", function()
    local path = helper.temp "socket"
    local server = assert(net.datagram { bind = "unix:" .. path, mode = "600" })
    assert.equal("rw-------", lfs.symlinkattributes(path, "permissions"))
    local client <close> = assert(net.datagram {
      bind = "unix:" .. helper.temp "client", connect = "unix:" .. path })
    assert.equal(2, client:send "hi")
    local data, from = server:recv_from(5)
    assert.equal("hi", data)
    assert.equal(client:address(), from)
    server:send_to("answer", from)
    assert.equal("answer", client:recv(5))
    server:close()
    assert.is_nil(lfs.symlinkattributes(path, "mode"))
  end)

  it("goes to abstract names, and to one of the kernel's choice", function()
    local server <close> = assert(net.datagram { bind = "unix:@proa.spec.a" })
    local client <close> = assert(net.datagram { bind = "unix:",
      connect = server:address() })
    assert.matches("^unix:@%x%x%x%x%x$", client:address())
    client:send "x"
    local _, from = server:recv_from(5)
    assert.equal(client:address(), from)
  end)

  it("from a socket without a name has no sender", function()
    local server <close> = assert(net.datagram { bind = "unix:@proa.spec.c" })
    local client <close> = assert(net.datagram { connect = server:address() })
    client:send "x"
    assert.same({ "x", nil, n = 2 }, table.pack(server:recv_from(5)))
  end)

  it("waits for room at its receiver, in order, and nothing is lost",
    function()
      local server <close> = assert(net.datagram { bind = "unix:@proa.spec.d",
        queue = 2000 })
      local connected <close> = assert(net.datagram {
        connect = server:address() })
      local named <close> = assert(net.datagram { bind = "unix:" })
      server:recv(0)
      local ways = { function(text) return connected:send(text) end,
        function(text) return named:send_to(text, server:address()) end }
      for _, send in ipairs(ways) do
        local sending = proa.spawn(function()
          for i = 1, 300 do assert(send(i .. (" "):rep(1000))) end
        end)
        helper.turns(50)
        assert.equal("waiting", (sending:status()))
        for i = 1, 300 do
          assert.equal(i, tonumber(assert(server:recv(5)):match "%d+"))
        end
        sending:await()
      end
      assert.equal(0, server:dropped())
    end)

  it("that waits for room is cancelled", function()
    local server <close> = assert(net.datagram { bind = "unix:@proa.spec.e" })
    local client <close> = assert(net.datagram { bind = "unix:" })
    local n, message, code
    repeat
      n, message, code = client:send_to(("x"):rep(3000), server:address(), 0.02)
    until not n
    assert.equal("send: timed out", message)
    assert.equal("TIMEOUT", code)
    local waits = proa.spawn(client.send_to, client, ("x"):rep(3000),
      server:address())
    helper.turns()
    client:close()
    assert.equal("CLOSED", select(3, waits:await()))
  end)

  it("of a batch stays in order", function()
    local a <close>, b = net.pair { datagram = true }
    local _ <close> = b
    local list = {}
    for i = 1, 500 do list[i] = tostring(i) end
    local sending = proa.spawn(a.send_batch, a, list)
    for i = 1, 500 do assert.equal(tostring(i), b:recv(5)) end
    assert.equal(500, sending:await())
  end)

  it("to a path where nobody is is an error", function()
    local client <close> = assert(net.datagram { bind = "unix:" })
    local missing = "unix:" .. helper.temp "nobody"
    local n, message, code = client:send_to("x", missing)
    assert.is_nil(n)
    assert.equal(("send %s: no such file or directory"):format(missing), message)
    assert.equal("ENOENT", code)
    assert.equal("ENOENT", select(3, net.datagram { connect = missing }))
  end)
end)

describe("a socket of datagrams", function()
  it("that nobody keeps is closed by the collector", function()
    local function leave()
      local socket = assert(net.udp { bind = "127.0.0.1:0" })
      socket:recv(0)
    end
    leave()
  end)

  it_on("says what it is", function(server)
    assert.matches("^proa%.datagram 127%.0%.0%.1:%d+ %(fd %d+, 0 bytes unread%)$",
      tostring(server))
  end)

  it_on("goes on when the buffers of the pool are taken", function(server,
      client)
    local before = proa.stats().enobufs
    server:recv(0)
    for round = 1, 20 do
      for i = 1, 100 do assert(client:send(round .. " " .. i)) end
      for _ = 1, 100 do assert(server:recv(5)) end
    end
    assert.is_true(proa.stats().enobufs >= before)
  end)
end)
