--- stream_storm_spec.lua: everything at once, on the same few streams.
-- Tasks read, write, copy, put back, flush, shut down, wrap, close and abort
-- at random, under limits and cancellations. Nothing hangs, nothing is left,
-- and every call ends as it may: with a result, a known code or a misuse that
-- is told. PROA_SEED repeats a seed, which a failure names; PROA_STORMS=1000
-- raises so many storms.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local frames = require "proa_spec_frames"
local helper = require "spec.helper"
local proa = require "proa"

local STORMS = math.tointeger(os.getenv "PROA_STORMS" or 10)
local random = math.random
local block = ("0123456789abcde\n"):rep(64 * 1024)

local function some(n) return block:sub(1, random(n)) end

local function limit() return random(3) == 1 and random() * 0.002 or nil end

-- each is called with a stream and another one
local calls = {
  function(s) return s:read("l", { timeout = limit() }) end,
  function(s) return s:read("a", { timeout = limit(), max = random(100000) }) end,
  function(s) return s:read_exact(random(300000), limit()) end,
  function(s) return s:read_some(nil, limit()) end,
  function(s) return s:read_until("e\n0", { timeout = limit() }) end,
  function(s) return s:peek(random(2) == 1 and random(100000) or nil, limit()) end,
  function(s) return s:read_into(proa.buffer(random(5000)), nil, nil, limit()) end,
  function(s) return s:unread(some(5000)) end,
  function(s) return s:lines()() end,
  function(s) return s:chunks()() end,
  function(s) return s:write(some(5000), some(5000)) end,
  function(s) return s:write(some(200000)) end,
  function(s) return s:write(block) end,
  function(s) return s:try_write(some(50000)) end,
  function(s) return s:flush(limit()) end,
  function(s, t) return s:copy_to(t, { timeout = limit(), idle = limit(),
    max = random(2) == 1 and random(100000) or nil }) end,
  function(s, t) return s:copy_to(t) end,
  function(s) return frames.read(s) end,
  function(s) return frames.write(s, some(1000)) end,
  function(s) return s:timeout { read = limit(), write = limit(),
    idle = limit() } end,
  function(s) return tostring(s) end,
}

local rare = {
  function(s) return frames.wrap(s, random(4) == 1) end,
  function(s) return s:shutdown("w", limit()) end,
  function(s) return s:close(random() * 0.01) end,
  function(s) return s:abort() end,
}

local codes = { TIMEOUT = true, CLOSED = true, LIMIT = true, EOF = true,
  ECONNRESET = true, EPIPE = true, EAGAIN = true, CANCELLED = true,
  PROTOCOL = true, ECONNABORTED = true }

local misuse = { "stream is closed", "being read by task", "stream is in use",
  "was shut down", "not copied to itself", "in use by read" }

local function known(message)
  message = tostring(message)
  for _, text in ipairs(misuse) do
    if message:find(text, 1, true) then return true end
  end
  -- an iterator's
  return message:find "read: " and not message:find "bad argument"
end

local function one_call(streams)
  local call = random(25) == 1 and rare[random(#rare)] or calls[random(#calls)]
  local results = table.pack(pcall(call, streams[random(#streams)],
    streams[random(#streams)]))
  if not results[1] then
    if proa.is_cancelled(results[2]) then error(results[2], 0) end
    if not known(results[2]) then error(results[2], 0) end
  elseif results[2] == nil and results[4] ~= nil and not codes[results[4]] then
    error(("code %s: %s"):format(results[4], results[3]), 0)
  end
end

local function blow(streams)
  for _ = 1, random(30) do
    one_call(streams)
    if random(4) == 1 then proa.yield() end
  end
  return true
end

local function storm(kinds)
  local streams = {}
  for _ = 1, 3 do
    local a, b = kinds[random(#kinds)]()
    streams[#streams + 1], streams[#streams + 2] = a, b
  end
  local tasks = {}
  for i = 1, 12 do tasks[i] = proa.spawn(blow, streams) end
  for _ = 1, 8 do
    proa.sleep(random() * 0.001)
    tasks[random(#tasks)]:cancel()
  end
  -- what waits for ever is let go by the end of everything
  local give_up = proa.spawn(function()
    proa.sleep(0.01)
    for _, s in ipairs(streams) do
      if random(2) == 1 then s:close(0.01) else s:abort() end
    end
  end)
  for _, task in ipairs(tasks) do
    local ok, message, code = task:await(20)
    if not ok and code ~= "CANCELLED" then error(message, 0) end
  end
  give_up:await()
end

describe("a storm over", function()
  local function weather(kinds)
    return function()
      local seed = tonumber(os.getenv "PROA_SEED") or
        os.time() ~ random(1 << 30)
      math.randomseed(seed)
      for _ = 1, STORMS do
        local ok, err = pcall(storm, kinds)
        if not ok and proa.is_cancelled(err) then error(err, 0) end
        assert(ok, ("PROA_SEED=%d: %s"):format(seed, tostring(err)))
      end
    end
  end

  helper.it("sockets leaves nothing behind",
    weather { helper.tcp_pair, proa.net.pair }, { limit = 60 + STORMS })
  helper.it("memory leaves nothing behind", weather { core.memory_pair },
    { limit = 60 + STORMS })
  local kinds = {}
  for i, kind in ipairs(helper.transports) do kinds[i] = kind.pair end
  helper.it("everything leaves nothing behind", weather(kinds),
    { limit = 60 + STORMS })
end)
