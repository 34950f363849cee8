--- signal_each: an iterator that one comes to, and servers that it ends. By
-- WINCH, which does nothing to a process that is too late for it.
-- SPDX-License-Identifier: MIT
local LIMIT = 0.5 -- the time is real, also on the simulation

return function(kit, proa)
  local listener <close> = assert(proa.net.listen "127.0.0.1:0")
  proa.spawn(listener.serve, listener, function(conn) conn:read "l" end)
    :background()
  local conn <close> = assert(proa.net.connect(listener:address()))
  local signals <close> = proa.signal.each("WINCH", "URG")
  local waiting = proa.spawn(proa.serve_until, "WINCH", listener,
    { drain = LIMIT })
  waiting:background()
  proa.sleep(0)
  assert(assert(proa.process.run { shell = "kill -WINCH $PPID" }).ok)
  kit.equal("WINCH", signals:wait(LIMIT))
  conn:write "end\n"
  kit.equal("WINCH", (waiting:await(2 * LIMIT)))
end
