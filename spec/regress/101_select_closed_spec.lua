--- 101_select_closed_spec.lua: select over an operation whose fd was closed.
-- Making its results left the message's text below them, which select took
-- for a mistake of its own, and the process aborted.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

describe("select", function()
  helper.it("gives the failure of an operation whose fd was closed", function()
    local a, b = proa.fd.pair()
    local future = proa.op.recv(a, proa.buffer(10))
    proa.spawn(function() a:close() end)
    local name, value, message, code = proa.select { op = future, timeout = 5 }
    assert.same({ "op", nil, "recv: the fd was closed", "CLOSED" },
      { name, value, message, code })
    b:close()
  end)
end)
