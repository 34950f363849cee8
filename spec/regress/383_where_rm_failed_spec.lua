--- 383: rm of a tree named only the last part of what it could not remove; and
-- it emptied "directory/." before it said that this can't be removed.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local fs = proa.fs
local it = helper.it

--- fs.rm for which a verb on a name fails.
local function refused_rm(what, name)
  return helper.anew("proa.fs.remove", function(call, verb, path, ...)
    if verb ~= what or name and path ~= name then return call(verb, path, ...) end
    return nil, name and ("%s %s: permission denied"):format(verb, name)
      or verb .. ": permission denied", "EACCES"
  end).rm
end

local function tree()
  local root = helper.temp "root"
  assert(fs.mkdir(root .. "/a/b", { parents = true }))
  assert(fs.write(root .. "/a/b/file", ""))
  return root
end

describe("rm of a tree", function()
  local function tells(where, rm, after)
    it("tells where it failed: " .. where, function()
      local root = tree()
      local ok, message, code = rm(root .. (after or ""), { recursive = true })
      assert.same({ nil, "EACCES" }, { ok, code })
      assert.equal(("rm %s%s: permission denied"):format(root, where), message)
      assert(fs.rm(root, { recursive = true }))
    end)
  end

  tells("/a/b/file", refused_rm("unlink", "file"))
  tells("/a/b", refused_rm("unlink", "b"))
  tells("/a", refused_rm("open", "a"), "/")
  tells("", refused_rm("entries"))

  it("cuts the name of one that is very deep", function()
    local root = helper.temp "root"
    assert(fs.mkdir(root .. ("/a"):rep(1000), { parents = true }))
    assert(fs.write(root .. ("/a"):rep(1000) .. "/file", ""))
    local rm = refused_rm("unlink", "file")
    local _, message = rm(root, { recursive = true })
    assert.matches("^rm /.*%.%.%./file: permission denied$", message)
    assert.is_true(#message < 1100)
    assert(fs.rm(root, { recursive = true }))
  end)

  it("removes nothing for a name that can't be removed", function()
    local root = tree()
    for _, name in ipairs { "/.", "/./", "/a/..", "/a/b/..//" } do
      local ok, message, code = fs.rm(root .. name, { recursive = true })
      assert.same({ nil, "EINVAL" }, { ok, code })
      assert.equal(("rm %s%s: invalid argument"):format(root, name), message)
    end
    assert.is_true(fs.exists(root .. "/a/b/file"))
    assert(fs.rm(root, { recursive = true }))
  end)
end)
