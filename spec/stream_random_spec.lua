--- stream_random_spec.lua: a byte stream, cut at random, stays intact both ways.
-- Both ends write pieces of random length, and read what the other writes by
-- every method there is, under limits and cancellations that strike at random
-- moments. A read that gave nothing must have consumed nothing, so what was
-- read is what was written. PROA_ROUNDS=100000 makes so many rounds on each
-- kind of stream; PROA_SEED repeats a seed, which a failure names; on the
-- simulation, with PROA_SIM_SEED, the whole run.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local helper = require "spec.helper"
local proa = require "proa"

local ROUNDS = math.tointeger(os.getenv "PROA_ROUNDS" or 2000)
local random = math.random

local function random_block(n)
  local bytes = {}
  for i = 1, n do
    bytes[i] = random(40) == 1 and "\n" or string.char(random(0, 255))
  end
  return table.concat(bytes)
end

local block = random_block(100000)

-- In its places no two pieces are alike, unless the dice say so.
local function random_piece()
  local n = random(10) == 1 and random(20000) or random(300)
  local i = random(#block - n)
  return block:sub(i, i + n - 1)
end

-- -- what is on its way --

local way = {}
way.__index = way

local function new_way()
  return setmetatable({ first = 1, last = 0, at = 0, n = 0 }, way)
end

function way:add(piece)
  self.last = self.last + 1
  self[self.last] = piece
end

--- What was read is what is on its way, and is it no more.
function way:check(data)
  local i = 1
  while i <= #data do
    local piece = self[self.first] or ""
    local n = math.min(#piece - self.at, #data - i + 1)
    if n == 0 or piece:sub(self.at + 1, self.at + n) ~= data:sub(i, i + n - 1)
    then
      error(("what arrived behind byte %d differs"):format(self.n + i - 1), 0)
    end
    i, self.at = i + n, self.at + n
    if self.at == #piece then
      self[self.first] = nil
      self.first, self.at = self.first + 1, 0
    end
  end
  self.n = self.n + #data
end

-- -- reading --

--- One step of an iterator, whose errors are raised.
local function step(next, ...)
  local ok, data = pcall(next, ...)
  if ok then return data end
  if proa.is_cancelled(data) then error(data, 0) end
  return nil, data, data:find "timed out" and "TIMEOUT" or
    data:find "longer than" and "LIMIT" or nil
end

-- Each gives the bytes that a read has consumed, or nil, message, code. One
-- whose bytes go elsewhere first leaves in `sinks` where they will be.
local methods = {
  function(conn)
    local line, message, code = conn:read "l"
    return line and line .. "\n", message, code
  end,
  function(conn) return conn:read("L", { max = random(200) }) end,
  function(conn) return conn:read(random(0, 4000)) end,
  function(conn) return conn:read_some(random(3000)) end,
  function(conn) return conn:read_some() end,
  function(conn) return conn:read_exact(random(0, 4000)) end,
  function(conn) return conn:read("a", random(20)) end,
  function(conn)
    local b = proa.buffer(random(2000))
    local i, j = random(#b), random(#b)
    local n, message, code = conn:read_into(b, i, j)
    return n and b:string(i, i + n - 1), message, code
  end,
  function(conn)
    local i = random(#block - 3)
    local delimiter = block:sub(i, i + random(0, 2))
    local data, message, code = conn:read_until(delimiter,
      random(2) == 1 and 3000 or nil)
    return data and data .. delimiter, message, code
  end,
  function(conn)
    local seen, message, code = conn:peek(random(3) > 1 and random(4000) or nil)
    if not seen then return nil, message, code end
    local data
    data, message, code = conn:read_exact(#seen)
    if data and data ~= seen then error("peeked at other bytes", 0) end
    return data, message, code
  end,
  function(conn)
    local data, message, code = conn:read(random(2000))
    if not data then return nil, message, code end
    local i = random(#data)
    local j = random(i, #data)
    conn:unread(data:sub(j + 1))
    conn:unread(data:sub(i + 1, j))
    return data:sub(1, i)
  end,
  function(conn) return step(conn:lines("L", { max = 300 })) end,
  function(conn) return step(conn:chunks(random(3000))) end,
  function(conn, sinks)
    local to, sink = core.memory_pair()
    sinks[1], sinks[2] = to, sink
    return conn:copy_to(to, { max = random(5000),
      timeout = random() * 0.001 })
  end,
}

-- Each calls read(conn, sinks) and lets something strike meanwhile.
local strikes = {
  function(read, ...) return read(...) end,
  function(read, conn, sinks)
    conn:timeout { read = random() * 0.0005 }
    local data, message, code = read(conn, sinks)
    conn:timeout { read = 0.002 }
    return data, message, code
  end,
  function(read, ...) return proa.timeout(random() * 0.0005, read, ...) end,
  function(read, ...)
    local reader = proa.spawn(read, ...)
    for _ = 1, random(0, 4) do proa.yield() end
    if random(2) == 1 then proa.sleep(random() * 0.0005) end
    reader:cancel()
    return reader:await()
  end,
}

local given_up = { TIMEOUT = true, CANCELLED = true, LIMIT = true }

local function round(conn)
  local sinks = {}
  local data, message, code = strikes[random(#strikes)](
    methods[random(#methods)], conn, sinks)
  if not (data or given_up[code]) then error(message or "ended early", 0) end
  if sinks[1] then
    sinks[1]:close()
    data = sinks[2]:read "a"
    sinks[2]:close()
  end
  return data or "", code
end

local function read_rounds(conn, sent, outcomes)
  conn:timeout { read = 0.002 }
  for _ = 1, ROUNDS // 2 do
    local data, code = round(conn)
    sent:check(data)
    if code then outcomes[code] = (outcomes[code] or 0) + 1 end
  end
  sent.enough = true
  conn:timeout { read = math.huge }
  sent:check(conn:read "a")
  if sent.last >= sent.first then error("the end is missing", 0) end
end

local function write_pieces(conn, sent)
  while not sent.enough do
    local piece = random_piece()
    if random(4) > 1 then
      sent:add(piece) -- it may arrive before write returns
      assert(conn:write(piece))
    elseif conn:try_write(piece) then
      sent:add(piece)
    end
    if random(3) == 1 then proa.sleep(random() * 0.0003) end
  end
  assert(conn:shutdown "w")
end

local function test(conn, peer)
  local there, back, outcomes = new_way(), new_way(), {}
  local tasks = {
    proa.spawn(write_pieces, peer, there), proa.spawn(write_pieces, conn, back),
    proa.spawn(read_rounds, conn, there, outcomes),
    proa.spawn(read_rounds, peer, back, outcomes),
  }
  for _, task in ipairs(tasks) do task:await() end
  return outcomes
end

local function check(pair)
  return function()
    local seed = tonumber(os.getenv "PROA_SEED") or os.time() ~ random(1 << 30)
    math.randomseed(seed)
    local conn, peer = pair()
    local _ <close> = conn
    local _ <close> = peer
    local ok, outcomes = pcall(test, conn, peer)
    if proa.is_cancelled(outcomes) then error(outcomes, 0) end
    assert(ok, ("PROA_SEED=%d: %s"):format(seed, outcomes))
    for code in pairs(given_up) do
      assert((outcomes[code] or 0) > 0, "no read ended with " .. code)
    end
  end
end

describe("a random stream stays intact both ways", function()
  for _, transport in ipairs(helper.transports) do
    helper.it("over " .. transport.name, check(transport.pair),
      { limit = 60 + ROUNDS / 100 })
  end
end)
