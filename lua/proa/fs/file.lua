--- Methods of file objects that are put together from operations: the position,
-- parts, locks, the disk, and copying that no byte passes through Lua for.
-- What uses the position holds the file meanwhile (core.hold): other reads and
-- writes wait. See csrc/lua_file.c for the object.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local misuse = require "proa.misuse"

local file = {}

local call = core.call

--- "verb PATH: ..." from what an op says, "verb: ...".
local function named(self, verb, message)
  local why = message:match ": (.*)$" or message
  return ("%s %s: %s"):format(verb, self:path(), why)
end

--- The results of an op on this file, its message with the path.
local function on(self, verb, ...)
  local value, message, code = call(...)
  if value ~= nil or not message then return value end
  if code == "CLOSED" or self:closed() then
    return nil, verb .. ": the file was closed", "CLOSED"
  end
  return nil, named(self, verb, message), code
end

local function check_count(verb, name, n, least)
  if math.type(n) ~= "integer" or n < least then
    misuse("%s: %s: an integer of at least %d expected, got %s", verb,
      name, least, tostring(n))
  end
end

local function no_position(self, verb)
  return nil, named(self, verb, "illegal seek"), "ESPIPE"
end

-- -- the position --

local function target(self, whence, offset)
  if whence == "set" then return offset end
  if whence == "cur" then return core.position(self) + offset end
  local stat, message, code = on(self, "seek", "fstat", self)
  if not stat then return nil, message, code end
  return stat.size + offset
end

--- Go to a position; with no arguments, tell it.
function file:seek(whence, offset)
  whence, offset = whence or "cur", offset or 0
  if whence ~= "set" and whence ~= "cur" and whence ~= "end" then
    misuse("seek: \"set\", \"cur\" or \"end\" expected, got %s", tostring(whence))
  end
  check_count("seek", "offset", offset, math.mininteger)
  local held <close>, message, code = core.hold(self)
  if not held then return nil, message, code end
  if not core.position(self) then return no_position(self, "seek") end
  if whence == "cur" and offset == 0 then return core.position(self) end
  local at
  at, message, code = target(self, whence, offset)
  if not at then return nil, message, code end
  if self:closed() then
    return nil, "seek: the file was closed", "CLOSED"
  end
  if at < 0 then return nil, named(self, "seek", "invalid argument"), "EINVAL" end
  core.set_position(self, at)
  return at
end

--- What is read ahead, or on its way, is not what will be there: who waits for it
-- reads again later. The file is held. Gives the position, or nil.
local function read_nothing_ahead(self)
  local at = core.position(self)
  if at then core.set_position(self, at) end
  return at
end

--- An op of several parts at the position. What has a position does not wait
-- for long, so its outcome is waited for: the position has to follow.
local function parts_here(self, verb, list)
  local held <close>, message, code = core.hold(self)
  if not held then return nil, message, code end
  local at = read_nothing_ahead(self)
  if not at then return on(self, verb, verb, self, list) end
  local to_end = verb == "writev" and core.appends(self)
  return core.shield(function()
    local n, why, how = on(self, verb, verb, self, list, not to_end and at
      or nil)
    if to_end then
      local stat = on(self, verb, "fstat", self)
      at = stat and stat.size - (n or 0) or at
    end
    if n and not self:closed() then core.set_position(self, at + n) end
    return n, why, how
  end)
end

local function parts(self, verb, list, offset)
  if offset == nil then return parts_here(self, verb, list) end
  return on(self, verb, verb, self, list, offset)
end

function file:readv(buffers, offset)
  return parts(self, "readv", buffers, offset)
end

function file:writev(strings, offset)
  local n, message, code = parts(self, "writev", strings, offset)
  if n and offset then core.changed(self, offset, n) end
  return n, message, code
end

-- -- the file itself --

function file:truncate(length)
  check_count("truncate", "length", length, 0)
  local ok, message, code = on(self, "truncate", "truncate", self, length)
  core.changed(self, length, math.maxinteger - length)
  if ok then return self end
  return nil, message, code
end

function file:allocate(offset, n, hole)
  check_count("allocate", "offset", offset, 0)
  check_count("allocate", "n", n, 1)
  local ok, message, code = on(self, "allocate", "allocate", self, offset, n,
    hole)
  core.changed(self, offset, n)
  if ok then return self end
  return nil, message, code
end

local function synced(self, verb, data_only)
  local ok, message, code = self:flush()
  if not ok then return nil, message, code end
  ok, message, code = on(self, verb, "fsync", self, data_only)
  if ok then return self end
  return nil, message, code
end

function file:sync() return synced(self, "sync", false) end

function file:datasync() return synced(self, "datasync", true) end

function file:stat() return on(self, "stat", "fstat", self) end

-- -- locks: asked for again and again, because a thread that waited for one
-- would be missing where another is given up. An answer is always waited for,
-- so that it is known what is held --

local FIRST, MOST = 0.001, 0.05 -- seconds between tries

local held = setmetatable({}, { __mode = "k" }) -- file -> how it is locked

--- A file that was closed meanwhile has no path any more, so it is asked first.
local function not_locked(path, why, code)
  return nil, ("lock %s: %s"):format(path, why), code
end

--- One try. What was held is gone when the other can't be had: flock(2) drops
-- it first.
local function lock_once(self, how)
  local ok, message, code = core.shield(on, self, "lock", "flock", self, how)
  if ok then
    held[self] = how ~= "none" and how or nil
    return self
  end
  if code == "EBUSY" then held[self] = nil end
  return nil, message, code
end

local function lock(self, how, path)
  local pause = FIRST
  while true do
    local ok, message, code = lock_once(self, how)
    if code == "CLOSED" then break end
    if ok or code ~= "EBUSY" then return ok, message, code end
    core.sleep(pause)
    if self:closed() then break end
    pause = math.min(pause * 1.5, MOST)
  end
  return not_locked(path, "the file was closed", "CLOSED")
end

--- The whole of a lock call; "TIMEOUT" also for the one try of 0 s.
local function lock_within(self, how, path, timeout)
  local ok, message, code
  if timeout == nil then return lock(self, how, path) end
  if timeout == 0 then
    ok, message, code = lock_once(self, how)
  else
    ok, message, code = core.timeout(timeout, lock, self, how, path)
  end
  if code == "EBUSY" or code == "TIMEOUT" then
    return not_locked(path, "timed out", "TIMEOUT")
  end
  return ok, message, code
end

--- What was held before more was asked for is held again; false: another was
-- quicker.
local function regain(self, had)
  if held[self] or self:closed() then return true end
  return (lock_once(self, had))
end

--- As above, by who holds a lock already and is to keep it.
local function convert(self, had, how, path, timeout)
  local over = false
  local _ <close> = core.defer(function()
    if not over then regain(self, had) end -- it was cancelled
  end)
  local ok, message, code = lock_within(self, how, path, timeout)
  over = true
  if ok or regain(self, had) then return ok, message, code end
  return nil, ("%s, and the %s lock is lost"):format(message, had), "EBUSY"
end

--- Lock the whole file, against everybody who locks it too.
function file:lock(how, timeout)
  how = how or "exclusive"
  if how ~= "exclusive" and how ~= "shared" then
    misuse("lock: \"exclusive\" or \"shared\" expected, got %s", tostring(how))
  end
  if timeout ~= nil and type(timeout) ~= "number" then
    misuse "lock: timeout: a number of seconds expected"
  end
  local had, path = held[self], self:path()
  if had then return convert(self, had, how, path, timeout) end
  return lock_within(self, how, path, timeout)
end

function file:unlock()
  return lock_once(self, "none")
end

-- -- copying --

local known = { max = true, timeout = true, idle = true }
local STEP = { socket = 1 << 20, file = 16 << 20 } -- of one op

--- As streams do it: a number is max. Raises.
local function copy_options(options)
  if options == nil then return {} end
  if math.type(options) == "integer" then return { max = options } end
  if type(options) ~= "table" then
    misuse("copy_to: a table of options expected, got %s", type(options))
  end
  for key, value in pairs(options) do
    if not known[key] then
      misuse("copy_to: unknown option '%s'", tostring(key))
    end
    if type(value) ~= "number" then
      misuse("copy_to: %s: a number expected", key)
    end
  end
  return options
end

local function closed()
  return nil, "the stream was closed", "CLOSED"
end

--- One step of a copy from file to file, or to a socket. Work that has begun
-- counts, so it is not left in the middle.
local function step_to_file(from, to, at, n)
  local out = core.position(to)
  local done, message, code = core.shield(call, "copy_range", to, out, from, at,
    n)
  if done and not to:closed() then core.set_position(to, out + done) end
  return done, message, code
end

local function step_to_socket(from, to, at, n)
  while true do
    local done, message, code = call("ready", to, "w")
    if not done then return nil, message, code end
    if from:closed() or to:closed() then return closed() end
    done, message, code = core.shield(call, "sendfile", to, from, at, n)
    if code ~= "EAGAIN" then return done, message, code end
  end
end

--- A step that gives up when no byte has moved for so long, on either stream
-- and in any direction.
local function patient(step, idle)
  return function(from, to, at, n)
    local started = core.now()
    while true do
      local moved = math.max(started, core.moved_at(from), core.moved_at(to))
      local left = moved + idle - core.now()
      if left <= 0 then return nil, "timed out", "TIMEOUT" end
      local done, message, code = core.timeout(left, step, from, to, at, n)
      if done or code ~= "TIMEOUT" then return done, message, code end
    end
  end
end

local function copy_closed()
  return nil, "copy: the stream was closed", "CLOSED"
end

--- Both held: bytes go from one descriptor to the other. progress.done counts
-- them; results as copy_to's, without the count.
local function direct(from, to, step, most, progress)
  local in_hold <close>, message, code = core.hold(from)
  if not in_hold then return nil, message, code end
  local out_hold <close>, why, how = core.hold(to)
  if not out_hold then return nil, why, how end
  if from:closed() or to:closed() then return copy_closed() end
  local at = read_nothing_ahead(from)
  if core.stream_kind(to) == "file" then read_nothing_ahead(to) end
  while progress.done < progress.max do
    if from:closed() or to:closed() then return copy_closed() end
    local n = math.min(most, progress.max - progress.done)
    local moved
    moved, message, code = step(from, to, at, n)
    if not moved then return nil, "copy: " .. message, code end
    if moved == 0 then break end
    at, progress.done = at + moved, progress.done + moved
    if not from:closed() then core.set_position(from, at) end
    core.stream_moved(to)
  end
  return true
end

local function regular(self) return core.position(self) ~= nil end

--- How bytes can go there without passing through here, or nil.
local function shortcut(from, to)
  if not regular(from) then return nil end
  local kind = core.stream_kind(to)
  if kind == "socket" then return step_to_socket, STEP.socket end
  if kind == "file" and regular(to) and not core.appends(to) then
    return step_to_file, STEP.file
  end
end

local stream_copy = core.stream_methods.copy_to

--- What was read ahead, or put back, goes through the queues.
local function copy_queued(from, to, progress, options)
  local n = math.min(core.unread_bytes(from), progress.max)
  if n == 0 then return true end
  local ok, message, code, done = stream_copy(from, to, { max = n,
    timeout = options.timeout, idle = options.idle })
  progress.done = ok or done or 0
  return ok, message, code
end

local function shorter(a, b) return a and b and math.min(a, b) or a or b end

function file:copy_to(to, options)
  options = copy_options(options)
  local step, most = shortcut(self, to)
  if not step or rawequal(self, to) then return stream_copy(self, to, options) end
  local progress = { done = 0, max = options.max or math.maxinteger }
  local idle = options.idle or shorter(core.idle_limit(self),
    core.idle_limit(to))
  if idle then step = patient(step, idle) end
  local limit, started = options.timeout, core.now()
  local ok, message, code = copy_queued(self, to, progress, options)
  if ok and limit then
    limit = math.max(0, started + limit - core.now())
    ok, message, code = core.timeout(limit, direct, self, to, step, most,
      progress)
  elseif ok then
    ok, message, code = direct(self, to, step, most, progress)
  end
  if ok then return progress.done end
  if code == "TIMEOUT" then message = "copy: timed out" end
  return nil, message, code, progress.done
end

--- What streams can and files as well, then what only files can.
local not_for_files = { address = true, peer = true, keep = true,
  option = true, shutdown = true, try_write = true, starttls = true }

function file.extend(methods)
  for name, method in pairs(core.stream_methods) do
    if not not_for_files[name] and not methods[name] then
      methods[name] = method
    end
  end
  for name, method in pairs(file) do
    if name ~= "extend" then methods[name] = method end
  end
end

return file
