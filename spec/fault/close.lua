--- close: what waits is told; lingering; abort; finalisers.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local a, b = kit.tcp_pair()
  local _ <close> = b
  local reader = proa.spawn(function() return a:read "l" end)
  proa.yield()
  assert(a:write "bye")
  a:close(1)
  kit.code("CLOSED", reader:await())
  kit.equal("bye", b:read "a")
  assert(tostring(a):find "closed")
  local c, d <close> = kit.tcp_pair()
  c:write "lost"
  c:abort()
  local _, _, code = d:read_exact(10, kit.limit)
  assert(code == "ECONNRESET" or code == "EOF", code)
  do
    local pair = { assert(proa.net.pair()) }
    assert(pair[1]:write(("x"):rep(1000)))
  end
end
