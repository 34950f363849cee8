--- unix: a listener with a path of its own, which goes with it.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local path = os.tmpname()
  os.remove(path)
  local _ <close> = setmetatable({}, { __close = function() os.remove(path) end })
  local listener <close> = assert(proa.net.listen("unix:" .. path))
  local a <close> = assert(proa.net.connect("unix:" .. path))
  local b <close> = assert(listener:accept(kit.limit))
  assert(a:write "x")
  kit.equal("x", b:read_exact(1, kit.limit))
end
