--- report: what the runtime tells of itself.
-- SPDX-License-Identifier: MIT
return { main = function(kit, proa)
  local info, stats = proa.info(), proa.stats()
  assert(info.driver and info.version and stats.turns)
  local t = proa.spawn(proa.sleep, 0.001)
  proa.yield()
  kit.equal(1, #proa.tasks())
  kit.equal("string", type(t:traceback()))
  t:await()
end }
