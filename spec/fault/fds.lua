--- fds: descriptors through a Unix stream, taken or left to be closed.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  if kit.driver == "sim" then return end -- it passes none
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
  local data, objects = b:recv_fds(5, kit.limit)
  kit.equal("first", data, objects)
  for _, object in ipairs(objects) do object:close() end
  kit.equal("sec", b:read(3, { timeout = kit.limit }))
end
