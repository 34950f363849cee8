--- crew: the tasks that one call starts, and the entries that it waits for.
-- What a call has started and nobody needs any more is cancelled and has ended
-- before the call returns or raises; what it was given is only no longer
-- waited for. Used by combine.lua and each.lua; built on core.watch, which
-- takes nothing from what it does not choose.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"

local crew = {}

--- Wait for its end. An error of it is not the one that the call tells of, nor
-- that one's cause.
local function join(task)
  local failed, raised = core.join(task)
  if failed then
    core.say_failed(("%s, which its call needed no more: %s"):format(
      task, tostring(raised)))
  end
end

--- Cancel what is left, and wait for it.
local function finish(tasks)
  for i = 0, tasks.most do
    if tasks[i] then tasks[i]:cancel() end
  end
  core.shield(function()
    for i = 0, tasks.most do
      if tasks[i] then join(tasks[i]) end
    end
  end)
end

--- A task for such a table: its error is told by nobody else.
crew.spawn = core.spawn_member

--- Calls body with a table for the tasks that it starts: by number, up to
--- `most`; it takes out what has ended. What is still in it when body ends,
--- also by an error, is ended here.
function crew.with_tasks(body)
  local tasks = { most = 0 }
  local results = table.pack(pcall(body, tasks))
  local first = next(tasks)
  if next(tasks, first) then finish(tasks) end -- there is more than `most`
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

--- Of the next entry that ends: its number, its results packed or nil, and
-- then what it raised.
local function next_of(watch)
  local results = table.pack(watch:next())
  local number, ok = results[1], results[2]
  if not ok then return number, nil, results[3] end
  return number, table.pack(table.unpack(results, 3, results.n))
end

--- Its arguments. A public function returns crew.pass(crew.with(...)): were that
--- a tail call, the function would be missing from tracebacks.
function crew.pass(...) return ... end

--- Calls body with a crew. crew.start(fn, ...) runs a function as a task,
-- crew.add(entry) waits for what there is already; both give a number, which
-- crew.next() gives back, once, with results or what was raised.
function crew.with(body)
  return crew.with_tasks(function(tasks)
    local watch <close> = core.watch()
    local members = {}
    function members.add(entry) return watch:add(entry) end
    function members.start(fn, ...)
      tasks[0] = crew.spawn(fn, ...)
      local number = watch:add(tasks[0])
      tasks[number], tasks[0] = tasks[0], nil
      tasks.most = math.max(tasks.most, number)
      return number
    end
    function members.next()
      local number, results, raised = next_of(watch)
      tasks[number] = nil
      return number, results, raised
    end
    return body(members)
  end)
end

--- Opens entries 1 to n, of those that `bounded` names at most `limit` at a
-- time, and no more before it is asked for one that has ended. Returns a
-- function for that: its index, its results packed or nil, and then what it
-- raised.
---@param open fun(i): integer starts or adds entry i
---@param bounded fun(i): boolean
function crew.window(members, n, limit, open, bounded)
  local index, queue, first, running = {}, {}, 1, 0
  local function begin(i)
    index[open(i)] = i
    running = running + 1
  end
  for i = 1, n do
    if not bounded(i) then
      index[open(i)] = i
    elseif running < limit then
      begin(i)
    else
      queue[#queue + 1] = i
    end
  end
  return function()
    while running < limit and queue[first] do
      begin(queue[first])
      first = first + 1
    end
    local number, results, raised = members.next()
    local i = index[number]
    index[number] = nil
    if bounded(i) then running = running - 1 end
    return i, results, raised
  end
end

--- A failure, by the convention: raised, or nil and a message.
function crew.failed(results)
  return not results or results[1] == nil and type(results[2]) == "string"
end

return crew
