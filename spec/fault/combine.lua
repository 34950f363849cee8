--- combine: all, any, race.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local function value(v) return function() proa.yield() return v end end
  local function fails() proa.yield() return nil, "no luck, or no memory", "EFAIL" end
  local list = assert(proa.all { value(1), value(2), proa.spawn(value(3)) })
  assert(list[1] == 1 and list[2] == 2 and list[3] == 3)
  local none, message, code, index = proa.all { value(1), fails }
  assert(none == nil and code == "EFAIL" and index == 2, message or code)
  kit.equal(4, proa.any { fails, value(4) })
  kit.code("EFAIL", proa.any { fails, fails })
  assert(proa.race { value(5), function() proa.sleep(5) end } == 5)
  local results, errors = proa.all { value(6), fails, collect = true }
  if errors[1] then error(errors[1], 0) end
  assert(results[1] == 6 and errors[2])
end
