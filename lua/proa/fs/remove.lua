--- Removing: a file, a directory, and all that is below one.
-- What is removed is named from the descriptor of its directory, so that a
-- link that somebody puts in the way meanwhile is removed, not followed. Of the
-- directories that it is in only the innermost are open, and no path is put
-- together, so that a tree may be of any depth: the way back is "..", which has
-- to be the directory that it came from.
-- SPDX-License-Identifier: MIT

local args = require "proa.fs.args"
local core = require "proa.core"

local call, bits = core.call, core.open_bits

local remove = {}

local function open_directory(path, at)
  return call("open", path, bits.read | bits.directory | bits.nofollow, nil, at)
end

local KEPT = 16 -- descriptors of the innermost directories
local SHOWN = 1024 -- bytes of a directory's path in a message
local TRIES = 3 -- where others put new files into what is being removed

local function identity(fd)
  local stat, message, code = call("fstat", fd)
  if not stat then return nil, message, code end
  return stat.device .. ":" .. stat.inode
end

--- Close an outer one until we are back there.
local function put_aside(level)
  if not level or not level.fd then return true end
  local message, code
  level.id, message, code = identity(level.fd)
  if not level.id then return nil, message, code end
  level.fd:close()
  level.fd = nil
  return true
end

--- Begin with a directory in the innermost one.
local function enter(levels, name, try)
  local outer = levels[#levels]
  local at = outer and outer.fd
  local fd, message, code = open_directory(name, at)
  if fd then
    levels[#levels + 1] = { name = name, fd = fd, names = {}, at = 1,
      try = try or 1 }
    return put_aside(levels[#levels - KEPT])
  end
  if code == "ENOENT" then return true end
  if code == "ENOTDIR" or code == "ELOOP" then
    return call("unlink", name, false, at)
  end
  if code == "EACCES" and call("unlink", name, true, at) then return true end
  return nil, message, code
end

--- Open what contains a directory, unless somebody has moved that away.
local function come_back(level, inner)
  local fd, message, code = open_directory("..", inner.fd)
  if not fd then return nil, message, code end
  level.fd = fd
  local id
  id, message, code = identity(fd)
  if id == level.id then return true end
  return nil, message or ("unlink %s: it was moved meanwhile"):format(
    inner.name), code or "ESTALE"
end

--- The innermost one is empty: remove it, and go on with what contains it.
local function leave(levels)
  local inner <close> = setmetatable(table.remove(levels), { __close =
    function(level) level.fd:close() end })
  local outer = levels[#levels]
  if outer and not outer.fd then
    local back, why, how = come_back(outer, inner)
    if not back then return nil, why, how end
  end
  local ok, message, code = call("unlink", inner.name, true, outer and outer.fd)
  if ok or code == "ENOENT" then return true end
  if code == "ENOTEMPTY" and inner.try < TRIES then
    return enter(levels, inner.name, inner.try + 1)
  end
  return nil, message, code
end

local function remove_entry(levels, name, kind)
  if kind == "directory" then return enter(levels, name) end
  local at = levels[#levels].fd
  local ok, message, code = call("unlink", name, false, at)
  if code == "EISDIR" or code == "EPERM" then
    local stat = call("stat", name, true, at)
    if stat and stat.type == "directory" then return enter(levels, name) end
  end
  if ok or code == "ENOENT" then return true end
  return nil, message, code
end

--- The next entry of the innermost directory, or its end.
local function remove_next(levels)
  local level = levels[#levels]
  local at, name = level.at, level.names[level.at]
  if name then
    level.at = at + 2
    return remove_entry(levels, name, level.names[at + 1])
  end
  local names, message, code = call("entries", level.fd)
  if not names and message and code ~= "ENOENT" then -- that: it was removed
    return nil, message, code
  end
  if not names then return leave(levels) end
  level.names, level.at = names, 1
  return true
end

local function close_all(levels)
  for _, level in ipairs(levels) do
    if level.fd then level.fd:close() end
  end
end

--- Where that was, for a message: ops name only the last part.
local function whole_name(levels, message)
  local parts = {}
  for i, level in ipairs(levels) do parts[i] = level.name end
  if #parts == 0 then return message end
  local path = table.concat(parts, "/"):gsub("//+", "/"):gsub("/$", "")
  if #path > SHOWN then path = path:sub(1, SHOWN) .. "..." end
  local verb, name = message:match "^(%l+) ()"
  if name then return ("%s %s/%s"):format(verb, path, message:sub(name)) end
  return (message:gsub("^%l+", "%0 " .. path:gsub("%%", "%%%%")))
end

local function remove_tree(path)
  local levels <close> = setmetatable({}, { __close = close_all })
  local ok, message, code = enter(levels, path)
  while ok and #levels > 0 do ok, message, code = remove_next(levels) end
  return ok, ok or whole_name(levels, message), code
end

local function remove_path(path, recursive, force)
  if recursive and ("/" .. path):find "/%.%.?/*$" then
    return nil, ("rm %s: invalid argument"):format(path), "EINVAL"
  end
  local ok, message, code = call("unlink", path)
  if code == "EISDIR" or code == "EPERM" then
    if recursive then
      ok, message, code = remove_tree(path)
    elseif code == "EISDIR" then
      ok, message, code = call("unlink", path, true)
    end
  end
  if ok or (force and code == "ENOENT") then return true end
  return nil, (message:gsub("^%l+", "rm")), code
end

--- Remove a file, an empty directory, or (recursive) all that is there.
function remove.rm(path, options)
  args.path("rm", path)
  options = args.options("rm", options, { recursive = true, force = true })
  return args.within(options, "rm", path, remove_path, path, options.recursive,
    options.force)
end

return remove
