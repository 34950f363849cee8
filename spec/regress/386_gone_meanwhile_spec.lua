--- 386: rm of a tree stopped at a directory that somebody else removed while it
-- was being read, with force as if all were gone; and at an empty one that it
-- may not read but may remove.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local fs = proa.fs
local it = helper.it

--- fs.rm that calls before(verb, ...) first; what that gives is the result.
local function watched_rm(before)
  return helper.anew("proa.fs.remove", function(call, verb, ...)
    local results = table.pack(before(verb, ...))
    if results.n > 0 then return table.unpack(results, 1, results.n) end
    return call(verb, ...)
  end).rm
end

local function tree()
  local root = helper.temp "root"
  for _, name in ipairs { "/a", "/b", "/c" } do
    assert(fs.mkdir(root .. name, { parents = true }))
  end
  return root
end

describe("rm of a tree", function()
  for _, force in ipairs { false, true } do
    it("goes on where somebody else was quicker, force = " .. tostring(force),
      function()
        local root, opened, removed = tree(), nil, 0
        local rm = watched_rm(function(verb, path)
          if verb == "open" then opened = path end
          if verb ~= "entries" or opened == root then return end
          removed = removed + 1
          assert(os.remove(root .. "/" .. opened))
          opened = root
        end)
        assert.same({ true }, { rm(root, { recursive = true, force = force }) })
        assert.equal(3, removed)
        assert.is_false(fs.exists(root))
      end)
  end

  it("removes an empty directory that can't be read", function()
    local root = tree()
    local rm = watched_rm(function(verb, path)
      if verb ~= "open" or path == root then return end
      return nil, "open " .. path .. ": permission denied", "EACCES"
    end)
    assert.same({ true }, { rm(root, { recursive = true }) })
    assert.is_false(fs.exists(root))
  end)

  it("says of one that is not empty that it can't be read", function()
    local root = tree()
    assert(fs.write(root .. "/b/file", ""))
    local rm = watched_rm(function(verb, path)
      if verb ~= "open" or path ~= "b" then return end
      return nil, "open " .. path .. ": permission denied", "EACCES"
    end)
    assert.same({ nil, ("rm %s/b: permission denied"):format(root), "EACCES" },
      { rm(root, { recursive = true }) })
    assert(fs.rm(root, { recursive = true }))
  end)
end)
