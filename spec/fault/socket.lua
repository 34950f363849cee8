--- socket: LuaSocket's shape, with select and a limit.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local socket = proa.socket

  --- The other end of what failed is silent; in the words of the kit.
  local function heard(value, text, ...)
    if text == "timeout" then error "timed out" end
    if not value then error(text) end
    return value, text, ...
  end

  local server <close> = heard(socket.bind("127.0.0.1", 0))
  local client <close> = heard(socket.connect("127.0.0.1",
    (select(2, heard(server:getsockname())))))
  server:settimeout(kit.limit)
  local peer <close> = heard(server:accept())
  kit.equal(9, heard(client:send "a line\nxy"))
  peer:settimeout(kit.limit)
  kit.equal("a line", heard(peer:receive()))
  local readable, _, message = socket.select({ peer }, nil, kit.limit)
  if message then error "timed out" end
  kit.equal(peer, readable[1])
  peer:settimeout(0.001)
  local _, text, partial = peer:receive(9)
  if text == "timeout" and partial == "xy" then return end
  error(text == "timeout" and "timed out" or text)
end
