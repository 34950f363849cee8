--- insight: records of tasks, their table, tracebacks, and the log.
-- SPDX-License-Identifier: MIT
return function(_, proa)
  local entries = 0
  proa.on_log(function() entries = entries + 1 end)
  local a, b = proa.net.pair()
  local conn <close> = assert(a, b)
  local peer <close> = b
  local reader = proa.spawn(conn.read, conn, 1):name "reader"
  local inner = proa.spawn(function()
    coroutine.wrap(function() proa.select { reader, proa.future() } end)()
  end)
  proa.sleep(0)
  for _, task in ipairs { reader, inner } do
    if task:status() ~= "waiting" then assert(task:await()) end
  end
  local text = ""
  proa.dump { write = function(_, more) text = text .. more end }
  assert(text:find '"reader"' and peer)
  assert(#proa.tasks() >= 2 and proa.stats().ops)
  proa.op.timer(0) -- nobody keeps it: its result comes too late
  collectgarbage()
  reader:cancel()
  inner:cancel()
  proa.sleep(0.001)
  proa.on_log(nil)
end
