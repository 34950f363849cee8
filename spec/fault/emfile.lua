--- emfile: accepting goes on when descriptors are short for a moment.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local listener <close> = assert(proa.net.listen "127.0.0.1:0")
  local served = 0
  assert(proa.all { function()
    listener:serve(function(conn)
      conn:write "x"
      served = served + 1
    end)
    return true
  end, function()
    for _ = 1, 3 do
      local conn <close> = assert(proa.net.connect(listener:address()))
      kit.equal("x", conn:read_exact(1, kit.limit))
    end
    listener:close()
    return true
  end })
  kit.equal(3, served)
end
