--- run: from the main chunk, more than once, inside a task, ended by stop and
-- by an error.
-- SPDX-License-Identifier: MIT
return { main = function(kit, proa)
  assert(proa.run(function() proa.yield() return 1 end) == 1)
  local ok, err = pcall(proa.run, function()
    proa.spawn(proa.sleep, 5)
    proa.yield()
    error "planned"
  end)
  assert(not ok and tostring(err):find "planned", err)
  proa.run(function()
    proa.spawn(proa.sleep, 5)
    assert(proa.run(function() proa.yield() return 2 end) == 2)
    proa.stop()
    pcall(proa.sleep, 5)
  end)
  local t = proa.spawn(function() proa.sleep(0) return 3 end)
  proa.run()
  kit.equal(3, t:await())
end }
