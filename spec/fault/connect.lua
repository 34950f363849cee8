--- connect: over TCP and Unix addresses; refused; names and limits.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local net = proa.net
  local listener <close> = assert(net.listen "127.0.0.1:0")
  local address = listener:address()
  local a <close> = assert(net.connect(address, { timeout = kit.limit }))
  local b <close> = assert(listener:accept(kit.limit))
  assert(a:peer() == address and b:address() == address)
  listener:close()
  proa.sleep(0.001)
  kit.code("ECONNREFUSED", net.connect(address))
  local path = "unix:@proa-fault" .. os.tmpname():gsub("%W", "")
  local unix <close> = assert(net.listen(path))
  local c <close> = assert(net.connect(path))
  local d <close> = assert(unix:accept(kit.limit))
  assert(c:write "hi")
  kit.equal("hi", d:read_exact(2, kit.limit))
  kit.code("TIMEOUT", unix:accept(0))
end
