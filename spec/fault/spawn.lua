--- spawn: tasks with and without arguments, awaited, named, asked.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local function add(a, b) proa.yield() return a + b end
  local t = proa.spawn(add, 1, 2)
  t:name "adder"
  local u = proa.spawn(function() return t:await() end)
  kit.equal(3, u:await())
  assert(t:status() == "ended", t:status())
  assert(#proa.tasks() >= 1 and tostring(t):find "adder")
  local late = proa.spawn(proa.sleep, 0.001)
  kit.code("TIMEOUT", proa.spawn(proa.sleep, 5):background():await(0))
  late:await()
end
