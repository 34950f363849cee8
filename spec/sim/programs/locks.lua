--- locks: mutexes, semaphores, conds, events, wait groups, limiters, asked for
-- in every way and given up at any moment. One task at a time, no permit lost
-- or made, those who wait in their order, no notification lost, no rate broken.
-- SPDX-License-Identifier: MIT

local proa = require "proa"
local sync = proa.sync

local function expect(holds, ...)
  if not holds then error(string.format(...), 2) end
end

local function nap(rng) return rng:float() * rng:pick { 0, 0.0005, 0.01 } end

local function pause(rng)
  if rng:chance(2) then proa.yield() else proa.sleep(nap(rng)) end
end

--- Run fn(...) in a task that is cancelled after a while, unless it was
--- quicker.
local function struck(rng, fn, ...)
  local task = proa.spawn(fn, ...)
  for _ = 1, rng(0, 3) do proa.yield() end
  if rng:chance(2) then proa.sleep(nap(rng)) end
  task:cancel()
  return task:await()
end

-- -- mutexes and semaphores --

--- Each asks for a lock and gives a guard, or nil when it gave up.
local asks = {
  function(_, m) return m.lock and m:lock() or m.acquire and m:acquire() end,
  function(rng, m)
    return m.lock and m:lock(nap(rng)) or m.acquire and m:acquire(1, nap(rng))
  end,
  function(_, m)
    return m.lock and m:try_lock() or m.acquire and m:try_acquire() or nil
  end,
  function(rng, m)
    return (proa.timeout(nap(rng), m.lock or m.acquire, m))
  end,
  function(rng, m)
    local name, guard = proa.select { lock = m, timeout = nap(rng),
      other = rng:chance(2) and function() pause(rng) end or nil }
    return name == "lock" and guard or nil
  end,
}

--- In a block of its own, which may be cancelled at any of its awaits.
local function use(rng, m, state)
  local guard <close> = rng:pick(asks)(rng, m)
  if not guard then return end
  local function left() state.inside = state.inside - 1 end
  state.inside = state.inside + 1
  state.used = state.used + 1
  local _ <close> = setmetatable({}, { __close = left })
  expect(guard:held(), "a guard that holds nothing")
  expect(state.inside <= state.most, "%d inside, of %d", state.inside,
    state.most)
  for _ = 1, rng(0, 2) do pause(rng) end
end

local function check_lock(rng, m, most)
  local state, tasks = { inside = 0, used = 0, most = most }, {}
  for i = 1, rng(2, 8) do
    tasks[i] = proa.spawn(function()
      for _ = 1, rng(1, 4) do
        if rng:chance(3) then
          struck(rng, use, rng, m, state)
        else
          use(rng, m, state)
        end
      end
    end)
  end
  for _, task in ipairs(tasks) do task:await() end
  expect(state.inside == 0, "%d are inside still", state.inside)
end

local function check_mutex(rng)
  local m = sync.mutex()
  check_lock(rng, m, 1)
  expect(not m:locked(), "a mutex stayed locked")
end

local function check_semaphore(rng)
  local n = rng(1, 4)
  local s = sync.semaphore(n)
  check_lock(rng, s, n)
  expect(s:permits() == n, "%d permits of %d are left", s:permits(), n)
end

--- Wishes of different sizes; some are given up.
local function check_wishes(rng)
  local most = rng(2, 5)
  local s, held, tasks = sync.semaphore(most), 0, {}
  local function hold(n)
    local guard <close> = rng:chance(3) and s:acquire(n, nap(rng))
      or s:acquire(n)
    if not guard then return end
    held = held + n
    local _ <close> = setmetatable({}, { __close = function()
      held = held - n
    end })
    expect(held <= most, "%d permits of %d are held", held, most)
    pause(rng)
  end
  for i = 1, rng(2, 10) do
    local n = rng(1, most)
    tasks[i] = rng:chance(4) and proa.spawn(struck, rng, hold, n)
      or proa.spawn(hold, n)
  end
  for _, task in ipairs(tasks) do task:await() end
  expect(s:permits() == most, "%d permits of %d are left", s:permits(), most)
end

--- A big wish that is given up lets small ones through, at once.
local function check_withdrawn(rng)
  local s = sync.semaphore(3)
  local guard, got = s:acquire(2), 0
  local big = proa.spawn(struck, rng, s.acquire, s, 3)
  local small = proa.spawn(function()
    pause(rng)
    local _ <close> = s:acquire()
    got = got + 1
  end)
  big:await()
  small:await() -- while the guard is held
  expect(got == 1 and guard:held(), "a small wish was not served")
  guard:close()
end

--- Those who only lock get it in the order in which they came.
local function check_order(rng)
  local m, came, last, tasks = sync.mutex(), 0, 0, {}
  for i = 1, rng(2, 10) do
    tasks[i] = proa.spawn(function()
      pause(rng)
      came = came + 1
      local mine = came
      local guard <close> = m:lock(rng:chance(3) and nap(rng) or nil)
      if not guard then return end
      expect(mine > last, "number %d came behind %d", mine, last)
      last = mine
      pause(rng)
    end)
    if rng:chance(4) then
      proa.yield()
      tasks[i]:cancel()
    end
  end
  for _, task in ipairs(tasks) do task:await() end
end

-- -- conds: a queue of items --

local function check_cond(rng)
  local m, c, items = sync.mutex(), sync.cond(), {}
  local n, got, tasks = rng(1, 12), 0, {}
  local done, patient = false, rng:chance(2)
  local function consumer()
    while true do
      local guard <close> = m:lock()
      while #items == 0 and not done do
        local ok, _, code = c:wait(guard, not patient and nap(rng) or nil)
        expect(ok or code == "TIMEOUT", "a wait gave %s", code)
        expect(guard:held(), "a wait came back without its mutex")
      end
      if #items == 0 then return end
      table.remove(items, 1)
      got = got + 1
      if rng:chance(3) then pause(rng) end
    end
  end
  --- Waits, and when it is woken wakes another in its place.
  local function bystander()
    local guard <close> = m:lock()
    local _ <close> = setmetatable({}, { __close = function()
      expect(guard:held(), "a cancelled wait came back without its mutex")
    end })
    if c:wait(guard) then c:notify() end
    pause(rng)
  end
  for i = 1, rng(1, 3) do tasks[i] = proa.spawn(consumer) end
  for _ = 1, rng(0, 2) do
    tasks[#tasks + 1] = proa.spawn(struck, rng, bystander)
  end
  for i = 1, n do
    local _ <close> = m:lock()
    items[#items + 1] = i
    c:notify()
    if rng:chance(3) then pause(rng) end
  end
  for _ = 1, 100 do -- nobody wakes them any more but they each other
    if got == n then break end
    proa.sleep(0.01)
  end
  expect(got == n, "%d of %d items were taken", got, n)
  m:lock()
  done = true
  c:notify_all()
  m:unlock()
  for _, task in ipairs(tasks) do task:await() end
end

-- -- gates --

local function check_gates(rng)
  local e, wg, through = sync.event(), sync.waitgroup(), 0
  local n = rng(1, 6)
  wg:add(n)
  for _ = 1, n do
    proa.spawn(function()
      pause(rng)
      if rng:chance(2) then
        expect(proa.select { e = e } == "e", "select chose another")
      else
        expect(e:wait(), "an event gave nothing")
      end
      through = through + 1
      wg:done()
    end)
  end
  expect(not wg:wait(nap(rng)) or through == n, "a wait group ended early")
  e:set()
  if rng:chance(2) then proa.select { wg = wg } else wg:wait() end
  expect(through == n, "%d of %d went through", through, n)
  expect(#wg == 0, "a wait group has %d to come", #wg)
end

-- -- limiters --

local function check_limiter(rng)
  local rate, burst = rng:pick { 10, 100, 10000 }, rng(1, 5)
  local l, start, taken = sync.limiter(rate, burst), proa.now(), 0
  local function take()
    local n, how = rng(1, burst), rng(4)
    local ok
    if how == 1 then
      ok = l:take(n, nap(rng))
    elseif how == 2 then
      n = 1
      ok = proa.select { l = l, timeout = nap(rng) } == "l"
    elseif how == 3 then
      ok = l:try_take(n)
    else
      ok = l:take(n)
    end
    if ok then taken = taken + n end
    local most = burst + (proa.now() - start) * rate + 1e-3
    expect(taken <= most, "%g taken, %g at most", taken, most)
  end
  local tasks = {}
  for i = 1, rng(1, 8) do
    tasks[i] = rng:chance(3) and proa.spawn(struck, rng, take)
      or proa.spawn(take)
    if rng:chance(3) then proa.sleep(nap(rng)) end
  end
  for _, task in ipairs(tasks) do task:await() end
end

local checks = { check_mutex, check_mutex, check_semaphore, check_wishes,
  check_withdrawn, check_order, check_cond, check_gates, check_limiter }

return function(rng)
  local tasks = {}
  for i = 1, rng(1, 3) do tasks[i] = proa.spawn(rng:pick(checks), rng) end
  for _, task in ipairs(tasks) do task:await() end
end
