--- contenders.lua: who takes part, what starts them, and what they lack.
--
-- To add one: an entry below and, for an echo server, a program that says
-- "listening on 127.0.0.1:PORT" first; for tasks, one that prints what
-- task_kit.lua prints. `missing` gives nil or, in words, what it takes.
-- SPDX-License-Identifier: MIT

local machine = require "machine"
local shell = require "shell"

local here = arg[0]:match "^(.*)/" or "."
local peers = here .. "/peers/"
local lua = machine.lua

local function module_missing(name, package)
  return function()
    local _, ok = shell.run { lua, "-e", ("require %q"):format(name) }
    return not ok and ("apt-get install " .. package) or nil
  end
end

local function program_missing(name, package)
  return function()
    local there = shell.line("sh", "-c", "command -v " .. shell.quote(name))
    return not there and ("apt-get install " .. package) or nil
  end
end

local function uring_missing(where)
  return where.refused and "io_uring is refused: " .. where.refused or nil
end

-- Where tasks are measured, the reference needs no io_uring.
local function reference_missing(where)
  return where.sockets and uring_missing(where) or nil
end

local function nothing_missing() end

local function proa(driver, missing)
  local env = { "env", "PROA_DRIVER=" .. driver, lua }
  local function with(...) return { env[1], env[2], env[3], ... } end
  return {
    name = "proa-" .. driver,
    echo = with(here .. "/../../examples/echo_server.lua", "127.0.0.1:0"),
    tasks = with(here .. "/tasks.lua"),
    missing = missing,
  }
end

local function peer(name, interpreter, file, missing)
  return {
    name = name,
    echo = { interpreter, peers .. file, "echo" },
    tasks = { interpreter, peers .. file },
    missing = missing,
  }
end

local reference = {
  name = "reference",
  echo = { machine.build .. "/reference" },
  tasks = { "env", "PROA_BENCH=" .. machine.build, lua,
    here .. "/floor_tasks.lua" },
  missing = reference_missing,
}

--- The first is what the others are compared with. `echo` starts a server,
-- `tasks` is called with a kind and a number.
local contenders = {
  reference,
  proa("uring", uring_missing),
  proa("poll", nothing_missing),
  peer("luv", lua, "luv.lua", module_missing("luv", "lua-luv")),
  peer("cqueues", lua, "cqueues.lua", module_missing("cqueues", "lua-cqueues")),
  peer("node", "node", "node.js", program_missing("node", "nodejs")),
}

--- One more: whatever echo server a shell command starts, as "server".
function contenders.server(command)
  return {
    name = "server",
    echo = { "sh", "-c", "exec " .. command },
    missing = function(where)
      return not where.sockets and "SERVER= is an echo server" or nil
    end,
  }
end

return contenders
