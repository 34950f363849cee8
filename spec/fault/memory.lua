--- memory: pairs without a socket.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local a, b = assert(proa.net.pair { memory = true })
  local _ <close> = a
  local _ <close> = b
  local function echo()
    for line in b:lines() do assert(b:write(line, line, "\n")) end
    return b:shutdown "w"
  end
  local function ask()
    assert(a:write "one\n")
    kit.equal("oneone", a:read "l")
    assert(a:write(("z"):rep(10000), "\n"))
    kit.equal(20000, #assert(a:read "l"))
    return a:shutdown "w"
  end
  assert(proa.all { echo, ask })
  kit.equal("", a:read "a")
end
