-- chat.lua - a chat: what one says, all others hear.
--
--   lua5.4 examples/chat.lua [address]
--   nc 127.0.0.1 7000                    (or telnet; in some other windows)
--
-- The address is as echo_server.lua's, by default 127.0.0.1:7000. Whoever
-- connects is asked for a name, and then hears the others line by line.
-- Shows writes that never wait: a line is offered to each of the others, and
-- who has left so much unread that there is no room for it (64 KiB, besides
-- what the kernel holds) is thrown out. So nobody waits for the slowest, and
-- memory is bounded. It is the one who talks that is slowed down, to a hundred
-- lines a second, or a long paste would throw out everybody. At SIGINT or
-- SIGTERM all are told goodbye.
--
-- Prints, here for two people:
--   listening on 127.0.0.1:7000
--   ada has joined, 1 here
--   bob has joined, 2 here
--   ada has left, 1 here
--   stopped by TERM
-- and bob hears:
--   your name? hello bob, 2 here
--   ada: hi bob
--   * ada has left
--   * goodbye
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local NAME_TIME = 60 -- seconds to say a name
local PACE = 0.01 -- seconds from line to line
local LINE_MAX = 1000 -- bytes

local address = arg[1] or "127.0.0.1:7000"
if address:match("^%d+$") then address = "127.0.0.1:" .. address end
if not (address:find "^unix:." or address:find ":%w+$") or #arg > 1 then
  io.stderr:write "usage: chat.lua [ADDRESS]\n"
  os.exit(2, true)
end
local listener, message = proa.net.listen(address)
if not listener then
  io.stderr:write(message, "\n")
  os.exit(1, true)
end
io.stdout:setvbuf "line"

local names = {} -- of the streams of all who are here
local count = 0

local function leave(conn)
  if not names[conn] then return end
  names[conn], count = nil, count - 1
end

--- To all but one. Does not wait, so no one comes or goes meanwhile.
local function tell_others(but, line)
  for conn in pairs(names) do
    if conn ~= but and not conn:try_write(line, "\n") then
      leave(conn)
      conn:abort() -- its own task wakes from its read, and says so
    end
  end
end

local function announce(conn, name, what)
  print(("%s has %s, %d here"):format(name, what, count))
  tell_others(conn, ("* %s has %s"):format(name, what))
end

local function is_free(name)
  for _, taken in pairs(names) do
    if taken == name then return false end
  end
  return true
end

--- nil: gone, or too slow.
local function ask_name(conn)
  conn:write "your name? "
  for line in function()
    return conn:read("l", { max = LINE_MAX, timeout = NAME_TIME })
  end do
    local name = line:match "^%s*([%w_-]+)%s*$"
    if name and #name <= 20 and is_free(name) then return name end
    conn:write "that is taken, or no name. your name? "
  end
end

local function chat(conn)
  local name = ask_name(conn)
  if not name then return end
  names[conn], count = name, count + 1
  conn:try_write(("hello %s, %d here\n"):format(name, count))
  announce(conn, name, "joined")
  for line in function() return conn:read("l", LINE_MAX) end do
    tell_others(conn, name .. ": " .. line:gsub("%c", ""))
    proa.sleep(PACE)
  end
  leave(conn)
  announce(conn, name, "left")
end

proa.run(function()
  print("listening on " .. listener:address())
  local server = proa.spawn(proa.run, listener.serve, listener, chat)

  local signal = proa.signal.wait("INT", "TERM")
  listener:close()
  tell_others(nil, "* goodbye")
  -- Their streams are closed as their tasks unwind; what was written still
  -- goes out, and run waits for that.
  server:cancel()
  server:await()
  print("stopped by " .. signal)
end)
