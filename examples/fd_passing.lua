-- fd_passing.lua - hands an open file and a connection to another process.
--
--   lua5.4 examples/fd_passing.lua
--
-- Shows descriptors that pass through a Unix socket: the child has no right to
-- the file and has never seen the client, and yet reads the one and answers the
-- other. What it receives is a file and a stream at once. It also learns who
-- its parent is, from the kernel.
--
-- Prints:
--   the child got 2 descriptors with "take these"
--   its parent is the one that started it: true
--   the client was told: the file says hello
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local function child(address, parent)
  local conn <close> = assert(proa.net.connect(address))
  local text, objects = conn:recv_fds(100, 5)
  print(("the child got %d descriptors with %q"):format(#objects, text))
  print("its parent is the one that started it: "
    .. tostring(conn:credentials().pid == tonumber(parent)))
  local file, client = table.unpack(objects)
  client:write(file:read "a")
  client:close()
  file:close()
end

local function pid_of_this()
  local stat <close> = assert(io.open "/proc/self/stat")
  return stat:read "a":match "%d+"
end

local function parent()
  local listener <close> = assert(proa.net.listen("unix:@proa.example."
    .. pid_of_this()))
  local server <close> = assert(proa.net.listen "127.0.0.1:0")
  local program = debug.getinfo(1, "S").source:sub(2)
  local task = proa.spawn(proa.process.run, { arg[-1] or "lua5.4", program,
    "child", listener:address(), pid_of_this(), stderr = "inherit" })

  local client <close> = assert(proa.net.connect(server:address()))
  local served <close> = assert(server:accept())
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w+"))
  file:write "the file says hello"
  file:flush()
  file:seek "set"
  os.remove(path) -- nobody can open it any more

  local conn <close> = assert(listener:accept(5))
  assert(conn:send_fds("take these", file, served))
  served:close()
  io.write(task:await().stdout)
  print("the client was told: " .. client:read "a")
end

proa.run(function()
  if arg[1] == "child" then return child(arg[2], arg[3]) end
  parent()
end)
