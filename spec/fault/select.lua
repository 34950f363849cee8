--- select: over futures, tasks, functions, a listener and a limit.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local f = proa.future()
  local t = proa.spawn(function() proa.yield() f:set(9) end)
  local name, value = proa.select { f = f, timeout = kit.limit }
  kit.equal("f", name)
  kit.equal(9, value)
  t:await()
  kit.equal("timeout", proa.select { f = proa.future(), timeout = 0.0005 })
  name, value = proa.select { a = function() proa.sleep(5) end,
    b = function() proa.yield() return "b" end }
  assert(name == "b", value)
  local listener <close> = assert(proa.net.listen "127.0.0.1:0")
  local client <close> = assert(proa.net.connect(listener:address()))
  local stream, message
  name, stream, message = proa.select { l = listener, timeout = kit.limit }
  kit.equal("l", name, stream)
  assert(stream, message):close()
  assert(client)
end
