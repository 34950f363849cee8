--- accept: a client that one acceptor has no memory for is the next one's, or
-- is turned away; it is not left waiting.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local listener <close> = assert(proa.net.listen "127.0.0.1:0")
  local function acceptor()
    local conn, message, code = listener:accept()
    if conn then conn:close() end
    return code, message
  end
  local first, second = proa.spawn(acceptor), proa.spawn(acceptor)
  proa.yield()
  local client <close> = assert(proa.net.connect(listener:address()))
  local code, message = first:await()
  if not code then return second:cancel() end
  local _, _, late = proa.timeout(kit.limit, second.await, second)
  local _, _, silent = client:read_exact(1, kit.limit)
  if late == "TIMEOUT" and silent == "TIMEOUT" then
    error "somebody could take the client, and does not"
  end
  error(message, 0)
end
