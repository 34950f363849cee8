--- select, all, any, race, interval: several awaitables at once.
-- Entries are tasks, futures, listeners or functions; functions become tasks
-- that belong to the call: what it started and nobody needs any more is
-- cancelled before it returns, what it was given is only no longer waited
-- for. Built on core.choose and core.watch, which take nothing from what they
-- do not choose.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"

local combine = {}

--- The tasks that a call started; ended by finish.
local function starter()
  local started = {}
  return started, function(entry)
    if type(entry) ~= "function" then return entry end
    local task = core.spawn(entry)
    started[#started + 1] = task
    return task
  end
end

--- Cancel what is left and wait for it, so that nothing outlives the call.
local function finish(started)
  for _, task in ipairs(started) do task:cancel() end
  core.shield(function()
    for _, task in ipairs(started) do pcall(task.await, task) end
  end)
end

--- Calls body with a function that starts entries; ends what it started
-- however body ends, also by cancellation.
local function with_started(body)
  local started, start = starter()
  local results = table.pack(pcall(body, start))
  if #started > 0 then finish(started) end
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

-- A failure, by the convention of all and any: raised, or nil and a message.
local function failed(results)
  return results[1] == nil and type(results[2]) == "string"
end

local turn = 0

--- Rotate so that no entry is always looked at first.
local function rotated(names)
  turn = turn + 1
  local n, out = #names, {}
  for i = 1, n do out[i] = names[(i + turn) % n + 1] end
  return out
end

local function sorted_names(entries)
  local names = {}
  for name in pairs(entries) do
    if name ~= "timeout" then names[#names + 1] = name end
  end
  table.sort(names, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  return names
end

--- Raises for what is no table of entries; what a userdata is, the core sees.
local function check_entries(who, entries, each)
  if type(entries) ~= "table" then
    error(("%s: a table expected, got %s"):format(who, type(entries)), 3)
  end
  for name, entry in each(entries) do
    local kind = type(entry)
    if kind ~= "function" and kind ~= "userdata" and name ~= "timeout" then
      error(("%s: cannot wait for a %s: a task, a future, a listener or a "
        .. "function expected"):format(who, kind), 3)
    end
  end
end

local function named(names, index, ...)
  if not index then return "timeout" end
  return names[index], ...
end

--- Wait for the first of several.
---@param entries table name -> future|task|listener|function; timeout: seconds
---@return any name, any ... the entry's results; "timeout" alone when the
---  time was up
function combine.select(entries)
  check_entries("select", entries, pairs)
  local names = rotated(sorted_names(entries))
  if #names == 0 then
    if not entries.timeout then error("select: nothing to wait for", 2) end
    core.sleep(entries.timeout)
    return "timeout"
  end
  return with_started(function(start)
    local list = {}
    for i, name in ipairs(names) do list[i] = start(entries[name]) end
    return named(names, core.choose(list, entries.timeout))
  end)
end

local function started_list(list, start)
  local out = {}
  for i, entry in ipairs(list) do out[i] = start(entry) end
  return out
end

--- Of the next entry that ends: its index, its results packed or nil, and
-- then what it raised.
local function next_of(watch)
  local results = table.pack(watch:next())
  local i, ok = results[1], results[2]
  if not ok then return i, nil, results[3] end
  return i, table.pack(table.unpack(results, 3, results.n))
end

--- Wait for all. An entry fails when it raises or returns nil and a message.
---@param list table futures, tasks or functions; collect = true: go on
---  after failures
---@return table|nil results the first value of each; nil, message, code,
---  index for the first failure; with collect: results, errors by index
function combine.all(list)
  check_entries("all", list, ipairs)
  return with_started(function(start)
    local entries, out, errors = started_list(list, start), {}, {}
    local watch <close> = core.watch(entries)
    for _ = 1, #entries do
      local i, results, raised = next_of(watch)
      if not results and not list.collect then error(raised, 0) end
      if results and not failed(results) then
        out[i] = results[1]
      elseif list.collect then
        errors[i] = results and results[2] or raised
      else
        return nil, results[2], results[3], i
      end
    end
    if list.collect then return out, errors end
    return out
  end)
end

--- Wait for the first success.
---@param list table futures, tasks or functions
---@return any ... its results; nil, message, code, index of the last failure
---  when all have failed
function combine.any(list)
  check_entries("any", list, ipairs)
  if #list == 0 then error("any: nothing to wait for", 2) end
  return with_started(function(start)
    local entries, last = started_list(list, start), nil
    local watch <close> = core.watch(entries)
    for _ = 1, #entries do
      local i, results, raised = next_of(watch)
      if results and not failed(results) then
        return table.unpack(results, 1, results.n)
      end
      last = results and { results[2], results[3], i }
        or { tostring(raised), nil, i }
    end
    return nil, last[1], last[2], last[3]
  end)
end

--- Wait for the first end, success or not; an error is raised.
---@param list table futures, tasks or functions
---@return any ... its results
function combine.race(list)
  check_entries("race", list, ipairs)
  if #list == 0 then error("race: nothing to wait for", 2) end
  return with_started(function(start)
    local waiting = started_list(list, start)
    return select(2, core.choose(waiting))
  end)
end

--- Iterate in step with the clock: the first round after `seconds`, then
-- each `seconds` after the one before was due; rounds that were missed are
-- skipped, not made up for.
---@param seconds number
---@return fun(): integer count of periods that have passed
function combine.interval(seconds)
  if not (type(seconds) == "number" and seconds > 0) then
    error("interval: a number of seconds above 0 expected", 2)
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
