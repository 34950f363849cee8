--- require_spec: modules that await at top level, and stock behaviour besides.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main

-- Prints what require does; run with the stock one and with proa's.
local PROBE = [==[
local out = {}
local function show(...)
  local t = table.pack(...)
  for i = 1, t.n do t[i] = tostring(t[i]):gsub("0x%x+", "?") end
  out[#out + 1] = table.concat(t, " | ")
end
local dir = os.getenv "DIR"
local function module(name, text)
  local file = assert(io.open(dir .. "/" .. name .. ".lua", "w"))
  file:write(text)
  file:close()
end
module("m_table", "return { ... }")
module("m_nil", "local x = 1")
module("m_false", "return false")
module("m_two", "return 1, 2")
module("m_sets", "package.loaded[...] = 'set'")
module("m_sets_both", "package.loaded[...] = 'set' return 'returned'")
module("m_fails", "error 'failed'")
module("m_throws", "error({})")
module("m_syntax", "x =")
module("m_loop", "return require 'm_loop'")
module("m_ring_a", "return require 'm_ring_b'")
module("m_ring_b", "return require 'm_ring_a'")
module("m_breaks_ring", "package.loaded[...] = 'early' return { require(...) }")
module("m_traceback", "error(debug.traceback('here'), 0)")
package.path = dir .. "/?.lua"
package.cpath = ""
local function probe()
  for _, name in ipairs { "m_table", "m_nil", "m_false", "m_two", "m_sets",
    "m_sets_both", "m_fails", "m_throws", "m_syntax", "m_breaks_ring",
    "m_nowhere" } do
    show(name, pcall(require, name))
    show("again", pcall(require, name))
    show("loaded", package.loaded[name])
  end
  show(require("m_table")[1], require("m_table")[2], select("#", require "m_table"))
  for _, name in ipairs { "m_loop", "m_ring_a" } do
    local ok, message = pcall(require, name)
    show(ok, message:match "overflow" or message)
  end
  show(pcall(require))
  show(pcall(require, {}))
  show(pcall(require, 42))
  show(select(2, pcall(function() require "m_nowhere" end)))
  package.preload.p_one = function(...) return { ... } end
  show(require "p_one")
  show(table.unpack(require "p_one"))
  package.preload.p_shim = function(...)
    package.preload.p_shim = function(...) return "real" end
    return "shimmed " .. require(...)
  end
  show(require "p_shim")
  table.insert(package.searchers, 1, function(name)
    if name == "s_text" then return "\n\tmy text" end
    if name == "s_number" then return 12 end
    if name == "s_data" then return function(...) return ... end, { 1 } end
    if name == "s_none" then return nil end
    if name == "s_raises" then error "in the searcher" end
  end)
  for _, name in ipairs { "s_text", "s_number", "s_data", "s_none",
    "s_raises" } do
    show(name, pcall(require, name))
  end
  show(pcall(coroutine.wrap(function() return require "m_two" end)))
  local traced = select(2, pcall(require, "m_traceback"))
  show((traced:match "here\nstack traceback:\n(.-in function 'require')"
    or traced):gsub("%S*m_traceback", "m_traceback"))
  local searchers = package.searchers
  package.searchers = nil
  show(pcall(require, "m_unheard_of"))
  package.searchers = searchers
end
local mode = os.getenv "MODE"
package.path, package.cpath = os.getenv "PATHS", os.getenv "CPATHS"
local proa = mode and require "proa"
package.path = dir .. "/?.lua"
package.cpath = ""
if mode == "unpatched" then proa.setup { patch_coroutines = false } end
if mode == "task" then proa.run(probe) else probe() end
print(table.concat(out, "\n"))
]==]

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

describe("require", function()
  it_main("is as the stock one in the main chunk and in a task", function()
    helper.temp_file("here", "")
    local env = ("DIR=%s PATHS=%s CPATHS=%s "):format(quote(helper.temp ""),
      quote(package.path), quote(package.cpath))
    local stock, status = helper.lua(PROBE, { env = env })
    assert.equal(0, status, stock)
    assert.match("module 'm_nowhere' not found:\n\tno field package.preload",
      stock)
    assert.match("m_traceback.lua:1: in main chunk", stock)
    for _, mode in ipairs { "main", "unpatched", "task" } do
      local output = helper.lua(PROBE, { env = env .. "MODE=" .. mode })
      assert.equal(stock, output, mode)
    end
  end)

  it_main("is the stock one with patch_coroutines = false", function()
    assert.equal("true\tfalse\n", helper.lua [[
      local stock = require
      local proa = require "proa"
      local own = require
      proa.setup { patch_coroutines = false }
      print(require == stock, own == stock)
    ]])
    local output = helper.lua [[
      local proa = require "proa"
      proa.setup { patch_coroutines = false }
      package.preload.awaits = function() proa.sleep(0) end
      print(proa.run(function() return pcall(require, "awaits") end))
    ]]
    assert.match("cannot await here: inside the C function 'require'", output)
  end)

  it_main("is left alone when it is not the stock one", function()
    assert.equal("true\n", helper.lua [[
      local stock = require
      function require(...) return stock(...) end
      local mine = require
      require "proa"
      print(require == mine)
    ]])
  end)
end)

--- Modules for one test, in package.preload.
local function preloaded(modules)
  for name, fn in pairs(modules) do package.preload[name] = fn end
  return setmetatable({}, { __close = function()
    for name in pairs(modules) do
      package.preload[name], package.loaded[name] = nil, nil
    end
  end })
end

local function awaits()
  local _ <close> = preloaded { ["spec.awaits"] = function(...)
    proa.sleep(0.001)
    return { ... }
  end }
  local module, data = require "spec.awaits"
  assert.same({ "spec.awaits", ":preload:" }, module)
  assert.equal(":preload:", data)
  assert.equal(module, require "spec.awaits")
end

describe("a module that awaits at top level", function()
  it("is loaded in a task", awaits)
  it_main("is loaded in the main chunk", awaits)

  it("is loaded from a file, and may require another", function()
    helper.temp_file("spec_inner.lua", [[
      require "proa".sleep(0.001)
      return "inner"
    ]])
    helper.temp_file("spec_outer.lua", [[
      local proa = require "proa"
      local inner = require "spec_inner"
      proa.sleep(0)
      return inner .. " of outer"
    ]])
    local path = package.path
    local _ <close> = proa.defer(function()
      package.path = path
      package.loaded.spec_inner, package.loaded.spec_outer = nil, nil
    end)
    package.path = helper.temp "?.lua" .. ";" .. path
    local module, file = require "spec_outer"
    assert.equal("inner of outer", module)
    assert.equal(helper.temp "spec_outer.lua", file)
  end)

  it("may be found by a searcher that awaits", function()
    local function searcher(name)
      proa.sleep(0)
      if name == "spec.found" then return function() return "found" end end
      return "no luck with " .. name
    end
    table.insert(package.searchers, 1, searcher)
    local _ <close> = proa.defer(function()
      table.remove(package.searchers, 1)
      package.loaded["spec.found"] = nil
    end)
    assert.equal("found", require "spec.found")
    assert.match("^module 'spec.lost' not found:\n\tno luck with spec.lost\n\tno",
      select(2, pcall(require, "spec.lost")):gsub("^.-module", "module"))
  end)

  it("is loaded once for all tasks that require it meanwhile", function()
    local loads = 0
    local _ <close> = preloaded { ["spec.once"] = function()
      loads = loads + 1
      proa.sleep(0.001)
      return { loads }
    end }
    local got = {}
    proa.scope(function(s)
      for i = 1, 5 do
        s:spawn(function()
          got[i] = require "spec.once"
        end)
      end
    end)
    assert.equal(1, loads)
    for i = 1, 5 do assert.equal(got[1], got[i]) end
  end)

  it("is waited for by who tells what it waits for", function()
    local gate = proa.future()
    local _ <close> = preloaded { ["spec.slow"] = function() gate:await() end }
    local first = proa.spawn(require, "spec.slow"):name "loader"
    local second = proa.spawn(require, "spec.slow")
    helper.turns()
    assert.same({ "waiting", "require" }, { second:status() })
    local record
    for _, r in ipairs(proa.tasks()) do
      if r.id == second:id() then record = r end
    end
    assert.equal("module 'spec.slow'", record.on)
    gate:set()
    assert.is_true(first:await() and second:await())
  end)

  it("is loaded by the next when its loader failed or was cancelled", function()
    local loads, gate = 0, proa.future()
    local _ <close> = preloaded { ["spec.again"] = function()
      loads = loads + 1
      if loads < 3 then gate:await() end
      if loads == 2 then error("second", 0) end
      return "third"
    end }
    local tasks = {}
    for i = 1, 3 do tasks[i] = proa.spawn(pcall, require, "spec.again") end
    helper.turns()
    assert.equal(1, loads)
    tasks[1]:cancel()
    helper.turns()
    assert.equal(2, loads)
    gate:set()
    assert.same({ false, "second" }, { tasks[2]:await() })
    assert.same({ true, "third", ":preload:" }, { tasks[3]:await() })
    tasks[1]:await()
    assert.equal("third", require "spec.again")
  end)

  it("that another task waits for can be given up", function()
    local gate = proa.future()
    local _ <close> = preloaded { ["spec.given"] = function() gate:await() end }
    local first = proa.spawn(require, "spec.given")
    helper.turns()
    assert.equal("TIMEOUT",
      select(3, proa.timeout(0.001, require, "spec.given")))
    gate:set()
    first:await()
  end)

  it("that requires itself is an error in the end", function()
    local _ <close> = preloaded { ["spec.loop"] = function(name)
      proa.yield()
      return require(name)
    end }
    assert.match("loop: module 'spec.loop' requires itself$",
      helper.error_of(require, "spec.loop"))
  end)

  it("that requires itself through another task is an error", function()
    local function requires(name)
      return function()
        proa.yield()
        return require(name)
      end
    end
    local _ <close> = preloaded { ["spec.ring1"] = requires "spec.ring2",
      ["spec.ring2"] = requires "spec.ring1" }
    local a = proa.spawn(pcall, require, "spec.ring1")
    local b = proa.spawn(pcall, require, "spec.ring2")
    local messages = { select(2, a:await()), select(2, b:await()) }
    assert.equal(2, #messages)
    messages = table.concat(messages, "\n")
    assert.match("loop: module 'spec.ring[12]' is being loaded by task #%d+ " ..
      ".-, which waits for module 'spec.ring[12]' to be loaded here", messages)
    assert.match("loop: module 'spec.ring[12]' requires itself", messages)
  end)

  it("does not wait when it was dropped with its coroutine", function()
    local loads = 0
    local _ <close> = preloaded { ["spec.dropped"] = function()
      loads = loads + 1
      if loads == 1 then coroutine.yield() end
      return "loaded"
    end }
    local task = proa.spawn(function()
      coroutine.wrap(function() require "spec.dropped" end)()
    end)
    task:await()
    task = nil
    local waiting = proa.spawn(function() return require "spec.dropped" end)
    helper.turns()
    collectgarbage()
    collectgarbage()
    assert.is_nil(task)
    assert.equal("loaded", waiting:await())
  end)
end)
