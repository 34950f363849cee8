--- 100_close_in_call_spec.lua: closing the state while a task is inside an op.
-- Objects are finalised youngest first, so the op's future went before the
-- runtime ended the task that awaited it; giving up that wait then used the op
-- that the future no longer had, and crashed.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"

describe("closing the state", function()
  helper.it("ends a task that waits inside an op", function()
    local output, status = helper.lua [[
      local core, proa = require "proa.core", require "proa"
      local a, b = proa.fd.pair()
      proa.spawn(function() core.call("recv", a, proa.buffer(10)) end)
      proa.spawn(function() core.call("ready", b, "r") end)
      proa.sleep(0)
      proa.sleep(0)
      print "closing"
    ]]
    assert.equal("closing\n", output)
    assert.equal(0, status)
  end)
end)
