--- spawn_error: tasks that fail, awaited and reported; tracebacks.
-- SPDX-License-Identifier: MIT
return function(_, proa)
  local t = proa.spawn(function() error "planned" end)
  local ok, err = pcall(t.await, t)
  assert(not ok and tostring(err):find "planned", err)
  assert(t:traceback():find "traceback")
  proa.spawn(function() error { code = 1 } end)
  proa.yield()
  proa.sleep(0)
end
