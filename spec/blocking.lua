--- blocking.lua TRACE: what the loop's thread asked of the kernel.
--
-- TRACE is what `strace -f -k -y` wrote of a program that uses proa. A call is
-- proa's when the first frame above the C library is in core.so: specs that look
-- at the world by io.open or lfs do not count. The loop's thread is the first;
-- on it no call of proa's may wait for a disk, a server or anybody else. That is
-- a call with a path; one on the descriptor of a file (strace names those by
-- their paths) which is not among the few that never wait; and the ones made for
-- waiting, but for the loop's own.
--
-- Prints a table of the calls of the loop and of the workers, then each that may
-- block, with where it came from; the last line is `N passed, N failed`.
-- SPDX-License-Identifier: MIT

local path = arg[1]
if not path then
  io.stderr:write "usage: blocking.lua TRACE\n"
  os.exit(2)
end

-- About the descriptor alone, or with a flag that forbids waiting.
local never_waits = {
  lseek = "", fcntl = "", preadv2 = "RWF_NOWAIT", dup = "", epoll_ctl = "",
  statx = "AT_STATX_DONT_SYNC|AT_EMPTY_PATH", waitid = "WNOHANG",
  poll = ", 0) = ",
}

local made_for_waiting = { poll = true, ppoll = true, select = true,
  pselect6 = true, nanosleep = true, clock_nanosleep = true, wait4 = true,
  waitid = true, flock = true, fsync = true, fdatasync = true }

-- Their paths are no files of a disk.
local function is_file(name)
  return name:sub(1, 1) == "/" and not name:find "^/proc/"
    and not name:find "^/dev/"
end

--- Why a call may block; nil: it can't.
local function why(name, args)
  local flag = never_waits[name]
  if flag and args:find(flag, 1, true) then return nil end
  if made_for_waiting[name] then return "made for waiting" end
  if args:find "^AT_FDCWD" or args:find '^"' then return "has a path" end
  local of = args:match "^%d+<([^>]*)>"
  if of and is_file(of) then return "is on a file" end
end

local function whose(frames)
  for _, frame in ipairs(frames) do
    local library = frame:match "([^/%s]+%.so[%d.]*)%(" or frame:match "([^/%s]+)%("
    if library and not library:find "^libc%." and not library:find "^ld%-linux"
      and not library:find "^liburing" then
      return library == "core.so"
    end
  end
end

local counts, order, blocking, loop = {}, {}, {}, nil

local function note(pid, call, frames)
  local name, args = call:match "^([%w_]+)%((.*)"
  if not name or not whose(frames) then return end
  local where = pid == loop and "loop" or "worker"
  local key = ("%-8s%s"):format(where, name)
  if not counts[key] then order[#order + 1] = key end
  counts[key] = (counts[key] or 0) + 1
  local reason = where == "loop" and why(name, args)
  if reason then
    blocking[#blocking + 1] = { call = call, reason = reason, frames = frames }
  end
end

local pid, call, frames = nil, nil, {}
for line in assert(io.lines(path)) do
  local frame = line:match "^ > (.*)"
  if frame then
    frames[#frames + 1] = frame
  else
    if call then note(pid, call, frames) end
    pid, call = line:match "^(%d+)%s+(.*)"
    frames, loop = {}, loop or pid
  end
end
if call then note(pid, call, frames) end

table.sort(order)
local n = 0
for _, key in ipairs(order) do
  n = n + counts[key]
  print(("%-28s%8d"):format(key, counts[key]))
end
for _, found in ipairs(blocking) do
  print(("not ok - on the loop's thread, %s: %s"):format(found.reason,
    found.call:sub(1, 160)))
  for i = 1, math.min(8, #found.frames) do print("    " .. found.frames[i]) end
end
if n == 0 then print "not ok - no call of proa's was seen" end
print(("  %d passed, %d failed"):format(n > 0 and #blocking == 0 and 1 or 0,
  math.max(#blocking, n == 0 and 1 or 0)))
os.exit(n > 0 and #blocking == 0)
