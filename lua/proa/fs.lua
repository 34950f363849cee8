--- proa.fs: files and names of files.
-- Every call that may wait for a disk or a server is an operation: the ring's
-- or a worker thread's. Paths are strings; options that are not known raise.
-- Beside this file in fs/: opening.lua, whole.lua (read, write, copy), tree.lua
-- (directories and what is below them), remove.lua, watch.lua, file.lua (file
-- objects).
-- SPDX-License-Identifier: MIT

local args = require "proa.fs.args"
local core = require "proa.core"
local misuse = require "proa.misuse"
local opening = require "proa.fs.opening"
local random_name = require "proa.fs.random"
local remove = require "proa.fs.remove"
local tree = require "proa.fs.tree"
local watch = require "proa.fs.watch"
local whole = require "proa.fs.whole"

local fs = {}

local call, bits, open = core.call, core.open_bits, opening.open

local none = {}

--- Open a file.
function fs.open(path, mode)
  args.path("open", path)
  if mode == nil or type(mode) == "string" then
    return open(path, opening.bits_of_mode(mode or "r"), 438)
  end
  local options = args.options("open", mode, opening.options)
  local permissions = args.permissions("open", options.permissions, 438)
  return args.within(options, "open", path, open, path, opening.bits_of_options(options),
    permissions)
end

-- -- names --

local function one(verb)
  return function(path, options)
    args.path(verb, path)
    options = args.options(verb, options, none)
    return args.within(options, verb, path, call, verb, path)
  end
end

fs.stat = one "stat"
fs.readlink = one "readlink"
fs.realpath = one "realpath"

--- What the kernel tells of a name, not of what a link there points to.
function fs.lstat(path, options)
  args.path("lstat", path)
  options = args.options("lstat", options, none)
  return args.within(options, "lstat", path, call, "stat", path, true)
end

--- Is there such a file?
function fs.exists(path, options)
  args.path("exists", path)
  options = args.options("exists", options, none)
  local stat, message, code = args.within(options, "exists", path, call, "stat",
    path)
  if stat then return true end
  if code == "ENOENT" or code == "ENOTDIR" then return false end
  return nil, message, code
end

--- May this process read, write or execute it?
function fs.access(path, how, options)
  args.path("access", path)
  options = args.options("access", options, none)
  return args.within(options, "access", path, call, "access", path, how)
end

function fs.chmod(path, permissions, options)
  args.path("chmod", path)
  options = args.options("chmod", options, none)
  if permissions == nil then misuse "chmod: permissions expected" end
  return args.within(options, "chmod", path, call, "chmod", path,
    args.permissions("chmod", permissions))
end

--- Give a file another name, in place of what has it.
function fs.rename(from, to, options)
  args.path("rename", from)
  args.path("rename", to)
  options = args.options("rename", options, { exclusive = true })
  return args.within(options, "rename", from, call, "rename", from, to,
    options.exclusive)
end

local function two(verb)
  return function(from, to, options)
    args.path(verb, from)
    args.path(verb, to)
    options = args.options(verb, options, none)
    return args.within(options, verb, from, call, verb, from, to)
  end
end

fs.link = two "link"
fs.symlink = two "symlink"

-- -- temporary ones --

local function temp_root(options)
  return options.dir or os.getenv "TMPDIR" or "/tmp"
end

--- Try names until one is new; make(name) -> value | nil, message, code.
local function try_names(make)
  for _ = 1, 100 do
    local value, message, code = make(random_name())
    if value or code ~= "EEXIST" then return value, message, code end
  end
  return nil, "tmp: every name is taken", "EEXIST"
end

--- A file system without files that have no name gives one that loses it.
local function named_tmpfile(dir, permissions)
  return try_names(function(random)
    local path = dir .. "/proa-" .. random
    local file, message, code = opening.create(path, bits.both, permissions)
    if file then core.shield(call, "unlink", path) end
    return file, message, code
  end)
end

local function tmpfile(dir, permissions)
  local file, message, code = open(dir, bits.both | bits.tmpfile, permissions,
    dir .. " (temporary)")
  if file or (code ~= "EOPNOTSUPP" and code ~= "EISDIR") then
    return file, message, code
  end
  return named_tmpfile(dir, permissions)
end

--- A file without a name, which is gone when it is closed.
function fs.tmpfile(options)
  options = args.options("tmpfile", options, { dir = true })
  local dir = temp_root(options)
  args.path("tmpfile", dir)
  return args.within(options, "tmpfile", dir, tmpfile, dir, 384)
end

--- A new directory for this process alone.
function fs.tmpdir(options)
  options = args.options("tmpdir", options, { dir = true })
  local root = temp_root(options)
  args.path("tmpdir", root)
  return args.within(options, "tmpdir", root, try_names, function(random)
    local path = root .. "/proa-" .. random
    local ok, message, code = core.shield(call, "mkdir", path, 448)
    if ok then return path end
    return nil, message, code
  end)
end

for _, part in ipairs { whole, tree, remove, watch } do
  for name, fn in pairs(part) do fs[name] = fn end
end

return fs
