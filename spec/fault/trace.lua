--- trace: a timeline is begun, written to and ended.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local trace <close> = assert(proa.trace "/dev/null")
  local task = proa.spawn(function()
    proa.sleep(0)
    error "on purpose"
  end):name "fails"
  assert(not pcall(task.await, task))
  local a, b = proa.net.pair()
  local conn <close> = assert(a, b)
  local peer <close> = b
  assert(peer:write "x")
  conn:timeout { read = kit.limit }
  assert(conn:read(1))
  assert(trace:close())
end
