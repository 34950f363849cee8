--- fs_cancel_spec: what is left behind by what is given up half way, as
-- lua/proa/meta/fs.lua says it. In the simulation, at every turn of the loop.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"
local testing = require "proa.testing"

local fs = proa.fs
local DATA = ("0123456789abcdef"):rep(20000)

--- Runs fn in a task that is cancelled after so many turns; then all that goes
-- on behind it has ended. true: fn had ended before.
local function give_up(turns, fn)
  local ended = false
  local task = proa.spawn(function()
    fn()
    ended = true
  end)
  for _ = 1, turns do proa.sleep(0) end
  task:cancel()
  task:await()
  proa.sleep(10)
  return ended
end

--- One file after another, given up later and later, until one is whole.
local function later_and_later(fn, check)
  for seed = 1, 10 do
    testing.run(function()
      local turns = 0
      repeat
        turns = turns + 1
        local ended = give_up(turns, function() fn(turns) end)
        check(turns, ended)
      until ended
    end, { seed = seed })
  end
end

local function is_part_of_data(content)
  assert.is_true(content == DATA:sub(1, #content))
end

describe("given up,", function()
  helper.it("write leaves the old content, or a part of the new", function()
    later_and_later(function(i)
      assert(fs.write("/old" .. i, "old", { atomic = true }))
      assert(fs.write("/old" .. i, DATA))
      assert(fs.write("/new" .. i, DATA))
    end, function(i)
      local old, new = fs.read("/old" .. i), fs.read("/new" .. i)
      if old and old ~= "old" then is_part_of_data(old) end
      if new then is_part_of_data(new) end
    end)
  end, { limit = 60 })

  helper.it("append leaves a part behind the old content", function()
    later_and_later(function(i)
      assert(fs.write("/log" .. i, "old", { atomic = true }))
      assert(fs.append("/log" .. i, DATA))
    end, function(i)
      local content = fs.read("/log" .. i)
      if not content then return end
      assert.equal("old", content:sub(1, 3))
      is_part_of_data(content:sub(4))
    end)
  end, { limit = 60 })

  helper.it("copy leaves the old content, or a part of the new", function()
    later_and_later(function(i)
      assert(fs.write("/from", DATA, { atomic = true }))
      assert(fs.write("/to" .. i, "old", { atomic = true }))
      assert(fs.copy("/from", "/to" .. i))
      assert(fs.copy("/from", "/copy" .. i))
    end, function(i, ended)
      for _, path in ipairs { "/to" .. i, "/copy" .. i } do
        local content = fs.read(path)
        if content and content ~= "old" then is_part_of_data(content) end
        if ended then assert.equal(#DATA, #content) end
      end
    end)
  end, { limit = 60 })

  helper.it("mkdir leaves the parents that it made", function()
    later_and_later(function(i)
      assert(fs.mkdir("/" .. i .. "/a/b/c/d", { parents = true }))
    end, function(i)
      assert(fs.mkdir("/" .. i .. "/a/b/c/d", { parents = true }))
    end)
  end, { limit = 60 })
end)
