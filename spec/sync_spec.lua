--- sync_spec: proa.sync: mutexes, semaphores, events, conds, wait groups,
-- limiters.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"
local sync = proa.sync

local it, it_main = helper.it, helper.it_main

local function pack(...) return table.pack(...) end

--- A task that has begun to wait in fn(...).
local function waiting(fn, ...)
  local task = proa.spawn(fn, ...)
  helper.wait_until(function() return task:status() == "waiting" end)
  return task
end

describe("a mutex", function()
  it("lets one task at a time into a block", function()
    local m, inside, most = sync.mutex(), 0, 0
    local function work()
      for _ = 1, 10 do
        local _ <close> = m:lock()
        inside = inside + 1
        most = math.max(most, inside)
        proa.yield()
        inside = inside - 1
      end
    end
    proa.all { work, work, work }
    assert.equal(1, most)
    assert.is_false(m:locked())
  end)

  it("goes to who has waited longest", function()
    local m, order = sync.mutex(), {}
    local guard, tasks = m:lock(), {}
    for i = 1, 4 do
      tasks[i] = waiting(function()
        local _ <close> = m:lock()
        order[#order + 1] = i
      end)
    end
    guard:close()
    assert.equal("EAGAIN", select(3, m:try_lock()))
    for _, task in ipairs(tasks) do task:await() end
    assert.same({ 1, 2, 3, 4 }, order)
  end)

  it("is given up by an error and by a cancellation", function()
    local m = sync.mutex()
    pcall(function()
      local _ <close> = m:lock()
      error "oops"
    end)
    assert.is_false(m:locked())
    local task = waiting(function()
      local _ <close> = m:lock()
      proa.sleep(3600)
    end)
    assert.is_true(m:locked())
    task:cancel()
    task:await()
    assert.is_false(m:locked())
  end)

  it("goes on to the next when a waiter is cancelled", function()
    local m = sync.mutex()
    local guard = m:lock()
    local gone, next_one = waiting(m.lock, m), waiting(m.lock, m)
    gone:cancel()
    assert.equal("CANCELLED", select(3, gone:await()))
    guard:close()
    assert.is_true(next_one:await():held())
  end)

  it("goes on when who got it is cancelled in the same moment", function()
    local m, got = sync.mutex(), {}
    local guard = m:lock()
    local function work(i)
      local _ <close> = m:lock()
      got[#got + 1] = i
      proa.sleep(0)
      got[#got + 1] = "past"
    end
    local first, second = waiting(work, 1), waiting(work, 2)
    guard:close()
    first:cancel()
    first:await()
    second:await()
    assert.same({ 1, 2, "past" }, got)
    assert.is_false(m:locked())
  end)

  it("takes a limit", function()
    local m = sync.mutex()
    local guard = m:lock()
    assert.same({ nil, "lock: timed out", "TIMEOUT", n = 3 },
      pack(proa.spawn(m.lock, m, 0.001):await()))
    local value, message, code = m:try_lock()
    assert.is_nil(value)
    assert.matches("held by", message)
    assert.equal("EAGAIN", code)
    guard:close()
    guard:close()
    assert.is_true(m:try_lock():held())
  end)

  it("refuses misuse", function()
    local m = sync.mutex()
    assert.matches("not locked", helper.error_of(m.unlock, m))
    local guard = m:lock()
    assert.matches("holds the mutex already", helper.error_of(m.lock, m))
    local function by_another(fn, ...)
      local task = proa.spawn(fn, ...)
      return helper.error_of(task.await, task)
    end
    assert.matches("held by", by_another(m.unlock, m))
    assert.matches("not by this task", by_another(guard.close, guard))
    m:unlock()
    assert.is_false(guard:held())
    guard:close()
    assert.matches("not locked", helper.error_of(m.unlock, m))
  end)

  it("stays locked when its guard is collected", function()
    local m = sync.mutex()
    m:lock()
    collectgarbage()
    collectgarbage()
    assert.is_true(m:locked())
    m:unlock()
    assert.is_false(m:locked())
  end)

  it("says who holds it", function()
    local m = sync.mutex()
    assert.equal("proa.mutex (free)", tostring(m))
    local guard = m:lock()
    assert.equal(("proa.mutex (held by task #%d)"):format(proa.current():id()),
      tostring(m))
    assert.equal("proa.guard (holder of a mutex)", tostring(guard))
    guard:close()
    assert.equal("proa.guard (given back of a mutex)", tostring(guard))
  end)

  it_main("belongs to the main chunk as to a task", function()
    local m = sync.mutex()
    local guard <close> = m:lock()
    assert.matches("main chunk", tostring(m))
    local task = proa.spawn(m.lock, m, 0.001)
    assert.equal("TIMEOUT", select(3, task:await()))
    assert.is_true(guard:held())
  end)
end)

describe("a semaphore", function()
  it("lets so many in", function()
    local s, inside, most = sync.semaphore(3), 0, 0
    local function work()
      local _ <close> = s:acquire()
      inside = inside + 1
      most = math.max(most, inside)
      proa.yield()
      inside = inside - 1
    end
    proa.all { work, work, work, work, work, work, work }
    assert.equal(3, most)
    assert.equal(3, s:permits())
  end)

  it("is not overtaken by small wishes", function()
    local s, order = sync.semaphore(3), {}
    local guard = s:acquire(2)
    local big = waiting(function()
      local _ <close> = s:acquire(3)
      order[#order + 1] = "big"
    end)
    local small = waiting(function()
      local _ <close> = s:acquire()
      order[#order + 1] = "small"
    end)
    assert.equal("EAGAIN", select(3, s:try_acquire()))
    guard:close()
    big:await()
    small:await()
    assert.same({ "big", "small" }, order)
  end)

  it("serves small wishes when the big one before them is cancelled",
    function()
      local s = sync.semaphore(3)
      local guard <close> = s:acquire(2)
      local big = waiting(s.acquire, s, 3)
      local small = waiting(s.acquire, s, 1)
      local late = waiting(s.acquire, s, 1, 3600)
      big:cancel()
      assert.is_true(small:await():held())
      assert.equal("waiting", (late:status()))
      small:await():close()
      assert.is_true(late:await():held())
      assert.is_true(guard:held())
    end)

  it("can be released by others, up to its most", function()
    local s = sync.semaphore(0, 2)
    local task = waiting(s.acquire, s)
    s:release()
    task:await()
    s:release(2)
    assert.matches("2 permits are free already",
      helper.error_of(s.release, s))
    assert.is_true(s:acquire(2):held())
    assert.equal("TIMEOUT", select(3, s:acquire(1, 0.001)))
    assert.matches("1 to 2", helper.error_of(s.acquire, s, 3))
    assert.equal("proa.semaphore (0 of 2 free)", tostring(s))
    assert.matches("permits", helper.error_of(sync.semaphore, -1))
    assert.matches("at least 1", helper.error_of(sync.semaphore, 0))
  end)
end)

describe("a guard of permits", function()
  it("is told when they were released without it", function()
    local s = sync.semaphore(2)
    local guard = s:acquire(2)
    s:release(2)
    assert.matches("released already", helper.error_of(guard.close, guard))
    assert.equal(2, s:permits())
    guard:close()
  end)
end)

describe("an event", function()
  it("lets all go on that wait, and who comes while it is set", function()
    local e = sync.event()
    local a, b = waiting(e.wait, e), waiting(e.wait, e, 3600)
    assert.is_false(e:is_set())
    e:set()
    e:clear()
    assert.is_true(a:await())
    assert.is_true(b:await())
    assert.equal("TIMEOUT", select(3, e:wait(0.001)))
    e:set()
    assert.is_true(e:wait())
    assert.equal("proa.event (set)", tostring(e))
  end)

  it("can be one of several, and be only a pulse", function()
    local e = sync.event()
    local task = waiting(proa.select, { e = e, other = proa.future() })
    e:set()
    e:clear()
    assert.same({ "e", true }, { task:await() })
    assert.same({ "timeout" }, { proa.select { e = e, timeout = 0.001 } })
  end)
end)

describe("a wait group", function()
  it("is waited for until all is done", function()
    local wg, done = sync.waitgroup(), 0
    assert.is_true(wg:wait())
    for _ = 1, 3 do
      wg:add()
      proa.spawn(function()
        proa.yield()
        done = done + 1
        wg:done()
      end)
    end
    assert.equal(3, #wg)
    assert.same({ "wg", true }, { proa.select { wg = wg } })
    assert.equal(3, done)
    wg:add(2)
    assert.equal("TIMEOUT", select(3, wg:wait(0.001)))
    assert.equal("proa.waitgroup (2 to come)", tostring(wg))
    wg:done()
    wg:done()
    assert.matches("more is done", helper.error_of(wg.done, wg))
    assert.matches("number", helper.error_of(wg.add, wg, -1))
  end)
end)

describe("a cond", function()
  it("lets go of the mutex while it waits", function()
    local m, c, queue, got = sync.mutex(), sync.cond(), {}, {}
    local consumer = proa.spawn(function()
      for i = 1, 3 do
        local guard <close> = m:lock()
        while #queue == 0 do c:wait(guard) end
        got[i] = table.remove(queue, 1)
      end
    end)
    for i = 1, 3 do
      proa.yield()
      local _ <close> = m:lock()
      queue[#queue + 1] = i
      c:notify()
    end
    consumer:await()
    assert.same({ 1, 2, 3 }, got)
    assert.is_false(m:locked())
  end)

  it("wakes in order, as many as it is told", function()
    local m, c, order, tasks = sync.mutex(), sync.cond(), {}, {}
    for i = 1, 4 do
      tasks[i] = waiting(function()
        local guard <close> = m:lock()
        c:wait(guard)
        order[#order + 1] = i
        proa.yield()
      end)
    end
    assert.equal("proa.cond (4 wait)", tostring(c))
    assert.equal(1, c:notify())
    tasks[1]:await()
    assert.equal(3, c:notify_all())
    assert.equal(0, c:notify(5))
    for _, task in ipairs(tasks) do task:await() end
    assert.same({ 1, 2, 3, 4 }, order)
  end)

  it("has the mutex again after a timeout", function()
    local m, c = sync.mutex(), sync.cond()
    local guard <close> = m:lock()
    assert.same({ nil, "wait: timed out", "TIMEOUT", n = 3 },
      pack(c:wait(guard, 0.001)))
    assert.is_true(guard:held())
    local other = proa.spawn(function()
      local theirs <close> = m:lock()
      proa.sleep(0.003)
      return theirs:held()
    end)
    assert.equal("TIMEOUT", select(3, c:wait(guard, 0.001)))
    assert.is_true(guard:held())
    assert.is_true(other:await())
  end)

  it("has the mutex again when it is cancelled", function()
    local m, c, held = sync.mutex(), sync.cond(), nil
    local task = waiting(function()
      local guard <close> = m:lock()
      local _ <close> = setmetatable({}, {
        __close = function() held = guard:held() end,
      })
      c:wait(guard)
    end)
    local mine = m:lock()
    task:cancel()
    helper.turns()
    assert.is_nil(held)
    mine:close()
    assert.equal("CANCELLED", select(3, task:await()))
    assert.is_true(held)
    assert.is_false(m:locked())
  end)

  it("loses no notification to one that is cancelled", function()
    local m, c, got = sync.mutex(), sync.cond(), {}
    local function work(i)
      local guard <close> = m:lock()
      if c:wait(guard) then
        got[#got + 1] = i
        c:notify()
      end
      proa.sleep(0)
    end
    local first, second = waiting(work, 1), waiting(work, 2)
    c:notify()
    first:cancel()
    first:await()
    second:await()
    assert.same({ 1, 2 }, got)
  end)

  it("keeps its notification and its place when it is cancelled in line",
    function()
      local m, c, order = sync.mutex(), sync.cond(), {}
      local task = waiting(function()
        local guard <close> = m:lock()
        order[#order + 1] = c:wait(guard) and "notified"
        proa.sleep(0)
        order[#order + 1] = "not cancelled"
      end)
      local guard = m:lock()
      c:notify()
      local behind = waiting(function()
        local _ <close> = m:lock()
        order[#order + 1] = "behind"
      end)
      task:cancel()
      guard:close()
      assert.equal("CANCELLED", select(3, task:await()))
      behind:await()
      assert.same({ "notified", "behind" }, order)
    end)

  it("refuses what is no guard of a mutex that is held", function()
    local m, c, s = sync.mutex(), sync.cond(), sync.semaphore(1)
    local guard = m:lock()
    assert.matches("guard of a mutex", helper.error_of(c.wait, c, s:acquire()))
    guard:close()
    assert.matches("not locked any more", helper.error_of(c.wait, c, guard))
    assert.matches("proa.guard expected", helper.error_of(c.wait, c, m))
  end)

  it_main("works from the main chunk", function()
    local m, c = sync.mutex(), sync.cond()
    local guard <close> = m:lock()
    local task = proa.spawn(function()
      local _ <close> = m:lock()
      c:notify()
    end)
    assert.is_true(c:wait(guard))
    task:await()
  end)
end)

describe("a limiter", function()
  it("gives its burst at once, and then at its rate", function()
    local slow, l = sync.limiter(0.001, 5), sync.limiter(1000, 5)
    for _ = 1, 5 do assert.is_true(slow:try_take()) end
    assert.equal("EAGAIN", select(3, slow:try_take()))
    local start = proa.now()
    for _ = 1, 15 do l:take() end
    assert.is_true(proa.now() - start >= 0.0099)
  end)

  it("serves in order, also big wishes, and forgets who gives up", function()
    local l, order = sync.limiter(20, 4), {}
    local start = proa.now()
    assert.is_true(l:try_take(4))
    local function take(i, n)
      return function()
        l:take(n)
        order[#order + 1] = i
      end
    end
    local big, gone = waiting(take("big", 4)), waiting(take("gone", 4))
    local small = waiting(take("small", 1))
    gone:cancel()
    assert.equal("TIMEOUT", select(3, l:take(1, 0)))
    small:await()
    assert.same({ "big", "small" }, order)
    assert.is_true(proa.now() - start >= 0.249)
    big:await()
    gone:await()
  end)

  it("can be one of several", function()
    local l = sync.limiter(1000)
    assert.same({ "l", true }, { proa.select { l = l } })
    assert.same({ "l", true }, { proa.select { l = l, never = proa.future() } })
    assert.same({ true, true }, proa.all { l, l })
    local slow = sync.limiter(0.001)
    slow:take()
    assert.same({ "timeout" }, { proa.select { l = slow, timeout = 0.001 } })
  end)

  it("refuses what can never be", function()
    local l = sync.limiter(10, 2)
    assert.matches("at most the burst", helper.error_of(l.take, l, 3))
    assert.matches("in a second", helper.error_of(sync.limiter, 0))
    assert.matches("at least 1", helper.error_of(sync.limiter, 1, 0.5))
    assert.equal("proa.limiter (10.0/s, burst 2.0)", tostring(l))
  end)
end)

describe("select over locks", function()
  it("gives a guard, to one in line with the others", function()
    local m, s = sync.mutex(), sync.semaphore(1)
    local name, guard = proa.select { m = m }
    assert.equal("m", name)
    local task = waiting(function()
      local which, theirs = proa.select { m = m, never = proa.future() }
      local _ <close> = theirs
      return which, theirs:held(), tostring(m)
    end)
    local after = waiting(m.lock, m)
    guard:close()
    assert.same({ "m", true,
      ("proa.mutex (held by task #%d)"):format(task:id()) }, { task:await() })
    assert.is_true(after:await():held())
    assert.same({ "s" }, { (proa.select { s = s }) })
    assert.equal(0, s:permits())
  end)

  it("leaves a permit that it does not choose", function()
    local s, done = sync.semaphore(1), proa.future()
    local guard = s:acquire()
    local task = waiting(proa.select, { s = s, done = done })
    done:set()
    guard:close()
    local name, theirs = task:await()
    if name == "s" then theirs:close() end
    assert.equal(1, s:permits())
    local held = s:acquire()
    local cancelled = waiting(proa.select, { s = s })
    local other = waiting(s.acquire, s)
    cancelled:cancel()
    cancelled:await()
    held:close()
    assert.is_true(other:await():held())
  end)

  it("refuses a mutex that the task holds", function()
    local m = sync.mutex()
    local guard <close> = m:lock()
    assert.matches("holds the mutex already",
      helper.error_of(proa.select, { m = m, never = proa.future() }))
    assert.is_true(guard:held())
  end)
end)
