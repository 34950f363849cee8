--- testing_spec.lua: proa.testing, a simulated world inside any process.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local helper = require "spec.helper"
local proa = require "proa"
local testing = proa.testing

--- Two ends over the simulated network, and the listener's address.
local function connect()
  local listener <close> = assert(proa.net.listen "127.0.0.1:0")
  local address = listener:address()
  local client = assert(proa.net.connect(address))
  return client, assert(listener:accept()), address
end

describe("testing.run", function()
  helper.it("gives what the function returns", function()
    assert.same({ 1, nil, "three" }, { testing.run(function()
      return 1, nil, "three"
    end) })
  end)

  helper.it_main("works in the main chunk", function()
    assert.equal("sim", testing.run(function() return proa.info().driver end))
    assert.equal(helper.driver, proa.info().driver)
  end)

  helper.it("raises what the function raises", function()
    local err = helper.error_of(testing.run, function() error({ 7 }) end)
    assert.same({ 7 }, err)
  end)

  helper.it("has a clock that moves when all wait", function()
    local from = os.time()
    local slept = testing.run(function()
      local start = proa.now()
      local task = proa.spawn(function() proa.sleep(2000) end)
      proa.sleep(1000)
      task:await()
      return proa.now() - start
    end)
    assert.is_true(slept >= 2000 and slept < 2001)
    assert.is_true(os.time() - from < 60)
  end)

  helper.it("goes the same way for the same seed", function()
    local function run(seed)
      return testing.run(function()
        local order = {}
        for i = 1, 5 do
          proa.spawn(function()
            local a, b = connect()
            a:write(("x"):rep(1000))
            a:close()
            for chunk in b:chunks() do
              order[#order + 1] = i .. ":" .. #chunk
            end
          end)
        end
        proa.sleep(10)
        return table.concat(order, " ") .. core.sim.state().hash
      end, { seed = seed })
    end
    local first = run(5)
    assert.equal(first, run(5))
    assert.are_not.equal(first, run(6))
  end)

  helper.it("starts with the same world each time", function()
    local addresses = {}
    for i = 1, 2 do
      addresses[i] = testing.run(function()
        return assert(proa.net.listen "127.0.0.1:0"):address()
      end)
    end
    assert.equal(addresses[1], addresses[2])
  end)

  helper.it("waits for what the function spawned", function()
    local done = false
    testing.run(function()
      proa.spawn(function()
        proa.sleep(5)
        done = true
      end)
    end)
    assert.is_true(done)
  end)

  helper.it("raises when nothing can happen any more", function()
    local err = helper.error_of(testing.run, function()
      local a = connect()
      a:read()
    end)
    assert.matches("deadlock", err)
    assert.matches("testing_spec.lua", err)
  end)

  helper.it("raises when it has not ended in time", function()
    local err = helper.error_of(testing.run, function()
      while true do proa.sleep(1) end
    end, { limit = 50 })
    assert.matches("not over after 50 simulated seconds", err)
  end)

  helper.it("stands inside no other", function()
    local err = helper.error_of(testing.run, function()
      testing.run(function() end)
    end)
    assert.matches("testing.run inside testing.run", err)
    assert.equal(1, testing.run(function() return 1 end))
  end)

  helper.it("raises for options that it does not know", function()
    assert.matches("testing.run: unknown option 'sede'",
      helper.error_of(testing.run, print, { sede = 1 }))
    assert.matches("a function expected", helper.error_of(testing.run, 5))
    assert.matches("loss", helper.error_of(testing.run, print, { loss = 2 }))
    assert.matches("seed", helper.error_of(testing.run, print, { seed = 0.5 }))
  end)

  helper.it("lets coroutines and limits work inside", function()
    testing.run(function()
      local step = coroutine.wrap(function()
        proa.sleep(1)
        coroutine.yield "first"
        proa.sleep(1)
        return "second"
      end)
      assert.equal("first", step())
      assert.equal("second", step())
      local _, _, code = proa.timeout(1, proa.sleep, 2)
      assert.equal("TIMEOUT", code)
      local name = proa.select { a = function() proa.sleep(3) end, timeout = 1 }
      assert.equal("timeout", name)
    end)
  end)

  helper.it("reports an error that nobody awaited, and raises", function()
    local reports
    local err = helper.error_of(testing.run, function()
      reports = helper.catch_errors()
      proa.spawn(function() error("nobody's", 0) end)
      proa.sleep(1)
      assert.equal("nobody's", reports[1].err)
      proa.on_error(nil)
      proa.on_error(function() end)
      proa.on_error(nil)
      error("the end", 0)
    end)
    assert.equal("the end", err)
  end)
end)

describe("objects of another runtime", function()
  helper.it("raise inside, and are as before afterwards", function()
    local a, b = proa.net.pair()
    local future, listener = proa.future(), assert(proa.net.listen "127.0.0.1:0")
    local task = proa.spawn(function() return b:read "l" end)
    testing.run(function()
      for _, call in ipairs {
        function() a:read() end, function() a:write "x" end,
        function() future:set(1) end, function() future:await() end,
        function() listener:accept() end, function() task:await() end,
        function() proa.select { f = future, timeout = 1 } end,
        function() proa.select { l = listener, timeout = 1 } end,
        function() a:copy_to(b) end, function() task:cancel() end,
      } do
        assert.matches("another runtime", helper.error_of(call))
      end
      assert.matches("proa.stream", tostring(a))
    end)
    a:write "hello\n"
    assert.equal("hello", task:await())
    future:set(2)
    assert.equal(2, future:await())
    a:close()
    b:close()
    listener:close()
  end)

  helper.it("are finalised where they belong", function()
    local before = proa.stats().streams
    do local _ = { proa.net.pair() } end
    testing.run(function()
      collectgarbage()
      collectgarbage()
      local a, b = proa.net.pair()
      a:close()
      b:close()
      proa.sleep(1)
    end)
    helper.wait_until(function() return proa.stats().streams == before end)
  end)

  helper.it("are closed when their run is over", function()
    local kept, call = {}, nil
    testing.run(function()
      kept.a, kept.b = connect()
      kept.listener = assert(proa.net.listen "127.0.0.1:0")
      kept.task = proa.spawn(function() return "done" end)
      kept.future, kept.fd = proa.future(), proa.fd.pair()
      kept.late = proa.op.recv(kept.fd, proa.buffer(10))
      kept.task:await()
      call = kept.a.read
    end)
    assert.equal("proa.stream (closed)", tostring(kept.a))
    assert.equal("proa.listener (closed)", tostring(kept.listener))
    assert.matches("stream is closed", helper.error_of(kept.a.read, kept.a))
    assert.matches("proa.stream expected", helper.error_of(call, kept.a))
    assert.matches("listener is closed",
      helper.error_of(function() kept.listener:accept() end))
    assert.matches("testing.run has ended",
      helper.error_of(function() kept.future:await() end))
    assert.equal("done", kept.task:await())
    for _, name in ipairs { "a", "b", "listener", "fd" } do
      kept[name]:close()
      kept[name]:close()
    end
    assert.is_true(kept.a:closed())
  end)

  helper.it("may be buffers on either side", function()
    local outer = proa.buffer "out"
    local inner = testing.run(function()
      assert.equal("out", outer:string())
      return proa.buffer "in"
    end)
    assert.equal("in", inner:string())
  end)

  helper.it("leave no memory behind", function()
    local function run()
      testing.run(function()
        local a = connect()
        a:write "x"
        proa.spawn(function() proa.sleep(1) end)
      end)
    end
    for _ = 1, 20 do run() end
    collectgarbage()
    collectgarbage()
    local before = collectgarbage "count"
    for _ = 1, 200 do run() end
    collectgarbage()
    collectgarbage()
    assert.is_true(collectgarbage "count" < before + 20)
  end)

  helper.it("end with the state, from inside", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      local a, b = proa.net.pair()
      proa.run(function()
        proa.testing.run(function()
          local c, d = proa.net.pair()
          proa.spawn(function() c:read() end)
          proa.sleep(1)
          print(proa.info().driver)
          os.exit(3, true)
        end)
      end)
    ]]
    assert.equal("sim\n", output)
    assert.equal(3, status)
  end)
end)

describe("the simulated network", function()
  helper.it("takes its time", function()
    testing.run(function()
      local start = proa.now()
      local a, b = connect()
      local connected = proa.now()
      a:write "x\n"
      assert.equal("x", b:read())
      assert.is_true(connected - start >= 1)
      assert.is_true(proa.now() - connected >= 0.5)
      assert.is_true(proa.now() - start < 2.5)
    end, { latency = 0.5 })
  end)

  helper.it("loses packets, and streams come late but whole", function()
    testing.run(function(sim)
      local a, b = connect()
      sim:set { loss = 0.5 }
      local text, start = ("0123456789"):rep(1000), proa.now()
      proa.spawn(function()
        for i = 1, #text, 100 do
          a:write(text:sub(i, i + 99))
          proa.sleep(0.001)
        end
        a:close()
      end)
      assert.equal(text, b:read "a")
      assert.is_true(proa.now() - start > 0.2)
    end)
  end)

  helper.it("loses datagrams for good, and lets them overtake", function()
    testing.run(function(sim)
      local a = assert(proa.net.udp { bind = "127.0.0.1:0" })
      local b = assert(proa.net.udp { bind = "127.0.0.1:0" })
      local function exchange(n)
        for i = 1, n do assert(a:send_to(tostring(i), b:address())) end
        local got = {}
        while true do
          local data = b:recv_from(10)
          if not data then return got end
          got[#got + 1] = tonumber(data)
        end
      end
      assert.same({ 1, 2, 3, 4, 5 }, exchange(5))
      sim:set { latency = { 0, 1 } }
      local got = exchange(40)
      local sorted = table.move(got, 1, #got, 1, {})
      table.sort(sorted)
      assert.equal(40, #got)
      assert.are_not.same(sorted, got)
      sim:set { loss = 0.5 }
      local n = #exchange(40)
      assert.is_true(n > 0 and n < 40)
      sim:partition(b:address(), 100)
      assert.same({}, exchange(3))
    end)
  end)

  helper.it("carries to groups and to all", function()
    testing.run(function()
      local net = proa.net
      local function receiver(address)
        return assert(net.udp { bind = address, reuseaddr = true })
      end
      local function heard(...)
        local n = 0
        for _, socket in ipairs { ... } do
          if socket:recv(10) then n = n + 1 end
        end
        return n
      end
      local a, b = receiver "0.0.0.0:5000", receiver "0.0.0.0:5000"
      local other, six = receiver "0.0.0.0:5001", receiver "[::]:5002"
      local alone = receiver "239.1.2.3:5003"
      local client = assert(net.udp { bind = "0.0.0.0:0", broadcast = true })
      assert(client:send_to("x", "239.1.2.3:5000"))
      assert.equal(0, heard(a, b, other))
      assert(a:join "239.1.2.3")
      assert.equal("EADDRINUSE", select(3, a:join "239.1.2.3"))
      assert.equal("EINVAL", select(3, a:join "127.0.0.1"))
      assert(six:join "ff02::7")
      assert(client:send_to("x", "239.1.2.3:5000"))
      assert.equal(2, heard(a, b, other))
      assert(client:send_to("x", "239.1.2.3:5003"))
      local _, from = alone:recv_from(10)
      assert.equal("127.0.0.1:" .. client:address():match "%d+$", from)
      assert(alone:send_to("x", from))
      assert.same({ "x", "127.0.0.1:5003" }, { client:recv_from(10) })
      assert(client:send_to("x", "127.255.255.255:5000"))
      assert(client:send_to("x", "255.255.255.255:5001"))
      assert.equal(3, heard(a, b, other))
      assert(client:option("broadcast", false))
      assert.equal("EACCES", select(3, client:send_to("x", "255.255.255.255:1")))
      local sender = assert(net.udp { connect = "[ff02::7]:5002" })
      assert(sender:send "x")
      assert.equal(1, heard(six))
      assert(sender:option("multicast_loop", false))
      assert(sender:send "x")
      assert.equal(0, heard(six))
      assert(a:leave "239.1.2.3")
      assert.equal("EADDRNOTAVAIL", select(3, a:leave "239.1.2.3"))
      assert(client:send_to("x", "239.1.2.3:5000"))
      assert.equal(0, heard(a, b))
    end)
  end)

  helper.it("passes descriptors, its own, real ones and files", function()
    local path = helper.temp_file("real", "real")
    for seed = 1, 30 do
      testing.run(function(sim)
        sim:set { latency = seed % 2 * 0.01, loss = seed % 3 * 0.1 }
        local net = proa.net
        local real <close> = assert(io.open(path))
        local kept = assert(proa.fs.open("/tmp/file", "w+"))
        kept:write "simulated"
        kept:seek("set", 0)
        local listener = assert(net.listen "127.0.0.1:0")
        local a, b = net.pair()
        local c, d = net.pair { datagram = true }
        proa.spawn(function()
          a:write "before"
          assert(a:send_fds("these", listener, real, kept))
          a:write "after"
          a:close()
          assert(c:send_fds("and those", kept, c))
          c:close()
          kept:close()
          listener:close()
        end)
        assert(b:take_fds())
        local text, got = "", {}
        while true do
          local data, objects = b:recv_fds(100, 10)
          if not data then break end
          text = text .. data
          table.move(objects, 1, #objects, #got + 1, got)
        end
        assert.equal("beforetheseafter", text)
        assert.equal(3, #got)
        local client = assert(net.connect(got[1]:address()))
        local server = assert(got[1]:accept(10))
        server:write "hello\n"
        assert.equal("hello", client:read "l")
        assert.equal("real", got[2]:read "a")
        local _, objects = d:recv_fds(10)
        assert.equal("simulated", objects[1]:read "a")
        assert.equal("simulated", got[3]:read "a")
        assert(objects[2]:send "back")
        assert.equal("back", d:recv(10))
        for _, object in ipairs(got) do object:close() end
        for _, object in ipairs(objects) do object:close() end
      end, { seed = seed, files = true })
    end
  end)

  helper.it("holds back what passes a partition until it is over", function()
    testing.run(function(sim)
      local a, b, address = connect()
      sim:partition(address, 10)
      local start = proa.now()
      a:write "late\n"
      local _, _, code = b:read("l", { timeout = 5 })
      assert.equal("TIMEOUT", code)
      assert.equal("late", b:read())
      assert.is_true(proa.now() - start >= 10)
      local listener <close> = assert(proa.net.listen "127.0.0.1:0")
      sim:partition(listener:address())
      local conn
      conn, _, code = proa.net.connect(listener:address(), { timeout = 3 })
      assert.equal("TIMEOUT", code)
      assert.is_nil(conn)
      proa.spawn(function()
        proa.sleep(7)
        sim:heal(listener:address())
      end)
      assert(proa.net.connect(listener:address())):close()
    end)
  end)

  helper.it("lets the nth operation fail", function()
    testing.run(function(sim)
      local listener <close> = assert(proa.net.listen "127.0.0.1:0")
      sim:fail("connect", "EHOSTUNREACH", { nth = 2, times = 2 })
      local codes = {}
      for i = 1, 4 do
        local conn, _, code = proa.net.connect(listener:address())
        codes[i] = code or "none"
        if conn then conn:close() end
      end
      assert.same({ "none", "EHOSTUNREACH", "EHOSTUNREACH", "none" }, codes)
    end)
  end)

  helper.it("breaks a connection for both ends", function()
    testing.run(function(sim)
      local a, b = connect()
      sim:fail("recv", "ECONNRESET")
      b:write "x"
      local _, _, code = a:read()
      assert.equal("ECONNRESET", code)
      _, _, code = b:read()
      assert.equal("ECONNRESET", code)
      sim:fail("socket", "EMFILE")
      _, _, code = proa.net.connect "127.0.0.1:1"
      assert.equal("EMFILE", code)
    end)
  end)

  helper.it("meets errors of any kind, and proa tells them", function()
    local seen, kinds = {}, 0
    testing.explore(300, function()
      local listener <close> = proa.net.listen "127.0.0.1:0"
      if not listener then return end
      proa.spawn(function()
        local ok, conn = pcall(listener.accept, listener, 1)
        if not ok or not conn then return end
        local line = conn:read "l"
        conn:write(line or "nothing")
        conn:close()
      end)
      local conn <close>, _, code = proa.net.connect(listener:address())
      if conn then
        local ok
        ok, _, code = conn:write "hello\n"
        if ok then _, _, code = conn:read("a", { timeout = 10 }) end
      end
      if code and not seen[code] then
        seen[code], kinds = true, kinds + 1
      end
    end, { errors = 4 })
    assert.is_nil(seen.EINTR)
    assert.is_true(kinds >= 8)
  end)

  helper.it("refuses what it does not know", function()
    local over
    testing.run(function(sim)
      assert.matches("no such op", helper.error_of(sim.fail, sim, "rcv", "EIO"))
      assert.matches("name of an error",
        helper.error_of(sim.fail, sim, "recv", "OOPS"))
      assert.matches("unknown option",
        helper.error_of(sim.fail, sim, "recv", "EIO", { tims = 2 }))
      assert.matches("unknown option", helper.error_of(sim.set, sim, { x = 1 }))
      over = sim
    end)
    assert.matches("this run is over", helper.error_of(over.heal, over))
    if helper.driver ~= "sim" then
      assert.matches("for sim alone", helper.error_of(core.sim.state))
    end
  end)
end)

describe("testing.explore", function()
  local function racy()
    local value, tasks = 0, {}
    for i = 1, 2 do
      tasks[i] = proa.spawn(function()
        local a, b = connect()
        local seen = value
        a:write "x\n"
        b:read()
        value = seen + 1
      end)
    end
    for _, task in ipairs(tasks) do task:await() end
    if value ~= 2 then error("an update was lost", 0) end
  end

  helper.it("tells the seed of what fails, and it fails again", function()
    local err = helper.error_of(testing.explore, 1000, racy)
    local seed = tonumber(err:match "^seed (%d+): an update was lost")
    assert.matches("PROA_TESTING_SEED=" .. seed, err)
    assert.equal("an update was lost",
      helper.error_of(testing.run, racy, { seed = seed }))
  end)

  helper.it("starts where it is told, and counts its runs", function()
    local seeds = {}
    assert.equal(3, testing.explore(3, function(sim)
      seeds[#seeds + 1] = sim.seed
    end, { seed = 40 }))
    assert.same({ 40, 41, 42 }, seeds)
    assert.matches("an integer of 1", helper.error_of(testing.explore, 0, racy))
  end)

  helper.it("repeats the seed of the environment alone", function()
    local output = helper.lua([[
      local proa = require "proa"
      print(proa.testing.explore(100, function(sim) print(sim.seed) end))
    ]], { env = "PROA_TESTING_SEED=77" })
    assert.equal("77\n1\n", output)
  end)
end)

describe("testing.it", function()
  local runs = 0
  testing.it("makes a test of many seeds", function(sim)
    runs = runs + 1
    assert.equal(runs, sim.seed)
    assert.equal("sim", proa.info().driver)
  end, { seeds = 7 })

  it("has run each of them", function()
    assert.is_true(runs == 7 or runs == 0) -- the order is shuffled
  end)
end)
