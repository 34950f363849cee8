--- coroutine: the user's own, which await inside a task.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local gen = coroutine.wrap(function()
    for i = 1, 3 do
      proa.yield()
      coroutine.yield(i)
    end
  end)
  assert(gen() == 1 and gen() == 2)
  local co = coroutine.create(function(x)
    proa.sleep(0)
    local y = coroutine.yield(x + 1)
    return proa.timeout(5, function() proa.yield() return y end)
  end)
  kit.equal(2, select(2, assert(coroutine.resume(co, 1))))
  kit.equal(5, select(2, assert(coroutine.resume(co, 5))))
  local left = coroutine.create(function()
    local _ <close> = setmetatable({}, { __close = function() end })
    proa.timeout(5, coroutine.yield)
  end)
  coroutine.resume(left)
  assert(coroutine.close(left))
end
