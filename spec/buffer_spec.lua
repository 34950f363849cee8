--- buffer_spec: proa.buffer, alone and while an op has it (O3).
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main
local op, fd = proa.op, proa.fd

describe("a buffer", function()
  it_main("is told from every other userdata, a light one too", function()
    local method = proa.buffer(8).byte
    local light = debug.upvalueid(function() return method end, 1)
    for _, other in ipairs { light, io.stdout, "proa.bu", {} } do
      assert.match("proa.buffer expected", helper.error_of(method, other))
    end
  end)

  it_main("is made of zeros or of a string", function()
    assert.equal("\0\0\0", proa.buffer(3):string())
    assert.equal("a\0b", proa.buffer "a\0b":string())
    assert.equal(0, #proa.buffer(0))
    assert.match("size out of range", helper.error_of(proa.buffer, -1))
    assert.match("string expected", helper.error_of(proa.buffer, {}))
  end)

  it_main("has the positions of the string library", function()
    local text = "abcdef"
    local b = proa.buffer(text)
    local ends = { -100, -7, -6, -2, -1, 0, 1, 2, 6, 7, 100 }
    for _, i in ipairs(ends) do
      assert.equal(text:sub(i), b:string(i))
      for _, j in ipairs(ends) do
        assert.equal(text:sub(i, j), b:string(i, j))
      end
    end
  end)

  it_main("is cut into copies", function()
    local b = proa.buffer "abcdef"
    local slice = b:slice(2, 3)
    b:set(1, "xxxx")
    assert.equal("bc", slice:string())
    assert.equal("xxxxef", b:string())
  end)

  it_main("grows by append, of itself too", function()
    local b = proa.buffer "a"
    assert.equal(b, b:append("b", proa.buffer "c"))
    assert.equal("abc", b:string())
    assert.equal("abcabc", b:append(b):string())
    assert.match("string expected", helper.error_of(b.append, b, {}))
  end)

  it_main("is written in place only where it is", function()
    local b = proa.buffer "abc"
    assert.equal(b, b:set(2, "xy"))
    assert.equal("axy", b:string())
    assert.equal("axz", b:set(-1, "z"):string())
    assert.match("does not fit", helper.error_of(b.set, b, 3, "zz"))
    assert.match("does not fit", helper.error_of(b.set, b, 0, "z"))
  end)

  it_main("is resized with zeros behind what it had", function()
    local b = proa.buffer "abcdef"
    assert.equal("ab", b:resize(2):string())
    assert.equal("ab\0\0", b:resize(4):string())
  end)

  it_main("tells its bytes as string.byte does", function()
    local text = "a\0\255z"
    local b = proa.buffer(text)
    local ends = { -9, -4, -2, 0, 1, 2, 4, 5, math.maxinteger, math.mininteger }
    assert.same({ text:byte() }, { b:byte() })
    for _, i in ipairs(ends) do
      assert.same({ text:byte(i) }, { b:byte(i) })
      for _, j in ipairs(ends) do
        assert.same({ text:byte(i, j) }, { b:byte(i, j) })
      end
    end
    local large = proa.buffer(1 << 24)
    assert.match("too many bytes", helper.error_of(large.byte, large, 1, -1))
  end)

  it_main("packs and unpacks as strings do", function()
    local b = proa.buffer "x"
    assert.equal(b, b:pack("<I2s1", 258, "hi"))
    assert.equal("x\2\1\2hi", b:string())
    assert.same({ 258, "hi", 7 }, { b:unpack("<I2s1", 2) })
    assert.match("data string too short", helper.error_of(b.unpack, b, "<I8"))
    assert.is_string(helper.error_of(b.unpack, b, "B", 100))
    assert.is_string(helper.error_of(b.unpack, b, "B", -100))
  end)

  it_main("tells its memory to the collector", function()
    collectgarbage()
    for _ = 1, 2000 do proa.buffer(256 * 1024) end
    assert.is_true(proa.stats().buffer_bytes < 256 * 1024 * 1024)
  end)
end)

local accesses = {
  ["#"] = function(b) return #b end,
  string = function(b) return b:string() end,
  byte = function(b) return b:byte() end,
  slice = function(b) return b:slice() end,
  append = function(b) return b:append "x" end,
  ["append of it"] = function(b) return proa.buffer "x":append(b) end,
  set = function(b) return b:set(1, "x") end,
  resize = function(b) return b:resize(1) end,
  pack = function(b) return b:pack("B", 1) end,
  unpack = function(b) return b:unpack "B" end,
}

local function assert_lent(b, to)
  for name, access in pairs(accesses) do
    assert.match("buffer is in use by " .. to, helper.error_of(access, b), name)
  end
  assert.match("in use by " .. to, tostring(b))
end

describe("a lent buffer", function()
  it("refuses every access while recv has it, and comes back", function()
    local a <close>, c = fd.pair()
    local b = proa.buffer(5)
    local f = op.recv(a, b)
    assert_lent(b, "recv")
    assert.match("in use by recv", helper.error_of(op.recv, a, b))
    assert.match("in use by recv", helper.error_of(op.send, c, b))
    assert.equal(1, op.send(c, "x"):await())
    f:await()
    assert.equal("x", b:string(1, 1))
    c:close()
  end)

  it("comes back with the completion, whether or not it is awaited", function()
    local a <close>, c = fd.pair()
    local b = proa.buffer(1)
    local f = op.recv(a, b)
    assert.equal(1, op.send(c, "x"):await())
    helper.wait_until(function() return pcall(b.string, b) end)
    assert.equal("x", b:string())
    assert.equal(1, f:await())
    c:close()
  end)

  it("comes back when the op is cancelled", function()
    local a <close>, c = fd.pair()
    local b = proa.buffer(5)
    local f = op.recv(a, b)
    helper.turns()
    f:cancel()
    f:await()
    assert.equal(5, #b)
    c:close()
  end)

  it("comes back when the op fails", function()
    local socket <close> = assert(fd.socket "127.0.0.1:1")
    local b = proa.buffer(5)
    assert.is_nil((op.recv(socket, b):await()))
    assert.equal(5, #b)
  end)

  it("comes back when its descriptor is closed", function()
    local a, c = fd.pair()
    local b = proa.buffer(5)
    local f = op.recv(a, b)
    helper.turns()
    a:close()
    assert.is_nil((f:await()))
    assert.equal(5, #b)
    c:close()
  end)

  it("is not touched when it and its future are dropped", function()
    local a <close>, c = fd.pair()
    op.recv(a, proa.buffer(1024))
    helper.turns()
    collectgarbage()
    collectgarbage()
    assert.equal(5, op.send(c, "hello"):await())
    helper.turns()
    c:close()
  end)

  it("is in use by read while a stream waits to fill it", function()
    local a <close>, c = proa.net.pair()
    local b = proa.buffer(5)
    local task = proa.spawn(a.read_into, a, b)
    helper.turns()
    assert_lent(b, "read")
    c:write "x"
    assert.equal(1, task:await())
    assert.equal("x", b:string(1, 1))
    c:close()
  end)

  local function comes_back(how)
    local a, c = proa.net.pair()
    local b = proa.buffer(5)
    local task = proa.spawn(a.read_into, a, b)
    helper.turns()
    how(task, a, c)
    local n = task:await()
    assert.is_nil(n)
    assert.equal(5, #b)
    a:close()
    c:close()
  end

  it("comes back from a stream's read that is cancelled", function()
    comes_back(function(task) task:cancel() end)
  end)

  it("comes back from a stream that is closed", function()
    comes_back(function(_, a) a:close() end)
  end)

  it("comes back from a stream at its end", function()
    comes_back(function(_, _, c) c:close() end)
  end)

  it("comes back from a stream's read that times out", function()
    local a <close>, c = proa.net.pair()
    local b = proa.buffer(5)
    a:timeout { read = 0.001 }
    assert.equal("TIMEOUT", select(3, a:read_into(b)))
    assert.equal(5, #b)
    assert.equal("TIMEOUT", select(3, proa.timeout(0.001, a.read_into,
      a:timeout { read = math.huge }, b)))
    assert.equal(5, #b)
    c:close()
  end)
end)
