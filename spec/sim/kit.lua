--- kit.lua: what the random programs share: dice, pairs of streams, and bytes
-- that are checked on their way.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local proa = require "proa"

local kit = {}

-- -- dice: splitmix64, so that a seed means the same everywhere --

local rng = {}
rng.__index = rng

function kit.rng(seed)
  return setmetatable({ state = seed * 0x2545F4914F6CDD1D }, rng)
end

local function next_word(self)
  local x = self.state + 0x9E3779B97F4A7C15
  self.state = x
  x = (x ~ (x >> 30)) * 0xBF58476D1CE4E5B9
  x = (x ~ (x >> 27)) * 0x94D049BB133111EB
  return x ~ (x >> 31)
end

function rng:__call(m, n)
  if not n then m, n = 1, m end
  return m + (next_word(self) >> 1) % (n - m + 1)
end

function rng:chance(n) return (next_word(self) >> 1) % n == 0 end

function rng:pick(list) return list[1 + (next_word(self) >> 1) % #list] end

function rng:float() return (next_word(self) >> 11) * 0x1p-53 end

--- n bytes, one in about 64 a newline.
function rng:bytes(n)
  local words = {}
  for i = 1, (n + 7) // 8 do words[i] = string.pack("<i8", next_word(self)) end
  return (table.concat(words):sub(1, n):gsub("[\0\1\2\3]", "\n"))
end

-- -- pairs of connected streams --

local function listening(address)
  local listener <close>, message = proa.net.listen(address)
  if not listener then return nil, message end
  local a
  a, message = proa.net.connect(listener:address())
  if not a then return nil, message end
  local b
  b, message = listener:accept(60)
  if not b then a:close() end
  return b and a, b or message
end

local count = 0

local base = {
  function() return listening "127.0.0.1:0" end,
  function() return listening "[::1]:0" end,
  function()
    count = count + 1
    return listening("unix:@sim-" .. count)
  end,
  function() return proa.net.pair() end,
  function() return proa.net.pair { memory = true } end,
}

local function framed(a, b)
  local frames = require "proa_spec_frames"
  return frames.wrap(a), frames.wrap(b)
end

--- Two connected streams of any kind; nil and a message where ops may fail.
function kit.pair(dice)
  local a, b = dice:pick(base)()
  while a and dice:chance(4) do a, b = framed(a, b) end
  return a, b
end

-- -- bytes on their way --

local way = {}
way.__index = way

--- What is written goes in by add, what was read is checked: the same bytes in
-- the same order, none of them twice.
function kit.way(name)
  return setmetatable({ name = name, first = 1, last = 0, at = 0, n = 0 }, way)
end

function way:add(piece)
  if piece == "" then return end
  self.last = self.last + 1
  self[self.last] = piece
end

--- The last n bytes of the last piece were not written after all.
function way:take_back(n)
  if n == 0 then return end
  local piece = self[self.last]
  if #piece - self.at < n and self.first == self.last then
    error(self.name .. ": what was not written has arrived", 0)
  end
  piece = piece:sub(1, #piece - n)
  self[self.last] = piece
  if self.first == self.last and #piece == self.at then
    self[self.last] = nil
    self.first, self.at = self.first + 1, 0
  elseif piece == "" then
    self[self.last] = nil
    self.last = self.last - 1
  end
end

function way:check(data)
  local i = 1
  while i <= #data do
    local piece = self[self.first] or ""
    local n = math.min(#piece - self.at, #data - i + 1)
    if n == 0 then
      error(("%s: %d bytes more arrived than were written"):format(self.name,
        #data - i + 1), 0)
    end
    if piece:sub(self.at + 1, self.at + n) ~= data:sub(i, i + n - 1) then
      error(("%s: what arrived behind byte %d is not what was written"):format(
        self.name, self.n + i - 1), 0)
    end
    i, self.at = i + n, self.at + n
    if self.at == #piece then
      self[self.first] = nil
      self.first, self.at = self.first + 1, 0
    end
  end
  self.n = self.n + #data
end

--- A line of n bytes was read: with its end, unless it was the last.
function way:line(line)
  local i, at = self.first, self.at + #line
  while i <= self.last and at >= #self[i] do i, at = i + 1, at - #self[i] end
  return i <= self.last and line .. "\n" or line
end

--- All has arrived.
function way:finish()
  if self.first <= self.last then
    error(("%s: the bytes behind %d never arrived"):format(self.name, self.n),
      0)
  end
end

-- -- reading, by every method there is --

--- One step of an iterator, whose errors are raised.
local function step(next, ...)
  local ok, data = pcall(next, ...)
  if ok then return data end
  if proa.is_cancelled(data) then error(data, 0) end
  return nil, data, data:find "timed out" and "TIMEOUT"
    or data:find "longer than" and "LIMIT" or nil
end

-- Each gives the bytes that a read has consumed, or nil, message, code; nil
-- alone at the end. One whose bytes go elsewhere first leaves in `sinks` where
-- they will be.
local methods = {
  function(_, conn, _, sent)
    -- a part of a line at an end that came too early looks like a line
    if sent.may_break then return conn:read "L" end
    local line, message, code = conn:read "l"
    return line and sent:line(line), message, code
  end,
  function(dice, conn) return conn:read("L", { max = dice(200) }) end,
  function(dice, conn) return conn:read(dice(2000)) end,
  function(dice, conn) return conn:read_some(dice(3000)) end,
  function(_, conn) return conn:read_some() end,
  function(dice, conn) return conn:read_exact(dice(500)) end,
  function(dice, conn) return conn:read("a", dice(20)) end,
  function(dice, conn)
    local b = proa.buffer(dice(1000))
    local i = dice(#b)
    local j = dice(i, #b)
    local n, message, code = conn:read_into(b, i, j)
    return n and b:string(i, i + n - 1), message, code
  end,
  function(dice, conn)
    local data, message, code = conn:read_until("\n",
      dice:chance(2) and 1000 or nil)
    return data and data .. "\n", message, code
  end,
  function(dice, conn)
    local seen, message, code = conn:peek(dice:chance(2) and dice(600) or nil)
    if not seen then return nil, message, code end
    local data
    data, message, code = conn:read_exact(#seen)
    if data and data ~= seen then error("peek showed other bytes", 0) end
    return data, message, code
  end,
  function(dice, conn)
    local data, message, code = conn:read(dice(1000))
    if not data then return nil, message, code end
    local i = dice(#data)
    local j = dice(i, #data)
    conn:unread(data:sub(j + 1))
    conn:unread(data:sub(i + 1, j))
    return data:sub(1, i)
  end,
  function(dice, conn) return step(conn:lines("L", { max = dice(300) })) end,
  function(dice, conn) return step(conn:chunks(dice(2000))) end,
  function(dice, conn, sinks)
    local to, sink = core.memory_pair()
    sinks[1], sinks[2] = to, sink
    return conn:copy_to(to, { max = dice(2000), timeout = dice:float() * 0.01 })
  end,
}

-- Each calls read(...) and lets something strike meanwhile.
local strikes = {
  function(_, read, ...) return read(...) end,
  function(_, read, ...) return read(...) end,
  function(dice, read, _, conn, ...)
    conn:timeout { read = dice:float() * 0.002 }
    local data, message, code = read(_, conn, ...)
    if not conn:closed() then conn:timeout { read = math.huge } end
    return data, message, code
  end,
  function(dice, read, ...)
    return proa.timeout(dice:float() * 0.002, read, ...)
  end,
  function(dice, read, ...)
    local reader = proa.spawn(read, ...)
    for _ = 1, dice(0, 3) do proa.yield() end
    if dice:chance(2) then proa.sleep(dice:float() * 0.002) end
    reader:cancel()
    return reader:await()
  end,
}

-- EOF: read_exact and read_until leave what there is for another read.
local given_up = { TIMEOUT = true, CANCELLED = true, LIMIT = true, EOF = true }

--- Read once, by any method, disturbed in any way, and check it against what
-- was sent. Whether the stream may have more; or nil, message, code.
function kit.read(dice, conn, sent)
  local sinks = {}
  -- a task of its own would fail unawaited when the stream is closed under it
  local strike = dice(#strikes - (sent.may_break and 1 or 0))
  local data, message, code = strikes[strike](dice, dice:pick(methods), dice,
    conn, sinks, sent)
  if sinks[1] then
    sinks[1]:close()
    sent:check(assert(sinks[2]:read "a"))
    sinks[2]:close()
    data = data and ""
  end
  if data then
    sent:check(data)
    return true
  end
  if given_up[code] then return true end
  if message then return nil, message, code end
  return false
end

--- Wait until all of these tasks have ended; an error about `what` when nothing
-- moves them any more.
function kit.await_all(tasks, what)
  local ok, message, code = proa.timeout(1e6, function()
    for _, t in ipairs(tasks) do t:await() end
    return true
  end)
  if not ok then
    error(("the %s came to no end: %s %s"):format(what, message, code), 0)
  end
end

return kit
