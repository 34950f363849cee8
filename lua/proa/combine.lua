--- select, all, any, race, interval: several awaitables at once.
-- Entries are whatever can be waited for (lua_select.h), or functions;
-- functions become tasks that belong to the call (crew.lua). select and race
-- choose once, all and any take one after another.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local crew = require "proa.crew"
local misuse = require "proa.misuse"

local combine = {}

-- -- select --

local state = 1

--- Where to begin among n, so that none is always looked at first. The order
--- is the same in each run of a program.
local function turn(n)
  state = (state * 1103515245 + 12345) & 0x7fffffff
  return (state >> 16) % n
end

--- Append to `to`, beginning anywhere.
local function append_rotated(to, names)
  local n = #names
  local from = n > 1 and turn(n) or 0
  for i = 1, n do to[#to + 1] = names[(i + from - 1) % n + 1] end
end

local function before(a, b)
  if type(a) == type(b) then return a < b end
  return type(a) == "number"
end

local function check_entry(who, entry)
  local kind = type(entry)
  if kind ~= "function" and kind ~= "userdata" then
    misuse("%s: cannot wait for a %s: a task, a future, a listener or a "
      .. "function expected", who, kind)
  end
end

--- The names of the entries in the order in which they are looked at.
-- Functions come first: they begin only when nothing else was ready at once,
-- and one that has ended would lose its results to another that loses nothing.
local function ordered(entries)
  local functions, others, names = {}, {}, {}
  for name, entry in pairs(entries) do
    if type(name) ~= "string" and type(name) ~= "number" then
      misuse("select: names are strings or numbers, got a %s", type(name))
    end
    if name ~= "timeout" then
      check_entry("select", entry)
      local list = type(entry) == "function" and functions or others
      list[#list + 1] = name
    end
  end
  table.sort(functions, before)
  table.sort(others, before)
  append_rotated(names, functions)
  append_rotated(names, others)
  return names, #functions
end

local function named(names, index, ...)
  if not index then return "timeout" end
  return names[index], ...
end

--- The entries of these names, from one on.
local function entries_from(entries, names, first)
  local list = {}
  for i = first, #names do list[i - first + 1] = entries[names[i]] end
  return list
end

--- Choose among the tasks of the first `functions` and what there was already.
local function choose_started(entries, names, functions, limit)
  return crew.with_tasks(function(tasks)
    local list = entries_from(entries, names, 1)
    for i = 1, functions do
      tasks.most = i
      tasks[i] = crew.spawn(list[i])
      list[i] = tasks[i]
    end
    return named(names, core.choose(list, limit))
  end)
end

--- Whether there was one among them, and then select's results.
local function chosen(names, skipped, index, ...)
  if not index then return false end
  return true, names[skipped + index], ...
end

local function go_on(entries, names, functions, limit, found, ...)
  if found then return ... end
  return choose_started(entries, names, functions, limit)
end

--- Wait for the first of several.
---@param entries table name -> entry or function; timeout: seconds
---@return any name, any ... the entry's results; "timeout" alone when the
---  time was up
function combine.select(entries)
  if type(entries) ~= "table" then
    misuse("select: a table expected, got %s", type(entries))
  end
  local limit = entries.timeout
  if limit ~= nil and type(limit) ~= "number" then
    misuse("select: timeout is a number of seconds, not a %s", type(limit))
  end
  local names, functions = ordered(entries)
  if #names == 0 then
    if not limit then misuse "select: nothing to wait for" end
    core.sleep(limit)
    return "timeout"
  end
  local others = entries_from(entries, names, functions + 1)
  if functions == 0 then return named(names, core.choose(others, limit)) end
  return crew.pass(go_on(entries, names, functions, limit,
    chosen(names, functions, core.try_choose(others))))
end

-- -- all, any, race --

local options = { collect = "boolean", limit = "number" }

--- Options among the keys of a list, or in a table of their own.
function combine.check_options(who, given, has_list)
  for key, value in pairs(given) do
    local listed = has_list and math.type(key) == "integer"
    if not listed and not options[key] then
      misuse("%s: unknown option '%s'", who, tostring(key))
    elseif not listed and type(value) ~= options[key] then
      misuse("%s: %s is a %s", who, key, options[key])
    end
  end
  local limit = given.limit
  if limit and (limit < 1 or limit ~= limit) then
    misuse("%s: limit is at least 1", who)
  end
  return limit or math.huge, given.collect
end

local function check_list(who, list)
  if type(list) ~= "table" then
    misuse("%s: a table expected, got %s", who, type(list))
  end
  for _, entry in ipairs(list) do check_entry(who, entry) end
  return combine.check_options(who, list, true)
end

--- A window over a list of entries, its functions bounded.
local function window(members, list, limit)
  local function bounded(i) return type(list[i]) == "function" end
  local function open(i)
    return (bounded(i) and members.start or members.add)(list[i])
  end
  local n = 0
  for i in ipairs(list) do n = i end
  return crew.window(members, n, limit, open, bounded), n
end

--- Take all n that `next_end` gives.
function combine.gather(next_end, n, collect)
  local out, errors = {}, {}
  for _ = 1, n do
    local i, results, raised = next_end()
    if not results and not collect then error(raised, 0) end
    if not crew.failed(results) then
      out[i] = results[1]
    elseif collect then
      errors[i] = results and results[2] or raised
    else
      return nil, results[2], results[3], i
    end
  end
  if collect then return out, errors end
  return out
end

--- Wait for all. An entry fails when it raises or returns nil and a message.
---@param list table entries; limit: so many functions at a time; collect =
---  true: go on after failures
---@return table|nil results the first value of each; nil, message, code,
---  index for the first failure; with collect: results, errors by index
function combine.all(list)
  local limit, collect = check_list("all", list)
  return crew.pass(crew.with(function(members)
    local next_end, n = window(members, list, limit)
    return combine.gather(next_end, n, collect)
  end))
end

--- Wait for the first success.
---@param list table entries, and the options of all
---@return any ... its results; nil, message, code, index of the last failure
---  when all have failed; with collect: results, errors by index
function combine.any(list)
  local limit, collect = check_list("any", list)
  if list[1] == nil then misuse "any: nothing to wait for" end
  return crew.pass(crew.with(function(members)
    local next_end, n = window(members, list, limit)
    local errors, last = {}, nil
    for _ = 1, n do
      local i, results, raised = next_end()
      if not crew.failed(results) then
        if collect then return { [i] = results[1] }, errors end
        return table.unpack(results, 1, results.n)
      end
      errors[i] = results and results[2] or raised
      last = results and { results[2], results[3], i }
        or { tostring(raised), nil, i }
    end
    if collect then return {}, errors end
    return nil, last[1], last[2], last[3]
  end))
end

--- What there was already, and the first `limit` functions as tasks.
local function begin(list, limit, tasks)
  local begun = {}
  for _, entry in ipairs(list) do
    if type(entry) ~= "function" then
      begun[#begun + 1] = entry
    elseif tasks.most < limit then
      tasks.most = tasks.most + 1
      tasks[tasks.most] = crew.spawn(entry)
      begun[#begun + 1] = tasks[tasks.most]
    end
  end
  return begun
end

local function collected(i, results, raised)
  if crew.failed(results) then
    return {}, { [i] = results and results[2] or raised }
  end
  return { [i] = results[1] }, {}
end

--- Wait for the first end, success or not; an error is raised.
---@param list table entries, and the options of all
---@return any ... its results; with collect: results, errors by index
function combine.race(list)
  local limit, collect = check_list("race", list)
  if list[1] == nil then misuse "race: nothing to wait for" end
  if collect then
    return crew.pass(crew.with(function(members)
      return collected(window(members, list, limit)())
    end))
  end
  return crew.pass(crew.with_tasks(function(tasks)
    return select(2, core.choose(begin(list, limit, tasks)))
  end))
end

-- -- interval --

--- Iterate in step with the clock: the first round after `seconds`, then
-- each `seconds` after the one before was due; rounds that were missed are
-- skipped, not made up for.
---@param seconds number
---@return fun(): integer count of periods that have passed
function combine.interval(seconds)
  if not (type(seconds) == "number" and seconds > 0) then
    misuse "interval: a number of seconds above 0 expected"
  end
  local start, count = core.now(), 0
  return function()
    local now = core.now()
    count = math.max(count + 1, math.floor((now - start) / seconds))
    core.sleep(start + count * seconds - now)
    return count
  end
end

return combine
