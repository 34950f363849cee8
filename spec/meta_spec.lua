--- meta_spec.lua: what is public is annotated, and nothing else is.
-- Reads lua/proa/meta/ as text, follows `---@class NAME` and `local x = {}` to
-- know whose functions are declared, and compares with what proa has: the
-- module and its tables, and the methods of every class of object.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local helper = require "spec.helper"
local lfs = require "lfs"
local proa = require "proa"

local DIR = "lua/proa/meta/"

--- Annotations of one function: the comment lines above it.
local function declaration(text, params)
  local documented = {}
  for name in text:gmatch "%-%-%-@param ([%w_%.]+)" do
    documented[name] = true
  end
  return { params = params, documented = documented, text = text }
end

--- "class.function" -> declaration, of all files.
local function read_declarations()
  local found, classes = {}, {}
  local function read(path)
    local comment, names, class = "", {}, nil
    for line in helper.read_file(path):gmatch "[^\n]*" do
      class = line:match "^%-%-%-@class ([%w_%.]+)" or class
      local variable = line:match "^local ([%w_]+) = {}$"
      if variable then
        names[variable], classes[class] = class, true
      end
      local owner, name, params = line:match "^function ([%w_]+)[.:]([%w_]+)%((.-)%) end$"
      if owner then
        local key = names[owner] .. "." .. name
        assert(not found[key], key .. " is declared twice")
        found[key] = declaration(comment, params)
      end
      comment = line:match "^%-%-" and comment .. line .. "\n" or ""
    end
  end
  for name in lfs.dir(DIR) do
    if name:match "%.lua$" then read(DIR .. name) end
  end
  return found, classes
end

--- The methods of a kind of object; its metatable is locked. Of a kind with
-- fields, __index is a function that has them as its second upvalue.
local function methods(object)
  local index = debug.getmetatable(object).__index
  if type(index) == "table" then return index end
  local _, found = debug.getupvalue(index, 2)
  return type(found) == "table" and found or core.process_methods
end

--- What a class has that is not just what it inherits.
local function not_of(inherited, own)
  local rest = {}
  for name, fn in pairs(own) do
    if inherited[name] ~= fn then rest[name] = fn end
  end
  return rest
end

--- "class.function" -> true, of what there is. `kinds`: class -> table.
local function existing()
  local found = {}
  local function add(class, functions)
    for name, value in pairs(functions) do
      if type(value) == "function" then found[class .. "." .. name] = true end
    end
  end
  for class, functions in pairs { proa = proa, ["proa.net"] = proa.net,
    ["proa.op"] = proa.op, ["proa.fd_module"] = proa.fd,
    ["proa.proactor_module"] = proa.proactor, ["proa.signal"] = proa.signal,
    ["proa.sync"] = proa.sync,
    ["proa.process_module"] = proa.process, ["proa.fs"] = proa.fs,
    ["proa.testing_module"] = proa.testing,
    ["proa.socket"] = proa.socket, ["proa.socket.dns"] = proa.socket.dns,
    ["proa.socket.tcp"] = getmetatable(proa.socket.tcp()).__index,
    ["proa.socket.udp"] = getmetatable(proa.socket.udp()).__index,
    ["proa.testing"] = proa.testing.run(function(sim)
      return getmetatable(sim).__index
    end) } do
    add(class, functions)
  end
  local a, b = proa.net.pair()
  local from, to = proa.fd.pipe()
  local objects = { stream = a, listener = proa.net.listen "127.0.0.1:0",
    task = proa.spawn(function() end), future = proa.future(),
    buffer = proa.buffer(1), fd = from, proactor = proa.proactor.new(),
    datagram = proa.net.udp(), process = proa.process.spawn { "true" },
    signals = proa.signal.each "USR1",
    scope = proa.scope(), timeout = proa.timeout(1),
    task_local = proa.task_local(), watchdog_handle = proa.watchdog(60),
    trace_handle = proa.trace "/dev/null" }
  objects.file = proa.fs.open "/dev/null"
  objects.watch = proa.fs.watch "."
  local terminal <close> = core.pipe_stream(proa.op.open("/dev/ptmx", "r+")
    :await())
  objects.raw = terminal:raw()
  objects.channel, objects.broadcast = proa.channel(), proa.broadcast(1)
  objects.subscription = objects.broadcast:subscribe()
  for name, make in pairs(proa.sync) do objects[name] = make(1) end
  objects.guard = objects.mutex:lock()
  for class, object in pairs(objects) do
    local own = methods(object)
    if class == "file" then own = not_of(core.stream_methods, own) end
    add("proa." .. class, own)
    if methods(object).close then object:close() end
  end
  b:close()
  to:close()
  return found
end

local function missing(here, there)
  local names = {}
  for name in pairs(here) do
    if not there[name] then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

describe("the annotations", function()
  local declared, classes = read_declarations()

  helper.it("have all that is public", function()
    assert.same({}, missing(existing(), declared))
  end)

  helper.it("have nothing that is not there", function()
    assert.same({}, missing(declared, existing()))
  end)

  helper.it("know every table of the module", function()
    for name, value in pairs(proa) do
      assert.is_true(type(value) == "function" or classes["proa." .. name] or
        classes["proa." .. name .. "_module"], "proa." .. name)
    end
  end)

  for name, d in pairs(declared) do
    it("of " .. name .. " name its parameters, and what it does", function()
      for param in d.params:gmatch "[%w_%.]+" do
        assert.is_true(d.documented[param], "no ---@param " .. param)
      end
      for param in pairs(d.documented) do
        assert.is_truthy((", " .. d.params .. ","):find(", " .. param .. ",", 1,
          true), "there is no parameter " .. param)
      end
      assert.matches("%-%-%-", d.text)
    end)
  end

  it("are Lua", function()
    for name in lfs.dir(DIR) do
      if name:match "%.lua$" then assert(loadfile(DIR .. name)) end
    end
  end)
end)
