-- parallel_connect.lua - who answers, and how fast?
--
--   lua5.4 examples/parallel_connect.lua HOST:PORT...
--   lua5.4 examples/parallel_connect.lua $(seq -f 127.0.0.1:%.0f 7000 7999)
--
-- Connects to all of them, at most 50 at a time, gives each three seconds, and
-- prints what came of it as it comes. The exit status is 1 when not all have
-- answered.
-- Shows a limit on how much goes on at once: so many tasks, which take from
-- one list; and the three results of what fails: nil, a message, a code.
--
-- Prints, here for a server, a port without one, and a host that is silent:
--   127.0.0.1:7000          0.2 ms
--   127.0.0.1:7001          connect 127.0.0.1:7001: connection refused
--   192.0.2.1:80            connect 192.0.2.1:80: timed out
--   1 of 3 have answered, after 3.00 s (1 ECONNREFUSED, 1 TIMEOUT)
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local AT_ONCE = 50
local TIMEOUT = 3 -- seconds

local function are_addresses(list)
  for _, text in ipairs(list) do
    if not (text:find "^unix:." or text:find ":%w+$") then return false end
  end
  return #list > 0
end
if not are_addresses(arg) then
  io.stderr:write "usage: parallel_connect.lua HOST:PORT...\n"
  os.exit(2, true)
end
io.stdout:setvbuf "line"

local answered = 0
local failures = {} -- code -> how many

local function try(address)
  local start = proa.now()
  local conn, message, code = proa.net.connect(address, { timeout = TIMEOUT })
  local took = proa.now() - start
  if conn then
    conn:close()
    answered = answered + 1
    message = ("%.1f ms"):format(took * 1000)
  else
    failures[code] = (failures[code] or 0) + 1
  end
  print(("%-23s %s"):format(address, message))
end

local taken = 0

local function worker()
  while taken < #arg do
    taken = taken + 1 -- no other task runs between two waits
    try(arg[taken])
  end
end

local start = proa.now()
proa.run(function()
  for _ = 1, math.min(AT_ONCE, #arg) do proa.spawn(worker) end
end)

local reasons = {}
for code, n in pairs(failures) do reasons[#reasons + 1] = n .. " " .. code end
table.sort(reasons)
print(("%d of %d have answered, after %.2f s%s"):format(answered, #arg,
  proa.now() - start,
  #reasons > 0 and " (" .. table.concat(reasons, ", ") .. ")" or ""))
os.exit(answered == #arg, true)
