--- sync: locks that are waited for, conds, gates, limiters.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local sync = proa.sync
  local m, s, c = sync.mutex(), sync.semaphore(2), sync.cond()
  local e, wg, l = sync.event(), sync.waitgroup(), sync.limiter(10000, 2)
  local inside = 0
  local function work()
    local guard <close> = m:lock()
    local permit <close> = s:acquire()
    inside = inside + 1
    if inside == 1 then
      local ok, message = c:wait(guard, kit.limit)
      assert(ok, message)
    else
      c:notify()
      proa.yield()
    end
    assert(guard:held() and permit:held())
    l:take(2)
    wg:done()
  end
  wg:add(2)
  local a, b = proa.spawn(work), proa.spawn(work)
  local name, guard = proa.select { m = m, never = proa.future() }
  kit.equal("m", name)
  guard:close()
  local done, message = wg:wait(kit.limit)
  assert(done, message)
  local waits = proa.spawn(e.wait, e, 0.5)
  proa.yield()
  e:set()
  assert(waits:await())
  a:await()
  b:await()
  assert(not m:locked() and s:permits() == 2)
  assert(s:acquire(2))
  kit.code("EAGAIN", s:try_acquire())
  s:release(2)
  name = proa.select { l = l, timeout = kit.limit }
  kit.equal("l", name)
end
