--- Opening files: modes and options as bits of open(2), file objects.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local misuse = require "proa.misuse"

local call, bits = core.call, core.open_bits

local opening = {}

local modes = { r = bits.read, ["r+"] = bits.both,
  w = bits.write | bits.create | bits.truncate,
  ["w+"] = bits.both | bits.create | bits.truncate,
  a = bits.write | bits.create | bits.append,
  ["a+"] = bits.both | bits.create | bits.append }

opening.options = { read = true, write = true, append = true, create = true,
  exclusive = true, truncate = true, sync = true, direct = true,
  permissions = true, follow = true }

--- The bits of open(2) for a mode as io.open's; "x": it must be new.
function opening.bits_of_mode(mode)
  local plain, x = mode:gsub("b", ""):gsub("x", "")
  local found = modes[plain]
  if not found or x > 1 or (x == 1 and plain:sub(1, 1) == "r") then
    misuse("open: invalid mode '%s'", mode)
  end
  return x == 1 and found & ~bits.truncate | bits.exclusive or found
end

function opening.bits_of_options(options)
  local append = options.append
  local writes = options.write or append or options.create
    or options.truncate or options.exclusive
  local reads = options.read
  if reads == nil then reads = not writes end
  if not (reads or writes) then
    misuse "open: neither read nor write"
  end
  local sync = options.sync
  if sync ~= nil and type(sync) ~= "boolean" and sync ~= "data" then
    misuse "open: sync: a boolean or \"data\" expected"
  end
  local found = reads and writes and bits.both or writes and bits.write
    or bits.read
  local function add(wanted, bit) if wanted then found = found | bit end end
  add(append, bits.append)
  add(options.create or options.exclusive, bits.create)
  add(options.exclusive, bits.exclusive)
  add(options.truncate, bits.truncate)
  add(sync, sync == "data" and bits.datasync or bits.sync)
  add(options.direct, bits.direct)
  add(options.follow == false, bits.nofollow)
  return found
end

-- Operations under way and a descriptor: closed, they are given up.
local unsettled = { __close = function(self)
  for _, future in ipairs(self) do core.give_up(future) end
  if self.quick then self.quick:close() end
end }

--- Wait for the other end of a FIFO. `quick`: its end to read, which stays open
-- meanwhile: a writer who sees it, writes and leaves is not lost, as there is
-- something to read from then on, if only the end.
local function wait_for_other_end(quick, path, flags, permissions)
  local both <close> = setmetatable({ quick = quick,
    core.op.open_waiting(path, flags, permissions),
    quick and core.op.ready(quick, "r") }, unsettled)
  local which, fd, message, code = core.choose(both)
  if which == 2 and fd then
    both.quick = nil
    return quick
  end
  return fd, message and message:gsub("^open_waiting", "open", 1), code
end

--- The descriptor of what is opened as open(2) does: a FIFO with its other end,
-- which the operation `open` does not wait for.
function opening.descriptor(path, flags, permissions)
  local fd, message, code = call("open", path, flags, permissions)
  if code == "ENXIO" or fd and core.is_fifo_to_read(fd) then
    return wait_for_other_end(fd, path, flags, permissions)
  end
  return fd, message, code
end

--- A file object of the bits of open(2).
function opening.open(path, flags, permissions, label)
  flags, label = flags | bits.noctty, label or path
  local append, direct = flags & bits.append ~= 0, flags & bits.direct ~= 0
  local fd <close>, message, code = call("open", path, flags, permissions)
  if fd then
    local file, why, errno = core.file(fd, label, append, direct, true)
    if file ~= false then return file, why, errno end
  elseif code ~= "ENXIO" then
    return nil, message, code
  end
  local met <close>, why, errno = wait_for_other_end(fd, path, flags, permissions)
  if not met then return nil, why, errno end
  return core.file(met, label, append, direct)
end

--- A new file under a name that its caller takes away again. Not given up
-- half way: an open that goes on behind a cancelled task would make the name
-- after it was taken away.
function opening.create(path, flags, permissions)
  return core.shield(opening.open, path, flags | bits.create | bits.exclusive,
    permissions)
end

return opening
