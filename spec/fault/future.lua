--- future: set, failed, polled, cancelled, awaited by several.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local f = proa.future()
  local waiters = {}
  for i = 1, 3 do waiters[i] = proa.spawn(function() return f:await() end) end
  proa.yield()
  assert(not f:poll())
  f:set("x", nil, 3)
  for i = 1, 3 do assert(waiters[i]:await() == "x") end
  local bad = proa.future()
  bad:fail "planned"
  local ok, err = pcall(bad.await, bad)
  assert(not ok and tostring(err):find "planned", err)
  local gone = proa.future()
  gone:cancel()
  kit.code("CANCELLED", gone:await())
  kit.code("TIMEOUT", proa.future():await(0))
end
