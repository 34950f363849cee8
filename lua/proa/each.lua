--- map, each, from_callback: one function for many values, and functions that
-- call back.
-- Calls run as tasks of a crew (crew.lua), at most `limit` at a time; the first
-- that fails ends the others.
-- SPDX-License-Identifier: MIT

local combine = require "proa.combine"
local core = require "proa.core"
local crew = require "proa.crew"
local misuse = require "proa.misuse"

local each = {}

local function callable(value)
  local kind = type(value)
  if kind == "function" then return true end
  local meta = (kind == "table" or kind == "userdata")
    and debug.getmetatable(value)
  return meta and meta.__call ~= nil
end

local function check(who, fn, options)
  if not callable(fn) then
    misuse("%s: a function expected, got %s", who, type(fn))
  end
  if options ~= nil and type(options) ~= "table" then
    misuse("%s: options are a table, not a %s", who, type(options))
  end
  return combine.check_options(who, options or {}, false)
end

local function always() return true end

--- Call fn(value, index) for each value of a list, side by side.
---@param list table
---@param fn function it fails when it raises or returns nil and a message
---@param options table? limit: so many at a time; collect = true: go on
---  after failures
---@return table|nil results as all
function each.map(list, fn, options)
  local limit, collect = check("map", fn, options)
  if type(list) ~= "table" then
    misuse("map: a list expected, got %s", type(list))
  end
  return crew.pass(crew.with(function(members)
    local n = #list
    local function open(i) return members.start(fn, list[i], i) end
    local next_end = crew.window(members, n, limit, open, always)
    return combine.gather(next_end, n, collect)
  end))
end

-- -- each --

--- An iterator over what a list holds, with indices.
local function values_of(list)
  local i = 0
  return function()
    i = i + 1
    if list[i] == nil then return nil end
    return list[i], i
  end
end

--- The task that asks the iterator, whenever there is room for another call,
-- and hands over what it gave.
local function pull(iterator, room, items)
  while true do
    if room then room:acquire() end
    local item = table.pack(iterator())
    if item[1] == nil then break end
    items:send(table.unpack(item, 1, item.n))
  end
  items:close()
end

--- A loop over what ends: items, the calls, the iterator.
local function run_each(members, fn, collect, source, room, items)
  local index, errors, count, running = {}, {}, 0, 0
  local puller = members.start(pull, source, room, items)
  local next_item, ended = members.add(items), false
  while not ended or running > 0 do
    local number, results, raised = members.next()
    if not results and (number == next_item or number == puller) then
      error(raised, 0)
    elseif number == next_item and results[1] == nil then
      ended, next_item = true, nil
    elseif number == next_item then
      count, running = count + 1, running + 1
      index[members.start(fn, table.unpack(results, 1, results.n))] = count
      next_item = members.add(items)
    elseif number == puller then
      puller = nil
    else
      local i = index[number]
      index[number], running = nil, running - 1
      if room then room:release() end
      if crew.failed(results) then
        if not collect and not results then error(raised, 0) end
        if not collect then return nil, results[2], results[3], i end
        errors[i] = results and results[2] or raised
      end
    end
  end
  if collect then return count, errors end
  return count
end

--- Call fn for each value of a list or an iterator, side by side. The iterator
-- is asked only when there is room for another call.
---@param source table|function a list: fn(value, index); an iterator or a
---  channel: fn of what it gives, until nil
---@param fn function it fails when it raises or returns nil and a message
---@param options table? as map's
---@return integer|nil count of calls; nil, message, code, index for the first
---  failure; with collect: count, errors by index
function each.each(source, fn, options)
  local limit, collect = check("each", fn, options)
  local list = type(source) == "table" and not callable(source)
  if not list and not callable(source) then
    misuse("each: a list or an iterator expected, got %s", type(source))
  end
  if list then source = values_of(source) end
  local room = limit < math.huge and core.semaphore(math.floor(limit)) or nil
  local items <close> = core.channel(0)
  return crew.pass(crew.with(function(members)
    return run_each(members, fn, collect, source, room, items)
  end))
end

-- -- callbacks --

--- Make a function that awaits of one that calls back: it is called with the
-- callback behind its arguments, and what the callback is first called with is
-- returned. An error that fn raises is raised.
---@param fn function
---@return function
function each.from_callback(fn)
  if not callable(fn) then
    misuse("from_callback: a function expected, got %s", type(fn))
  end
  return function(...)
    local answer, called = core.future(), false
    local args = table.pack(...)
    args[args.n + 1] = function(...)
      if called then return false end
      called = true
      return answer:set(...)
    end
    fn(table.unpack(args, 1, args.n + 1))
    return answer:await()
  end
end

return each
