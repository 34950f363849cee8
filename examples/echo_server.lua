-- echo_server.lua - says back whatever it hears, to any number of clients.
--
--   lua5.4 examples/echo_server.lua [address]
--
-- The address is a port (21001, on 127.0.0.1), "host:port", ":port" for every
-- interface, or "unix:/path"; port 0 takes a free one. Default 127.0.0.1:7000.
-- Shows a listener, a task for each connection, and an orderly end: at SIGINT
-- (Ctrl-C) or SIGTERM it accepts no one new, gives open connections two
-- seconds to end by themselves, and cancels the rest.
--
-- Prints, here for two connections:
--   listening on 127.0.0.1:7000
--   stopped by TERM, connections served: 2
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local GRACE = 2 -- seconds

local address = arg[1] or "127.0.0.1:7000"
if address:match("^%d+$") then address = "127.0.0.1:" .. address end
if not (address:find "^unix:." or address:find ":%w+$") or #arg > 1 then
  io.stderr:write "usage: echo_server.lua [ADDRESS]\n"
  os.exit(2, true)
end
local listener, message = proa.net.listen(address)
if not listener then
  io.stderr:write(message, "\n")
  os.exit(1, true)
end

local served = 0

local function echo(conn)
  served = served + 1
  for data in function() return conn:read_some() end do conn:write(data) end
end

proa.run(function()
  print("listening on " .. listener:address())
  io.flush()

  -- A run inside a task ends when all that it started has ended: here the
  -- accepting and every connection.
  local server = proa.spawn(proa.run, listener.serve, listener, echo)

  local signal = proa.signal.wait("INT", "TERM")
  listener:close()
  local _, _, code = server:await(GRACE)
  if code == "TIMEOUT" then
    server:cancel()
    server:await()
  end
  print(("stopped by %s, connections served: %d"):format(signal, served))
end)
