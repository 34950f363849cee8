--- Whole files: read, written, replaced at once, copied.
-- SPDX-License-Identifier: MIT

local args = require "proa.fs.args"
local core = require "proa.core"
local misuse = require "proa.misuse"
local opening = require "proa.fs.opening"
local random_name = require "proa.fs.random"

local call, bits, open = core.call, core.open_bits, opening.open

local whole = {}

--- What an operation on one of several files failed of, told of all of it.
local function failed(what, message, code)
  return nil, ("%s: %s"):format(what, message:match ".*: (.*)$" or message), code
end

local function read(path, max)
  local file <close>, message, code = open(path, bits.read)
  if not file then return nil, message, code end
  return file:read("a", max and { max = max })
end

--- All that is in a file.
function whole.read(path, options)
  args.path("read", path)
  options = args.options("read", options, { max = true })
  return args.within(options, "read", path, read, path, options.max)
end

local function write_all(path, flags, permissions, data, sync, make)
  local file <close>, message, code = (make or open)(path, flags, permissions)
  if not file then return nil, message, code end
  local ok
  ok, message, code = file:write(data)
  if ok and sync then ok, message, code = file:sync() end
  if not ok then return nil, message, code end
  return true
end

local function directory_of(path)
  local dir = path:match "^(.*)/[^/]*$"
  if dir == nil then return "." end
  return dir == "" and "/" or dir
end

local function sync_directory(path)
  local fd <close>, message, code = call("open", path,
    bits.read | bits.directory)
  if not fd then return nil, message, code end
  return call("fsync", fd)
end

--- A name beside `path` that is gone again unless it was given away.
local function temporary(path)
  local name = ("%s/.%s.%s.tmp"):format(directory_of(path),
    path:match "[^/]*$", random_name())
  return setmetatable({ name = name }, { __close = function(self)
    if self.name then core.shield(call, "unlink", self.name) end
  end })
end

--- What is replaced: the file itself, not a link to it, and its permissions.
local function replaced(path)
  local real = call("realpath", path)
  local stat = real and call("stat", real)
  return real or path, stat and stat.permissions
end

local function write_atomic(path, data, permissions, sync)
  local target, kept = replaced(path)
  local temp <close> = temporary(target)
  local mode = permissions or kept or 438
  local ok, message, code = write_all(temp.name, bits.write, mode, data, sync,
    opening.create)
  if ok and (kept or permissions) then
    ok, message, code = call("chmod", temp.name, mode)
  end
  if ok then ok, message, code = call("rename", temp.name, target) end
  if not ok then return failed("write " .. path, message, code) end
  temp.name = nil
  if sync then return sync_directory(directory_of(target)) end
  return true
end

local write_options = { atomic = true, sync = true, permissions = true,
  exclusive = true }

local function check_data(verb, data)
  if type(data) == "string" or type(data) == "number" then return end
  if not core.is_buffer(data) then
    misuse("%s: a string or a buffer expected, got %s", verb, type(data))
  end
end

--- Write a whole file.
function whole.write(path, data, options)
  args.path("write", path)
  check_data("write", data)
  options = args.options("write", options, write_options)
  local permissions = args.permissions("write", options.permissions)
  if options.atomic then
    if options.exclusive then
      misuse "write: atomic replaces, exclusive does not"
    end
    return args.within(options, "write", path, write_atomic, path, data,
      permissions, options.sync ~= false)
  end
  local flags = bits.write | bits.create | (options.exclusive
    and bits.exclusive or bits.truncate)
  return args.within(options, "write", path, write_all, path, flags,
    permissions or 438, data, options.sync)
end

--- Write behind what is in a file.
function whole.append(path, data, options)
  args.path("append", path)
  check_data("append", data)
  options = args.options("append", options, { sync = true,
    permissions = true })
  return args.within(options, "append", path, write_all, path,
    bits.write | bits.create | bits.append,
    args.permissions("append", options.permissions, 438), data, options.sync)
end

local copy_options = { exclusive = true, permissions = true, sync = true }

local function same_file(a, b)
  return a.inode == b.inode and a.device == b.device
end

--- Nothing of the old content is touched before it is known that the new one
-- can be read, and is another file.
local function copy_open(from, to, options)
  local source, message, code = from:stat()
  if not source then return nil, message, code end
  local stat
  stat, message, code = to:stat()
  if not stat then return nil, message, code end
  if same_file(source, stat) then
    return nil, "they are the same file", "EINVAL"
  end
  local ok = true
  if stat.size > 0 then ok, message, code = to:truncate(0) end
  local n
  if ok then n, message, code = from:copy_to(to) end
  if n and options.sync then ok, message, code = to:sync() end
  if not n or not ok then return nil, message, code end
  return n
end

local function copy(from, to, options, permissions)
  local what = "copy " .. from
  local input <close>, message, code = open(from, bits.read)
  if not input then return failed(what, message, code) end
  local stat
  stat, message, code = input:stat()
  if not stat then return failed(what, message, code) end
  if stat.type == "directory" then
    return failed(what, "is a directory", "EISDIR")
  end
  what = what .. " to " .. to
  local output <close>, why, how = open(to, bits.write | bits.create
    | (options.exclusive and bits.exclusive or 0),
    permissions or stat.permissions & 511)
  if not output then return failed(what, why, how) end
  local n
  n, message, code = copy_open(input, output, options)
  if not n then return failed(what, message, code) end
  return n
end

--- Copy the content of a file, and its permissions when `to` is new.
function whole.copy(from, to, options)
  args.path("copy", from)
  args.path("copy", to)
  options = args.options("copy", options, copy_options)
  return args.within(options, "copy", from, copy, from, to, options,
    args.permissions("copy", options.permissions))
end

return whole
