--- coroutine_spec: the script's own coroutines inside tasks, and the places
-- where nothing may await.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main

-- Prints what the stock functions do; run with and without proa.
local PROBE = [==[
local out = {}
local function show(...)
  local t = table.pack(...)
  for i = 1, t.n do
    t[i] = tostring(t[i]):gsub("0x%x+", "?"):gsub("task #%d+", "task")
  end
  out[#out + 1] = table.concat(t, " | ")
end
local function probe()
  local co = coroutine.create(function(...)
    show("args", ...)
    show("resumed", coroutine.yield(1, nil, 3))
    return "end", nil
  end)
  show(coroutine.status(co), coroutine.resume(co, "a", nil))
  show(coroutine.status(co), coroutine.resume(co, "b"))
  show(coroutine.status(co), coroutine.resume(co))
  show(coroutine.resume(coroutine.running()))
  show(pcall(coroutine.resume, 1))
  show(pcall(coroutine.wrap, 1))
  show(pcall(coroutine.close, 1))
  show(select(2, pcall(coroutine.status)))
  local outer
  outer = coroutine.create(function()
    local inner = coroutine.create(function()
      return coroutine.status(outer), coroutine.resume(outer)
    end)
    return coroutine.resume(inner)
  end)
  show(coroutine.resume(outer))
  local failing = coroutine.create(function() error "msg" end)
  show(coroutine.resume(failing))
  show(coroutine.status(failing), coroutine.close(failing))
  local thrown = setmetatable({}, { __tostring = function() return "T" end })
  show(coroutine.resume(coroutine.create(error), thrown))
  local gen = coroutine.wrap(function()
    for i = 1, 2 do coroutine.yield(i) end
  end)
  show(gen(), gen(), gen())
  show(pcall(gen))
  show(pcall(coroutine.wrap(function() error "in wrap" end)))
  show(pcall(coroutine.wrap(function() error("bare", 0) end)))
  show(pcall(coroutine.wrap(error), thrown))
  show(pcall(coroutine.wrap(function()
    local _ <close> = setmetatable({}, { __close = function(_, e)
      show("closing", e)
      error("close error", 0)
    end })
    error("first", 0)
  end)))
  local closing = coroutine.create(function()
    local _ <close> = setmetatable({}, { __close = function(_, e)
      show("closed with", e)
    end })
    coroutine.yield()
  end)
  coroutine.resume(closing)
  show(coroutine.close(closing), coroutine.status(closing))
  local bad = coroutine.create(function()
    local _ <close> = setmetatable({}, { __close = function()
      error("cannot close", 0)
    end })
    coroutine.yield()
  end)
  coroutine.resume(bad)
  show(coroutine.close(bad))
  show(coroutine.close(bad))
  show(coroutine.close(coroutine.create(print)))
  show(pcall(coroutine.close, coroutine.running()))
  show("inner", coroutine.wrap(function()
    return coroutine.isyieldable(), select(2, coroutine.running())
  end)())
  show(pcall(coroutine.wrap(function()
    return pcall(function() return coroutine.yield(5) end)
  end)))
  show(pcall(coroutine.wrap(function() return table.unpack({}, 1, 200) end)))
  show(pcall(table.sort, { 3, 2, 1 }, function() coroutine.yield() end))
end
local mode = os.getenv "MODE"
local proa = mode and require "proa"
if mode == "unpatched" then proa.setup { patch_coroutines = false } end
if mode == "task" then proa.run(probe) else probe() end
print(table.concat(out, "\n"))
]==]

describe("coroutine functions", function()
  it_main("behave as the stock ones in the main chunk and in a task", function()
    local stock, status = helper.lua(PROBE)
    assert.equal(0, status, stock)
    -- in a task even the body is a coroutine; stock would say so as well
    local function same_main(text)
      return text:gsub("\nfalse | [^\n]*outside a coroutine[^\n]*", "")
        :gsub("\nfalse | [^\n]*across a C%-call[^\n]*", "")
    end
    for _, mode in ipairs { "main", "unpatched", "task" } do
      local output = helper.lua(PROBE, { env = "MODE=" .. mode })
      assert.equal(same_main(stock), same_main(output), mode)
    end
  end)

  it_main("fail a task that the stock ones resumed, and say so", function()
    local output, status = helper.lua [[
      local stock = coroutine.resume
      local proa = require "proa"
      proa.run(function()
        local co
        local task = proa.spawn(function()
          co = coroutine.running()
          proa.yield()
          return "its own"
        end)
        proa.yield()
        stock(co)
        print(pcall(task.await, task))
      end)
      print(proa.stats().tasks)]]
    assert.equal(0, status, output)
    assert.equal("false\tthe task's coroutine was resumed by other hands\n0\n",
      output)
  end)

  it_main("are the stock ones with patch_coroutines = false", function()
    assert.equal("true\ttrue\ttrue\n", helper.lua [[
      local resume, wrap, close =
        coroutine.resume, coroutine.wrap, coroutine.close
      require "proa".setup { patch_coroutines = false }
      print(resume == coroutine.resume, wrap == coroutine.wrap,
        close == coroutine.close)
    ]])
  end)
end)

describe("a generator in a task", function()
  it("may await between its values", function()
    local gen = coroutine.wrap(function()
      for i = 1, 3 do
        proa.sleep(0)
        coroutine.yield(i, nil)
      end
      return "end"
    end)
    assert.same({ 1, nil, n = 2 }, table.pack(gen()))
    assert.equal(2, gen())
    assert.equal(3, gen())
    assert.equal("end", gen())
  end)

  it("may be resumed through several coroutines that await", function()
    local function level(n)
      if n == 0 then
        proa.sleep(0)
        return "bottom"
      end
      return coroutine.wrap(function() return level(n - 1) end)()
    end
    assert.equal("bottom", level(10))
  end)

  it("gets its own values and never the runtime's", function()
    local co = coroutine.create(function(a)
      proa.sleep(0)
      local b = coroutine.yield(a + 1)
      proa.sleep(0)
      return a + b
    end)
    assert.same({ true, 2 }, { coroutine.resume(co, 1) })
    assert.equal("suspended", coroutine.status(co))
    assert.same({ true, 11 }, { coroutine.resume(co, 10) })
    assert.equal("dead", coroutine.status(co))
  end)

  it("may pass from one task to another between its values", function()
    local gen = coroutine.wrap(function()
      while true do
        proa.sleep(0)
        coroutine.yield((proa.current()))
      end
    end)
    local a = proa.spawn(function() return gen() == proa.current() end)
    assert.is_true(a:await())
    local b = proa.spawn(function() return gen() == proa.current() end)
    assert.is_true(b:await())
  end)

  it("is refused to other tasks while it awaits, and unharmed", function()
    local gate = proa.future()
    local co = coroutine.create(function()
      gate:await()
      return "whole"
    end)
    local owner = proa.spawn(function() return coroutine.resume(co) end)
    helper.turns()
    local ok, message = coroutine.resume(co)
    assert.is_false(ok)
    assert.match("^cannot resume a coroutine that awaits in task #%d+", message)
    assert.match("cannot close a coroutine that awaits in task #%d+",
      helper.error_of(coroutine.close, co))
    gate:set()
    assert.same({ true, "whole" }, { owner:await() })
  end)

  it("is refused when it is a task's own, however deep that awaits", function()
    local function deep(n)
      if n > 0 then return (deep(n - 1)) end
      proa.sleep(3600)
    end
    for _, depth in ipairs { 0, 1, 2, 30, 1000 } do
      local co
      local owner = proa.spawn(function()
        co = coroutine.running()
        deep(depth)
      end)
      helper.turns()
      local ok, message = coroutine.resume(co)
      assert.is_false(ok)
      assert.match("^cannot resume a coroutine that awaits in task #%d+ ",
        message)
      assert.match("cannot close a coroutine that awaits in task #%d+",
        helper.error_of(coroutine.close, co))
      assert.equal("waiting", owner:status())
      owner:cancel()
      owner:await()
    end
  end)

  it("raises the same through a wrap, with the place", function()
    local gate = proa.future()
    local gen = coroutine.wrap(function() gate:await() end)
    local owner = proa.spawn(gen)
    helper.turns()
    assert.match("coroutine_spec.lua:%d+: cannot resume a coroutine that awaits",
      helper.error_of(function() gen() end))
    gate:set()
    owner:await()
  end)

  it("is unwound by the cancellation of its task", function()
    local closed = false
    local task = proa.spawn(coroutine.wrap(function()
      local _ <close> = setmetatable({}, {
        __close = function() closed = true end,
      })
      proa.sleep(3600)
    end))
    helper.turns()
    task:cancel()
    assert.equal("CANCELLED", select(3, task:await()))
    assert.is_true(closed)
  end)

  it("keeps a timeout that it yields in the middle of", function()
    local gen = coroutine.wrap(function()
      local results = table.pack(proa.timeout(0.01, function()
        coroutine.yield "in the middle"
        proa.sleep(3600)
      end))
      coroutine.yield(results[3])
    end)
    assert.equal("in the middle", gen())
    proa.sleep(0.03) -- the timeout is the generator's, not this task's
    assert.equal("TIMEOUT", gen())
    proa.sleep(0)
  end)

  it("is not reached by a timeout that its consumer has left", function()
    local gen = coroutine.wrap(function()
      for i = 1, 3 do
        proa.sleep(0)
        coroutine.yield(i)
      end
    end)
    assert.equal(1, proa.timeout(0.005, gen))
    proa.sleep(0.01)
    assert.equal(2, gen())
    assert.equal("TIMEOUT", select(3, proa.timeout(0.001, proa.sleep, 3600)))
    assert.equal(3, gen())
  end)

  it("that was dropped in a timeout leaves nothing behind", function()
    do
      local gen = coroutine.wrap(function()
        proa.timeout(3600, coroutine.yield, 1)
      end)
      assert.equal(1, gen())
    end
    collectgarbage() -- the helper looks at the deadlines
  end)
end)

describe("an await inside a metamethod", function()
  it("works where the VM calls it", function()
    local object = setmetatable({}, {
      __index = function(_, key)
        proa.sleep(0)
        return key .. "!"
      end,
      __add = function(_, n)
        proa.sleep(0)
        return n + 1
      end,
      __lt = function()
        proa.sleep(0)
        return true
      end,
    })
    assert.equal("x!", object.x)
    assert.equal(3, object + 2)
    assert.is_true(object < object)
  end)
end)

local places = {
  { "table.sort", "sort", function(await)
    table.sort({ 3, 1, 2 }, function(a, b) await() return a < b end)
  end },
  { "string.gsub", "gsub", function(await) string.gsub("abc", ".", await) end },
  { "__tostring", "tostring", function(await)
    return tostring(setmetatable({}, { __tostring = function()
      await()
      return ""
    end }))
  end },
  { "a coroutine in table.sort", nil, function(await)
    table.sort({ 2, 1 }, function() coroutine.wrap(await)() end)
  end },
}

describe("an await", function()
  for _, place in ipairs(places) do
    it("is refused inside " .. place[1] .. ", and nothing is submitted", function()
      local before = proa.stats().ops_submitted
      local err = helper.error_of(place[3], function() proa.sleep(0) end)
      assert.match("cannot await here: ", err)
      if place[2] then
        assert.match("inside the C function '" .. place[2] .. "'", err)
      end
      local listener <close> = assert(proa.net.listen "127.0.0.1:0")
      err = helper.error_of(place[3], function() listener:accept() end)
      assert.match("cannot await here", err)
      assert.equal(before, proa.stats().ops_submitted)
    end)
  end

  it("is not blamed on a function that could have yielded", function()
    local err = helper.error_of(string.gsub, "abc", ".", function()
      proa.sleep(0)
    end) -- called by pcall, gsub has no name; timeout is further out
    assert.match("cannot await here", err)
    assert.is_nil(err:find("'timeout'", 1, true))
  end)

  it("is not blamed on what lets awaits through", function()
    local function refused(around)
      local err
      table.sort({ 2, 1 }, function()
        around(function() err = select(2, pcall(proa.sleep, 0)) end)
      end)
      return err
    end
    local through = {
      function(fn) xpcall(fn, print) end,
      function(fn) coroutine.wrap(fn)() end,
      function(fn)
        local t = setmetatable({}, { __pairs = function() fn() return next, {} end })
        for _ in pairs(t) do fn() end
      end,
      function(fn)
        package.preload["spec.through"] = fn
        require "spec.through"
        package.preload["spec.through"], package.loaded["spec.through"] = nil, nil
      end,
    }
    for i, around in ipairs(through) do
      assert.match(i == 2 and "was not resumed by its task"
        or "inside the C function 'sort'", refused(around))
    end
    -- ours refuse themselves, for the same reason
    for _, own in ipairs { proa.shield, proa.scope, proa.run } do
      assert.match("cannot await here: inside the C function 'sort'",
        helper.error_of(table.sort, { 2, 1 }, function() own(print) end))
    end
  end)

  it("is refused by name in coroutine.close", function()
    local err
    local co = coroutine.create(function()
      local _ <close> = setmetatable({}, { __close = function()
        err = select(2, pcall(proa.sleep, 0))
      end })
      coroutine.yield()
    end)
    coroutine.resume(co)
    coroutine.close(co)
    assert.match("cannot await here", err)
  end)

  local function in_finaliser()
    local err
    setmetatable({}, { __gc = function()
      err = err or select(2, pcall(proa.sleep, 0))
    end })
    collectgarbage()
    collectgarbage()
    assert.match("cannot await in a finaliser %(__gc%)", err)
  end

  local function in_hook()
    local err
    debug.sethook(function()
      debug.sethook()
      err = select(2, pcall(proa.sleep, 0))
    end, "", 1)
    for _ = 1, 10 do end
    debug.sethook()
    assert.match("cannot await .-a debug hook", err)
  end

  it("is refused in a finaliser", in_finaliser)
  it_main("is refused in a finaliser of the main chunk", in_finaliser)
  it("is refused in a debug hook", in_hook)
  it_main("is refused in a debug hook of the main chunk", in_hook)

  it_main("is refused while the main chunk pumps for another", function()
    local err
    proa.run(function()
      -- the main chunk waits in run: only tasks may await
      local co = coroutine.create(function() proa.sleep(0) return "fine" end)
      local _, result = coroutine.resume(co)
      err = result
    end)
    assert.equal("fine", err)
  end)

  it_main("works in a coroutine of the main chunk's as in the chunk", function()
    local gen = coroutine.wrap(function()
      proa.sleep(0.001)
      coroutine.yield(1)
      return 2
    end)
    assert.equal(1, gen())
    assert.equal(2, gen())
  end)
end)
