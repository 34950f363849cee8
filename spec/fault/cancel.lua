--- cancel: cancelling tasks; shield; <close> variables that wait.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local cleaned = 0
  local guard = setmetatable({}, { __close = function()
    proa.shield(function() proa.yield() cleaned = cleaned + 1 end)
  end })
  local t = proa.spawn(function()
    local _ <close> = guard
    proa.sleep(5)
  end)
  proa.yield()
  t:cancel "enough"
  kit.code("CANCELLED", t:await())
  assert(cleaned == 1)
  local ok, err = pcall(function()
    local u = proa.spawn(function()
      local _, caught = pcall(proa.sleep, 5)
      if not proa.is_cancelled(caught) then error(caught, 0) end
      proa.shield(proa.sleep, 0)
      error(caught, 0)
    end)
    proa.yield()
    u:cancel()
    kit.code("CANCELLED", u:await())
  end)
  assert(ok, err)
end
