--- copy_to: from a socket to another, and into memory.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local a, b = assert(proa.net.pair())
  local _ <close> = a
  local _ <close> = b
  local c, d = assert(proa.net.pair { memory = true })
  local _ <close> = c
  local _ <close> = d
  local text = ("0123456789"):rep(3000)
  local list = assert(proa.all {
    function()
      assert(a:write(text))
      return a:shutdown "w"
    end,
    function() return b:copy_to(c, { timeout = kit.limit }) end,
    function() return d:read_exact(#text, kit.limit) end,
  })
  kit.equal(#text, list[2])
  assert(list[3] == text)
end
