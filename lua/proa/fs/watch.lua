--- proa.fs.watch: what happens to files and in directories, as it happens.
-- One inotify descriptor for each watch. Adding a path looks it up, so that is
-- an operation, too; reading is one as of a pipe.
-- SPDX-License-Identifier: MIT

local args = require "proa.fs.args"
local core = require "proa.core"
local misuse = require "proa.misuse"

local call, op = core.call, core.op

--- Bits of inotify(7), and what they are called here.
local CHANGED, ATTRIBUTES, WRITTEN = 0x2, 0x4, 0x8
local GONE, COME, CREATED, REMOVED = 0x40, 0x80, 0x100, 0x200
local SELF_REMOVED, SELF_MOVED = 0x400, 0x800
local UNMOUNTED, OVERFLOW, IGNORED, DIRECTORY = 0x2000, 0x4000, 0x8000,
  0x40000000

local kinds = {
  { CREATED, "created" }, { COME, "moved_in" }, { GONE, "moved_out" },
  { REMOVED, "removed" }, { SELF_REMOVED, "removed" }, { UNMOUNTED, "removed" },
  { SELF_MOVED, "moved_out" }, { WRITTEN, "written" }, { CHANGED, "changed" },
  { ATTRIBUTES, "attributes" },
}

local MASK = CHANGED | ATTRIBUTES | WRITTEN | GONE | COME | CREATED | REMOVED
  | SELF_REMOVED | SELF_MOVED

local BYTES = 64 * 1024

local methods = {}
local class = { __index = methods, __name = "proa.watch", __metatable = false }

local function kind_of(mask)
  for _, kind in ipairs(kinds) do
    if mask & kind[1] ~= 0 then return kind[2] end
  end
end

local function join(dir, name)
  return (dir:sub(-1) == "/" and dir or dir .. "/") .. name
end

--- One record of the kernel's, or nil where it says nothing to people.
local function change_of(self, record)
  local wd, mask, cookie, name = table.unpack(record)
  if mask & OVERFLOW ~= 0 then return { kind = "lost" } end
  if mask & IGNORED ~= 0 then
    self.paths[wd] = nil
    return nil
  end
  local path, kind = self.paths[wd], kind_of(mask)
  if not path or not kind then return nil end
  return { kind = kind, path = name ~= "" and join(path, name) or path,
    name = name ~= "" and name or nil, watched = path,
    directory = mask & DIRECTORY ~= 0, cookie = cookie ~= 0 and cookie or nil }
end

--- May it be said now whose it is? The kernel watches before the add that
-- asked for it has its answer, which names the watch.
local function known(self, record)
  return self.adds == 0 or self.paths[record[1]] ~= nil
    or record[2] & OVERFLOW ~= 0
end

--- An add that was given up may have been quicker, and the kernel watches. That
-- is ended as soon as it is known, but not what another add has asked for, too.
local function end_strays(self)
  if self.adds > 0 or not self.fd then return end
  local left = {}
  for _, adding in ipairs(self.strays) do
    local done, wd = adding:poll()
    if not done then left[#left + 1] = adding end
    if wd and not self.paths[wd] then core.unwatch(self.fd, wd) end
  end
  self.strays = left
end

--- In the order of the kernel: what is not known yet keeps the later ones.
local function deliver(self)
  if self.strays[1] then end_strays(self) end
  local records, at = self.records, 1
  while records[at] and known(self, records[at]) do
    local change = change_of(self, records[at])
    if change then
      self.last = self.last + 1
      self.queue[self.last] = change
    end
    at = at + 1
  end
  self.records = table.move(records, at, #records, 1, {})
end

local function take(self, n)
  local at, text = 1, self.buffer:string(1, n)
  while at <= #text do
    local wd, mask, cookie, len, next_at = ("=i4I4I4I4"):unpack(text, at)
    local name = text:sub(next_at, next_at + len - 1):match "^[^\0]*"
    self.records[#self.records + 1] = { wd, mask, cookie, name }
    at = next_at + len
  end
  deliver(self)
end

local function closed()
  return nil, "watch: it was closed", "CLOSED"
end

--- What has been seen and not asked for yet.
local function pop(self)
  local change = self.queue[self.first]
  if not change then return nil end
  self.queue[self.first] = nil
  self.first = self.first + 1
  if self.first > self.last then
    self.queue, self.first, self.last = {}, 1, 0
  end
  return change
end

local function read(self)
  local n, message, code = call("read", self.fd, self.buffer)
  if n then
    take(self, n)
    return true
  end
  if not self.fd or code == "CLOSED" then return closed() end
  return nil, "watch: " .. (message or "it has ended"), code or "EOF"
end

--- Tell who waits for the end of an add.
local function added(self)
  local adding = self.adding
  self.adding = nil
  if adding then adding:set() end
end

--- One task reads, the others wait for what it finds; nobody reads on while it
-- is not known what the last records mean.
local function wait(self)
  while not self.queue[self.first] do
    if not self.fd then return closed() end
    if self.records[1] then
      self.adding = self.adding or core.future()
      self.adding:await()
    elseif self.reading then
      self.reading:await()
    else
      local done = core.future()
      self.reading = done
      local _ <close> = setmetatable({}, { __close = function()
        self.reading = nil
        done:set()
      end })
      local ok, message, code = read(self)
      if not ok then return nil, message, code end
    end
  end
  return pop(self)
end

--- The next change.
function methods:next(timeout)
  if self.strays[1] then end_strays(self) end
  if self.queue[self.first] then return pop(self) end
  if timeout == nil then return wait(self) end
  if type(timeout) ~= "number" then
    misuse "next: timeout: a number of seconds expected"
  end
  local change, message, code = core.timeout(timeout, wait, self)
  if not change and code == "TIMEOUT" then message = "watch: timed out" end
  return change, message, code
end

--- Watch another path as well.
function methods:add(path)
  args.path("add", path)
  if not self.fd then return closed() end
  local adding = op.watch_add(self.fd, path, MASK)
  local answered = false
  self.adds = self.adds + 1
  local _ <close> = setmetatable({}, { __close = function()
    self.adds = self.adds - 1
    if not answered and self.fd then
      adding:cancel()
      self.strays[#self.strays + 1] = adding
    end
    deliver(self)
    added(self)
  end })
  local wd, message, code = adding:await()
  answered = true
  if not wd then return nil, (message:gsub("^watch_add", "watch")), code end
  self.paths[wd] = path
  return self
end

--- End it; who waits for a change is told.
function methods:close()
  local fd = self.fd
  self.fd, self.strays = nil, {}
  if fd then fd:close() end
  added(self)
  return true
end

class.__close = methods.close

function class:__tostring()
  local paths = {}
  for _, path in pairs(self.paths) do paths[#paths + 1] = path end
  table.sort(paths)
  return ("proa.watch %s (%s)"):format(table.concat(paths, ", "),
    self.fd and self.last - self.first + 1 .. " unread" or "closed")
end

--- `for change in watch do`: ends when it is closed, raises on errors.
function class:__call()
  local change, message, code = self:next()
  if not change and code ~= "CLOSED" then misuse(message) end
  return change
end

local watch = {}

--- It has no options, so none is passed over in silence.
local function check_given(paths, more, ...)
  if more ~= nil or select("#", ...) > 0 then
    misuse "watch: nothing but paths expected; of its changes: watch:next()"
  end
  if type(paths) ~= "table" then return end
  for key in pairs(paths) do
    if math.type(key) ~= "integer" then
      misuse("watch: unknown option '%s'", tostring(key))
    end
  end
end

--- Watch a file, a directory, or each of a list of them.
function watch.watch(paths, ...)
  check_given(paths, ...)
  if type(paths) == "string" then paths = { paths } end
  if type(paths) ~= "table" or #paths == 0 then
    misuse "watch: a path or a list of paths expected"
  end
  for _, path in ipairs(paths) do args.path("watch", path) end
  local fd, message, code = core.inotify()
  if not fd then return nil, message, code end
  local self = setmetatable({ fd = fd, paths = {}, records = {}, adds = 0,
    strays = {}, queue = {}, first = 1, last = 0, -- its changes, from first to last
    buffer = core.buffer(BYTES) }, class)
  for _, path in ipairs(paths) do
    local ok
    ok, message, code = self:add(path)
    if not ok then
      self:close()
      return nil, message, code
    end
  end
  return self
end

return watch
