-- dns.lua - looks up names at once and prints their addresses.
--
--   lua5.4 examples/dns.lua [name[:service]]...
--
-- Shows resolving, which happens on threads: a hundred names take as long as
-- the slowest few, equal ones are asked once, and one that takes too long is
-- left behind. Default: localhost, localhost:http, and a name that is none.
--
-- Prints:
--   localhost                127.0.0.1
--   localhost:http           127.0.0.1:80
--   no.such.name.invalid     there is no such name (EAI_NONAME)
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local names = #arg > 0 and arg
  or { "localhost", "localhost:http", "no.such.name.invalid" }

local function look_up(name)
  local host, service = name:match "^(.*):(.-)$"
  local list, message, code = proa.net.resolve(host or name, service,
    { timeout = 5 })
  if not list then
    return ("%s (%s)"):format(message:match ": (.*)$", code)
  end
  for i, address in ipairs(list) do
    list[i] = service and address or address:match "^%[?(.-)%]?:%d+$"
  end
  return table.concat(list, " ")
end

proa.run(function()
  local answers = proa.map(names, look_up)
  for i, name in ipairs(names) do
    print(("%-24s %s"):format(name, answers[i]))
  end
end)
