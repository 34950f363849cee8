--- Mistakes are told to who made them, in the words that they typed.
-- Symptom: a bad address, a closed listener or a bad entry of select was
-- blamed on a line of proa itself; an unknown host was "no such file or
-- directory"; a refused name was told only as the address behind it.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"
local net = proa.net

-- A chunk of its own, so that a position in it can't be one of proa's.
local function mistake(source, ...)
  local chunk = assert(load("local net, proa, x = ... " .. source .. " return 1",
    "=theirs"))
  return helper.error_of(chunk, net, proa, ...)
end

describe("a mistake", function()
  it("in an address is told where it was typed", function()
    for _, source in ipairs { "net.connect 'nonsense'", "net.connect(80)",
      "net.connect('nonsense', { timeout = 1 })", "net.listen 'nonsense'",
      "net.listen()", "net.listen 'localhost:0'",
      "net.listen('127.0.0.1:0', { mode = '660' })",
      "net.listen('unix:/tmp/none', { reuse_port = true })" } do
      local verb = source:match "net%.(%a+)"
      assert.matches("^theirs:1: " .. verb .. ": ", mistake(source))
    end
    assert.matches("^theirs:1: resolve: ", mistake "net.resolve()")
  end)

  helper.it("in calls that wait for several is told there too", function()
    for _, name in ipairs { "select", "all", "any", "race" } do
      local function told(argument)
        local message = mistake(("proa.%s(%s)"):format(name, argument))
        assert.matches("^theirs:1: " .. name .. ": ", message)
        return message
      end
      assert.matches("a table expected, got number", told "5")
      assert.matches("cannot wait for a number", told "{ 5 }")
    end
    local a, b = net.pair()
    assert.matches("cannot wait for a proa.stream",
      mistake("proa.select { x }", a))
    a:close()
    b:close()
  end)

  helper.it("with a closed listener or an odd size is told there", function()
    local listener = assert(net.listen "127.0.0.1:0")
    listener:close()
    assert.equal("theirs:1: serve: listener is closed",
      mistake("x:serve(print)", listener))
    local a, b = net.pair()
    assert.equal("theirs:1: chunks: max is at least 1, got q",
      mistake("x:chunks 'q'", a))
    a:close()
    b:close()
  end)
end)

describe("a name", function()
  helper.it("that does not exist is told as it was typed", function()
    local stream, message, code = net.connect "no.such.host.invalid:80"
    assert.is_nil(stream)
    assert.equal("EAI_NONAME", code)
    assert.equal("connect no.such.host.invalid:80: there is no such name",
      message)
    assert.equal("resolve no.such.host.invalid: there is no such name",
      select(2, net.resolve "no.such.host.invalid"))
    assert.equal("connect localhost:nosuch: there is no such service",
      select(2, net.connect "localhost:nosuch"))
  end)

  helper.it("is told beside the address that was tried", function()
    local listener = assert(net.listen "127.0.0.1:0")
    local port = listener:address():match ":(%d+)$"
    listener:close()
    local _, message, code = net.connect("localhost:" .. port)
    assert.equal("ECONNREFUSED", code)
    -- where localhost has an IPv6 address too, both are told
    local one = ("^connect localhost:%s %%(%%S+:%s%%): connection refused$")
      :format(port, port)
    local both = ("^connect localhost:%s: %%S+:%s: connection refused; ")
      :format(port, port)
    assert.is_truthy(message:match(one) or message:match(both), message)
  end)
end)
