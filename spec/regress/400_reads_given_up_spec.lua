--- 400: a read at an offset that is given up goes on into memory of its own; in
-- the simulation it was performed later and found none.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"
local testing = require "proa.testing"

local function give_up_at_any_turn()
  local file <close> = assert(proa.fs.open("/file", "w+"))
  assert(file:write "0123456789")
  for turns = 0, 6 do
    local task = proa.spawn(file.read_at, file, 2, 5)
    for _ = 1, turns do proa.yield() end
    task:cancel()
    task:await()
    proa.sleep(1)
    assert.equal("34", file:read_at(3, 2))
  end
end

describe("reads that are given up", function()
  helper.it("do no harm", function()
    for seed = 1, 40 do testing.run(give_up_at_any_turn, { seed = seed }) end
  end)
end)
