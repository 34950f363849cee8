--- channel: both ends waiting and not, select on either, broadcasts.
-- SPDX-License-Identifier: MIT
return function(kit, proa)
  local ch <close> = proa.channel(1)
  local sum = proa.spawn(function()
    local total = 0
    for v in ch do total = total + v end
    return total
  end)
  for i = 1, 3 do assert(ch:send_within(kit.limit, i, "x")) end
  local name = proa.select { out = proa.sending(ch, 4), timeout = kit.limit }
  kit.equal("out", name)
  ch:close()
  kit.equal(10, sum:await())
  local meet = proa.channel()
  local sender = proa.spawn(proa.select, { s = proa.sending(meet, "m", 2),
    never = proa.future() })
  local which, value = proa.select { r = meet, never = proa.future() }
  kit.equal("r", which)
  kit.equal("m", value)
  kit.equal("s", sender:await())
  kit.code("TIMEOUT", meet:recv(0.0001))
  kit.code("TIMEOUT", meet:send_within(0.0001, 1))
  local all = proa.all { meet, proa.sending(meet, 1), function()
    return meet:recv() and assert(meet:send(2))
  end }
  kit.equal(2, all[1])
  local b <close> = proa.broadcast(1)
  local sub <close> = b:subscribe()
  b:send(1)
  b:send(2, 3)
  local _, _, code, missed = sub:recv()
  kit.equal("LAGGED", code)
  kit.equal(1, missed)
  kit.equal(2, sub:recv())
  kit.code("TIMEOUT", sub:recv(0.0001))
end
