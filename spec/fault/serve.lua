--- serve: handlers, a limit on them, and an end.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local listener <close> = assert(proa.net.listen "127.0.0.1:0")
  local address = listener:address()
  local function serve()
    listener:serve(function(conn)
      for line in conn:lines("l", { timeout = kit.limit }) do
        assert(conn:write(line:upper(), "\n"))
      end
    end, { max = 2 })
    return true
  end
  local function client()
    local conn <close> = assert(proa.net.connect(address))
    assert(conn:write "hello\n")
    kit.equal("HELLO", conn:read("l", { timeout = kit.limit }))
    return true
  end
  assert(proa.all { serve, function()
    assert(proa.all { client, client, client })
    listener:close()
    return true
  end })
end
