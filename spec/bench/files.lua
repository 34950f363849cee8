--- files.lua [direct] FILE DEPTH SECONDS - random 4 KiB reads, DEPTH tasks.
-- Each block of the file begins with its number (8 bytes, little endian), and
-- the lowest byte of every read is checked; a file that is not there is made, of
-- 256 MiB. Each task has a buffer of its own and reads into it at an offset;
-- direct: past the page cache.
-- Prints: how=proa depth= iops= p50_us= p99_us= cpu_us= bad=
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local BLOCK, SAMPLE = 4096, 16 -- bytes; every 16th read is timed

local direct = arg[1] == "direct"
if direct then table.remove(arg, 1) end
local path, depth, seconds = arg[1], tonumber(arg[2]), tonumber(arg[3])
if not (path and depth and seconds) then
  io.stderr:write "usage: files.lua [direct] FILE DEPTH SECONDS\n"
  os.exit(2)
end

local n, bad, times, stopped = 0, 0, {}, false

local function reader(file, blocks)
  local buffer, random, now = proa.buffer(BLOCK), math.random, proa.now
  while not stopped do
    local k = random(0, blocks - 1)
    n = n + 1
    local started = n % SAMPLE == 0 and now()
    local got = file:read_into_at(k * BLOCK, buffer)
    if got ~= BLOCK or buffer:byte() ~= k & 0xff then bad = bad + 1 end
    if started then times[#times + 1] = now() - started end
  end
end

local function make(blocks)
  local file <close> = assert(proa.fs.open(path, "w"))
  for first = 0, blocks - 1, 256 do
    local parts = {}
    for k = first, math.min(first + 255, blocks - 1) do
      parts[#parts + 1] = ("<I8"):pack(k) .. ("\0"):rep(BLOCK - 8)
    end
    assert(file:write(table.concat(parts)))
  end
end

local function percentile(p)
  local at = math.ceil(#times * p)
  return (times[math.max(at, 1)] or 0) * 1e6
end

proa.run(function()
  if not proa.fs.exists(path) then
    make(tonumber(os.getenv "BLOCKS") or 65536)
  end
  local file <close> = assert(proa.fs.open(path, { direct = direct }))
  local blocks = file:stat().size // BLOCK
  local cpu, started = os.clock(), proa.now()
  local tasks = {}
  for i = 1, depth do
    tasks[i] = proa.spawn(reader, file, blocks)
  end
  proa.sleep(seconds)
  local elapsed, count = proa.now() - started, n
  cpu = os.clock() - cpu
  stopped = true
  for i = 1, depth do tasks[i]:await() end
  table.sort(times)
  print(("how=proa%s depth=%d iops=%.0f p50_us=%.1f p99_us=%.1f cpu_us=%.2f"
    .. " bad=%d"):format(direct and "+direct" or "", depth, count / elapsed,
    percentile(0.5), percentile(0.99), cpu / count * 1e6, bad))
end)
