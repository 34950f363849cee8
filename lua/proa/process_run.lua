--- proa.process.run: a child from its start to its end, and what it wrote.
-- One task feeds it, one empties each of its pipes, so that neither side waits
-- for a full pipe for ever. Who still holds the pipes when it has ended (a
-- grandchild) is given the grace, and then left.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local misuse = require "proa.misuse"

local run = {}

local GRACE = 5
local SCRIPT = 60 -- bytes of one in a message
local MAX = 64 * 1024 * 1024 -- bytes of each pipe

run.known = { input = true, max = true, timeout = true }

--- On one line, with nothing in it that a terminal obeys.
function run.escaped(text)
  return (text:gsub("%c", function(c) return ("\\x%02x"):format(c:byte()) end))
end

--- What was to be run, for a message: of a long script its begin.
function run.what(options)
  if not options.shell then return run.escaped(tostring(options[1])) end
  local script = options.shell:match "^%s*(.-)%s*$"
  if #script > SCRIPT then
    script = script:sub(1, (utf8.offset(script, 0, SCRIPT + 1)) - 1) .. "..."
  end
  return run.escaped(script)
end

local function check(options)
  local input, max, timeout = options.input, options.max, options.timeout
  if input ~= nil and type(input) ~= "string" then
    misuse("run: input: a string expected, got %s", type(input))
  end
  if input and options.stdin ~= nil then
    misuse("run: input or stdin, not both")
  end
  if max ~= nil and (math.type(max) ~= "integer" or max < 0) then
    misuse("run: max: a number of bytes expected, got %s", tostring(max))
  end
  if timeout ~= nil and type(timeout) ~= "number" then
    misuse("run: timeout: a number of seconds expected, got %s", type(timeout))
  end
end

--- What spawn takes of it.
local function spawn_options(options)
  local out = {}
  for key, value in pairs(options) do
    if not run.known[key] then out[key] = value end
  end
  if options.input then out.stdin = "pipe" end
  if out.stdout == nil then out.stdout = "pipe" end
  if out.stderr == nil then out.stderr = "pipe" end
  return out
end

--- All of the input; a child that does not want all of it is not at fault.
local function feed(stream, input, into)
  local _ <close> = stream
  local ok, message, code = stream:write(input)
  if ok then ok, message, code = stream:flush() end
  if not ok and code ~= "EPIPE" then into.message, into.code = message, code end
end

--- Until its end; what is above max is not kept. Into `into`, so that what
-- came is there however this ends.
local function empty(stream, into, max)
  local _ <close> = stream
  while true do
    local data, message, code = stream:read_some()
    if not data then
      into.message, into.code = message, code
      return
    end
    into.bytes = into.bytes + #data
    if into.bytes > max then
      into.over = true
      return
    end
    into[#into + 1] = data
  end
end

local tasks_end = {
  __close = function(self)
    for _, task in ipairs(self) do task:cancel() end
  end,
}

local function collected(into) return into and table.concat(into) end

local function fill(call, result)
  result.stdout = collected(call.out)
  result.stderr = collected(call.err)
  return result
end

--- Its pipes were left open by the one, or by others that have them too.
local function wait_readers(call, grace)
  local until_then = core.now() + grace
  for _, task in ipairs(call.readers) do
    local left = math.max(until_then - core.now(), 0)
    local _, _, code = task:await(left)
    if code == "TIMEOUT" then return true end
  end
  return false
end

--- Why what it wrote is not all here, or what it was to read not all there:
-- message and code, or nothing.
local function missing(call, max)
  for _, into in ipairs { call.fed, call.out or false, call.err or false } do
    if into and into.over then
      return ("more than %d bytes of %s"):format(max, into.name), "LIMIT"
    end
    if into and into.message then
      return into.name .. ": " .. into.message, into.code
    end
  end
end

--- The end of the child, or that not all it writes will be here.
local function wait_end(p, call, max)
  local list = { p, table.unpack(call.readers) }
  while true do
    local i, result, message, code = core.choose(list)
    if i == 1 then return result, message, code end
    if missing(call, max) then return nil end
    table.remove(list, i)
  end
end

local function follow(p, options, call)
  local tasks <close> = setmetatable({}, tasks_end)
  local max = options.max or MAX
  if options.input then
    tasks[1] = core.spawn(feed, p.stdin, options.input, call.fed)
  end
  for _, into in ipairs { call.out or false, call.err or false } do
    if into then
      local task = core.spawn(empty, p[into.name], into, max)
      tasks[#tasks + 1], call.readers[#call.readers + 1] = task, task
    end
  end
  local result, message, code = wait_end(p, call, max)
  local held = result and wait_readers(call, options.grace or GRACE)
  local why, why_code = missing(call, max)
  if why then return nil, why, why_code end
  if result and held then result.held = true end
  return result, message, code
end

local function sink(p, name) return p[name] and { name = name, bytes = 0 } end

function run.run(options, spawn)
  check(options)
  local p, pumps, code = spawn(spawn_options(options), "run")
  if not p then return nil, pumps, code end
  local _ <close> = p
  local call = { out = sink(p, "stdout"), err = sink(p, "stderr"),
    fed = { name = "stdin" }, readers = pumps }
  local result, message
  if options.timeout then
    result, message, code = core.timeout(options.timeout, follow, p, options,
      call)
  else
    result, message, code = follow(p, options, call)
  end
  if result then return fill(call, result) end
  return nil, ("run %s: %s"):format(run.what(options), message), code, fill(call, {})
end

return run
