--- fds_datagram: descriptors with Unix datagrams, taken or left to be closed.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local a, b = proa.net.pair { datagram = true }
  if not a then error(b) end
  local _ <close> = a
  local _ <close> = b
  local file <close> = assert(io.open "/dev/null")
  assert(b:take_fds())
  for i, text in ipairs { "one", "two", "three" } do
    kit.equal(#text, a:send_fds(text, file, a, i))
  end
  local data, objects = b:recv_fds(kit.limit)
  kit.equal("one", data, objects)
  for _, object in ipairs(objects) do object:close() end
  kit.equal("two", b:recv(kit.limit))
end
