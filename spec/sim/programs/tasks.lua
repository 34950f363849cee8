--- tasks: sleeping, awaiting, futures, select, timeouts, cancelling, all at
-- once. Nobody sleeps too short, every value reaches who waits for it, once,
-- and each wait ends for the reason that it gives.
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local function expect(holds, ...)
  if not holds then error(string.format(...), 2) end
end

local function nap(rng) return rng:float() * rng:pick { 0, 0.0005, 0.01 } end

local function check_sleep(rng)
  local seconds, start = nap(rng), proa.now()
  proa.sleep(seconds)
  local slept = proa.now() - start
  expect(slept > seconds - 1e-6, "slept %g s instead of %g", slept, seconds)
end

-- -- a box: values go in, and come out once --

local function new_box() return { waiting = {}, values = {}, n = 0 } end

local function put(box, value)
  for i, future in ipairs(box.waiting) do
    table.remove(box.waiting, i)
    if future:set(value) then return end
    error("a future that nobody cancelled could not be set", 0)
  end
  box.values[#box.values + 1] = value
end

--- A wait that is given up takes its future out, or puts the value back.
local function take(rng, box)
  if box.values[1] then return table.remove(box.values, 1) end
  local future = proa.future()
  table.insert(box.waiting, future)
  local value
  local how = rng(4)
  if how == 1 then
    value = future:await(nap(rng))
  elseif how == 2 then
    value = proa.timeout(nap(rng), future.await, future)
  elseif how == 3 then
    local name, got = proa.select { box = future, timeout = nap(rng) }
    expect(name == "timeout" or got, "select chose %s without a value", name)
    value = got
  else
    local waiter = proa.spawn(future.await, future)
    proa.sleep(nap(rng))
    if waiter:cancel() then
      local got, _, code = waiter:await()
      expect(got or code == "CANCELLED", "a cancelled wait gave %s", code)
      value = got
    else
      value = waiter:await()
    end
  end
  if value then return value end
  for i, other in ipairs(box.waiting) do
    if other == future then
      table.remove(box.waiting, i)
      return nil
    end
  end
  local done, late = future:poll() -- it came after the wait was given up
  expect(done and late, "a future is neither waiting nor set")
  return late
end

local function produce(rng, box, from, to)
  for value = from, to do
    if rng:chance(3) then check_sleep(rng) end
    put(box, value)
  end
end

local function consume(rng, box, seen)
  while box.n > 0 do
    local value = take(rng, box)
    if value then
      expect(not seen[value], "value %s was taken twice", value)
      seen[value] = true
      box.n = box.n - 1
    end
    if rng:chance(3) then proa.sleep(nap(rng)) end
  end
end

local function check_box(rng)
  local box, seen, tasks = new_box(), {}, {}
  local each, producers = rng(1, 6), rng(1, 3)
  box.n = each * producers
  local all = box.n
  for i = 1, producers do
    tasks[i] = proa.spawn(produce, rng, box, (i - 1) * each + 1, i * each)
  end
  for _ = 1, rng(1, 3) do
    tasks[#tasks + 1] = proa.spawn(consume, rng, box, seen)
  end
  for _, t in ipairs(tasks) do t:await() end
  for value = 1, all do expect(seen[value], "value %d was lost", value) end
end

-- -- limits --

local function check_timeout(rng)
  local limit, work = nap(rng), nap(rng)
  local start = proa.now()
  local result, _, code = proa.timeout(limit, function()
    for _ = 1, rng(1, 3) do proa.sleep(work / 2) end
    return "worked"
  end)
  local took = proa.now() - start
  expect(result == "worked" or code == "TIMEOUT", "timeout gave %s", code)
  expect(result or took > limit - 1e-6, "TIMEOUT after %g of %g s", took, limit)
end

--- The inner limit, the outer one, or neither; never the wrong one.
local function check_nested(rng)
  local inner, outer = nap(rng), nap(rng)
  local start = proa.now()
  local which, _, code = proa.timeout(outer, function()
    local done, _, why = proa.timeout(inner, function()
      proa.sleep(nap(rng))
      return "done"
    end)
    if done then return "done" end
    expect(why == "TIMEOUT", "the inner limit gave %s", why)
    expect(proa.now() - start > inner - 1e-6, "the inner limit was early")
    return "inner"
  end)
  expect(which or code == "TIMEOUT", "the outer limit gave %s", code)
  if not which then
    expect(proa.now() - start > outer - 1e-6, "the outer limit was early")
  end
end

-- -- cancelling --

local function check_cancel(rng)
  local closed, reached = false, false
  local task = proa.spawn(function()
    local _ <close> = setmetatable({}, { __close = function()
      closed = true
    end })
    for _ = 1, 3 do proa.sleep(nap(rng)) end
    reached = true
    return "end"
  end)
  proa.sleep(nap(rng))
  local live = task:cancel()
  local result, _, code = task:await()
  expect(closed or code, "a task ended with its <close> variables unrun")
  expect(result == "end" == reached, "a task lost its result")
  expect(result or code == "CANCELLED", "a cancelled task gave %s", code)
  expect(live or result, "a task that had ended was cancelled")
end

local function check_shield(rng)
  local finished = false
  local task = proa.spawn(function()
    proa.shield(function()
      proa.sleep(nap(rng))
      finished = true
    end)
    proa.sleep(1)
    return "not cancelled"
  end)
  proa.sleep(nap(rng))
  local started = task:status() ~= "ready"
  task:cancel()
  local result = task:await()
  expect(finished or not started, "a shield was broken")
  expect(not result, "a cancellation was lost behind a shield")
end

local function check_groups(rng)
  local n = rng(1, 4)
  local list = {}
  for i = 1, n do
    list[i] = function()
      check_sleep(rng)
      return i
    end
  end
  local results = assert(proa.all(list))
  for i = 1, n do expect(results[i] == i, "all mixed its results up") end
  local first = proa.race(list)
  expect(first >= 1 and first <= n, "race gave nothing")
  expect(proa.any(list), "any gave nothing")
end

local function check_error(rng)
  local task = proa.spawn(function()
    check_sleep(rng)
    error("planned", 0)
  end)
  local ok, err = pcall(task.await, task)
  expect(not ok and err == "planned", "an error became %s", err)
end

local checks = { check_sleep, check_box, check_box, check_timeout, check_nested,
  check_cancel, check_shield, check_groups, check_error }

return function(rng)
  local tasks = {}
  for i = 1, rng(1, 6) do
    tasks[i] = proa.spawn(function()
      for _ = 1, rng(1, 3) do rng:pick(checks)(rng) end
    end)
    if rng:chance(4) then collectgarbage "step" end
  end
  for _, t in ipairs(tasks) do t:await() end
end
