--- buffer: every method; memory outside Lua's heap.
-- SPDX-License-Identifier: MIT
return { main = function(_, proa)
  local b = proa.buffer "hello"
  b:append(" world", proa.buffer "!")
  assert(b:string() == "hello world!" and #b == 12)
  assert(b:slice(1, 5):string() == "hello")
  b:set(1, "J")
  b:resize(70000):resize(4)
  assert(b:string() == "Jell")
  b:resize(0):pack(">I4s2", 7, "xy")
  local n, s = b:unpack ">I4s2"
  assert(n == 7 and s == "xy" and tostring(b):find "proa.buffer")
  for _ = 1, 4 do proa.buffer(100000) end
end }
