--- 303: a limit in seconds was taken for max, and only the odd result told so; a
-- command line in one word was only "not found"; a script was in the message
-- of its timeout with all its lines.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"
local run = proa.process.run

describe("a small number where read takes max", function()
  helper.it("is told to be one of bytes", function()
    local a, b = proa.net.pair()
    b:write(("x"):rep(300) .. "\n")
    local hint = " (which is max; for seconds: { timeout = 5 })"
    assert.same({ nil, "read: the line is longer than 5 bytes" .. hint, "LIMIT" },
      { a:read("l", 5) })
    assert.equal("read: the text up to the end is longer than 5 bytes" .. hint,
      select(2, a:read("a", 5)))
    assert.equal("read: the line is longer than 200 bytes",
      select(2, a:read("l", 200)))
    assert.match(": read: max is a number of bytes; for seconds: { timeout = 0.5 }$",
      helper.error_of(a.read, a, "l", 0.5))
    a:close()
    b:close()
  end)
end)

describe("the message of run", function()
  helper.it("says how a command line is run", function()
    assert.same({ nil, 'spawn ls -l: no such file or directory (one word; for a '
      .. 'command line: shell = "ls -l")', "ENOENT" }, { run { "ls -l" } })
    assert.same({ nil, "spawn no-such-program: no such file or directory",
      "ENOENT" }, { run { "no-such-program" } })
    assert.same({ nil, "spawn no such program: no such file or directory",
      "ENOENT" }, { run { "no such program", "with" } })
  end)

  helper.it("has the begin of a long script, on one line", function()
    local script = "  sleep 60\n\27[2J" .. ("# and more\n"):rep(20)
    local _, message, code = run { shell = script, timeout = 0.01 }
    assert.equal("TIMEOUT", code)
    assert.equal("run sleep 60\\x0a\\x1b[2J" .. ("# and more\\x0a"):rep(4)
      .. "# a...: timed out", message)
  end)
end)
