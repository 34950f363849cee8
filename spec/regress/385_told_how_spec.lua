--- 385: mistakes of who knows other libraries were told of, but not how it is
-- meant; and fs.watch passed over what it does not know.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local fs, net, process = proa.fs, proa.net, proa.process
local it = helper.it

local function raises(what, message, fn, ...)
  local args = table.pack(...)
  it("says how it is meant: " .. what, function()
    local raised = helper.error_of(function()
      fn(table.unpack(args, 1, args.n))
    end)
    assert.equal(message, (raised:match "^[^\n]*385_told_how_spec%.lua:%d+: (.*)$"))
  end)
end

describe("a mistake", function()
  raises("host and port of connect", "connect: a table of options expected, got"
    .. " number; host and port are one address: \"127.0.0.1:80\"",
    net.connect, "127.0.0.1", 80)
  raises("host and port of listen", "listen: a table of options expected, got"
    .. " string; host and port are one address: \"[::1]:80\"",
    net.listen, "::1", "80")
  raises("a timeout", "connect: a table of options expected, got number",
    net.connect, "127.0.0.1:80", 3)
  raises("a port", "listen: an address is a string like \":80\", got number",
    net.listen, 80)
  raises("a command line", "spawn: a table expected, got string; like"
    .. " { \"ls\", \"-l\" } or { shell = \"ls -l\" }", process.spawn, "sleep 1")
  raises("options of lines", "lines: bad format, a table: l or L; options come"
    .. " behind it", function()
      local a <close> = net.pair { memory = true }
      a:lines { max = 10 }
    end)
  raises("a number in a string", "serve: max: an integer above 0 expected, got"
    .. " \"3\"", function()
      local listener <close> = net.listen "127.0.0.1:0"
      listener:serve(print, { max = "3" })
    end)
  raises("options of watch", "watch: nothing but paths expected; of its changes:"
    .. " watch:next()", fs.watch, "/", { recursive = true })
  raises("a callback of watch", "watch: nothing but paths expected; of its"
    .. " changes: watch:next()", fs.watch, "/", print)
  raises("options among the paths", "watch: unknown option 'recursive'",
    fs.watch, { "/", recursive = true })
end)
