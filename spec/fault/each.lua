--- each: map, each, from_callback.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local function twice(v) proa.yield() return 2 * v end
  local results, message = proa.map({ 1, 2, 3, 4 }, twice, { limit = 2 })
  assert(results, message)
  assert(results[1] == 2 and results[4] == 8)
  local n = 0
  kit.equal(5, proa.each(function()
    n = n + 1
    return n <= 5 and n or nil
  end, twice, { limit = 2 }))
  kit.code("EFAIL", proa.each({ 1, 2, 3 }, function(v)
    if v == 2 then return nil, "no luck, or no memory", "EFAIL" end
    proa.sleep(5)
  end))
  local wait = proa.from_callback(function(v, done)
    proa.spawn(done, v)
  end)
  kit.equal("called", wait "called")
end
