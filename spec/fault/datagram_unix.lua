--- datagram_unix: at a path that is removed, and in a pair.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local path = os.tmpname()
  os.remove(path)
  local _ <close> = setmetatable({}, { __close = function() os.remove(path) end })
  local a <close> = assert(proa.net.datagram { bind = "unix:" .. path })
  local b <close> = assert(proa.net.datagram { bind = "unix:",
    connect = "unix:" .. path })
  kit.equal(1, b:send "x")
  kit.equal("x", a:recv(kit.limit))
  local c, d = proa.net.pair { datagram = true }
  if not c then error(d) end
  local _ <close> = c
  local _ <close> = d
  kit.equal(1, c:send "y")
  kit.equal("y", d:recv(kit.limit))
end
