-- proxy.lua - hands connections on: TCP or Unix, to TCP or Unix.
--
--   lua5.4 examples/proxy.lua LISTEN TARGET [IDLE]
--   lua5.4 examples/proxy.lua 127.0.0.1:7001 127.0.0.1:7000
--   lua5.4 examples/proxy.lua unix:/tmp/echo.sock [::1]:7000 60
--
-- Shows both directions of a connection at once, each as fast as its receiver
-- and in bounded memory; the end of one handed on while the other goes on; a
-- limit of IDLE seconds (default 300) that any byte in either direction sets
-- back; and an orderly end: at SIGINT or SIGTERM no one new is accepted, and
-- who is there has two seconds to finish. What breaks on one side is a reset
-- on the other, so that nobody takes a part for the whole.
--
-- Prints, here for a client who ended, a silent one, one whose server was away:
--   listening on 127.0.0.1:7001
--   127.0.0.1:50202: 17 bytes there, 17 back
--   127.0.0.1:50204: 5 bytes there, 5 back: copy: timed out
--   127.0.0.1:50206: connect 127.0.0.1:7000: connection refused
--   stopped by TERM
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local CONNECT, GRACE = 5, 2 -- seconds

local address, target_address = arg[1], arg[2]
local idle = tonumber(arg[3] or 300)
local function is_address(text)
  return text and (text:find "^unix:." or text:find ":%w+$")
end
if not (is_address(address) and is_address(target_address) and idle
  and idle > 0) or #arg > 3 then
  io.stderr:write "usage: proxy.lua LISTEN TARGET [IDLE]\n"
  os.exit(2, true)
end
local listener, refused = proa.net.listen(address)
if not listener then
  io.stderr:write(refused, "\n")
  os.exit(1, true)
end
io.stdout:setvbuf "line"

local stop = proa.future() -- for connections that outlast the grace

--- One direction: all that comes, then its end.
local function pass(from, to, bytes)
  local n, message, code, so_far = from:copy_to(to)
  bytes[from] = n or so_far
  if not n then return nil, message, code end
  return to:shutdown "w"
end

local function proxy(client)
  local who = client:peer() or "gone" -- who has been reset has no address
  local target <close>, why = proa.net.connect(target_address,
    { timeout = CONNECT })
  if not target then return print(who .. ": " .. why) end
  target:timeout { idle = idle } -- serve has set the client's

  local bytes = {}
  local there = proa.spawn(pass, client, target, bytes)
  local back = proa.spawn(pass, target, client, bytes)
  local _
  _, _, why = proa.select {
    function() return proa.all { there, back } end,
    stop,
  }
  if why then -- the other direction ends too, and says how far it got
    client:abort()
    target:abort()
    there:await()
    back:await()
  end
  print(("%s: %d bytes there, %d back%s"):format(who, bytes[client],
    bytes[target], why and ": " .. why or ""))
end

proa.run(function()
  print("listening on " .. listener:address())

  -- A run inside a task ends when all that it started has ended: here the
  -- accepting and every connection.
  local server = proa.spawn(proa.run, listener.serve, listener, proxy,
    { idle = idle })

  local signal = proa.signal.wait("INT", "TERM")
  listener:close()
  local _, _, code = server:await(GRACE)
  if code == "TIMEOUT" then
    stop:set(nil, "stopped")
    server:await()
  end
  print("stopped by " .. signal)
end)
