--- names: looked up together, given up, and connected to.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local listener <close> = assert(proa.net.listen "127.0.0.1:0")
  local port = listener:address():match "%d+$"
  local gone = proa.spawn(proa.net.resolve, "127.0.0.7", port)
  local tasks = {}
  for i = 1, 4 do
    tasks[i] = proa.spawn(proa.net.resolve, "127.0.0." .. i // 2, port)
  end
  gone:cancel()
  for _, task in ipairs(tasks) do
    local list, message = task:await()
    if not list then error(message) end
  end
  local conn <close> = assert(proa.net.connect { "unix:@proa.fault.nobody",
    "127.0.0.1:" .. port })
  local served <close> = assert(listener:accept(kit.limit))
  assert(conn:write "x")
  kit.equal("x", served:read_exact(1, kit.limit))
end
