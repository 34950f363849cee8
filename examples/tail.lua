-- tail.lua - follows a file: prints what is written to it, as it is written.
--
--   lua5.4 examples/tail.lua FILE [LINES]
--   lua5.4 examples/tail.lua /var/log/syslog 10
--
-- Shows a watch on a directory beside reads of a file: the task sleeps in the
-- kernel until something happens. When the file is rotated (renamed away and
-- made anew) the old one is followed until there is a new one, and that from
-- its start; when it is cut, reading goes on from the start. The last LINES
-- lines (default 0) are printed first. It ends with SIGINT or SIGTERM.
--
-- Prints, of a file that was rotated:
--   last line that was there
--   a line that was written to it
--   (rotated)
--   the first line of the new one
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local fs = proa.fs

local path, count = arg[1], tonumber(arg[2] or 0)
if not (path and count and count >= 0) or #arg > 2 then
  io.stderr:write "usage: tail.lua FILE [LINES]\n"
  os.exit(2, true)
end
io.stdout:setvbuf "line"

local dir, name = path:match "^(.*)/([^/]*)$"
dir, name = dir == "" and "/" or dir or ".", name or path

--- Where the last lines begin: looked for backwards, a block at a time.
local function start_of_last(file, lines)
  local at = file:stat().size
  if lines == 0 then return at end
  local left, last = lines, at
  while at > 0 do
    local n = math.min(at, 4096)
    local block = assert(file:read_at(at - n, n))
    for i = n, 1, -1 do
      if block:byte(i) == 10 and at - n + i < last then
        left = left - 1
        if left == 0 then return at - n + i end
      end
    end
    at = at - n
  end
  return 0
end

--- What is there now, to the end of the file; a line that is not whole yet is
-- printed as far as it goes.
local function print_new(file)
  if file:stat().size < file:seek() then
    print "(cut)"
    file:seek "set"
  end
  for chunk in file:chunks() do io.write(chunk) end
  io.flush()
end

--- Is the file that we have open still the one of that name?
local function is_same(file)
  local here, there = file:stat(), fs.stat(path)
  return there and here.inode == there.inode and here.device == there.device
end

--- Until something happens that may be ours: of an old file any change may be.
local function wait(watch, is_old)
  repeat
    local change = assert(watch:next())
  until is_old or change.kind == "lost" or change.name == name
end

local function follow(watch)
  local file = fs.open(path)
  if file then file:seek("set", start_of_last(file, count)) end
  while true do
    if file then print_new(file) end
    local is_old = not (file and is_same(file))
    local new = is_old and fs.open(path)
    if new then
      if file then
        print_new(file) -- what was written before there was a new one
        file:close()
      end
      print "(rotated)"
      file = new
    elseif not file or file:seek() >= file:stat().size then
      wait(watch, is_old)
    end
  end
end

proa.run(function()
  local watch <close> = assert(fs.watch(dir))
  proa.spawn(follow, watch):background()
  proa.signal.wait("INT", "TERM")
end)
