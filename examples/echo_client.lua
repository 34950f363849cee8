-- echo_client.lua - sends a line to the echo server and prints what returns.
--
--   lua5.4 examples/echo_client.lua [address] [text]
--
-- Shows connecting, what a failure looks like (nil, message, code: nothing is
-- raised because the world is as it is), and reading to the end of a stream.
-- The address is one that echo_server.lua prints; default 127.0.0.1:7000.
--
-- Prints, with the server running:
--   hello from proa
-- and without:
--   connect 127.0.0.1:7000: connection refused
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local address = arg[1] or "127.0.0.1:7000"
local text = arg[2] or "hello from proa"
if address:match("^%d+$") then address = "127.0.0.1:" .. address end
if not (address:find "^unix:." or address:find ":%w+$") or #arg > 2 then
  io.stderr:write "usage: echo_client.lua [ADDRESS] [TEXT]\n"
  os.exit(2, true)
end

-- In the main chunk one may await as well, without a run around it.
local conn, message = proa.net.connect(address, { timeout = 5 })
if not conn then
  print(message)
  os.exit(1, true)
end

conn:timeout { read = 5, write = 5 }
conn:write(text, "\n")
conn:shutdown "w" -- nothing more will come from here; reading goes on
print((conn:read "a"):match "[^\n]*")
conn:close()
