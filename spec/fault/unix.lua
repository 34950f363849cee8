--- unix: a listener with a path of its own, which goes with it, and its client's.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local path = os.tmpname()
  os.remove(path)
  local own = path .. ".client"
  local _ <close> = setmetatable({}, { __close = function()
    os.remove(path)
    os.remove(own)
  end })
  local listener <close> = assert(proa.net.listen("unix:" .. path))
  local a <close> = assert(proa.net.connect("unix:" .. path,
    { bind = "unix:" .. own }))
  local b <close> = assert(listener:accept(kit.limit))
  assert(a:write "x")
  kit.equal("x", b:read_exact(1, kit.limit))
end
