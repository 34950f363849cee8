--- stream_random_spec.lua: a byte stream, cut at random, stays intact.
-- One task writes pieces of random length. Another reads them by every method
-- there is, under limits and cancellations that strike at random moments. A
-- read that gave nothing must have consumed nothing, so what was read is what
-- was written. PROA_SEED repeats a seed, which a failure names; on the
-- simulation, with PROA_SIM_SEED, the whole run.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local ROUNDS = 2000
local random = math.random

local function random_block(n)
  local bytes = {}
  for i = 1, n do
    bytes[i] = random(40) == 1 and "\n" or string.char(random(0, 255))
  end
  return table.concat(bytes)
end

-- In its places no two pieces are alike, unless the dice say so.
local function random_piece(block)
  local n = random(10) == 1 and random(20000) or random(300)
  local i = random(#block - n)
  return block:sub(i, i + n - 1)
end

-- Each gives the bytes that a read has consumed, or nil, message, code.
local methods = {
  function(conn)
    local line, message, code = conn:read "l"
    return line and line .. "\n", message, code
  end,
  function(conn) return conn:read "L" end,
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
}

-- Each calls read(conn) and lets something strike meanwhile.
local strikes = {
  function(read, conn) return read(conn) end,
  function(read, conn)
    conn:timeout { read = random() * 0.0005 }
    local data, message, code = read(conn)
    conn:timeout { read = 0.002 }
    return data, message, code
  end,
  function(read, conn) return proa.timeout(random() * 0.0005, read, conn) end,
  function(read, conn)
    local reader = proa.spawn(read, conn)
    for _ = 1, random(0, 4) do proa.yield() end
    if random(2) == 1 then proa.sleep(random() * 0.0005) end
    reader:cancel()
    return reader:await()
  end,
}

local given_up = { TIMEOUT = true, CANCELLED = true, LIMIT = true }

local function round(conn)
  local data, message, code = strikes[random(#strikes)](
    methods[random(#methods)], conn)
  if not (data or given_up[code]) then error(message or "ended early", 0) end
  return data, code
end

local function write_until(peer, done, sent)
  local block = random_block(100000)
  while not done() do
    local piece = random_piece(block)
    sent[#sent + 1] = piece
    assert(peer:write(piece))
    if random(3) == 1 then proa.sleep(random() * 0.0003) end
  end
  peer:shutdown "w"
end

local function test(conn, peer)
  local sent, got, stopped, outcomes = {}, {}, false, {}
  local writer = proa.spawn(write_until, peer, function() return stopped end,
    sent)
  conn:timeout { read = 0.002 }
  for _ = 1, ROUNDS do
    local data, code = round(conn)
    if data then
      got[#got + 1] = data
    else
      outcomes[code] = (outcomes[code] or 0) + 1
    end
  end
  stopped = true
  conn:timeout { read = math.huge }
  got[#got + 1] = conn:read "a"
  writer:await()
  return table.concat(sent), table.concat(got), outcomes
end

local function check(pair)
  return function()
    local seed = tonumber(os.getenv "PROA_SEED") or os.time() ~ random(1 << 30)
    math.randomseed(seed)
    local conn, peer = pair()
    local _ <close> = conn
    local _ <close> = peer
    local ok, sent, got, outcomes = pcall(test, conn, peer)
    if proa.is_cancelled(sent) then error(sent, 0) end
    assert(ok, ("PROA_SEED=%d: %s"):format(seed, sent))
    assert(sent == got, ("PROA_SEED=%d: %d bytes were sent, %d arrived, and " ..
      "they differ"):format(seed, #sent, #got))
    for code in pairs(given_up) do
      assert((outcomes[code] or 0) > 0, "no read ended with " .. code)
    end
  end
end

describe("a random stream stays intact", function()
  for _, transport in ipairs(helper.transports) do
    helper.it("over " .. transport.name, check(transport.pair), { limit = 60 })
  end
end)
