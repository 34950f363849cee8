--- write: copied, anchored, from buffers, without waiting, more than fits.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local a, b = assert(proa.net.pair())
  local _ <close> = a
  local _ <close> = b
  local big = ("y"):rep(200000)
  local function read()
    local n = 0
    for chunk in b:chunks() do n = n + #chunk end
    return n
  end
  local function write()
    assert(a:write("x", 1, 2.5, proa.buffer "b"))
    assert(a:write(big))
    assert(a:write("tail", big:sub(1, 5000)))
    assert(a:flush(kit.limit))
    assert(a:try_write "t")
    assert(proa.all { function() return a:write(big) end,
      function() return a:write "z" end })
    return a:shutdown "w"
  end
  local list = assert(proa.all { read, write })
  kit.equal(400000 + 5000 + 12, list[1])
end
