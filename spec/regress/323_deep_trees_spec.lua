--- 323: rm of a tree held a descriptor for each level: a deep one could not be
-- removed.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local helper = require "spec.helper"
local proa = require "proa"
local testing = require "proa.testing"

local fs, op = proa.fs, proa.op
local it = helper.it

--- root/deep/deep/..., with a file beside each; no path is as long as that.
-- `open_bits.directory` alone opens for reading.
local function make_deep(root, depth)
  assert(fs.mkdir(root))
  local at = assert(op.open(root, core.open_bits.directory):await())
  for _ = 1, depth do
    assert(op.mkdir("deep", 448, at):await())
    op.open("f", "w", 384, at):await():close()
    local next_at = assert(op.open("deep", core.open_bits.directory, nil, at)
      :await())
    at:close()
    at = next_at
  end
  at:close()
end

--- fs.rm that tells on_open(path) of each directory before it opens it.
local function watched_rm(on_open)
  return helper.anew("proa.fs.remove", function(call, verb, path, ...)
    if verb == "open" then on_open(path) end
    return call(verb, path, ...)
  end).rm
end

local function count(path)
  local n = 0
  for _ in fs.walk(path) do n = n + 1 end
  return n
end

describe("rm of a deep tree", function()
  it("takes few descriptors, and no long path", function()
    local root = helper.temp "root"
    make_deep(root, 1000) -- a path of more than 4096 bytes
    local output, status = helper.lua(([[
      local proa = require "proa"
      proa.run(function() assert(proa.fs.rm(%q, { recursive = true })) end)
    ]]):format(root), { before = "ulimit -n 64",
      limit = 60 })
    assert.same({ "", 0 }, { output, status })
    assert.is_false(fs.exists(root))
  end, { limit = 90 })

  it("takes few of the simulation's as well", function()
    testing.run(function()
      make_deep("/root", 200)
      local most = 0
      local rm = watched_rm(function()
        most = math.max(most, proa.stats().handles)
      end)
      local before = proa.stats().handles
      assert(rm("/root", { recursive = true }))
      assert.is_true(most - before <= 20)
      assert.is_false(fs.exists "/root")
    end)
  end)

  it("does not follow what somebody puts in the way", function()
    local root, other = helper.temp "root", helper.temp "other"
    make_deep(root, 40)
    make_deep(other, 3)
    local all = count(other)
    local ways = 0
    local rm = watched_rm(function(path)
      if path ~= "deep" or ways > 0 then return end
      ways = 1
      assert(os.rename(root .. "/deep", root .. "/kept"))
      assert(fs.symlink(other, root .. "/deep"))
    end)
    assert(rm(root, { recursive = true }))
    assert.equal(1, ways)
    assert.is_false(fs.exists(root))
    assert.equal(all, count(other))
  end)

  it("stops where it can't go back to where it came from", function()
    local root, other = helper.temp "root", helper.temp "other"
    make_deep(root, 40)
    make_deep(other, 3)
    local all, moved = count(other), false
    local rm = watched_rm(function(path)
      if path ~= ".." or moved then return end
      moved = true
      -- the innermost whose parent is not open any more
      assert(os.rename(root .. ("/deep"):rep(24), other .. "/x"))
    end)
    local ok, message, code = rm(root, { recursive = true })
    assert.is_true(moved)
    assert.same({ nil, "ESTALE" }, { ok, code })
    assert.matches("^rm /.*/deep/deep: it was moved meanwhile$", message)
    assert.is_true(count(other) >= all)
  end)

  it("leaves no descriptor behind when it is given up", function()
    local root = helper.temp "root"
    make_deep(root, 60)
    local opened = 0
    local rm = watched_rm(function() opened = opened + 1 end)
    local task = proa.spawn(rm, root, { recursive = true })
    helper.wait_until(function() return opened == 50 end)
    task:cancel()
    task:await()
    assert(rm(root, { recursive = true })) -- drained: see helper.it
  end)
end)
