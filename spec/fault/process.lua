--- process: run with input and output, a child that is talked to and killed.
-- SPDX-License-Identifier: MIT
local LIMIT = 0.5 -- the time is real, also on the simulation

return function(kit, proa)
  local r = assert(proa.process.run { "cat", input = "through",
    timeout = 20 * LIMIT, grace = LIMIT })
  assert(r.ok or r.signal == "TERM")
  if r.ok then kit.equal("through", r.stdout) end
  local p <close> = assert(proa.process.spawn { "cat", stdin = "pipe",
    stdout = "pipe", grace = LIMIT })
  p.stdin:write "line\n"
  kit.equal("line", p.stdout:read("l", { timeout = LIMIT }))
  -- what failed may have closed its stdin: then it ends by itself
  local killed, message, code = p:kill "KILL"
  assert(killed or code == "ESRCH", message)
  local name, how = proa.select { p = p, timeout = 20 * LIMIT }
  kit.equal("p", name)
  if killed then kit.equal("KILL", assert(how).signal) end
end
