--- task_local: values set, bound and inherited.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local name, other = proa.task_local "default", proa.task_local()
  name:set "set"
  other:set(1)
  local function both() return name:get() .. tostring(other:get()) end
  kit.equal("set1", proa.spawn(both):await())
  name:with("bound", function()
    kit.equal("bound1", proa.spawn(both):await())
    name:set "set in it"
    proa.yield()
    kit.equal("set in it1", both())
  end)
  kit.equal("set1", both())
  local next_value = coroutine.wrap(function()
    other:with(2, function()
      proa.yield()
      coroutine.yield(both())
    end)
  end)
  kit.equal("set2", next_value())
  kit.equal("set1", both())
  next_value()
end
