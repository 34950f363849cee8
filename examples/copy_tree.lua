-- copy_tree.lua - copies a directory with all that is below it, many files at
-- once.
--
--   lua5.4 examples/copy_tree.lua FROM TO [LIMIT]
--
-- Shows a walk as the source of calls that run side by side, LIMIT of them at
-- most (default 16). The walk makes the directories as it meets them, so they
-- are there before what is in them; files are copied by the kernel, links are
-- made again. The first error ends it all. What was in TO before stays, and
-- files of the same name are replaced.
--
-- Prints:
--   2 directories, 3 files, 1 link, 3072 bytes
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local fs = proa.fs

local from, to, limit = arg[1], arg[2], tonumber(arg[3] or 16)
if not (to and limit and limit >= 1) or #arg > 3 then
  io.stderr:write "usage: copy_tree.lua FROM TO [LIMIT]\n"
  os.exit(2, true)
end

local directories, files, links, bytes = 0, 0, 0, 0

local function target_of(path) return to .. path:sub(#from + 1) end

--- What is to be copied, a path and its type at a time.
local function entries()
  local walk = fs.walk(from)
  return function()
    for path, kind in walk do
      if kind ~= "directory" then return path, kind end
      assert(fs.mkdir(target_of(path), { parents = true }))
      directories = directories + 1
    end
  end
end

local function copy(path, kind)
  local target = target_of(path)
  if kind == "file" then
    local n = assert(fs.copy(path, target))
    bytes = bytes + n -- read after the await: others count meanwhile
    files = files + 1
  elseif kind == "link" then
    fs.rm(target, { force = true })
    assert(fs.symlink(assert(fs.readlink(path)), target))
    links = links + 1
  else
    io.stderr:write(("%s: a %s is left out\n"):format(path, kind))
  end
  return true
end

local function plural(n, one, many)
  return ("%d %s"):format(n, n == 1 and one or many)
end

local function run()
  assert(fs.mkdir(to, { parents = true }))
  local n, message = proa.each(entries(), copy, { limit = limit })
  if not n then error(message, 0) end
end

local ok, message = pcall(proa.run, run)
if not ok then
  io.stderr:write(tostring(message), "\n")
  os.exit(1, true)
end
print(("%s, %s, %s, %s"):format(
  plural(directories, "directory", "directories"),
  plural(files, "file", "files"), plural(links, "link", "links"),
  plural(bytes, "byte", "bytes")))
