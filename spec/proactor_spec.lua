--- proactor_spec: the low-level loop, a proactor by hand.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it = helper.it_main

--- A proactor, and both ends of a socket pair attached to it.
local function rig()
  local p = assert(proa.proactor.new())
  local a, b = proa.fd.pair()
  if helper.driver == "sim" then return p, nil, nil, { a, b } end
  return p, p:attach(a:fileno()), p:attach(b:fileno()), { a, b }
end

-- In the simulation a socket belongs to one network, and each proactor has its
-- own: there, pipes, which are real, have to do.
local function pipe_rig()
  local p = assert(proa.proactor.new())
  local r, w = proa.fd.pipe()
  return p, p:attach(r:fileno()), p:attach(w:fileno()), { r, w }
end

local function finish(p, keep)
  p:close()
  for _, descriptor in ipairs(keep) do descriptor:close() end
end

describe("proactor.new", function()
  it("makes one of the same driver", function()
    local p = proa.proactor.new()
    assert.equal(helper.driver, p:driver())
    p:close()
    p:close()
    assert.match("proactor is closed", helper.error_of(p.driver, p))
    assert.match("proactor is closed", helper.error_of(p.push, p, "nop"))
  end)

  it("takes the options of setup", function()
    local p = proa.proactor.new { driver = "poll", workers = 1 }
    assert.equal("poll", p:driver())
    p:close()
    assert.match("unknown option 'drivr'",
      helper.error_of(proa.proactor.new, { drivr = "poll" }))
    assert.match("unknown driver 'x'",
      helper.error_of(proa.proactor.new, { driver = "x" }))
  end)

  it("is closed by a <close> variable", function()
    local kept
    do
      local p <close> = proa.proactor.new()
      kept = p
    end
    assert.equal("proa.proactor (closed)", tostring(kept))
  end)
end)

describe("push", function()
  it("gives pending and a key, and pop gives the result once", function()
    local p, r, w, keep = pipe_rig()
    local buffer = proa.buffer(8)
    local state, key = p:push("read", r, buffer)
    assert.equal("pending", state)
    assert.same({ "pending", key }, { p:pop(key) })
    p:push("write", w, "hello")
    helper.wait_until(function()
      for _, ready in ipairs(p:poll(1)) do
        if ready == key then return true end
      end
      return false
    end)
    assert.same({ "ready", 5 }, { p:pop(key) })
    assert.equal("hello", buffer:string(1, 5))
    assert.match("no such key", helper.error_of(p.pop, p, key))
    finish(p, keep)
  end)

  it("gives ready and the result for what cannot wait", function()
    if helper.driver == "sim" then return end
    local p, a, b, keep = rig()
    local state, result = p:push("shutdown", a, "w")
    if state == "pending" then -- io_uring carries it out at the next enter
      p:poll(1)
      state, result = p:pop(result)
    else
      assert.is_true(helper.driver == "poll" or helper.driver == "uring")
    end
    assert.same({ "ready", true }, { state, result })
    local _, key = p:push("recv", b, proa.buffer(1))
    assert.same({ key }, p:poll(1))
    assert.same({ "ready", nil, n = 2 }, table.pack(p:pop(key)))
    finish(p, keep)
  end)

  it("gives keys that are told apart after reuse", function()
    local p <close> = proa.proactor.new()
    local _, first = p:push("timer", 0)
    p:poll(1)
    p:pop(first)
    local _, second = p:push("timer", 0)
    assert.is_true(first ~= second)
    assert.match("no such key", helper.error_of(p.pop, p, first))
    p:poll(1)
    assert.same({ "ready", true }, { p:pop(second) })
  end)

  it("refuses what it cannot do", function()
    local p <close> = proa.proactor.new()
    assert.match("no such op", helper.error_of(p.push, p, "fly"))
    assert.match("close a descriptor by its fd object",
      helper.error_of(p.push, p, "close", 0))
    assert.match("belongs to listeners and streams",
      helper.error_of(p.push, p, "accept_multi", 0))
    assert.match("was not attached", helper.error_of(p.push, p, "recv", 999,
      proa.buffer(1)))
    local r <close>, w = proa.fd.pipe()
    assert.match("belongs to another proactor", helper.error_of(p.push, p,
      "read", r, proa.buffer(1)))
    w:close()
  end)
end)

describe("poll", function()
  it("returns no keys when the time is up", function()
    local p, r, _, keep = pipe_rig()
    p:push("read", r, proa.buffer(1))
    assert.same({}, p:poll(0))
    assert.same({}, p:poll(0.001))
    finish(p, keep)
  end)

  it("refuses to wait for ever for nothing", function()
    local p <close> = proa.proactor.new()
    assert.match("nothing is in flight", helper.error_of(p.poll, p))
    assert.same({}, p:poll(0))
  end)

  it("returns all keys that are ready", function()
    local p <close> = proa.proactor.new()
    local keys, n = {}, 0
    for _ = 1, 10 do keys[select(2, p:push("timer", 0))] = true end
    while n < 10 do
      for _, key in ipairs(p:poll(1)) do
        assert.is_true(keys[key])
        assert.same({ "ready", true }, { p:pop(key) })
        n = n + 1
      end
    end
  end)
end)

describe("cancel", function()
  it("is answered by the op's own result", function()
    local p, r, _, keep = pipe_rig()
    local buffer = proa.buffer(3)
    local _, key = p:push("read", r, buffer)
    p:poll(0)
    p:cancel(key)
    assert.match("in use by read", helper.error_of(buffer.string, buffer))
    assert.same({ key }, p:poll(5))
    local state, value, _, code = p:pop(key)
    assert.equal("ready", state)
    assert.is_nil(value)
    assert.equal("CANCELLED", code)
    assert.equal(3, #buffer)
    finish(p, keep)
  end)
end)

describe("close", function()
  it("gives pending buffers back", function()
    local p, r, _, keep = pipe_rig()
    local buffers = {}
    for i = 1, 5 do
      buffers[i] = proa.buffer(i)
      p:push("read", r, buffers[i])
    end
    p:poll(0)
    finish(p, keep)
    for i = 1, 5 do assert.equal(i, #buffers[i]) end
    assert.match("fd is closed", helper.error_of(r.fileno, r))
  end)

  it("closes what results carry that nobody popped", function()
    local p = proa.proactor.new()
    p:push("open", "/dev/null")
    p:push("open", "/dev/null")
    p:poll(1)
    p:close() -- the helper looks at the descriptors
  end)
end)
