--- soak.lua: churn for minutes on one driver; memory and descriptors stay.
--   lua5.4 spec/soak/soak.lua MINUTES [SEED]
-- A server and its clients in one process, on loopback alone: short calls, long
-- ones, slow readers, clients that vanish or are cancelled, limits that run out,
-- writers that pile up. Every client is one of KINDS; there are CLIENTS of them
-- at once, each lives less than a second, and all is over when the time is up.
-- Prints figures each minute; fails if resident memory or the descriptors of the
-- last minute are above those of the first, or if anything is left at the end.
-- Environment: PROA_DRIVER; run-tool has malloc give back what is free, so that
-- resident memory says what is in use. Read next: spec/README.md.
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local minutes = tonumber(arg[1]) or 10
local seed = tonumber(arg[2]) or os.time()
local CLIENTS = 64
local PATIENCE = 60 -- seconds, for what has to come: a busy machine is no error
local GROWTH = 1.15 -- of resident memory, first minute to last
local SLACK_KIB = 8 * 1024

math.randomseed(seed)

local count = { connections = 0, bytes = 0, cancels = 0, timeouts = 0,
  resets = 0, echoes = 0, refused = 0 }
local failures = {}

local function note(kind, n) count[kind] = count[kind] + (n or 1) end

local function fail(what, message)
  if #failures < 20 then
    failures[#failures + 1] = ("%s: %s"):format(what, tostring(message))
  end
end

-- -- what is in use --

local function resident_kib()
  for line in io.lines "/proc/self/status" do
    local n = line:match "^VmRSS:%s*(%d+)"
    if n then return tonumber(n) end
  end
end

local function descriptors()
  local n = 0
  for name in require "lfs".dir "/proc/self/fd" do
    if tonumber(name) then n = n + 1 end
  end
  return n
end

-- -- the server: echoes lines; "big N" sends N bytes; "slow" reads slowly --

local function answer(conn, line)
  local n = line:match "^big (%d+)$"
  if n then return conn:write(("b"):rep(tonumber(n)), "\n") end
  if line == "slow" then
    for _ = 1, 20 do
      proa.sleep(0.01)
      if not conn:read_some(4096, PATIENCE) then return nil end
    end
    return nil
  end
  return conn:write(line, "\n")
end

local function handler(conn)
  conn:timeout { read = PATIENCE, write = PATIENCE }
  while true do
    local line = conn:read "l"
    if not line or not answer(conn, line) then return end
  end
end

-- -- the clients; each gets a connection that is closed behind it --

local kinds = {}

function kinds.echo(conn)
  for _ = 1, math.random(1, 20) do
    local text = ("x"):rep(math.random(1, 2000))
    if not conn:write(text, "\n") then return end
    local line, message = conn:read("l", { timeout = PATIENCE })
    if line ~= text then return fail("echo", message or line and "other bytes" or "the end") end
    note("bytes", 2 * #text)
    note "echoes"
  end
end

function kinds.big(conn)
  local n = math.random(10000, 2000000)
  conn:write("big ", n, "\n")
  local got = 0
  while got < n + 1 do
    local part, message = conn:read_some(65536, PATIENCE)
    if not part then return fail("big", message or "end") end
    got = got + #part
  end
  note("bytes", got)
end

--- The server writes more than fits, this reads a little and leaves.
function kinds.slow_reader(conn)
  conn:write "big 4000000\n"
  for _ = 1, 5 do
    local part = conn:read_some(1000, PATIENCE)
    note("bytes", part and #part or 0)
    proa.sleep(0.01)
  end
end

--- It writes faster than the server reads, until its limit.
function kinds.pile_up(conn)
  conn:timeout { write = 0.1 }
  conn:write "slow\n"
  local block = ("p"):rep(50000)
  for _ = 1, 100 do
    local ok, _, code = conn:write(block)
    if code == "TIMEOUT" then note "timeouts" end
    if not ok then return end
    note("bytes", #block)
  end
end

function kinds.time_out(conn)
  local _, _, code = conn:read("l", { timeout = 0.02 })
  if code == "TIMEOUT" then note "timeouts" else fail("time_out", code) end
  if conn:write "after\n" and conn:read("l", { timeout = PATIENCE }) ~= "after" then
    fail("time_out", "what came after was lost")
  end
end

function kinds.cancelled(conn)
  local task = proa.spawn(function() return conn:read "l" end)
  proa.sleep(math.random() * 0.02)
  task:cancel()
  local _, _, code = task:await()
  if code == "CANCELLED" then note "cancels" else fail("cancelled", code) end
  proa.timeout(0.01, function() while true do proa.yield() end end)
  note "timeouts"
end

function kinds.vanish(conn)
  conn:write(("v"):rep(math.random(1, 100000)))
  conn:abort()
  note "resets"
end

--- Of a race the loser is cancelled.
function kinds.race(conn)
  conn:write "quick\n"
  local name = proa.select {
    line = function() return conn:read "l" end,
    never = function() proa.sleep(PATIENCE) end,
    timeout = PATIENCE,
  }
  note "cancels"
  if name ~= "line" then fail("race", name) end
end

function kinds.copy(conn)
  local a, b = proa.net.pair { memory = true }
  local _ <close> = a
  local _ <close> = b
  conn:write "big 100000\n"
  local out = proa.spawn(function() return b:read_exact(100001, PATIENCE) end)
  local n, message = conn:copy_to(a, { max = 100001, timeout = PATIENCE })
  local text = out:await()
  if n ~= 100001 or #(text or "") ~= n then fail("copy", message or n) end
  note("bytes", 2 * (n or 0))
end

local names = {}
for name in pairs(kinds) do names[#names + 1] = name end
table.sort(names)

local function client(address)
  local conn <close> = proa.net.connect(address, { timeout = PATIENCE })
  if not conn then return note "refused" end
  note "connections"
  local name = names[math.random(#names)]
  local ok, err = pcall(kinds[name], conn)
  if not ok then fail(name, err) end
end

-- -- figures --

local function sample()
  collectgarbage()
  collectgarbage()
  return { kib = resident_kib(), fds = descriptors(),
    lua = collectgarbage "count" }
end

local function show(when, s)
  print(("%s: %s: %d connections, %.1f MB, %d echoes, %d cancels, %d timeouts,"
    .. " %d resets; rss %.1f MiB, lua %.2f MiB, %d fds"):format(os.getenv "PROA_DRIVER" or "?",
    when, count.connections, count.bytes / 1e6, count.echoes, count.cancels,
    count.timeouts, count.resets, s.kib / 1024, s.lua / 1024, s.fds))
  io.stdout:flush()
end

--- All clients pause, so that each sample sees the same: a server and nobody.
local pause = { asked = false, running = 0, over = false }

local function keep_going(address)
  while not pause.over do
    while pause.asked do proa.sleep(0.05) end
    pause.running = pause.running + 1
    client(address)
    pause.running = pause.running - 1
  end
end

local function rest()
  pause.asked = true
  while pause.running > 0 do proa.sleep(0.05) end
  for _ = 1, 200 do
    if proa.stats().streams == 0 then break end
    proa.sleep(0.05)
  end
  local s = sample()
  pause.asked = false
  return s
end

local function watch(until_time)
  local first, last
  local minute, step = 0, math.min(60, minutes * 60 / 3)
  while true do
    local left = until_time - proa.now()
    if left < step / 2 then break end
    proa.sleep(math.min(step, left))
    minute = minute + 1
    last = rest()
    first = first or last
    show(("%g s"):format(minute * step), last)
  end
  return first, last
end

local function judge(first, last)
  if last.kib > first.kib * GROWTH + SLACK_KIB then
    fail("memory", ("grew from %d to %d KiB"):format(first.kib, last.kib))
  end
  if last.fds > first.fds then
    fail("descriptors", ("grew from %d to %d"):format(first.fds, last.fds))
  end
  local stats = proa.stats()
  for _, name in ipairs { "ops_in_flight", "buffers_taken", "handles",
    "streams" } do
    if stats[name] ~= 0 then
      fail("left", ("%s is %d"):format(name, stats[name]))
    end
  end
end

print(("soak on %s for %g minutes, SEED=%d"):format(
  proa.info().driver, minutes, seed))
local first, last
proa.run(function()
  local listener = assert(proa.net.listen "127.0.0.1:0")
  local until_time = proa.now() + minutes * 60
  local server = proa.spawn(function() listener:serve(handler) end)
  local clients = {}
  for i = 1, CLIENTS do
    clients[i] = proa.spawn(keep_going, listener:address())
  end
  first, last = watch(until_time)
  pause.over = true
  for _, task in ipairs(clients) do task:await() end
  listener:close()
  server:await()
end)
proa.sleep(0.1)
collectgarbage()
collectgarbage()
judge(first, last)
for _, failure in ipairs(failures) do print("not ok - " .. failure) end
print(("rss %.1f MiB in the first minute, %.1f in the last; fds %d, %d"):format(
  first.kib / 1024, last.kib / 1024, first.fds, last.fds))
os.exit(#failures == 0, true)
