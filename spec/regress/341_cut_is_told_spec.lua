--- 341: descriptors that came with a datagram were lost without a word when
-- they were asked for while a receive without room for them was under way.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"
local testing = require "proa.testing"

local function asked_for_late()
  local a <close>, b = proa.net.pair { datagram = true }
  local _ <close> = b
  b:recv(0) -- receiving goes on behind it
  b:take_fds()
  a:send_fds("x", a)
  local data, objects, _, cut = b:recv_fds(5)
  assert.equal("x", data)
  assert.is_true(#objects == 1 or cut)
  for _, object in ipairs(objects) do object:close() end
end

describe("descriptors that are asked for late", function()
  helper.it("come, or are said to be cut off", function()
    for seed = 1, 40 do testing.run(asked_for_late, { seed = seed }) end
  end)

  helper.it("do so on this driver", asked_for_late)
end)
