--- 280: names that are made to be taken away again: a task that gives them up leaves
-- none behind, whenever the kernel gets round to making them.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"
local testing = require "proa.testing"

local fs = proa.fs
local it = helper.it

local function count(path)
  local n = 0
  for _ in assert(fs.list(path)) do n = n + 1 end
  return n
end

--- Runs fn in a task that is cancelled after so many turns.
local function give_up(turns, fn)
  local task = proa.spawn(fn)
  for _ = 1, turns do proa.sleep(0) end
  task:cancel()
  task:await()
  proa.sleep(1) -- what was under way has ended
end

local function replaced()
  assert(fs.mkdir "/d")
  assert(fs.write("/d/file", "old"))
  for turns = 0, 12 do
    give_up(turns, function()
      fs.write("/d/file", "new", { atomic = true })
    end)
    assert.equal(1, count "/d")
  end
end

local function made_for_us()
  assert(fs.mkdir "/e")
  for turns = 0, 4 do
    local made
    give_up(turns, function() made = fs.tmpdir { dir = "/e" } end)
    assert.equal(made and 1 or 0, count "/e")
    if made then assert(fs.rm(made)) end
  end
end

describe("names that are given up", function()
  it("are gone when a file was to be replaced", function()
    for seed = 1, 40 do testing.run(replaced, { seed = seed }) end
  end)

  it("are not made for nobody", function()
    for seed = 1, 40 do testing.run(made_for_us, { seed = seed }) end
  end)
end)
