--- fs_tree_spec: directories and what is below them.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local lfs = require "lfs"
local proa = require "proa"

local fs = proa.fs
local it, temp, temp_file = helper.it, helper.temp, helper.temp_file

local function fails(code, value, message, got)
  assert.is_nil(value)
  assert.equal(code, got, message)
  return message
end

--- Make a tree of a list of paths; those that end in "/" are directories, "a>b"
-- is a link.
local function plant(...)
  local root = temp_file(".root", ""):match "^(.*)/"
  os.remove(temp ".root")
  for _, path in ipairs { ... } do
    local link, target = path:match "^(.*)>(.*)$"
    if link then assert(lfs.link(target, root .. "/" .. link, true))
    elseif path:sub(-1) == "/" then assert(lfs.mkdir(root .. "/" .. path))
    else temp_file(path, path) end
  end
  return root
end

--- What an iterator gives, as "type path" below a root, sorted or not.
local function collect(root, ...)
  local list = {}
  for path, kind in ... do
    list[#list + 1] = (kind and kind:sub(1, 1) .. " " or "")
      .. path:gsub("^" .. root:gsub("%p", "%%%0") .. "/?", "")
  end
  return list
end

local function sorted(list)
  table.sort(list)
  return list
end

describe("list", function()
  it("gives names and types", function()
    local root = plant("a", "d/", "l>a", ".h", "new\nline")
    assert.same({ "d d", "f .h", "f a", "f new\nline", "l l" },
      sorted(collect(root, fs.list(root))))
    assert.same({}, collect(root, fs.list(root .. "/d")))
  end)

  it("gives all of many", function()
    local root, seen, n = plant "d/", {}, 0
    for i = 1, 1200 do temp_file("d/file number " .. i, "") end
    for name in fs.list(root .. "/d") do
      assert.is_nil(seen[name])
      seen[name], n = true, n + 1
    end
    assert.equal(1200, n)
  end)

  it("closes the directory when the loop is left", function()
    local root = plant("a", "b")
    for name in fs.list(root) do if name then break end end
    pcall(function() for name in fs.list(root) do error(name) end end)
  end) -- the helper counts descriptors

  it("raises on what is no directory", function()
    local root = plant "a"
    assert.matches("list .*/a: not a directory",
      helper.error_of(fs.list, root .. "/a"))
    assert.matches("no such file", helper.error_of(fs.list, root .. "/b"))
    assert.matches("a path is a string", helper.error_of(fs.list))
  end)
end)

describe("walk", function()
  local function tree()
    return plant("a/", "a/1", "a/b/", "a/b/2", "c", "l>a", "z/", "z/.h",
      "a/new\nline")
  end

  it("gives each directory before what is in it", function()
    local root = tree()
    assert.same({ "d a", "f a/1", "d a/b", "f a/b/2", "f a/new\nline", "f c",
      "l l", "d z", "f z/.h" }, collect(root, fs.walk(root, { sorted = true })))
    assert.equal(9, #collect(root, fs.walk(root)))
  end)

  it("goes so deep, and not into what is not wanted", function()
    local root = tree()
    assert.same({ "d a", "f c", "l l", "d z" },
      collect(root, fs.walk(root, { sorted = true, depth = 1 })))
    local entered = {}
    local found = collect(root, fs.walk(root, { sorted = true,
      enter = function(path)
        entered[#entered + 1] = path:sub(#root + 2)
        return not path:find "b$"
      end }))
    assert.same({ "a", "a/b", "z" }, entered)
    assert.equal(8, #found)
  end)

  it("follows links when asked to, and not in circles", function()
    local root = plant("a/", "a/1", "a/up>..", "l>a", "broken>nothing")
    local found = collect(root, fs.walk(root, { sorted = true, follow = true }))
    assert.same({ "d a", "f a/1", "d a/up", "l broken", "d l", "f l/1",
      "d l/up" }, found)
  end)

  it("lets what it finds be removed meanwhile", function()
    local root = tree()
    local n = 0
    for path, kind in fs.walk(root) do
      n = n + 1
      if kind == "directory" then assert(fs.rm(path, { recursive = true })) end
    end
    assert.equal(4, n)
  end)

  it("raises on errors, or tells them", function()
    local root = plant "a"
    assert.matches("walk .*not a directory",
      helper.error_of(function() for _ in fs.walk(root .. "/a") do end end))
    local told = {}
    for _ in fs.walk(root .. "/none", { on_error = function(path, message, code)
      told = { path, message, code }
    end }) do error "nothing is there" end
    assert.equal(root .. "/none", told[1])
    assert.equal("ENOENT", told[3])
    assert.matches("option 'deep'", helper.error_of(fs.walk, root, { deep = 1 }))
  end)
end)

describe("glob", function()
  it("matches as shells do", function()
    local root = plant("a.lua", "b.lua", "c.txt", ".h.lua", "d/", "d/x.lua",
      "d/e/", "d/e/y.lua", "[z]", "d/.git/", "d/.git/n.lua")
    local function glob(pattern)
      return collect(root, fs.glob(root .. "/" .. pattern))
    end
    assert.same({ "a.lua", "b.lua" }, glob "*.lua")
    assert.same({ "a.lua", "c.txt" }, glob "[ac].*")
    assert.same({ "b.lua", "c.txt" }, glob "[!a].???")
    assert.same({ "a.lua", "b.lua" }, glob "[a-b].lua")
    assert.same({ ".h.lua" }, glob ".*.lua")
    assert.same({ "d/x.lua" }, glob "*/*.lua")
    assert.same({ "a.lua", "b.lua", "d/e/y.lua", "d/x.lua" }, glob "**/*.lua")
    assert.same({ "d/e/y.lua", "d/x.lua" }, glob "d/**/*.lua")
    assert.same({ "c.txt" }, glob "c.txt")
    assert.same({ "[z]" }, glob "[[]z]")
    assert.same({}, glob "nothing*")
    assert.same({}, glob "*/none/*")
    assert.same({ "" }, glob "")
  end)

  it("starts from the current directory", function()
    local found = {}
    for path in fs.glob "lua/proa/in*.lua" do found[#found + 1] = path end
    assert.same({ "lua/proa/init.lua" }, found)
  end)
end)

describe("mkdir", function()
  it("makes a directory", function()
    local root = plant()
    assert.is_true(fs.mkdir(root .. "/a", { permissions = "700" }))
    assert.equal("rwx------", lfs.attributes(root .. "/a", "permissions"))
    fails("EEXIST", fs.mkdir(root .. "/a"))
    fails("ENOENT", fs.mkdir(root .. "/b/c"))
  end)

  it("makes those above it as well, also when many ask", function()
    local root = plant "file"
    local tasks = {}
    for i = 1, 20 do
      tasks[i] = proa.spawn(fs.mkdir, root .. "/b//c/d/" .. i % 5 .. "/",
        { parents = true })
    end
    for i = 1, 20 do assert.is_true(tasks[i]:await()) end
    assert.equal("directory", lfs.attributes(root .. "/b/c/d/4", "mode"))
    assert.is_true(fs.mkdir(root, { parents = true }))
    fails("EEXIST", fs.mkdir(root .. "/file", { parents = true }))
    fails("ENOTDIR", fs.mkdir(root .. "/file/x", { parents = true }))
  end)
end)

describe("rm", function()
  it("removes files, links and empty directories", function()
    local root = plant("a", "d/", "l>d", "full/", "full/x")
    assert.is_true(fs.rm(root .. "/a"))
    assert.is_true(fs.rm(root .. "/l"))
    assert.is_true(fs.rm(root .. "/d"))
    local message = fails("ENOTEMPTY", fs.rm(root .. "/full"))
    assert.equal(("rm %s/full: directory not empty"):format(root), message)
    fails("ENOENT", fs.rm(root .. "/a"))
    assert.is_true(fs.rm(root .. "/a", { force = true }))
  end)

  it("removes all that is below, and follows no link", function()
    local root = plant("t/", "t/a", "t/d/", "t/d/b", "t/d/e/", "t/d/e/\n",
      "t/out>../keep", "keep/", "keep/file", "t/broken>nothing")
    assert.is_true(fs.rm(root .. "/t", { recursive = true }))
    assert.is_nil(lfs.symlinkattributes(root .. "/t"))
    assert.equal("keep/file", helper.read_file(root .. "/keep/file"))
    fails("ENOENT", fs.rm(root .. "/t", { recursive = true }))
    assert.is_true(fs.rm(root .. "/t", { recursive = true, force = true }))
    assert.is_true(fs.rm(root .. "/keep/file", { recursive = true }))
  end)

  it("removes a link to a directory, not the directory", function()
    local root = plant("d/", "d/x", "l>d")
    assert.is_true(fs.rm(root .. "/l", { recursive = true }))
    assert.equal("d/x", helper.read_file(root .. "/d/x"))
  end)

  it("removes many, wide and deep", function()
    local root = plant "t/"
    local path = root .. "/t"
    for i = 1, 40 do
      path = path .. "/" .. i
      assert(lfs.mkdir(path))
      assert(io.open(path .. "/file", "w")):close()
    end
    for i = 1, 300 do
      assert(io.open(root .. "/t/" .. i .. ".txt", "w")):close()
    end
    assert.is_true(fs.rm(root .. "/t", { recursive = true }))
    assert.is_nil(lfs.attributes(root .. "/t"))
  end)
end)
