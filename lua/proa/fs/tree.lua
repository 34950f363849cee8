--- Directories and what is below them: list, walk, glob, mkdir.
-- SPDX-License-Identifier: MIT

local args = require "proa.fs.args"
local core = require "proa.core"
local misuse = require "proa.misuse"

local call, bits = core.call, core.open_bits

local tree = {}

local function open_directory(path)
  return call("open", path, bits.read | bits.directory)
end

local function join(dir, name)
  return (dir:sub(-1) == "/" and dir or dir .. "/") .. name
end

-- -- list --

--- The names in a directory, some at a time: an iterator that owns the
-- descriptor, and the value that closes it.
local function names_of(fd)
  local list, at = {}, 1
  return function()
    while not list[at] do
      local message
      list, message = call("entries", fd)
      if not list then
        fd:close()
        if message then misuse(message) end
        list = {}
        return nil
      end
      at = 1
    end
    at = at + 2
    return list[at - 2], list[at - 1]
  end, nil, nil, fd
end

--- Iterate over the names in a directory, in no order.
function tree.list(path)
  args.path("list", path)
  local fd, message = open_directory(path)
  if not fd then misuse((message:gsub("^open", "list"))) end
  return names_of(fd)
end

--- All of them: a list of { name, type }.
local function read_names(path)
  local fd <close>, message, code = open_directory(path)
  if not fd then return nil, message, code end
  local found = {}
  while true do
    local list
    list, message, code = call("entries", fd)
    if not list then
      if message then return nil, message, code end
      return found
    end
    for i = 1, #list, 2 do found[#found + 1] = { list[i], list[i + 1] } end
  end
end

local function by_name(a, b) return a[1] < b[1] end

-- -- walk --

local walk_options = { depth = true, follow = true, sorted = true,
  enter = true, on_error = true }

local function gone(code) return code == "ENOENT" or code == "ENOTDIR" end

--- What a directory entry is: some file systems do not say, and of a link it
-- may be asked what is behind it.
local function type_of(path, kind, follow)
  if kind ~= "unknown" and not (kind == "link" and follow) then return kind end
  local stat = call("stat", path, not follow)
  return stat and stat.type or kind
end

--- A directory that is one of those we are in: following links went round.
local function goes_round(levels, path)
  local stat = call("stat", path)
  if not stat then return false, nil end
  local id = stat.device .. ":" .. stat.inode
  for _, level in ipairs(levels) do
    if level.id == id then return true, id end
  end
  return false, id
end

--- Iterate over what is below a directory, each directory before what it
-- contains: path, type.
function tree.walk(path, options)
  args.path("walk", path)
  options = args.options("walk", options, walk_options)
  local levels, depth = {}, options.depth or math.huge
  local function enter(dir)
    local round, id
    if options.follow then round, id = goes_round(levels, dir) end
    if round then return end
    local names, message, code = read_names(dir)
    if names then
      if options.sorted then table.sort(names, by_name) end
      levels[#levels + 1] = { dir = dir, names = names, at = 0, id = id }
    elseif #levels == 0 or not gone(code) then
      message = message:gsub("^open", "walk")
      if not options.on_error then misuse(message) end
      options.on_error(dir, message, code)
    end
  end
  local pending = path -- a directory to be entered first
  return function()
    if pending then
      local dir = pending
      pending = nil
      enter(dir)
    end
    while #levels > 0 do
      local level = levels[#levels]
      level.at = level.at + 1
      local entry = level.names[level.at]
      if entry then
        local full = join(level.dir, entry[1])
        local kind = type_of(full, entry[2], options.follow)
        if kind == "directory" and #levels < depth
          and (not options.enter or options.enter(full)) then
          pending = full
        end
        return full, kind
      end
      levels[#levels] = nil
    end
  end
end

-- -- glob --

--- A Lua pattern for one part of a path, or nil when it is plain text.
local function part_pattern(part)
  if not part:find "[*?%[]" then return nil end
  local at, out = 1, { "^" }
  while at <= #part do
    local c = part:sub(at, at)
    local set, stop = part:match("^%[([!^]?%]?[^%]]*)%]()", at)
    if c == "*" then
      out[#out + 1] = ".*"
    elseif c == "?" then
      out[#out + 1] = "[^/]"
    elseif c == "[" and set then
      local negated = set:match "^[!^]"
      if negated then set = set:sub(2) end
      out[#out + 1] = "[" .. (negated and "^" or "")
        .. set:gsub("[%%%]%[^]", "%%%0") .. "]"
      at = stop - 1
    else
      out[#out + 1] = c:gsub("%p", "%%%0")
    end
    at = at + 1
  end
  out[#out + 1] = "$"
  return table.concat(out)
end

--- A name that begins with a dot is meant only by a part that does, too.
local function matches(name, part, pattern)
  if name:sub(1, 1) == "." and part:sub(1, 1) ~= "." then return false end
  return name:find(pattern) ~= nil
end

local function sorted_names(dir)
  local names = read_names(dir == "" and "." or dir)
  if names then table.sort(names, by_name) end
  return names or {} -- what can't be read has no matches
end

local expand

--- "**": here, and in every directory below, not through links.
local function expand_below(found, dir, parts, i)
  expand(found, dir, parts, i + 1)
  for _, entry in ipairs(sorted_names(dir)) do
    local name = entry[1]
    local full = dir == "" and name or join(dir, name)
    if name:sub(1, 1) ~= "."
      and type_of(full, entry[2], false) == "directory" then
      expand_below(found, full, parts, i)
    end
  end
end

local function expand_names(found, dir, parts, i)
  local pattern, last = part_pattern(parts[i]), i == #parts
  for _, entry in ipairs(sorted_names(dir)) do
    local name = entry[1]
    if matches(name, parts[i], pattern) then
      local full = dir == "" and name or join(dir, name)
      if last then
        found[#found + 1] = full
      elseif type_of(full, entry[2], true) == "directory" then
        expand(found, full, parts, i + 1)
      end
    end
  end
end

function expand(found, dir, parts, i)
  local part = parts[i]
  if part == nil then
    if dir ~= "" then found[#found + 1] = dir end
  elseif part == "**" then
    expand_below(found, dir, parts, i)
  elseif part_pattern(part) then
    expand_names(found, dir, parts, i)
  else
    local full = dir == "" and part or join(dir, part)
    if call("stat", full, true) then expand(found, full, parts, i + 1) end
  end
end

--- Iterate over the paths that match a pattern, sorted.
function tree.glob(pattern)
  args.path("glob", pattern)
  local parts, found = {}, {}
  for part in pattern:gmatch "[^/]+" do parts[#parts + 1] = part end
  expand(found, pattern:sub(1, 1) == "/" and "/" or "", parts, 1)
  table.sort(found)
  local at = 0
  return function()
    repeat at = at + 1 until found[at] == nil or found[at] ~= found[at - 1]
    return found[at]
  end
end

-- -- mkdir --

local function make_parents(path, permissions)
  local ok, message, code = call("mkdir", path, permissions)
  if code == "EEXIST" then
    local stat = call("stat", path)
    if stat and stat.type == "directory" then return true end
  end
  if code ~= "ENOENT" then return ok, message, code end
  local parent = path:match "^(.*[^/])/+[^/]+/*$"
  if not parent then return ok, message, code end
  local made, why, how = make_parents(parent, 511)
  if not made then return nil, why, how end
  ok, message, code = call("mkdir", path, permissions)
  if code == "EEXIST" then return true end -- somebody else was quicker
  return ok, message, code
end

--- Make a directory.
function tree.mkdir(path, options)
  args.path("mkdir", path)
  options = args.options("mkdir", options, { parents = true,
    permissions = true })
  local permissions = args.permissions("mkdir", options.permissions, 511)
  if options.parents then
    return args.within(options, "mkdir", path, make_parents, path, permissions)
  end
  return args.within(options, "mkdir", path, call, "mkdir", path, permissions)
end

return tree
