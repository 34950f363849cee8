--- example_servers_spec.lua: the servers among the examples.
-- On every driver they share a process with their clients, because simulated
-- ones share one simulated network; where there are real sockets they also run
-- as processes of their own, as people run them.
-- SPDX-License-Identifier: MIT

local example = require "spec.example"
local helper = require "spec.helper"
local proa = require "proa"

local promised, run = example.promised, example.run

-- -- with their clients in one process --

--- Run a server's example together with its clients; then it is sent TERM.
-- The clients' code may use `connect`, `address`, `target` (a listener, for
-- whom the arguments give its address to), `stopping` (a future that is set
-- when the server has had the signal) and `show`, which prints at the end.
-- Ports are shown as PORT.
local function together(name, args, clients)
  return helper.lua(([[
    local proa = require "proa"
    local print, shown = print, {}
    local target = assert(proa.net.listen "127.0.0.1:0")
    local function show(text) shown[#shown + 1] = text end
    local stopping, wait = proa.future(), proa.signal.wait
    function proa.signal.wait(...)
      local signal = wait(...)
      stopping:set()
      return signal
    end
    local function clients(address)
      local function connect() return assert(proa.net.connect(address)) end
      %s
    end
    local function all_clients(address)
      local ok, err = xpcall(clients, debug.traceback, address)
      if not ok then show(err) end
      os.execute "kill -TERM $PPID"
      target:close()
    end
    local function without_ports(text)
      return (text:gsub("(127.0.0.1):%%d+", "%%1:PORT"))
    end
    function _G.print(text)
      print(without_ports(text))
      local address = text:match "listening on (.*)"
      if address then proa.spawn(all_clients, address) end
    end
    arg = { [0] = "x", %s }
    dofile "examples/%s.lua"
    io.write(without_ports(table.concat(shown)))
  ]]):format(clients, args, name))
end

local function without_ports(text)
  return (text:gsub("(127.0.0.1):%d+", "%1:PORT"))
end

describe("with its clients in one process", function()
  helper.it_main("the echo server says back what it hears", function()
    local output, status = together("echo_server", "'0'", [[
      for i = 1, 2 do
        arg = { [0] = "x", address, "client " .. i }
        dofile "examples/echo_client.lua"
      end
    ]])
    assert.equal([[
listening on 127.0.0.1:PORT
client 1
client 2
stopped by TERM, connections served: 2
]], output)
    assert.equal(0, status)
  end)

  helper.it_main("the chat prints what it says", function()
    local output, status = together("chat", "'0'", [[
      local ada = connect()
      ada:write "ada\n"
      assert(ada:read "l" == "your name? hello ada, 1 here")
      local bob = connect()
      bob:write "bob\n"
      assert(ada:read "l" == "* bob has joined")
      ada:write "hi bob\n"
      ada:shutdown "w"
      assert(ada:read "a" == "")
      proa.spawn(function() show(bob:read "a") end)
    ]])
    assert.equal(without_ports(promised "chat"), output)
    assert.equal(0, status)
  end)

  helper.it_main("the chat asks again for a name that can't be", function()
    local output, status = together("chat", "'0'", [[
      local ada, other = connect(), connect()
      ada:write "ada\n"
      assert(ada:read "l" == "your name? hello ada, 1 here")
      other:write("ada\n", "two words\n", "\n", ("x"):rep(21), "\n\tbob\r\n")
      local _, n = other:read "l":gsub("your name%? ", "")
      show(n .. "\n")
    ]])
    assert.equal("5\n", output:match "stopped by TERM\n(.*)", output)
    assert.equal(0, status)
  end)

  helper.it_main("who does not read is thrown out of the chat alone", function()
    local socket = helper.temp "socket"
    local output, status = together("chat", ("'unix:%s'"):format(socket), [[
      local function join(name)
        local conn = connect()
        conn:write(name, "\n")
        assert(conn:read "l":find "hello")
        return conn
      end
      local deaf, bob = join "deaf", join "bob"
      local talkers, text = {}, ("x"):rep(900)
      for i = 1, 8 do
        local conn = join("talker" .. i)
        talkers[i] = conn
        proa.spawn(conn.read, conn, "a")
        proa.spawn(function()
          for n = 1, 100 do conn:write(n, " ", text, "\n") end
        end)
      end
      local heard, left, n = {}, false, 0
      repeat
        local line = assert(bob:read("l", { timeout = 5 }))
        local who, number = line:match "^(%w+): (%d+) x+$"
        if who then
          assert(tonumber(number) == (heard[who] or 0) + 1)
          heard[who], n = tonumber(number), n + 1
        end
        left = left or line == "* deaf has left"
      until n == 800
      show("left: " .. tostring(left))
    ]])
    assert.is_truthy(output:find("by TERM\nleft: true", 1, true), output)
    assert.equal(1, select(2, output:gsub("has left", "")), output)
    assert.is_truthy(output:find("deaf has left, 9 here\n", 1, true), output)
    assert.equal(0, status)
  end)

  helper.it_main("the proxy prints what it says", function()
    local output, status = together("proxy",
      "'127.0.0.1:0', target:address(), 0.5", [[
      proa.spawn(target.serve, target, function(conn)
        for data in function() return conn:read_some() end do
          conn:write(data)
        end
      end)
      local one, two = connect(), connect()
      one:write "hello from proxy\n"
      one:shutdown "w"
      assert(one:read "a" == "hello from proxy\n")
      two:write "hello"
      assert(two:read(5) == "hello")
      local data, _, code = two:read_some()
      assert(not data and code == "ECONNRESET")
      local away, early = target:address()
      target:close()
      repeat -- until it is closed for the kernel too
        early = proa.net.connect(away)
        if early then early:close() end
      until not early
      assert(not connect():read_some())
    ]])
    assert.equal(without_ports(promised "proxy"), output)
    assert.equal(0, status)
  end)

  --- Each with its own way of ending; what the proxy says of each.
  local function proxied(name, clients, expected, limits)
    helper.it_main("the proxy " .. name, function()
      local output, status = together("proxy",
        "'127.0.0.1:0', target:address(), " .. (limits or "60"), clients)
      local lines = output:match "^listening[^\n]*\n(.*)"
      assert.equal(expected:gsub("ME", "127.0.0.1:PORT"), lines)
      assert.equal(0, status)
    end)
  end

  proxied("hands on the client's end, and then the answer", [[
    local conn = connect()
    local served = target:accept()
    conn:write "a question"
    conn:shutdown "w"
    assert(served:read "a" == "a question")
    proa.spawn(function()
      served:write(("x"):rep(1000000))
      served:close()
    end)
    assert(#conn:read "a" == 1000000)
  ]], "ME: 10 bytes there, 1000000 back\nstopped by TERM\n")

  proxied("hands on the server's end while the client goes on", [[
    local conn = connect()
    local served = target:accept()
    served:write "that was all"
    served:shutdown "w"
    assert(conn:read "a" == "that was all")
    proa.spawn(function()
      for _ = 1, 10 do conn:write(("x"):rep(100000)) end
      conn:close()
    end)
    assert(#served:read "a" == 1000000)
    served:close()
  ]], "ME: 1000000 bytes there, 12 back\nstopped by TERM\n")

  proxied("lets one direction be silent while the other moves", [[
    local conn = connect()
    local served = target:accept()
    for _ = 1, 10 do
      served:write "x"
      assert(conn:read(1) == "x")
      proa.sleep(0.1)
    end
    local data, _, code = served:read_some()
    assert(not data and code == "ECONNRESET")
    served:close()
  ]], "ME: 0 bytes there, 10 back: copy: timed out\nstopped by TERM\n", "0.6")

  proxied("makes a reset of the server one for the client", [[
    local conn = connect()
    local served = target:accept()
    served:write "half of"
    assert(conn:read(7) == "half of")
    served:abort()
    local data, _, code = conn:read_some()
    assert(not data and code == "ECONNRESET")
  ]], "ME: 0 bytes there, 7 back: copy: read: connection reset by peer\n" ..
    "stopped by TERM\n")

  proxied("makes a reset of the client one for the server", [[
    local conn = connect()
    local served = target:accept()
    served:shutdown "w"
    assert(conn:read "a" == "")
    conn:write "half of"
    assert(served:read(7) == "half of")
    conn:abort()
    local data, _, code = served:read_some()
    assert(not data and code == "ECONNRESET")
    served:close()
  ]], "ME: 7 bytes there, 0 back: copy: read: connection reset by peer\n" ..
    "stopped by TERM\n")

  proxied("lets who is there finish, and ends the rest", [[
    local one, two = connect(), connect()
    local first, second = target:accept(), target:accept()
    one:write "1"
    two:write "2"
    if first:peek(1) == "2" then first, second = second, first end
    proa.spawn(function()
      assert(first:read(1) == "1" and second:read(1) == "2")
      stopping:await()
      proa.sleep(0)
      first:write "in time"
      first:close()
      assert(one:read "a" == "in time")
      one:close()
      local data, _, code = two:read_some()
      assert(not data and code == "ECONNRESET")
      second:close()
    end)
  ]], [[
ME: 1 bytes there, 7 back
ME: 1 bytes there, 0 back: stopped
stopped by TERM
]])

  helper.it_main("the proxy takes a Unix path for either side", function()
    local here, there = helper.temp "here", helper.temp "there"
    local output, status = together("proxy",
      ("'unix:%s', 'unix:%s'"):format(here, there), ([[
      target:close()
      local server <close> = assert(proa.net.listen "unix:%s")
      local conn = connect()
      local served = server:accept()
      conn:write "by path"
      conn:close()
      assert(served:read "a" == "by path")
      served:close()
    ]]):format(there))
    assert.equal(("listening on unix:%s\nunix:: 7 bytes there, 0 back\n" ..
      "stopped by TERM\n"):format(here), output)
    assert.equal(0, status)
  end)
end)

-- -- as processes of their own; not for the simulation --

-- An interpreter as the tests run in, for a child whose output is awaited
-- line by line.
local interpreter = (os.getenv "PROA_LUA" or ""):match ".+" or "lua5.4"

--- Start one; the first line of the child is its process id.
local function start_server(name, ...)
  local child = assert(io.popen(("echo $$; exec env PROA_DRIVER=%s %s " ..
    "examples/%s.lua '%s' 2>&1"):format(helper.driver, interpreter, name,
    table.concat({ ... }, "' '"))))
  local pid = child:read "l"
  local said = child:read "l"
  return {
    address = said:match "^listening on (.+)$" or error(said),
    stop = function(signal)
      os.execute(("kill -%s %s"):format(signal, pid))
      local rest = child:read "a"
      return rest, select(3, child:close())
    end,
  }
end

if helper.driver ~= "sim" then
  describe("the echo server", function()
    helper.it_main("serves until TERM and counts", function()
      local server = start_server("echo_server", "0")
      assert.equal("hello\n", (run("echo_client", server.address, "hello")))
      for i = 1, 3 do
        local conn <close> = assert(proa.net.connect(server.address))
        conn:write(i)
        assert.equal(tostring(i), conn:read(1))
      end
      local output, status = server.stop "TERM"
      assert.equal("stopped by TERM, connections served: 4\n", output)
      assert.equal(0, status)
    end)

    helper.it_main("gives an idle connection two seconds at most", function()
      local server = start_server("echo_server", "127.0.0.1:0")
      local conn <close> = assert(proa.net.connect(server.address))
      conn:write "x"
      assert.equal("x", conn:read(1))
      local before = proa.now()
      local output, status = server.stop "INT"
      local took = proa.now() - before
      assert.equal("stopped by INT, connections served: 1\n", output)
      assert.equal(0, status)
      assert.is_true(took > 1.9, took) -- and it has ended
      assert.is_nil(conn:read_some())
    end)

    helper.it_main("takes a Unix path", function()
      local address = "unix:" .. helper.temp "socket"
      local server = start_server("echo_server", address)
      assert.equal(address, server.address)
      assert.equal("over a path\n", (run("echo_client", address, "over a path")))
      assert.equal("stopped by TERM, connections served: 1\n",
        (server.stop "TERM"))
    end)
  end)

  describe("between processes:", function()
    helper.it_main("the proxy stands before the echo server", function()
      local echo = start_server("echo_server", "0")
      local proxy = start_server("proxy", "127.0.0.1:0", echo.address)
      for _ = 1, 2 do
        assert.equal("through\n", (run("echo_client", proxy.address, "through")))
      end
      assert.equal("stopped by INT, connections served: 2\n", (echo.stop "INT"))
      assert.equal("connect " .. echo.address .. ": connection refused\n",
        (run("echo_client", echo.address)))
      local conn <close> = assert(proa.net.connect(proxy.address))
      assert.is_nil(conn:read_some())
      local output, status = proxy.stop "INT"
      local line = "127.0.0.1:PORT: 8 bytes there, 8 back\n"
      assert.equal(line .. line .. "127.0.0.1:PORT: connect 127.0.0.1:PORT: " ..
        "connection refused\nstopped by INT\n", without_ports(output))
      assert.equal(0, status)
    end)

    helper.it_main("who chats is told goodbye", function()
      local chat = start_server("chat", "0")
      local ada <close> = assert(proa.net.connect(chat.address))
      local nobody <close> = assert(proa.net.connect(chat.address))
      ada:write "ada\n"
      assert.equal("your name? hello ada, 1 here", ada:read "l")
      local output, status = chat.stop "INT"
      assert.equal("ada has joined, 1 here\nstopped by INT\n", output)
      assert.equal(0, status)
      assert.equal("* goodbye\n", ada:read "a")
      assert.is_truthy(("your name? "):find(assert(nobody:read "a"), 1, true))
    end)
  end)
end
