--- timeout: limits that run out and limits that do not, one in another.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  assert(proa.timeout(5, function() proa.yield() return 7 end) == 7)
  kit.code("TIMEOUT", proa.timeout(0.0005, proa.sleep, 3))
  kit.code("TIMEOUT", proa.timeout(0.0005, function()
    return proa.timeout(5, proa.sleep, 3)
  end))
  kit.code("TIMEOUT", proa.deadline(proa.now() + 0.0005, proa.sleep, 3))
end
