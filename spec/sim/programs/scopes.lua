--- scopes: trees of scopes, timeouts, shields and generators, whose tasks fail,
-- are cancelled and catch that. Whatever happens: no task outlives its scope;
-- the first error of a task is what its scope raises; no more run than the
-- limit says; a timeout is never early; a shield lets no cancellation in; a
-- cancellation that was caught is raised again, and reaches every await in what
-- was cancelled; each defer has run once; each task has the local value of who
-- spawned it.
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local world = {}
world.__index = world

local acts -- name -> function(w, node): node is the scope around

local broken -- the first promise that was, with a traceback

local function check(condition, ...)
  if condition then return end
  local args = table.pack(...)
  for i = 2, args.n do args[i] = tostring(args[i]) end
  local text = string.format(table.unpack(args, 1, args.n))
  broken = broken or debug.traceback(text, 2)
  error(text, 0)
end

--- Errors of the program itself: objects, and strings, of which a scope adds
-- lines. Those of blocks that were cancelled are among them.
local function is_ours(err)
  if type(err) ~= "string" then return type(err) == "table" and err.ours end
  local first = err:match "^[^\n]*"
  return first:find "ours %d+$" or first:find "timed out$"
    or first:find "cancelled: by hand$"
end

local function same_error(raised, first)
  if type(first) ~= "string" then return rawequal(raised, first) end
  return type(raised) == "string" and raised:sub(1, #first) == first
end

function world:some(least, most, node)
  for _ = 1, self.rng(least, most) do
    if self.left <= 0 then return end
    self.left = self.left - 1
    acts[self.rng:pick(self.names)](self, node)
  end
end

--- What has raised goes on outward, or is caught here.
function world:settle(ok, err)
  if ok then return end
  check(broken or proa.is_cancelled(err) or is_ours(err), "unexpected: %s", err)
  if proa.is_cancelled(err) or self.rng:chance(3) then error(err, 0) end
end

function world:nap() return self.rng:float() * 0.003 end

function world:keep(list, what)
  list[#list < 12 and #list + 1 or self.rng(12)] = what
end

--- How many shields are around the running code, in its task.
function world:shields() return self.depth[proa.current() or "main"] or 0 end

function world:shielded(by)
  self.depth[proa.current() or "main"] = self:shields() + by
end

--- An await, which has to raise where a cancellation has come before it.
function world:await(node, fn, ...)
  local depth = node.task == proa.current() and node.depth or 0
  local over = node.over and self:shields() == depth
    and not self.exempt[proa.current()]
  fn(...)
  check(not over, "a cancellation did not reach an await")
end

--- A task's body; its node counts it from the spawn to its end.
function world:body(node, child)
  local expected = self.name:get()
  return function()
    check(self.name:get() == expected, "another local value: %s, not %s",
      self.name:get(), expected)
    node.running = node.running + (child and 1 or 0)
    check(not node.limit or node.running <= node.limit, "%s of %s run",
      node.running, node.limit)
    local ok, err = pcall(self.some, self, 0, 5, node)
    node.running = node.running - (child and 1 or 0)
    node.live = node.live - 1
    if ok then return "ended" end
    if child and not proa.is_cancelled(err) then
      node.failures[#node.failures + 1] = err
      node.over = node.over or not node.collect
    end
    error(err, 0)
  end
end

function world:new_node()
  return { live = 0, running = 0, failures = {}, task = proa.current(),
    depth = self:shields(), limit = self.rng:chance(3) and self.rng(3) or nil,
    collect = self.rng:chance(3) }
end

local function options(node)
  return { limit = node.limit, on_error = node.collect and "collect" or nil }
end

--- How a scope has to end. results: pcall's, packed.
local function check_end(node, results)
  check(node.live == 0, "%s tasks outlived their scope", node.live)
  local ok, first = results[1], node.failures[1]
  if first ~= nil and not node.collect then
    check(not ok and same_error(results[2], first), "%s was raised, not %s",
      results[2], first)
  elseif node.body_ok == nil then
    check(proa.is_cancelled(results[2]), "%s was raised at once", results[2])
  elseif node.body_ok then
    check(ok or proa.is_cancelled(results[2]), "%s was raised", results[2])
  elseif ok then
    check(results[4] == "CANCELLED" and node.cancelled, "the error was lost")
  elseif not proa.is_cancelled(node.body_err) then
    check(same_error(results[2], node.body_err), "%s was raised, not %s",
      results[2], node.body_err)
  end
end

local function check_collected(node, errors)
  check(#errors == #node.failures, "%s errors, not %s", #errors, #node.failures)
  for i, failure in ipairs(errors) do
    check(rawequal(failure.error, node.failures[i]), "error %s is another", i)
  end
end

function world:block(node, s)
  node.scope = s
  self:keep(self.nodes, node)
  node.body_ok, node.body_err = pcall(self.some, self, 1, 6, node)
  if node.body_ok then return "token" end
  node.over = true
  error(node.body_err, 0)
end

acts = {
  sleep = function(w, node) w:await(node, proa.sleep, w:nap()) end,
  yield = function(w, node) w:await(node, proa.yield) end,

  scope = function(w)
    local node = w:new_node()
    local results = table.pack(pcall(proa.scope, function(s)
      return w:block(node, s)
    end, options(node)))
    check_end(node, results)
    if results[1] and node.body_ok then
      check(results[results.n] == "token", "the results were lost")
      if node.collect then check_collected(node, results[2]) end
    end
    w:settle(results[1], results[2])
  end,

  closed_scope = function(w)
    local node = w:new_node()
    local results = table.pack(pcall(function()
      local s <close> = proa.scope(options(node))
      return w:block(node, s)
    end))
    -- a cancellation by hand can't be returned from a block
    local by_hand = not results[1] and type(results[2]) == "string"
      and results[2]:find "the scope was cancelled: by hand$"
    if by_hand then results = { true, nil, nil, "CANCELLED" } end
    check_end(node, results)
    if node.collect and node.scope then
      check_collected(node, node.scope:errors())
    end
    w:settle(results[1], results[2])
  end,

  run = function(w)
    local node = w:new_node()
    node.limit, node.collect = nil, nil
    local results = table.pack(pcall(proa.run, w.block, w, node, nil))
    check_end(node, results)
    w:settle(results[1], results[2])
  end,

  spawn = function(w, node)
    if not node.scope then return acts.spawn_plain(w, node) end
    local body = w:body(node, true)
    local ok, task = pcall(function()
      -- a task of the scope may take the place that it waits for
      local task, message = proa.timeout(0.01, node.scope.spawn, node.scope,
        body)
      if task then node.live = node.live + 1 end
      check(task or message == "timed out", "no task: %s", message)
      return task
    end)
    if ok and task then w:keep(w.tasks, task) end
    if not ok and tostring(task):find "the scope has ended$" then return end
    w:settle(ok, task)
  end,

  spawn_elsewhere = function(w)
    local node = #w.nodes > 0 and w.rng:pick(w.nodes)
    if node and node.scope then acts.spawn(w, node) end
  end,

  spawn_plain = function(w, node)
    local task = proa.spawn(w:body(node, false))
    w:keep(w.tasks, task)
    node.live = node.live + 1
    -- a cleanup may spawn
    w.exempt[task] = node.over
      and (w:shields() > 0 or w.exempt[proa.current()]) or nil
  end,

  await = function(w)
    if #w.tasks == 0 then return end
    local task = w.rng:pick(w.tasks)
    if task == proa.current() then return end
    local results = table.pack(pcall(task.await, task, w:nap()))
    if results[1] then
      check(results[2] == "ended" or results[4] == "CANCELLED"
        or results[4] == "TIMEOUT", "a task returned %s", results[3])
    end
    w:settle(results[1], results[2])
  end,

  cancel_task = function(w)
    if #w.tasks > 0 then w.rng:pick(w.tasks):cancel "by hand" end
  end,

  cancel_scope = function(w)
    local node = #w.nodes > 0 and w.rng:pick(w.nodes)
    if node and node.scope and node.scope:cancel "by hand" then
      node.cancelled, node.over = true, true
    end
  end,

  fail = function(w)
    w.errors = w.errors + 1
    if w.rng:chance(2) then error({ ours = w.errors }) end
    error("ours " .. w.errors, 0)
  end,

  timeout = function(w, node)
    local seconds = w:nap()
    local due = proa.now() + seconds
    local results = table.pack(pcall(proa.timeout, seconds, function()
      w:some(1, 5, node)
      return "token"
    end))
    if results[1] and results[2] ~= "token" then
      check(results[4] == "TIMEOUT", "the results were lost")
      check(proa.now() >= due - 1e-9, "a timeout was early")
    end
    w:settle(results[1], results[2])
  end,

  closed_timeout = function(w, node)
    local limit
    local due = proa.now() + 0.002
    local ok, err = pcall(function()
      limit = proa.deadline(due)
      local _ <close> = limit
      w:some(1, 5, node)
      if w.rng:chance(4) then
        local late = w:nap()
        if limit:extend(late) then due = proa.now() + late end
        w:some(0, 3, node)
      end
    end)
    if limit and limit.expired then
      check(proa.now() >= due - 1e-9, "a limit was early")
    end
    w:settle(ok, err)
  end,

  shield = function(w, node)
    w:shielded(1)
    local ok, err = pcall(proa.shield, function()
      local fine, why = pcall(proa.sleep, w:nap())
      check(fine, "a shield let %s in", why)
      w:some(0, 3, node)
    end)
    w:shielded(-1)
    w:settle(ok, err)
  end,

  catch = function()
    local ok, err = pcall(proa.sleep, 0.0005)
    if ok then return end
    check(proa.is_cancelled(err), "a sleep raised %s", err)
    check(not pcall(proa.yield), "a cancellation was raised once only")
    error(err, 0)
  end,

  defer = function(w, node)
    local ran, seen = 0, nil
    local ok, err = pcall(function()
      local _ <close> = proa.defer(function(e)
        ran, seen = ran + 1, e
        proa.sleep(w:nap())
      end)
      w:some(0, 4, node)
    end)
    check(ran == 1, "a defer ran %s times", ran)
    check(rawequal(seen, err), "a defer saw %s, not %s", seen, err)
    w:settle(ok, err)
  end,

  generator = function(w, node)
    local n = w.rng(0, 3)
    local next_value = coroutine.wrap(function()
      for i = 1, 3 do
        w:some(0, 2, node)
        local limit <close> = proa.timeout(3600)
        w.name:with(-i, function()
          coroutine.yield(i)
          check(w.name:get() == -i, "a generator lost its value")
          w:some(0, 2, node)
        end)
        check(not limit.expired, "a limit of an hour is over")
      end
    end)
    for i = 1, n do -- and then it is dropped
      local outside, sets = w.name:get(), w.sets
      check(next_value() == i, "a generator gave another value")
      check(w.name:get() == outside or w.sets > sets,
        "a generator left its value behind")
    end
  end,

  set = function(w)
    w.sets = w.sets + 1
    w.name:set(w.rng(1000))
  end,

  with = function(w, node)
    local value, before, sets = w.rng(1000), w.name:get(), w.sets
    local ok, err = pcall(w.name.with, w.name, value, function()
      check(w.name:get() == value, "a value was not bound")
      w:some(0, 4, node)
    end)
    check(w.name:get() == before or w.sets > sets, "a value stayed bound")
    w:settle(ok, err)
  end,

  garbage = function() collectgarbage "step" end,
}

local function sorted(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  return names
end

return function(rng)
  local w = setmetatable({ rng = rng, left = rng(10, 80), errors = 0, sets = 0,
    tasks = {}, nodes = {}, depth = {}, exempt = {}, name = proa.task_local(0) }, world)
  w.names = sorted(acts)
  for _, name in ipairs { "spawn", "spawn", "spawn", "sleep", "scope" } do
    w.names[#w.names + 1] = name
  end
  -- those nobody awaited: of plain members, and of children after the first
  proa.on_error(function(err, traceback)
    if not is_ours(err) and not broken then
      broken = tostring(err) .. "\n" .. tostring(traceback)
    end
  end)
  while w.left > 0 and not broken do
    local before = w.name:get()
    pcall(w.name.with, w.name, before, acts.scope, w)
  end
  if broken then error(broken, 0) end
end
