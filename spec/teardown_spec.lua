--- teardown_spec: the end of a Lua state with work in flight (O5), and what
-- handles do afterwards. Each test is a process of its own.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"

local it = helper.it_main

--- Run it; the process has to end well and in time.
local function ends(source, options)
  local output, status = helper.lua("local proa = require 'proa'\n" .. source,
    options)
  assert.equal(0, status, output)
  return output
end

describe("the end of a state", function()
  it("is quiet when proa was loaded and not used", function()
    assert.equal("", ends "")
  end)

  it("is quiet when it was used", function()
    assert.equal("", ends "proa.run(function() proa.sleep(0.001) end)")
  end)

  it("cancels and drains what is in flight", function()
    assert.equal("", ends [[
      local op, fd = proa.op, proa.fd
      KEEP = { fd.pair() }
      for i = 1, 100 do
        local r, w = fd.pipe()
        KEEP[#KEEP + 1] = { r, w, op.read(r, proa.buffer(1000)) }
      end
      KEEP[#KEEP + 1] = op.recv(KEEP[1], proa.buffer(1 << 20))
      KEEP[#KEEP + 1] = op.send(KEEP[1], ("x"):rep(8 << 20))
      KEEP[#KEEP + 1] = op.timer(3600)
      KEEP[#KEEP + 1] = op.accept(assert(fd.listen "127.0.0.1:0"))
      KEEP[#KEEP + 1] = op.open "/dev/null"
      KEEP[#KEEP + 1] = op.resolve("127.0.0.1", "80")
      proa.sleep(0)
      KEEP[#KEEP + 1] = op.open "/dev/null"
    ]])
  end)

  it("closes tasks that wait, and their <close> variables run", function()
    local output = ends [[
      for i = 1, 3 do
        proa.spawn(function()
          local _ <close> = setmetatable({}, { __close = function()
            print("closed", i)
            print(pcall(proa.sleep, 0))
          end })
          proa.sleep(3600)
        end)
      end
      proa.sleep(0)
    ]]
    for i = 1, 3 do assert.match("closed\t" .. i, output) end
    assert.match("false\t[^\n]*cannot await", output)
  end)

  it("drops tasks that never started", function()
    assert.equal("", ends "for i = 1, 10 do proa.spawn(print, i) end")
  end)

  it("of run comes when a closed stream has sent what it accepted", function()
    local output = ends [[
      local size = 8 << 20
      proa.run(function()
        local a, b = proa.net.pair()
        proa.spawn(function()
          local n = 0
          while true do
            local bytes = b:read_some()
            if not bytes then break end
            n = n + #bytes
          end
          print(n == size)
        end)
        a:write(("x"):rep(size))
        a:close()
      end)
      print(proa.stats().lingering, proa.stats().ops_in_flight)
    ]]
    assert.equal("true\n0\t0\n", output)
  end)

  it("comes with os.exit and an open state, too", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      KEEP = { proa.fd.pair() }
      KEEP[3] = proa.op.recv(KEEP[1], proa.buffer(10))
      proa.spawn(proa.sleep, 3600)
      proa.sleep(0)
      os.exit(7, true)
    ]]
    assert.equal("", output)
    assert.equal(7, status)
  end)

  it("comes in the middle of a task", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      proa.run(function()
        KEEP = { proa.fd.pair() }
        KEEP[3] = proa.op.recv(KEEP[1], proa.buffer(10))
        proa.spawn(proa.sleep, 3600)
        proa.sleep(0)
        os.exit(3, true)
      end)
    ]]
    assert.equal("", output)
    assert.equal(3, status)
  end)

  it("comes after an error in the main chunk", function()
    local output, status = helper.lua [[
      local proa = require "proa"
      proa.spawn(proa.sleep, 3600)
      proa.sleep(0)
      error "the end"
    ]]
    assert.match("the end", output)
    assert.equal(1, status)
  end)
end)

describe("a handle that outlives the runtime", function()
  -- Finalisers run in the reverse order of their marking: what was made
  -- before proa was loaded is finalised after it.
  local function late(body)
    local output, status = helper.lua([[
      local kept = {}
      local late <const> = setmetatable({}, { __gc = function()
        local ok, err = pcall(function()
          ]] .. body .. [[
        end)
        print(ok, err)
      end })
      LATE = late
      local proa = require "proa"
      kept.proa = proa
      kept.a, kept.b = proa.fd.pair()
      kept.buffer = proa.buffer "bytes"
      kept.future = proa.op.recv(kept.a, kept.buffer)
      kept.stream, kept.other = proa.net.pair()
      kept.listener = assert(proa.net.listen "127.0.0.1:0")
      kept.task = proa.spawn(proa.sleep, 3600)
      kept.proactor = proa.proactor.new()
      proa.sleep(0)
      os.exit(0, true)
    ]])
    assert.equal(0, status, output)
    return output
  end

  it("closes without harm", function()
    assert.match("^true", late [[
      for _, name in ipairs { "a", "b", "stream", "other", "listener",
          "proactor" } do
        kept[name]:close()
        kept[name]:close()
      end
    ]])
  end)

  it("shows itself", function()
    assert.match("^true", late [[
      for _, name in ipairs { "a", "stream", "listener", "proactor", "task",
          "future", "buffer" } do
        assert(tostring(kept[name]):find "^proa%.")
      end
    ]])
  end)

  for name, call in pairs {
    ["a stream's read"] = "kept.stream:read 'l'",
    ["a stream's write"] = "kept.stream:write 'x'",
    ["an accept"] = "kept.listener:accept()",
    ["an op"] = "kept.proa.op.nop()",
    ["an op on a descriptor"] = "kept.proa.op.recv(kept.b, kept.proa.buffer(1))",
    ["a spawn"] = "kept.proa.spawn(print)",
    ["a sleep"] = "kept.proa.sleep(0)",
    ["a run"] = "kept.proa.run(print)",
    ["the info"] = "kept.proa.info()",
    ["a push"] = "kept.proactor:push 'nop'",
  } do
    it("refuses " .. name, function()
      local output = late(call)
      assert.match("^false\t", output)
      assert.match("clos", output)
    end)
  end

  it("may still be cancelled and awaited as far as it goes", function()
    assert.match("^%a+", late [[
      kept.future:cancel()
      kept.task:cancel()
      kept.task:status()
      kept.proa.tasks()
      kept.proa.stop()
    ]])
  end)
end)

describe("an accept without descriptors", function()
  it("backs off and goes on when there are some again", function()
    local output = ends([[
      local net = proa.net
      proa.run(function()
        local listener = assert(net.listen("127.0.0.1:0"))
        local address = listener:address()
        local client = assert(proa.fd.socket(address))
        local hoard = {}
        while true do
          local f = io.open "/dev/null"
          if not f then break end
          hoard[#hoard + 1] = f
        end
        assert(proa.op.connect(client, address):await())
        local served = proa.spawn(function()
          for conn in listener:incoming() do
            conn:close()
            return "served"
          end
        end)
        proa.sleep(0.02)
        for _, f in ipairs(hoard) do f:close() end
        print(served:await(10))
      end)
    ]], { before = "ulimit -n 64" })
    assert.equal("served\n", output)
  end)
end)
