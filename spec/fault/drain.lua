--- drain: it ends, also when clients could not be served.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local served = 0
  local function handler(conn)
    served = served + 1
    conn:write(conn:read("l", { timeout = kit.limit }) or "", "\n")
  end
  local function check(options)
    local listener <close> = assert(proa.net.listen "127.0.0.1:0")
    local address, failed = listener:address(), nil
    local function client()
      local conn <close> = assert(proa.net.connect(address))
      assert(conn:write "hello\n")
      return conn:read("l", { timeout = kit.limit })
    end
    local server = proa.spawn(function()
      local ok, err = pcall(listener.serve, listener, handler, options)
      if not ok then failed = err end
    end)
    local got, message = proa.all { client, client, client }
    local drained, _, code = listener:drain(10)
    if code == "TIMEOUT" then error "somebody is being served for ever" end
    assert(drained)
    server:await()
    if failed then error(failed, 0) end
    assert(got, message)
  end
  check {}
  check { max = 1 }
  kit.equal(6, served)
end
