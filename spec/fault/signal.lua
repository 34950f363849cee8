--- signal: waiting for one, and giving up.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local t = proa.spawn(proa.signal.wait, "USR1", "USR2")
  proa.yield()
  t:cancel()
  kit.code("CANCELLED", t:await())
  local _, _, code = proa.timeout(0.0005, proa.signal.wait, "USR2")
  assert(code == "TIMEOUT")
end
