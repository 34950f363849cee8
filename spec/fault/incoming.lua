--- incoming: connections as an iterator; what is parked when it closes.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local listener <close> = assert(proa.net.listen "127.0.0.1:0")
  local a <close> = assert(proa.net.connect(listener:address()))
  local b <close> = assert(proa.net.connect(listener:address()))
  assert(a and b)
  local n = 0
  assert(proa.timeout(kit.limit, function()
    for conn in listener:incoming() do
      n = n + 1
      assert(conn:write "x")
      assert(conn:flush(kit.limit))
      conn:close()
      if n == 2 then break end
    end
    return true
  end))
  proa.sleep(0)
  assert(listener:parked() >= 0 and tostring(listener):find "listener")
end
