--- op_spec: proa.op's arguments and descriptors. How each op ends is in
-- conformance_spec; futures are in future_spec.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main
local op, fd = proa.op, proa.fd

describe("an op's arguments", function()
  it("are checked before anything is submitted", function()
    local a <close>, b = fd.pair()
    local before = proa.stats().ops_submitted
    local misuse = {
      { "number expected", op.timer, "soon" },
      { "proa.buffer expected", op.recv, a, "a string" },
      { "expected", op.send, a, {} },
      { "list of strings", op.sendmsg, a, { "x", {} } },
      { "1 to 64 strings", op.sendmsg, a, {} },
      { "invalid option 'x'", op.shutdown, a, "x" },
      { "invalid option 'x'", op.ready, a, "x" },
      { "bad address", op.connect, a, "no port" },
      { "a name must be resolved first", op.connect, a, "localhost:80" },
      { "invalid mode", op.open, "/dev/null", "q" },
      { "no zero bytes", op.open, "a\0b" },
      { "offset is not negative", op.read, a, proa.buffer(1), 1, -1, -5 },
      { "proa.fd expected", op.accept, {} },
    }
    for _, case in ipairs(misuse) do
      local err = helper.error_of(case[2], table.unpack(case, 3))
      assert.match(case[1], err)
      assert.match("bad argument #%d", err)
    end
    assert.equal(before, proa.stats().ops_submitted)
    b:close()
  end)

  it("select part of a buffer as string.sub does, a string is whole", function()
    local a, b <close> = fd.pair()
    assert.equal(3, op.send(a, proa.buffer "abcdef", 2, 4):await())
    assert.equal(2, op.send(a, proa.buffer "uvwxyz", -2):await())
    assert.equal(0, op.send(a, proa.buffer "abc", 5):await())
    assert.match("one argument too many",
      helper.error_of(op.send, a, "abcdef", 2, 4))
    a:close()
    local bytes, buffer = "", proa.buffer(10)
    while true do
      local n = op.recv(b, buffer):await()
      if not n then break end
      bytes = bytes .. buffer:string(1, n)
    end
    assert.equal("bcdyz", bytes)
  end)

  it("are kept alive until the op has ended", function()
    local a <close>, b = fd.pair()
    local size = 4 * 1024 * 1024
    local f = op.send(a, ("x"):rep(size))
    local buffer, n = proa.buffer(65536), 0
    while n < size do
      collectgarbage()
      n = n + op.recv(b, buffer):await()
      assert.equal("x", buffer:string(1, 1))
    end
    assert.equal(size, f:await())
    b:close()
  end)

  it("of 0 bytes move none", function()
    local a <close>, b = fd.pair()
    assert.equal(0, op.send(a, ""):await())
    assert.equal(1, op.send(b, "x"):await())
    assert.equal(0, op.recv(a, proa.buffer(0)):await())
    b:close()
  end)
end)

describe("a descriptor", function()
  it("refuses ops when it is closed", function()
    local a, b = fd.pair()
    a:close()
    a:close() -- a second time is no error
    b:close()
    assert.match("fd is closed", helper.error_of(op.recv, a, proa.buffer(1)))
    assert.match("fd is closed", helper.error_of(a.fileno, a))
  end)

  it("is borrowed when it is a number, and left open", function()
    local a <close>, b = fd.pair()
    if helper.driver ~= "sim" then
      assert.equal(1, op.send(a:fileno(), "x"):await())
    end
    local file = assert(op.open "/dev/null":await())
    local n = file:fileno()
    local wrapped = fd.wrap(n)
    assert.equal(n, wrapped:fileno())
    file:close()
    b:close()
  end)

  it("may be a foreign file, which wrap does not close", function()
    local r, w = fd.pipe()
    do
      local borrowed <close> = fd.wrap(0)
      assert.equal(0, borrowed:fileno())
    end
    helper.turns()
    assert.match("proa.fd 0", tostring(fd.wrap(0)))
    r:close()
    w:close()
  end)

  it("is not made from a number that is none", function()
    assert.match("bad argument #1", helper.error_of(op.recv, 1 << 20,
      proa.buffer(1)))
    assert.match("not a descriptor", helper.error_of(op.recv, -1,
      proa.buffer(1)))
  end)

  it("knows both its addresses", function()
    local listening <close> = assert(fd.listen "127.0.0.1:0")
    local address = listening:address()
    assert.match("^127%.0%.0%.1:%d+$", address)
    local client <close> = assert(fd.socket(address))
    assert.is_true(op.connect(client, address):await())
    assert.equal(address, client:peer())
  end)

  it("is closed by a <close> variable and by the collector", function()
    local _, b = fd.pair()
    do
      local a <close> = fd.pipe()
      assert.match("^proa.fd", tostring(a))
    end
    b:close()
    collectgarbage() -- the helper looks at the descriptors
  end)

  it("is told about by a listen that fails", function()
    local first <close> = assert(fd.listen "127.0.0.1:0")
    local second, message, code = fd.listen(first:address())
    assert.is_nil(second)
    assert.equal("EADDRINUSE", code)
    assert.match(first:address(), message, 1, true)
  end)
end)

describe("ops in the main chunk", function()
  it_main("are submitted and awaited as in a task", function()
    local a <close>, b = fd.pair()
    local buffer = proa.buffer(1)
    local f = op.recv(b, buffer)
    assert.equal(1, op.send(a, "x"):await())
    assert.equal(1, f:await())
    assert.equal("x", buffer:string())
    b:close()
  end)
end)

describe("a connect", function()
  -- in a process of its own: what cannot be cancelled keeps run from ending
  it_main("to a Unix socket whose queue is full can be cancelled", function()
    local output, status = helper.lua(([[
      local proa = require "proa"
      local op, fd = proa.op, proa.fd
      proa.run(function()
        local address = "unix:%s"
        local listening <close> = assert(fd.listen(address, 0))
        local first <close> = assert(fd.socket(address))
        assert(op.connect(first, address):await())
        local second <close> = assert(fd.socket(address))
        local f = op.connect(second, address)
        for _ = 1, 5 do proa.sleep(0) end
        f:cancel()
        print(select(3, f:await(2)))
      end)
    ]]):format(helper.temp "full"))
    assert.equal("CANCELLED\n", output)
    assert.equal(0, status)
  end)
end)
