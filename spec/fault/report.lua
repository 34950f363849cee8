--- report: what the runtime tells of itself.
-- SPDX-License-Identifier: MIT
return { main = function(_, proa)
  local info, stats = proa.info(), proa.stats()
  assert(info.driver and info.version and stats.turns)
  local t = proa.spawn(proa.sleep, 0.001)
  proa.yield()
  assert(t:traceback() and #proa.tasks() == 2 or #proa.tasks() == 1)
  t:await()
end }
