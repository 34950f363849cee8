--- generator_spec: coroutines of the script over sockets, with hooks, and with
-- tools that wrap the coroutine library.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main

--- Three levels: chunks of bytes, lines of them, records of those.
local function chunks(conn)
  return coroutine.wrap(function()
    for chunk in conn:chunks(7) do coroutine.yield(chunk) end
  end)
end

local function lines(conn)
  return coroutine.wrap(function()
    local rest = ""
    for chunk in chunks(conn) do
      rest = rest .. chunk
      local at = 1
      for line, after in rest:gmatch "([^\n]*)\n()" do
        coroutine.yield(line)
        at = after
      end
      rest = rest:sub(at)
    end
  end)
end

local function records(conn)
  return coroutine.wrap(function()
    for line in lines(conn) do
      local key, value = line:match "^(%w+)=(%w+)$"
      if not key then error("no record: " .. line, 0) end
      coroutine.yield(key, value)
    end
    return nil
  end)
end

local function writes_slowly(conn, text)
  for i = 1, #text, 5 do
    conn:write(text:sub(i, i + 4))
    proa.sleep(0)
  end
  conn:close()
end

helper.over_each("three generators, one in the other,", function(pair)
  local on = helper.it_on(pair)

  on("yield what they parse from a stream", function(a, b)
    local writer = proa.spawn(writes_slowly, a, "one=1\ntwo=2\nthree=3\n")
    local got = {}
    for key, value in records(b) do got[#got + 1] = key .. value end
    assert.same({ "one1", "two2", "three3" }, got)
    writer:await()
  end)

  on("pass an error outward, level by level", function(a, b)
    local writer = proa.spawn(writes_slowly, a, "one=1\nbroken\n")
    local next_record = records(b)
    assert.same({ "one", "1" }, { next_record() })
    assert.equal("no record: broken", helper.error_of(next_record))
    assert.match("cannot resume dead coroutine", helper.error_of(next_record))
    writer:await()
  end)

  on("are unwound by a timeout, and go on after it", function(a, b)
    local next_record = records(b)
    a:write "one=1\ntwo"
    assert.same({ "one", "1" }, { next_record() })
    -- the cancellation unwinds the generators: what they held is gone with
    -- them, what they had not read is not
    assert.equal("TIMEOUT", select(3, proa.timeout(0.005, next_record)))
    assert.match("cannot resume dead coroutine", helper.error_of(next_record))
    a:write "\nthree=3\n"
    assert.equal("", b:read "l")
    assert.same({ "three", "3" }, { records(b)() })
  end)
end)

describe("in a task", function()
  it("status, running and isyieldable tell what they tell elsewhere", function()
    local co, inner
    local gate = proa.future()
    co = coroutine.create(function()
      inner = coroutine.create(function()
        assert.equal("normal", coroutine.status(co))
        assert.equal("running", coroutine.status(inner))
        assert.same({ inner, false }, { coroutine.running() })
        assert.is_true(coroutine.isyieldable())
        gate:await()
        assert.equal("normal", coroutine.status(co))
        return "done"
      end)
      return select(2, coroutine.resume(inner))
    end)
    local owner = proa.spawn(coroutine.resume, co)
    helper.turns()
    assert.equal("suspended", coroutine.status(inner))
    gate:set()
    assert.same({ true, "done" }, { owner:await() })
    assert.equal("dead", coroutine.status(co))
    assert.is_false(select(2, coroutine.running()))
  end)

  it("a hook sees a coroutine's lines before and after its awaits", function()
    local seen, first = {}, debug.getinfo(1, "l").currentline
    local co = coroutine.create(function()
      local x = 1
      proa.sleep(0)
      return x
    end)
    debug.sethook(co, function(_, line) seen[line - first] = true end, "l")
    assert.same({ true, 1 }, { coroutine.resume(co) })
    assert.same({ [2] = true, [3] = true, [4] = true }, seen)
  end)

  it("a traceback of a coroutine that awaits is its own", function()
    local co = coroutine.create(function() proa.sleep(3600) end)
    local owner = proa.spawn(coroutine.resume, co)
    helper.turns()
    assert.match("generator_spec.lua:%d+: in function", debug.traceback(co))
    owner:cancel()
    owner:await()
  end)

  it("a generator that is closed runs its <close> variables", function()
    local closed
    local co = coroutine.create(function()
      local _ <close> = setmetatable({}, {
        __close = function() closed = true end,
      })
      proa.sleep(0)
      coroutine.yield(1)
    end)
    assert.same({ true, 1 }, { coroutine.resume(co) })
    assert.is_true(coroutine.close(co))
    assert.is_true(closed)
    assert.equal("dead", coroutine.status(co))
  end)
end)

-- What coverage tools do: each coroutine gets the hook when it is made.
local WRAPPERS = [==[
local count = {}
local here = debug.getinfo(1, "S").source
local function hook(_, line)
  if debug.getinfo(2, "S").source ~= here then return end
  count[line] = (count[line] or 0) + 1
end
local create = coroutine.create
local function cover()
  debug.sethook(hook, "l")
  function coroutine.create(fn)
    local co = create(fn)
    debug.sethook(co, hook, "l")
    return co
  end
  function coroutine.wrap(fn)
    local co = coroutine.create(fn)
    return function(...)
      local results = table.pack(coroutine.resume(co, ...))
      if not results[1] then error(results[2], 0) end
      return table.unpack(results, 2, results.n)
    end
  end
end
local early = os.getenv "EARLY"
if early then cover() end
local proa = require "proa"
if not early then cover() end
local line = debug.getinfo(1, "l").currentline
local function generate()
  for i = 1, 3 do
    proa.sleep(0)
    coroutine.yield(i)
  end
end
local function consume(...)
  local sum = ...
  for i in coroutine.wrap(generate) do sum = sum + i end
  return sum
end
print(proa.run(function()
  local a, b = proa.spawn(consume, 0), proa.spawn(function()
    return consume(0)
  end)
  print(pcall(coroutine.wrap(function() proa.sleep(0) error("x", 0) end)))
  return a:await() + b:await()
end))
debug.sethook()
local counts = {}
for i = 3, 10 do counts[#counts + 1] = count[line + i] or "-" end
print(table.concat(counts, " "))
]==]

describe("a tool that wraps the coroutine library", function()
  for _, when in ipairs { "before", "after" } do
    it_main("works when it is there " .. when .. " proa", function()
      local output, status = helper.lua(WRAPPERS,
        { env = when == "before" and "EARLY=1" or "" })
      assert.equal(0, status, output)
      -- in the tasks' own coroutines, and in those of the script
      assert.equal("false\tx\n12\n6 6 - 3 - 2 8 2\n", output)
    end)
  end
end)
