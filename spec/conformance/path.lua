--- Rows of the conformance table: operations on names of files.
-- SPDX-License-Identifier: MIT

local assert = require "luassert"
local helper = require "spec.helper"
local kit = require "spec.conformance.kit"
local lfs = require "lfs"
local proa = require "proa"

local op = proa.op

local no_bytes = "it moves no bytes"
local no_stream = "it reads no stream"
local no_descriptor = "it has no descriptor of its own"

--- A row of what is done to a name: `make` gives the arguments of one that
-- succeeds, `fails` a code and the arguments of one that does not.
local function row(name, success, make, fails)
  return {
    success = success,
    short = no_bytes,
    eof = no_stream,
    error = function()
      for _, case in ipairs(fails()) do
        kit.fails(case[1], op[name](table.unpack(case, 2)))
      end
    end,
    before = function()
      local future = op[name](make())
      future:cancel()
      local value, _, code = future:await()
      if value == nil then assert.equal("CANCELLED", code) end
    end,
    after = function()
      local future = op[name](make())
      helper.wait_until(function() return future:poll() end)
      assert.is_false(future:cancel())
      assert.is_truthy(future:await())
    end,
    close = no_descriptor,
  }
end

local temp, temp_file = helper.temp, helper.temp_file

local function directory(name)
  assert(lfs.mkdir(temp(name)))
  return temp(name)
end

local function missing(...)
  local arguments = table.pack(...)
  return function()
    return { { "ENOENT", temp "missing", table.unpack(arguments) } }
  end
end

return {
  stat = row("stat", function()
    local stat = assert(op.stat(temp_file("file", "hello")):await())
    assert.equal("file", stat.type)
    assert.equal(5, stat.size)
    assert.equal(1, stat.links)
    assert(lfs.link("file", temp "link", true))
    assert.equal("file", op.stat(temp "link"):await().type)
    assert.equal("link", op.stat(temp "link", true):await().type)
    local dir <close> = assert(op.open(temp ".", "r"):await())
    assert.equal(5, op.stat("file", false, dir):await().size)
  end, function() return temp_file("file", "") end, missing()),

  access = row("access", function()
    assert.is_true(op.access(temp_file("file", ""), "rw"):await())
    assert.is_true(op.access(temp "file"):await())
    kit.fails("EACCES", op.access(temp "file", "x"))
  end, function() return temp_file("file", ""), "r" end, missing()),

  mkdir = row("mkdir", function()
    assert.is_true(op.mkdir(temp "dir", 448):await())
    assert.equal("rwx------", lfs.attributes(temp "dir", "permissions"))
    local dir <close> = assert(op.open(temp "dir", "r"):await())
    assert.is_true(op.mkdir("inner", nil, dir):await())
    assert.equal("directory", lfs.attributes(temp "dir/inner", "mode"))
  end, function() temp_file("file", "") return temp "dir" end, function()
    return { { "EEXIST", temp_file("file", "") },
      { "ENOENT", temp "missing/dir" } }
  end),

  unlink = row("unlink", function()
    assert.is_true(op.unlink(temp_file("file", "")):await())
    assert.is_true(op.unlink(directory "dir", true):await())
    assert.is_nil(lfs.attributes(temp "file"))
    assert.is_nil(lfs.attributes(temp "dir"))
  end, function() return temp_file("file", "") end, function()
    directory "dir"
    return { { "ENOENT", temp "missing" }, { "EISDIR", temp "dir" },
      { "ENOTDIR", temp_file("file", ""), true } }
  end),

  rename = row("rename", function()
    assert.is_true(op.rename(temp_file("a", "A"), temp "b"):await())
    assert.equal("A", helper.read_file(temp "b"))
    kit.fails("EEXIST", op.rename(temp_file("a", ""), temp "b", true))
  end, function() return temp_file("a", ""), temp "b" end, function()
    local from, to = temp "missing", temp "b"
    local _, message = op.rename(from, to):await()
    assert.equal(("rename %s to %s: no such file or directory"):format(from,
      to), message)
    return { { "ENOENT", from, to } }
  end),

  link = row("link", function()
    assert.is_true(op.link(temp_file("a", "A"), temp "b"):await())
    assert.equal(2, lfs.attributes(temp "b", "nlink"))
  end, function()
    os.remove(temp "b")
    return temp_file("a", ""), temp "b"
  end, function()
    temp_file("a", "")
    return { { "ENOENT", temp "missing", temp "b" },
      { "EEXIST", temp "a", temp_file("b", "") } }
  end),

  symlink = row("symlink", function()
    assert.is_true(op.symlink("any\nwhere", temp_file("x", "") .. "l"):await())
    assert.equal("any\nwhere", lfs.symlinkattributes(temp "xl", "target"))
  end, function()
    temp_file("a", "")
    return "a", temp "b"
  end, function() return { { "EEXIST", "a", temp_file("b", "") } } end),

  readlink = row("readlink", function()
    temp_file("file", "")
    assert(lfs.link("file", temp "link", true))
    assert.equal("file", op.readlink(temp "link"):await())
  end, function()
    temp_file("file", "")
    lfs.link("file", temp "link", true)
    return temp "link"
  end, function()
    return { { "EINVAL", temp_file("file", "") }, { "ENOENT", temp "none" } }
  end),

  realpath = row("realpath", function()
    temp_file("file", "")
    assert(lfs.link("file", temp "link", true))
    local real = op.realpath(temp "./link"):await()
    assert.equal(op.realpath(temp "file"):await(), real)
    assert.match("^/.*/file$", real)
  end, function() return temp_file("file", "") end, missing()),

  chmod = row("chmod", function()
    assert.is_true(op.chmod(temp_file("file", ""), 384):await())
    assert.equal("rw-------", lfs.attributes(temp "file", "permissions"))
  end, function() return temp_file("file", ""), 384 end, missing(384)),
}
