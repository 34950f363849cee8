--- fd_passing_spec.lua: descriptors through Unix sockets, and who is there.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local lfs = require "lfs"
local proa = require "proa"

local net = proa.net
local simulated = helper.driver == "sim"

local it = helper.it

--- A pair of Unix streams, closed after the test.
local it_on = helper.it_on(net.pair)

--- n bytes, in as many parts as they come in, and what came with the first.
local function receive(stream, n)
  local data, objects, cut = stream:recv_fds(n, 5)
  while #data < n do
    local more, others = assert(stream:recv_fds(n - #data, 5))
    assert.equal(0, #others)
    data = data .. more
  end
  return data, objects, cut
end

local function open_fds()
  local n = 0
  for _ in lfs.dir "/proc/self/fd" do n = n + 1 end
  return n
end

describe("passing descriptors", function()
  it_on("makes a connected socket a stream at the other end", function(a, b)
    local x, y = net.pair()
    assert.equal(a, a:send_fds("take this", x))
    x:close()
    local data, objects, cut = receive(b, 9)
    assert.equal("take this", data)
    assert.equal(1, #objects)
    assert.is_nil(cut)
    local z <close> = objects[1]
    assert.matches("^proa%.stream", tostring(z))
    z:write "hello\n"
    assert.equal("hello", y:read "l")
    y:close()
  end)

  it_on("makes each the object that it is", function(a, b)
    local listener <close> = assert(net.listen "127.0.0.1:0")
    local datagrams <close> = assert(net.udp { bind = "127.0.0.1:0" })
    local from <close>, to = proa.fd.pipe()
    local file <close> = assert(io.open(helper.temp_file("file", "content")))
    a:send_fds("x", listener, datagrams, from, to, file)
    to:close()
    local _, objects = b:recv_fds()
    assert.equal(5, #objects)
    assert.equal(listener:address(), objects[1]:address())
    local client <close> = assert(net.connect(listener:address()))
    local server <close> = assert(objects[1]:accept(5))
    assert.equal(client:address(), server:peer())
    assert.equal(datagrams:address(), objects[2]:address())
    local sender <close> = assert(net.udp { connect = datagrams:address() })
    sender:send "to either"
    assert.equal("to either", objects[2]:recv(5))
    assert.matches("^proa%.stream", tostring(objects[3]))
    objects[4]:write "through\n"
    objects[4]:close()
    assert.equal("through", objects[3]:read "l")
    assert.equal("content", objects[5]:read "a")
    for _, object in ipairs(objects) do object:close() end
  end)

  it_on("keeps them with their bytes, in order among writes", function(a, b)
    local files = {}
    for i = 1, 20 do
      files[i] = assert(io.open(helper.temp_file("file" .. i, tostring(i))))
    end
    local sending = proa.spawn(function()
      for i, file in ipairs(files) do
        a:write(("-"):rep(i * 1000))
        assert(a:send_fds(("<%d>"):format(i), file))
      end
      a:shutdown "w"
    end)
    local seen, text = 0, {}
    while true do
      local data, objects = b:recv_fds(5000, 5)
      if not data then break end
      text[#text + 1] = data
      for _, object in ipairs(objects) do
        seen = seen + 1
        assert.equal(tostring(seen), object:read "a")
        object:close()
        -- not later than the first byte that they were sent with
        local so_far = table.concat(text)
        local before = so_far:find(("<%d>"):format(seen), 1, true) or #so_far
        assert.is_nil(so_far:sub(1, before - 1):find(("<%d>"):format(seen), 1,
          true))
      end
    end
    sending:await()
    assert.equal(20, seen)
    local expected = {}
    for i = 1, 20 do
      expected[i] = ("-"):rep(i * 1000) .. ("<%d>"):format(i)
      files[i]:close()
    end
    assert.is_true(table.concat(expected) == table.concat(text))
  end)

  it_on("sets close-on-exec in the same step", function(a, b)
    local file <close> = assert(io.open(helper.temp_file("file", "")))
    a:send_fds("x", file)
    local _, objects = b:recv_fds()
    local info = helper.read_file("/proc/self/fdinfo/" .. objects[1]:fileno())
    local flags = tonumber(info:match "flags:%s*(%d+)", 8)
    assert.is_true(flags & 0x80000 ~= 0, info)
    objects[1]:close()
  end)

  it_on("can be asked for after other reads", function(a, b)
    assert(b:take_fds())
    local x <close>, y = net.pair()
    local _ <close> = y
    a:send_fds("a line\nand more", x)
    assert.equal("a line", b:read "l")
    local data, objects = receive(b, 8)
    assert.equal("and more", data)
    assert.equal(1, #objects)
    objects[1]:close()
  end)

  it_on("closes what nobody takes with the stream", function(a, b)
    b:take_fds()
    local x <close>, y = net.pair()
    for _ = 1, 5 do a:send_fds("x", x, y) end
    y:close()
    assert(a:flush())
    assert.equal("x", b:read(1, { timeout = 5 }))
    b:close()
    a:close()
  end)

  it_on("closes what is over the limit, and says so", function(a, b)
    b:take_fds(2)
    local x <close>, y = net.pair()
    a:send_fds("1", x, y)
    a:send_fds("2", x, y)
    a:write "3"
    a:shutdown "w"
    helper.turns(5)
    assert.equal("1", (b:read(1)))
    local text, got, cut = "1", 0, false
    while true do
      local data, objects, some_cut = b:recv_fds(1, 5)
      if not data then break end
      text, got, cut = text .. data, got + #objects, cut or some_cut
      for _, object in ipairs(objects) do object:close() end
    end
    y:close()
    assert.equal("123", text)
    assert.is_true(got == 2 and cut or got == 4)
  end)

  it_on("without the wish for them loses nothing but them", function(a, b)
    local x <close>, y = net.pair()
    local before = open_fds()
    for _ = 1, 10 do a:send_fds("bytes\n", x) end
    for _ = 1, 10 do assert.equal("bytes", b:read "l") end
    assert(a:flush())
    assert.equal(before, open_fds())
    y:close()
  end)

  it_on("takes many at once, and what the peer has closed meanwhile",
    function(a, b)
      local x, y = proa.fd.pipe()
      local many = {}
      for i = 1, 253 do many[i] = y end
      assert(b:take_fds(300))
      assert(a:send_fds("x", table.unpack(many)))
      assert(a:flush(5))
      y:close()
      a:close()
      local _, objects = b:recv_fds(1, 5)
      assert.equal(253, #objects)
      for _, object in ipairs(objects) do object:close() end
      assert.is_nil(b:recv_fds(1, 5))
      local reader <close> = proa.fd.wrap(x:fileno())
      assert.is_nil(proa.op.read(reader, proa.buffer(1)):await())
      x:close()
    end)

  it_on("that fails leaves no descriptor behind", function(a, b)
    local x <close>, y = net.pair()
    b:close()
    helper.wait_until(function()
      return not a:send_fds("x", x, y)
    end)
    local _, message, code = a:send_fds("x", x)
    assert.is_string(message)
    assert.equal("EPIPE", code)
    y:close()
  end)

  it_on("is dropped with the bytes by an abort", function(a, b)
    local x <close>, y = net.pair()
    local sending = proa.spawn(function()
      local ok, message, code
      repeat
        ok, message, code = a:send_fds(("x"):rep(50000), x, y)
      until not ok
      return message, code
    end)
    helper.turns(50)
    assert.equal("waiting", (sending:status()))
    a:abort()
    b:close()
    local _, code = sending:await()
    assert.equal("CLOSED", code)
    y:close()
  end)

  it_on("raises for what has no descriptor", function(a)
    local m <close>, n = net.pair { memory = true }
    n:close()
    local closed = net.pair()
    closed:close()
    for _, bad in ipairs { m, closed, {}, "x", -1, true } do
      assert.is_string(helper.error_of(a.send_fds, a, "x", bad))
    end
    assert.matches("at least one byte", helper.error_of(a.send_fds, a, "", 0))
    assert.matches("a descriptor expected", helper.error_of(a.send_fds, a, "x"))
    assert.equal("EBADF", select(3, a:send_fds("x", 987654)))
  end)

  helper.it_on(helper.tcp_pair)("is for Unix sockets", function(a)
    local _, message, code = a:send_fds("x", 0)
    assert.equal("send_fds: not a Unix socket", message)
    assert.equal("EOPNOTSUPP", code)
    assert.equal("EOPNOTSUPP", select(3, a:recv_fds()))
    assert.equal("EOPNOTSUPP", select(3, a:take_fds()))
    assert.equal("EOPNOTSUPP", select(3, a:credentials()))
  end)

  it_on("gives up waiting without a loss", function(a, b)
    assert.equal("TIMEOUT", select(3, b:recv_fds(1, 0.001)))
    local waiting = proa.spawn(b.recv_fds, b)
    helper.turns()
    waiting:cancel()
    waiting:await()
    local x <close>, y = net.pair()
    a:send_fds("x", x)
    local data, objects = b:recv_fds(1, 5)
    assert.equal("x", data)
    assert.equal(1, #objects)
    objects[1]:close()
    y:close()
    a:close()
    assert.same({ nil, n = 1 }, table.pack(b:recv_fds()))
  end)

  it("works between processes", function()
    if simulated then return pending "the simulation has no other process" end
    local path = helper.temp "socket"
    local listener <close> = assert(net.listen("unix:" .. path))
    local file = helper.temp_file("file", "of the parent")
    local served = proa.spawn(function()
      local conn <close> = assert(listener:accept(10))
      local f <close> = assert(io.open(file))
      assert(conn:send_fds("here\n", f))
      return conn:credentials().pid, conn:read "l"
    end)
    local child = proa.spawn(function()
      return proa.process.run { os.getenv "PROA_LUA" or "lua5.4", "-e", ([[
        local proa = require "proa"
        local conn = assert(proa.net.connect("unix:%s"))
        local line, objects = conn:recv_fds(100, 10)
        conn:write(objects[1]:read "a", "\n")
        conn:close()
        print(line)
      ]]):format(path) }
    end)
    local pid, answer = served:await()
    assert.is_true(pid > 0)
    assert.equal("of the parent", answer)
    assert.equal("here\n\n", child:await().stdout)
  end)
end)

--- A pair of connected Unix sockets of datagrams.
local function it_on_datagrams(name, fn, options)
  return helper.it_on(function() return net.pair { datagram = true } end)(name,
    fn, options)
end

describe("passing descriptors with datagrams", function()
  it_on_datagrams("makes each the object that it is", function(a, b)
    local x, y = net.pair()
    local file <close> = assert(io.open(helper.temp_file("file", "content")))
    assert.equal(4, a:send_fds("take", x, file))
    x:close()
    local data, objects, from, cut = b:recv_fds(5)
    assert.equal("take", data)
    assert.is_nil(from)
    assert.is_nil(cut)
    assert.equal(2, #objects)
    objects[1]:write "hello\n"
    assert.equal("hello", y:read "l")
    assert.equal("content", objects[2]:read "a")
    for _, object in ipairs(objects) do object:close() end
    y:close()
  end)

  it_on_datagrams("works without bytes, and with those of a buffer",
    function(a, b)
      local x <close>, y = net.pair()
      local _ <close> = y
      b:take_fds()
      assert.equal(0, a:send_fds("", x))
      assert.equal(3, a:send_fds(proa.buffer "abc", x, y))
      for i, text in ipairs { "", "abc" } do
        local data, objects = b:recv_fds(5)
        assert.equal(text, data)
        assert.equal(i, #objects)
        for _, object in ipairs(objects) do object:close() end
      end
    end)

  it("goes to an address, and tells the sender's", function()
    local server <close> = assert(net.datagram { bind = "unix:@proa.spec.fds" })
    local client <close> = assert(net.datagram { bind = "unix:" })
    local listener <close> = assert(net.listen "127.0.0.1:0")
    assert.equal(1, client:send_fds_to("x", server:address(), listener))
    local data, objects, from = server:recv_fds(5)
    assert.equal("x", data)
    assert.equal(client:address(), from)
    local same <close> = objects[1]
    assert.equal(listener:address(), same:address())
    local _, message, code = client:send_fds_to("x", "unix:@proa.spec.nobody",
      listener)
    assert.equal("send unix:@proa.spec.nobody: connection refused", message)
    assert.equal("ECONNREFUSED", code)
    assert.equal("ENOTCONN", select(3, client:send_fds("x", listener)))
    assert.match("bad argument #3 to 'send_fds_to' %(it has no descriptor%)",
      helper.error_of(function()
        client:send_fds_to("x", server:address(), true)
      end))
  end)

  it_on_datagrams("keeps them with theirs among others", function(a, b)
    b:take_fds(1000)
    local sending = proa.spawn(function()
      for i = 1, 50 do
        local path = helper.temp_file("file" .. i, tostring(i))
        local file <close> = assert(io.open(path))
        assert(a:send(i .. " without"))
        assert(a:send_fds(i .. " with", file))
      end
    end)
    for i = 1, 50 do
      local data, objects = b:recv_fds(5)
      assert.equal(i .. " without", data)
      assert.same({}, objects)
      data, objects = b:recv_fds(5)
      assert.equal(i .. " with", data)
      assert.equal(tostring(i), objects[1]:read "a")
      objects[1]:close()
    end
    sending:await()
  end)

  it_on_datagrams("closes what other calls receive", function(a, b)
    b:take_fds()
    local x <close>, y = net.pair()
    local _ <close> = y
    local before = open_fds()
    for _ = 1, 4 do a:send_fds("bytes", x, y) end
    assert.equal("bytes", b:recv(5))
    assert.equal("bytes", (b:recv_from(5)))
    assert.equal("bytes", b:recv_batch(1, 5)[1].data)
    local _, data = proa.select { b, timeout = 5 }
    assert.equal("bytes", data)
    assert.equal(before, open_fds())
  end)

  it_on_datagrams("closes what nobody takes with the socket", function(a, b)
    b:take_fds()
    local x <close>, y = net.pair()
    local _ <close> = y
    for _ = 1, 3 do a:send_fds("x", x, y) end
    assert.equal("x", b:recv(5))
    helper.turns(5)
  end)

  it_on_datagrams("without the wish for them loses nothing but them",
    function(a, b)
      local x <close>, y = net.pair()
      local _ <close> = y
      local before = open_fds()
      for i = 1, 5 do a:send_fds(tostring(i), x, y) end
      for i = 1, 5 do assert.equal(tostring(i), b:recv(5)) end
      assert.equal(before, open_fds())
      -- asked for later, while a receive without room is under way
      b:take_fds()
      a:send_fds("6", x)
      local data, objects, _, cut = b:recv_fds(5)
      assert.equal("6", data)
      assert.is_true(#objects == 1 or cut)
      for _, object in ipairs(objects) do object:close() end
    end)

  it_on_datagrams("closes what is over the limit, and says so", function(a, b)
    b:take_fds(3)
    local x <close>, y = net.pair()
    local _ <close> = y
    b:recv(0) -- receiving goes on behind it
    for i = 1, 3 do a:send_fds(tostring(i), x, y) end
    helper.wait_until(function()
      return not tostring(b):find " 0 bytes unread"
    end)
    helper.turns(20)
    local got = 0
    for i = 1, 3 do
      local data, objects, _, cut = b:recv_fds(5)
      assert.equal(tostring(i), data)
      assert.is_true(#objects == 2 and cut == nil or #objects == 0 and cut)
      got = got + #objects
      for _, object in ipairs(objects) do object:close() end
    end
    assert.is_true(got >= 2, got)
    -- none at all
    b:take_fds(0)
    a:send_fds("x", x)
    local data, objects, _, cut = b:recv_fds(5)
    assert.same({ "x", {}, true }, { data, objects, cut })
  end)

  it_on_datagrams("tells that a datagram was cut as well", function(a)
    local path = "unix:" .. helper.temp "small"
    local server <close> = assert(net.datagram { bind = path, size = 4 })
    local client <close> = assert(net.datagram { connect = path })
    client:send_fds("longer", a)
    local data, objects, from, cut, full = server:recv_fds(5)
    assert.equal("long", data)
    assert.is_nil(from)
    assert.is_false(cut)
    assert.equal(6, full)
    objects[1]:close()
  end)

  it_on_datagrams("takes many at once", function(a, b)
    local x, y = proa.fd.pipe()
    local many = {}
    for i = 1, 253 do many[i] = y end
    b:take_fds(300)
    assert(a:send_fds("x", table.unpack(many)))
    y:close()
    local _, objects = b:recv_fds(5)
    assert.equal(253, #objects)
    for _, object in ipairs(objects) do object:close() end
    many[254] = x
    assert.matches("at most 253", helper.error_of(a.send_fds, a, "x",
      table.unpack(many, 1, 254)))
    x:close()
  end)

  it_on_datagrams("that waits for room is given up without a loss",
    function(a, b)
      local x <close>, y = net.pair()
      local _ <close> = y
      local before = open_fds()
      a:timeout { write = 0.01 }
      local n, message, code
      repeat
        n, message, code = a:send_fds(("x"):rep(3000), x, y)
      until not n
      assert.equal("send: timed out", message)
      assert.equal("TIMEOUT", code)
      local waits = proa.spawn(a.send_fds, a, ("x"):rep(3000), x)
      helper.turns()
      a:close()
      local ended
      n, ended, code = waits:await()
      assert.is_true(n == 3000 or code == "CLOSED" or code == "TIMEOUT", ended)
      b:close()
      helper.wait_until(function() return open_fds() <= before end)
    end)

  it_on_datagrams("raises for what has no descriptor", function(a)
    for _, bad in ipairs { {}, "x", -1, true } do
      assert.is_string(helper.error_of(a.send_fds, a, "x", bad))
    end
    assert.matches("a descriptor expected", helper.error_of(a.send_fds, a, "x"))
    assert.matches("string expected", helper.error_of(a.send_fds, a, {}, 0))
    assert.equal("EBADF", select(3, a:send_fds("x", 987654)))
    local closes = { fileno = function() a:close() return 0 end }
    assert.matches("is closed", helper.error_of(a.send_fds, a, "x", closes))
    assert.matches("is closed", helper.error_of(a.recv_fds, a))
  end)

  it("is for Unix sockets", function()
    local socket <close> = assert(net.udp { bind = "127.0.0.1:0" })
    for _, verb in ipairs { "send_fds", "take_fds", "recv_fds" } do
      local _, message, code = socket[verb](socket)
      assert.equal(verb .. ": not a Unix socket", message)
      assert.equal("EOPNOTSUPP", code)
    end
  end)
end)

describe("credentials", function()
  helper.it("are those of the process at the other end", function()
    local listener <close> = assert(net.listen "unix:@proa.spec.credentials")
    local client <close> = assert(net.connect(listener:address()))
    local server <close> = assert(listener:accept())
    local mine = lfs.attributes "/proc/self"
    for _, stream in ipairs { client, server } do
      local who = stream:credentials()
      assert.equal(mine.uid, who.uid)
      assert.equal(mine.gid, who.gid)
      assert.is_true(who.pid > 1)
    end
    assert.equal(client:credentials().pid, server:credentials().pid)
  end)
end)
