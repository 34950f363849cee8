--- sleep: sleeping, yielding, intervals, the clock.
-- SPDX-License-Identifier: MIT
return function(_, proa)
  local before = proa.now()
  for i = 1, 8 do
    proa.spawn(function() proa.sleep(i / 10000) end)
  end
  local n = 0
  for _ in proa.interval(0.0002) do
    n = n + 1
    if n == 3 then break end
  end
  proa.yield()
  proa.sleep(0.001)
  assert(proa.now() >= before)
end
