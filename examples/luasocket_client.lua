-- luasocket_client.lua - a program for LuaSocket, unchanged, inside tasks.
--
--   lua5.4 examples/luasocket_client.lua
--
-- The client in the middle, of a key-value server that speaks Redis' protocol,
-- was written for LuaSocket: it knows nothing of proa, and blocks as it pleases.
-- With proa.socket in LuaSocket's place each call that would block awaits, so
-- three of these clients and the server share one thread. Any driver written
-- for LuaSocket runs the same way.
--
-- Prints:
--   SET answers OK
--   GET answers proa
--   three counted to 300
--   GET of nothing answers nil
--   DEL is unknown: ERR unknown command
-- SPDX-License-Identifier: MIT

local proa = require "proa"
require "proa.socket".install()

-- -- a client as anybody would write it for LuaSocket --

local client = (function()
  local socket = require "socket"

  local function send(sock, ...)
    local parts = { ("*%d\r\n"):format(select("#", ...)) }
    for _, word in ipairs { ... } do
      parts[#parts + 1] = ("$%d\r\n%s\r\n"):format(#word, word)
    end
    return sock:send(table.concat(parts))
  end

  local function answer(sock)
    local line, err = sock:receive "*l"
    if not line then return nil, err end
    local kind, rest = line:sub(1, 1), line:sub(2)
    if kind == "+" then return rest end
    if kind == ":" then return tonumber(rest) end
    if kind == "-" then return nil, rest end
    local n = tonumber(rest)
    if n < 0 then return nil end
    local data = assert(sock:receive(n))
    assert(sock:receive(2))
    return data
  end

  return function(host, port)
    local sock = assert(socket.tcp())
    sock:settimeout(5)
    assert(sock:connect(host, port))
    sock:setoption("tcp-nodelay", true)
    return function(...)
      if not ... then return sock:close() end
      assert(send(sock, ...))
      return answer(sock)
    end
  end
end)()

-- -- the server, which is proa's --

local values = {}

local commands = {
  SET = function(key, value)
    values[key] = value
    return "+OK\r\n"
  end,
  GET = function(key)
    local value = values[key]
    return value and ("$%d\r\n%s\r\n"):format(#value, value) or "$-1\r\n"
  end,
  INCR = function(key)
    values[key] = tostring(math.tointeger(values[key] or 0) + 1)
    return (":%s\r\n"):format(values[key])
  end,
}

local function serve(conn)
  for line in conn:lines() do
    local words = {}
    for i = 1, tonumber(line:match "^%*(%d+)") do
      local n = tonumber(conn:read "l":match "^%$(%d+)")
      words[i] = conn:read_exact(n + 2):sub(1, n)
    end
    local command = commands[words[1]]
    conn:write(command and command(words[2], words[3])
      or "-ERR unknown command\r\n")
  end
end

proa.run(function()
  local listener = assert(proa.net.listen "127.0.0.1:0")
  proa.spawn(listener.serve, listener, serve)
  local host, port = listener:address():match "^(.*):(%d+)$"

  local ask = client(host, port)
  print("SET answers " .. ask("SET", "name", "proa"))
  print("GET answers " .. ask("GET", "name"))

  local function count()
    local mine = client(host, port)
    for _ = 1, 100 do mine("INCR", "n") end
    mine()
  end
  proa.all { count, count, count }
  print("three counted to " .. ask("GET", "n"))
  print("GET of nothing answers " .. tostring(ask("GET", "nothing")))
  print("DEL is unknown: " .. select(2, ask("DEL", "name")))
  ask()
  listener:close()
end)
