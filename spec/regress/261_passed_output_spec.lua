--- 261: what a child says to a file of proa is passed on by a task in the
-- background; wait came back before the last of it had arrived.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

describe("the output of a child that is passed on to a file", function()
  helper.it("is in the file when wait has returned", function()
    for _ = 1, 5 do
      local path = helper.temp "log"
      local file = assert(proa.fs.open(path, "w"))
      local p = assert(proa.process.spawn { "seq", "1", "100000", stdout = file })
      assert.is_true(p:wait().ok)
      file:close()
      assert.equal(588895, #proa.fs.read(path))
      assert(proa.fs.rm(path))
    end
  end)
end)
