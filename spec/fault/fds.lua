--- fds: descriptors through a Unix stream, taken or left to be closed.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local a, b = proa.net.pair()
  if not a then error(b) end
  local _ <close> = a
  local _ <close> = b
  local x <close>, y = proa.net.pair()
  if not x then error(y) end
  local _ <close> = y
  local file <close> = assert(io.open "/dev/null")
  assert(a:send_fds("first", x, file))
  assert(a:send_fds("second", y))
  local text = ""
  while #text < 5 do
    local data, objects = b:recv_fds(5 - #text, kit.limit)
    if not data then error(objects) end
    text = text .. data
    for _, object in ipairs(objects) do object:close() end
  end
  kit.equal("first", text)
  kit.equal("sec", b:read(3, { timeout = kit.limit }))
end
