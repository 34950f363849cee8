--- scope: tasks that end together, well, by an error, by hand; their errors
-- collected; few at once; in <close> variables.
-- SPDX-License-Identifier: MIT

local function napping(proa) return function() proa.sleep(0.0005) end end

return function(kit, proa)
  kit.equal(7, proa.scope(function(s)
    for _ = 1, 3 do s:spawn(napping(proa)) end
    return 7
  end, { limit = 2 }))

  local ok, err = pcall(proa.scope, function(s)
    s:spawn(proa.sleep, 3)
    s:spawn(function() error "planned" end):name "bad"
    proa.sleep(3)
  end)
  if ok then error "an error expected" end
  assert(tostring(err):find "planned" or tostring(err):find "memory", err)

  local errors, result = proa.scope(function(s)
    s:spawn(error, { code = 1 })
    s:spawn(error, { code = 2 })
    return "result"
  end, { on_error = "collect" })
  kit.equal("result", result)
  kit.equal(2, #errors)

  kit.code("CANCELLED", proa.scope(function(s)
    s:spawn(proa.sleep, 3)
    s:cancel "planned"
    proa.sleep(3)
  end))

  local ended
  do
    local s <close> = proa.scope()
    s:spawn(function()
      local _ <close> = proa.defer(function() proa.sleep(0) ended = true end)
      proa.sleep(0.0005)
    end)
  end
  kit.equal(true, ended)

  pcall(function()
    local limit <close> = proa.timeout(0.0005)
    proa.sleep(limit and 3)
  end)
end
