--- watchdog: a thread is started and ended, and reports.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local reports = 0
  local watchdog <close> = assert(proa.watchdog(0.01, function()
    reports = reports + 1
  end))
  if kit.driver == "sim" then return end -- its runs are to be alike
  local start = os.clock()
  while reports == 0 and os.clock() - start < 0.05 do end
  assert(tostring(watchdog))
end
