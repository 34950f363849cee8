--- 340: bytes that came with descriptors nobody had asked for stayed unread on
-- the poll driver: the kernel ends a read where such a message ends, and the
-- driver took a short read for all there was.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

if helper.driver == "sim" then return end -- it passes no descriptors

describe("what came in several messages with descriptors", function()
  helper.it("is read to its end", function()
    local a <close>, b = proa.net.pair()
    local _ <close> = b
    for i = 1, 10 do assert(a:send_fds(i .. "\n", a)) end
    assert(a:flush())
    for i = 1, 10 do
      assert.equal(tostring(i), (b:read("l", { timeout = 5 })))
    end
  end)
end)
