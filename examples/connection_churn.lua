-- connection_churn.lua - connections that come and go, and what they leave.
--
--   lua5.4 examples/connection_churn.lua [N] [CONCURRENCY]
--
-- A server and CONCURRENCY clients (default 50) in one process open, use and
-- close N TCP connections (default 20000) on loopback, in ten rounds. After
-- each it prints how fast it went and what is in use, with no connection open:
-- Lua's memory, the process's memory, open descriptors. They stay flat.
-- Here the server closes first. Who does so keeps the pair of addresses for a
-- minute (TIME_WAIT). A server can afford that; a client that closes first has
-- no port left after 28,000 connections a minute to one server, except that
-- Linux lets it have one again after a second on loopback.
--
-- Prints, with other figures:
--   connections    a second    Lua KB    RSS KB   descriptors
--          2000       14169       471      4516             8
--          4000       14467       373      4672             8
-- and so on, to
--         20000       14232       363      4672             8
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local ROUNDS = 10

local total = tonumber(arg[1] or 20000)
local concurrency = tonumber(arg[2] or 50)
if not (total and concurrency and total >= 1 and concurrency >= 1)
  or #arg > 2 then
  io.stderr:write "usage: connection_churn.lua [N] [CONCURRENCY]\n"
  os.exit(2, true)
end

local function serve_one(conn)
  conn:write("you said: ", conn:read "l", "\n")
end -- serve closes the connection when its handler returns

local function use_one(address, n)
  local conn <close> = assert(proa.net.connect(address))
  conn:write(n, "\n")
  local answer = assert(conn:read "a") -- until the server has closed
  assert(answer == ("you said: %d\n"):format(n), answer)
end

--- So many connections; ends when they have.
local function round(address, first, last)
  local n = first - 1
  for _ = 1, concurrency do
    proa.spawn(function()
      while n < last do
        n = n + 1
        use_one(address, n)
      end
    end)
  end
end

--- What the kernel says of this process: VmRSS in KB ...
local function status(what)
  for line in io.lines "/proc/self/status" do
    local n = line:match("^" .. what .. ":%s*(%d+)")
    if n then return tonumber(n) end
  end
end

local function descriptors()
  local count = 0
  for fd = 0, status "FDSize" - 1 do
    local file = io.open("/proc/self/fdinfo/" .. fd)
    if file then
      file:close()
      count = count + 1
    end
  end
  return count
end

proa.run(function()
  local listener = assert(proa.net.listen "127.0.0.1:0")
  proa.spawn(listener.serve, listener, serve_one)

  print "connections    a second    Lua KB    RSS KB   descriptors"
  local row = "%11d %11.0f %9.0f %9d %13d"
  for i = 1, ROUNDS do
    local first, last = total * (i - 1) // ROUNDS, total * i // ROUNDS
    local start = proa.now()
    proa.run(round, listener:address(), first + 1, last)
    local took = proa.now() - start
    while proa.stats().streams > 0 do proa.sleep(0) end -- the last are closing
    print(row:format(last, (last - first) / took, collectgarbage "count",
      status "VmRSS", descriptors()))
    io.flush()
  end
  listener:close()
end)
