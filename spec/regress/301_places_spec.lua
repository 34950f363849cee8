--- 301: a mistake was blamed on a line of proa itself, on no line at all when
-- pcall or a task called, and on functions by names that no program knows
-- ("proa.core.sleep", "signal_each", "?").
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"
local fs = proa.fs

-- A chunk of its own, so that a position in it can't be one of proa's.
local function chunk(source, ...)
  return select(2, pcall(assert(load("local proa, fs, x = ... " .. source,
    "=theirs")), proa, fs, ...))
end

--- What is raised is the same when the script calls and when pcall does; then
-- the name may be the long one.
local function both(call, arguments, text)
  local plain = chunk(("%s(%s)"):format(call, arguments))
  local caught = chunk(("error(select(2, pcall(%s, %s)), 0)"):format(call,
    arguments))
  assert.equal("theirs:1: " .. text, plain)
  assert.equal("theirs:1: " .. text, (caught:gsub("proa%.[%a.]-([%a_]+'?[: ])", "%1")))
end

describe("a mistake in a call", function()
  helper.it("of a C function is told in the line that calls, by its name",
    function()
      both("proa.sleep", "'x'",
        "bad argument #1 to 'sleep' (number expected, got string)")
      both("proa.sync.semaphore", "'x'",
        "bad argument #1 to 'semaphore' (number expected, got string)")
      both("proa.signal.each", "'KILL'",
        "bad argument #1 to 'each' (this signal cannot be waited for)")
    end)

  helper.it("of a method is told there, too", function()
    local a, b = proa.net.pair()
    assert.equal("theirs:1: bad argument #1 to 'read' (string expected, "
      .. "got table)", chunk("x:read {}", a))
    assert.equal("theirs:1: bad argument #2 to 'read' (string expected, "
      .. "got table)", chunk("error(select(2, pcall(x.read, x, {})), 0)", a))
    assert.equal("theirs:1: bad argument #1 to 'read' (proa.stream expected, "
      .. "got number)", chunk("error(select(2, pcall(x.read, 5)), 0)", a))
    a:close()
    b:close()
  end)

  helper.it("of a function in Lua is told there, without the inner one", function()
    both("proa.serve_until", "'FOO'", "serve_until: unknown signal 'FOO'")
    both("proa.setup", "{ driver = 'poll' }",
      "setup comes before the first use of proa")
    both("proa.setup", "5", "setup: a table of options expected, got number")
    both("fs.open", "5", "open: a path is a string, got number")
    both("fs.read", "'x', 5", "read: a table of options expected, got number")
    both("fs.read", "'x', { most = 1 }", "read: unknown option 'most'")
  end)
end)

describe("a mistake in what a task is to run", function()
  helper.it("is told in the line that spawns it", function()
    local task = chunk("error(proa.spawn(proa.sleep, 'x'), 0)")
    assert.equal("theirs:1: bad argument #1 to 'proa.sleep' (number expected, "
      .. "got string)", helper.error_of(task.await, task))
  end)

  helper.it("by map says that there is an index, in the line of map", function()
    assert.equal("theirs:1: read: a table of options expected, got number (map "
      .. "and each pass the index behind the value: give them a function(value) "
      .. "that calls this one)", chunk "proa.map({ 'name' }, fs.read)")
  end)

  helper.it("of an iterator is told where each was called", function()
    local a, b = proa.net.pair()
    a:timeout { read = 0 }
    assert.match("^theirs:1: read.* timed out$",
      chunk("proa.each(x:lines(), print)", a))
    a:close()
    b:close()
  end)
end)
