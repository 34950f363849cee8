--- 382: a client that was accepted and dropped by abort before its handler had
-- begun was an error of the handler, "stream is closed"; one that serve had not
-- taken yet was served in spite of abort.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local it = helper.it

--- Abort so many turns after the clients came.
local function abort_after(turns, options)
  local listener = assert(proa.net.listen "127.0.0.1:0")
  local server = proa.spawn(listener.serve, listener, function(conn)
    conn:read "l"
  end, options)
  helper.turns(1)
  local conns = {}
  for i = 1, 3 do conns[i] = assert(proa.net.connect(listener:address())) end
  helper.turns(turns)
  listener:abort()
  assert.is_true(listener:drain(60))
  server:await()
  for _, conn in ipairs(conns) do conn:close() end
end

describe("listener:abort", function()
  for name, options in pairs { ["no limit"] = {}, ["a limit"] = { max = 2 },
    ["an idle limit"] = { idle = 60 }, both = { max = 2, idle = 60 } } do
    it("is no error of handlers that have not begun, with " .. name, function()
      local reports = helper.catch_errors()
      for turns = 0, 8 do abort_after(turns, options) end
      assert.same({}, reports)
    end)
  end
end)
