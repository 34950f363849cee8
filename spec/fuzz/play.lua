--- play.lua: random scripts over socket pairs, and what each task saw.
--   lua5.4 spec/fuzz/play.lua FIRST_SEED N
-- Prints one line for each seed. spec/run-fuzz runs it on every driver and
-- compares the lines: they have to be the same. What may differ between drivers
-- is a race that is written down here, and is not printed:
--   1. how many bytes one read_some, recv or chunk gives: only their sum is;
--   2. whether a limit or a cancellation comes before what it limits: the
--      outcome is not printed, and what was not read by then must come later;
--   3. after the reader has gone, whether a write is still accepted, and whether
--      its error is EPIPE or ECONNRESET: "gone" is printed for both, and how
--      many were accepted is not.
-- Scripts are made before anything runs, so that the random numbers do not
-- depend on the order of tasks.
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local op, fd = proa.op, proa.fd
local first, count = tonumber(arg[1]) or 1, tonumber(arg[2]) or 100
local LIMIT = 20 -- seconds, for each wait that should not last

-- -- a random script: the bytes that are written, and how both ends behave --

local function words(n)
  local parts = {}
  for i = 1, n do
    parts[i] = string.char(math.random(97, 122)):rep(math.random(1, 30))
  end
  return table.concat(parts, "\n") .. "\n"
end

local sizes = { 0, 1, 2, 100, 4000, 5000, 70000, 300000 }

local function text()
  local n = sizes[math.random(#sizes)]
  if math.random(4) == 1 then return words(math.random(1, 20)) end
  return string.char(math.random(65, 90)):rep(n)
end

local writes = { "write", "write", "write", "flush", "pause", "try", "parts" }
local reads = { "exact", "exact", "some", "line", "peek", "unread", "limit",
  "cancel", "until", "into", "pause" }

local function script(names, n)
  local list = {}
  for i = 1, n do
    list[i] = { name = names[math.random(#names)], text = text(),
      n = math.random(1, 9000), wait = math.random() / 500 }
  end
  return list
end

local function case(seed)
  math.randomseed(seed)
  local kinds = { "socket", "memory", "tcp", "raw" }
  return { kind = kinds[math.random(#kinds)],
    write = script(writes, math.random(1, 8)),
    read = script(reads, math.random(1, 10)),
    leave = math.random(6) == 1 } -- the reader goes before the end
end

-- -- streams --

local function tcp_pair()
  local listener <close> = assert(proa.net.listen "127.0.0.1:0")
  local a = assert(proa.net.connect(listener:address()))
  return a, assert(listener:accept(LIMIT))
end

local function gone(code) return code == "EPIPE" or code == "ECONNRESET" end

local writers = {}
function writers.write(a, step) return a:write(step.text) end
function writers.parts(a, step) return a:write(step.text, step.n, "\n") end
function writers.flush(a) return a:flush(LIMIT) end
function writers.pause(a, step) proa.sleep(step.wait) return a end
function writers.try(a)
  local ok, message, code = a:try_write "try\n"
  if code == "EAGAIN" then return a:write "try\n" end
  return ok, message, code
end

--- What it wrote must be what was read; "gone": the reader left first.
local function write_all(a, steps)
  local log = {}
  for _, step in ipairs(steps) do
    local ok, message, code = writers[step.name](a, step)
    if not ok then return gone(code) and "gone" or message end
    log[#log + 1] = step.name
  end
  local ok, message, code = a:shutdown("w", LIMIT)
  if not ok then return gone(code) and "gone" or message end
  return table.concat(log, ",")
end

local readers = {}
function readers.exact(b, step) return b:read_exact(step.n, LIMIT) end
function readers.some(b, step) return b:read_some(step.n, LIMIT) end
function readers.line(b) return b:read("L", { timeout = LIMIT }) end
function readers.pause(_, step) proa.sleep(step.wait) return "" end
readers["until"] = function(b) return b:read_until("\n", { timeout = LIMIT }) end
function readers.peek(b)
  b:peek(1, LIMIT)
  return ""
end
function readers.unread(b)
  local s = b:read_some(100, LIMIT)
  if s then b:unread(s) end
  return ""
end
function readers.limit(b, step)
  return b:read_exact(step.n, step.wait) or ""
end
function readers.cancel(b, step)
  local got
  local task = proa.spawn(function() got = b:read_exact(step.n) end)
  proa.sleep(step.wait)
  task:cancel()
  task:await()
  return got or ""
end
function readers.into(b, step)
  local buffer = proa.buffer(step.n)
  local n = b:read_into(buffer, 1, -1, LIMIT)
  return n and buffer:string(1, n) or ""
end

local fair = { ["until"] = "\n" } -- what the read took away

local function read_all(b, case_)
  local parts = {}
  for _, step in ipairs(case_.read) do
    local s = readers[step.name](b, step)
    if s then parts[#parts + 1] = s .. (fair[step.name] or "") end
  end
  if case_.leave then
    b:close()
    return "left"
  end
  local rest, message = b:read("a", { timeout = LIMIT })
  parts[#parts + 1] = rest or message
  return table.concat(parts)
end

-- -- raw ops --

local function raw_write(a, steps)
  for _, step in ipairs(steps) do
    local n, message, code
    if step.name == "parts" then
      n, message, code = op.sendmsg(a, { step.text, "x" }):await()
    elseif step.name ~= "pause" and step.name ~= "flush" then
      n, message, code = op.send(a, step.text):await()
    else
      n = true
      op.timer(step.wait):await()
    end
    if not n then return gone(code) and "gone" or message end
  end
  local ok, message, code = op.shutdown(a, "w"):await()
  return ok and "sent" or code == "ENOTCONN" and "gone" or message
end

local function raw_read(b, case_)
  local buffer, parts = proa.buffer(65536), {}
  for i = 1, math.huge do
    local step = case_.read[i]
    if step and step.name == "limit" then
      local f = op.recv(b, buffer, 1, step.n)
      f:await(step.wait)
      f:cancel()
      local n = f:await()
      if n then parts[#parts + 1] = buffer:string(1, n) end
    elseif step and step.name == "peek" then
      op.ready(b, "r"):await()
    elseif not step and case_.leave then
      b:close()
      return "left"
    else
      local n, message = op.recv(b, buffer):await()
      if message then return message end
      if not n then return table.concat(parts) end
      parts[#parts + 1] = buffer:string(1, n)
    end
  end
end

-- -- one case --

local pairs_of = {
  socket = function() return proa.net.pair() end,
  memory = function() return proa.net.pair { memory = true } end,
  tcp = tcp_pair,
  raw = function() return fd.pair() end,
}

local function digest(s)
  local sum = 0
  for i = 1, #s, 1 + #s // 500 do sum = (sum * 31 + s:byte(i)) % 2147483647 end
  return ("%d bytes %d"):format(#s, sum)
end

local function play(case_)
  local a, b = assert(pairs_of[case_.kind]())
  local _ <close> = a
  local _ <close> = b
  local raw = case_.kind == "raw"
  local w = proa.spawn(raw and raw_write or write_all, a, case_.write)
  local r = proa.spawn(raw and raw_read or read_all, b, case_)
  local read, wrote = r:await(), w:await()
  if case_.leave then wrote, read = "either", "left" end
  return ("%s wrote %s read %s"):format(case_.kind, wrote,
    read == "left" and read or digest(read))
end

for seed = first, first + count - 1 do
  local ok, result = pcall(proa.run, play, case(seed))
  print(("%d: %s"):format(seed, ok and result or "raised " .. tostring(result)))
end
local stats = proa.stats()
for _ = 1, 100 do
  collectgarbage()
  stats = proa.stats()
  if stats.ops_live == 0 and stats.handles == 0 then break end
  proa.sleep(0.001)
end
print(("left: %d ops, %d buffers, %d handles"):format(stats.ops_live,
  stats.buffers_taken, stats.handles))
