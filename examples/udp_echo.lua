-- udp_echo.lua - a server that sends every datagram back, and a client.
--
--   lua5.4 examples/udp_echo.lua server [address]
--   lua5.4 examples/udp_echo.lua client address [text]...
--   lua5.4 examples/udp_echo.lua
--
-- Shows sockets of datagrams: one that hears everybody, one that is connected
-- to a peer and so learns when nobody is there; a limit instead of waiting for
-- what was lost. Without arguments both run in one program.
--
-- Prints:
--   one
--   two
--   three
--   nobody there: receive: connection refused
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local function serve(socket)
  for data, from in socket:incoming() do
    socket:send_to(data, from)
  end
end

local function ask(address, texts)
  local socket <close> = assert(proa.net.udp { connect = address })
  for _, text in ipairs(texts) do
    assert(socket:send(text))
    local answer, message, code = socket:recv(2)
    if not answer and code ~= "TIMEOUT" then return nil, message end
    print(answer or "lost")
  end
  return true
end

local function both()
  local gone = assert(proa.net.udp { bind = "127.0.0.1:0" })
  local nowhere = gone:address()
  gone:close()
  local socket = assert(proa.net.udp { bind = "127.0.0.1:0" })
  local address = socket:address()
  local server = proa.spawn(serve, socket)
  ask(address, { "one", "two", "three" })
  socket:close()
  server:await()
  local _, message = ask(nowhere, { "four" })
  print("nobody there: " .. tostring(message))
end

local function is_address(text)
  return text and text:find ":%w+$"
end
local mode, address = arg[1], arg[2]
if mode and not (mode == "server" and (not address or is_address(address))
  or mode == "client" and is_address(address)) then
  io.stderr:write "usage: udp_echo.lua [server [ADDRESS] | client ADDRESS [TEXT]...]\n"
  os.exit(2, true)
end

proa.run(function()
  if mode == "server" then
    local socket = assert(proa.net.udp { bind = address or "127.0.0.1:7007" })
    print("listening on " .. socket:address())
    serve(socket)
  elseif mode == "client" then
    local texts = #arg > 2 and table.move(arg, 3, #arg, 1, {}) or { "hello" }
    local ok, message = ask(address, texts)
    if not ok then print(message) end
  else
    both()
  end
end)
