--- deadlock: run tells that nothing can go on.
-- SPDX-License-Identifier: MIT
return { main = function(_, proa)
  local ok, err = pcall(proa.run, function()
    proa.future():await()
  end)
  assert(not ok and tostring(err):lower():find "deadlock", err)
end }
