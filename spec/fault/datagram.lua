--- datagram: sent one by one and in a batch, received in either way.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local a <close> = assert(proa.net.udp { bind = "127.0.0.1:0", size = 5000 })
  local b <close> = assert(proa.net.udp { connect = a:address() })
  kit.equal(3, b:send "one")
  local data, from = a:recv_from(kit.limit)
  kit.equal("one", data, from)
  kit.equal(4, a:send_to("back", from))
  kit.equal("back", b:recv(kit.limit))
  kit.equal(3, b:send_batch { "1", "2", "3" })
  local got = 0
  while got < 3 do
    local list, message = a:recv_batch(2, kit.limit)
    if not list then error(message) end
    got = got + #list
  end
  local name, text = proa.select { a, b, timeout = 0 }
  kit.equal("timeout", name, text)
  kit.code("EMSGSIZE", b:send(("x"):rep(70000)))
end
