--- sim_replay_spec.lua: a seed means the same program in every process.
-- Two runs of the host of random programs, with another environment (which
-- moves the stack) and other programs before, tell the same completions at the
-- same virtual times.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"

-- Once is enough: the host has a simulation of its own.
if helper.driver ~= "sim" then return end

local host = os.getenv "PROA_BUILD" .. "/sim"

local function hashes(seed, n, env)
  local output, status = helper.shell(("env %s SEED=%d N=%d %q --hashes")
    :format(env or "", seed, n, host), 60)
  assert.equal(0, status, output)
  local list = {}
  for line in output:gmatch "(seed [^\n]+)" do list[#list + 1] = line end
  assert.equal(n, #list)
  return list
end

describe("a random program", function()
  it("goes the same way in every process", function()
    local first = hashes(1, 60)
    local again = hashes(41, 20, "PADDING=" .. ("x"):rep(10000))
    assert.same(table.move(first, 41, 60, 1, {}), again)
  end)
end)
