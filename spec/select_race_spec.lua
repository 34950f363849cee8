--- A select loop over a listener, a channel and a task, with losers that come
-- and go at random: every client is served, every message arrives once, no task
-- that was only waited for is cancelled, and memory stays flat. PROA_RACES sets
-- how many rounds (default 2000).
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local ROUNDS = tonumber(os.getenv "PROA_RACES") or 2000
local LIMIT = os.getenv "PROA_RACES" and 7200 or 60
local CLIENTS, SENDERS = 16, 4

local function serve(conn)
  conn:write("hello ", conn:read "l", "\n")
  conn:close()
end

--- Connects again and again until there were `rounds` of everything.
local function client(id, address, counts)
  while not counts.over do
    local conn <close> = assert(proa.net.connect(address))
    counts.connected = counts.connected + 1
    conn:write(id, "\n")
    assert(conn:read "l" == "hello " .. id)
    counts.answered = counts.answered + 1
    proa.sleep(math.random() * 0.002)
  end
end

local function sender(ch, counts)
  while not counts.over do
    -- some are given up and have to arrive later, or not at all
    local name = proa.select { sent = proa.sending(ch, counts.number),
      gone = function() proa.sleep(math.random() * 0.0004) end }
    if name == "sent" then counts.sent = counts.sent + 1 end
    if math.random(4) == 1 then proa.sleep(math.random() * 0.001) end
  end
end

--- A task that others only wait for; it ends by itself after a while.
local function worker(counts)
  local ok, err = pcall(proa.sleep, math.random() * 0.001)
  if not ok then
    counts.cancelled = counts.cancelled + 1
    error(err, 0)
  end
  counts.worked = counts.worked + 1
  return "worked"
end

local function count(counts, name, value)
  if name == "client" then
    counts.served = counts.served + 1
    proa.spawn(serve, value)
  elseif name == "message" then
    assert(value == counts.number)
    counts.received = counts.received + 1
  elseif name == "timeout" then
    counts.timeouts = counts.timeouts + 1
  end
end

local function one_round(listener, ch, counts)
  counts.task = counts.task or proa.spawn(worker, counts)
  local name, value = proa.select { client = listener, message = ch,
    task = counts.task, timeout = math.random(3) == 1 and 0.0002 or nil,
    loser = math.random(2) == 1 and function()
      local _ <close> = setmetatable({}, {
        __close = function() counts.losers = counts.losers + 1 end,
      })
      proa.sleep(math.random() * 0.0004)
    end or nil }
  count(counts, name, value)
  if name == "task" then
    assert(value == "worked")
    counts.taken, counts.task = counts.taken + 1, nil
  end
end

--- The rounds are over: who has connected or sent is still to be served.
local function serve_the_rest(listener, ch, counts, others)
  counts.over = true
  local ended = proa.spawn(proa.all, others)
  local name, value
  repeat
    name, value = proa.select { client = listener, message = ch,
      ended = ended }
    count(counts, name, value)
  until name == "ended"
  while ch:try_recv() do counts.received = counts.received + 1 end
  if counts.task then
    assert(counts.task:await() == "worked")
    counts.taken = counts.taken + 1
  end
end

local function memory()
  collectgarbage()
  collectgarbage()
  return collectgarbage "count"
end

describe("a select loop with random losers", function()
  helper.it("serves every client, cancels no task, and stays small", function()
    local counts = { connected = 0, answered = 0, served = 0, sent = 0,
      received = 0, cancelled = 0, worked = 0, taken = 0, losers = 0,
      number = 42, timeouts = 0 }
    local listener <close> = assert(proa.net.listen "127.0.0.1:0")
    local address, ch, others = listener:address(), proa.channel(2), {}
    for i = 1, CLIENTS do
      others[i] = proa.spawn(client, i, address, counts)
    end
    for _ = 1, SENDERS do
      others[#others + 1] = proa.spawn(sender, ch, counts)
    end
    for _ = 1, ROUNDS // 2 do one_round(listener, ch, counts) end
    local early = memory()
    for _ = 1, ROUNDS // 2 do one_round(listener, ch, counts) end
    local late = memory()
    serve_the_rest(listener, ch, counts, others)
    if os.getenv "PROA_RACES" then
      print(("%s: %d rounds; %d clients, %d messages, %d tasks, %d losers, "
        .. "%d timeouts; %.0f KiB halfway, %.0f KiB at the end"):format(
        helper.driver, ROUNDS, counts.served, counts.received, counts.taken,
        counts.losers, counts.timeouts, early, late))
    end
    assert.equal(counts.connected, counts.served)
    assert.equal(counts.connected, counts.answered)
    assert.equal(counts.sent, counts.received)
    assert.equal(counts.worked, counts.taken)
    assert.equal(0, counts.cancelled)
    for _, name in ipairs { "served", "received", "taken", "losers" } do
      assert.is_true(counts[name] > 0, name) -- it was a race
    end
    assert.is_true(late < early + 100, late - early)
  end, { limit = LIMIT })
end)
