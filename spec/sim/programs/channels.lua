--- channels: producers and consumers that send and receive in every way there
-- is, and give up at any moment. What was told as sent arrives, once; what was
-- not never does; each consumer sees each producer's messages in their order.
-- And broadcasts: a subscriber gets or misses every message, and knows how many.
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local function expect(holds, ...)
  if not holds then error(string.format(...), 2) end
end

local function nap(rng) return rng:float() * rng:pick { 0, 0.0005, 0.01 } end

--- Run fn(...) in a task that is cancelled after a while; its results, if it
--- was quicker.
local function struck(rng, fn, ...)
  local task = proa.spawn(fn, ...)
  for _ = 1, rng(0, 3) do proa.yield() end
  if rng:chance(2) then proa.sleep(nap(rng)) end
  task:cancel()
  return task:await()
end

--- An entry of select that is ready now and then.
local function distraction(rng)
  local how = rng(4)
  if how == 1 then return proa.future() end
  if how == 2 then
    local f = proa.future()
    f:set "distracted"
    return f
  end
  local seconds = nap(rng)
  if how == 3 then return proa.spawn(proa.sleep, seconds) end
  return function() proa.sleep(seconds) end
end

-- -- sending: true if it was sent; false if not; nil: it is closed --

local function answer(ok, _, code)
  if ok then return true end
  if code == "CLOSED" then return nil end
  expect(code == "TIMEOUT" or code == "EAGAIN" or code == "CANCELLED",
    "a send gave %s", code)
  return false
end

local function of_select(name, ...)
  if name ~= "ch" then return false end
  return answer(...)
end

local senders = {
  function(_, ch, ...) return answer(ch:send(...)) end,
  function(_, ch, ...) return answer(ch:try_send(...)) end,
  function(rng, ch, ...) return answer(ch:send_within(nap(rng), ...)) end,
  function(rng, ch, ...)
    return answer(proa.timeout(nap(rng), ch.send, ch, ...))
  end,
  function(rng, ch, ...) return answer(struck(rng, ch.send, ch, ...)) end,
  function(rng, ch, ...)
    return of_select(proa.select { ch = proa.sending(ch, ...),
      other = distraction(rng), timeout = rng:chance(2) and nap(rng) or nil })
  end,
  function(rng, ch, ...)
    local entry = proa.sending(ch, ...)
    local name, ok, message, code = struck(rng, proa.select,
      { ch = entry, other = distraction(rng) })
    if name == nil then return false end -- cancelled
    return of_select(name, ok, message, code)
  end,
  function(_, ch, ...)
    local results, message, code = proa.all { proa.sending(ch, ...) }
    return answer(results, message, code)
  end,
  function(rng, ch, ...)
    return answer(proa.race { proa.sending(ch, ...),
      function() proa.sleep(nap(rng)) return nil, "late", "TIMEOUT" end })
  end,
}

-- -- receiving: id, number; false: nothing this time; nil: it is closed --

local function got(id, number, code)
  if code == "TIMEOUT" or code == "EAGAIN" or code == "CANCELLED" then
    return false
  end
  expect(code == nil, "a recv gave %s", code)
  return id, number
end

local function got_select(name, ...)
  if name ~= "ch" then return false end
  return got(...)
end

local receivers = {
  function(_, ch) return got(ch:recv()) end,
  function(_, ch) return got(ch()) end,
  function(_, ch) return got(ch:try_recv()) end,
  function(rng, ch) return got(ch:recv(nap(rng))) end,
  function(rng, ch) return got(proa.timeout(nap(rng), ch.recv, ch)) end,
  function(rng, ch) return got(struck(rng, ch.recv, ch)) end,
  function(rng, ch)
    return got_select(proa.select { ch = ch, other = distraction(rng),
      timeout = rng:chance(2) and nap(rng) or nil })
  end,
  function(rng, ch)
    local name, id, number, code = struck(rng, proa.select,
      { ch = ch, other = distraction(rng), second = distraction(rng) })
    if name == nil then return false end -- cancelled
    return got_select(name, id, number, code)
  end,
  function(rng, ch)
    return got(proa.race { ch,
      function() proa.sleep(nap(rng)) return nil, "late", "TIMEOUT" end })
  end,
}

-- -- one channel --

local function produce(rng, ch, id, sent)
  local number = 0
  for _ = 1, rng(1, 12) do
    number = number + 1
    local ok = rng:pick(senders)(rng, ch, id, number)
    if ok == nil then return end
    sent[id .. ":" .. number] = ok or nil
    if rng:chance(3) then proa.sleep(nap(rng)) end
  end
end

local function consume(rng, ch, seen)
  local last = {}
  while true do
    local id, number = rng:pick(receivers)(rng, ch)
    if id == nil then return end
    if id then
      local name = id .. ":" .. number
      expect(not seen[name], "%s arrived twice", name)
      expect(number > (last[id] or 0), "%s arrived behind %d", name,
        last[id] or 0)
      seen[name], last[id] = true, number
    end
    if rng:chance(3) then proa.sleep(nap(rng)) end
  end
end

local function same_names(sent, seen)
  for name in pairs(sent) do expect(seen[name], "%s was lost", name) end
  for name in pairs(seen) do
    expect(sent[name], "%s arrived and was not sent", name)
  end
end

local function check_channel(rng)
  local ch = proa.channel(rng:pick { 0, 0, 1, 2, 5 })
  local sent, seen, producers, consumers = {}, {}, {}, {}
  for i = 1, rng(1, 4) do
    producers[i] = proa.spawn(produce, rng, ch, string.char(96 + i), sent)
  end
  for i = 1, rng(1, 4) do
    consumers[i] = proa.spawn(consume, rng, ch, seen)
  end
  if rng:chance(4) then
    proa.sleep(nap(rng))
    ch:close()
  end
  for _, task in ipairs(producers) do task:await() end
  ch:close()
  for _, task in ipairs(consumers) do task:await() end
  expect(#ch == 0, "%d messages are left", #ch)
  same_names(sent, seen)
end

-- -- two selects that meet, and nothing else --

--- Both sides count each other's commits.
local function check_meeting(rng)
  local ch, given, taken = proa.channel(), 0, 0
  local rounds = rng(1, 20)
  local function side(entry, add)
    return function()
      for i = 1, rounds do
        local name = proa.select { ch = entry(i), other = distraction(rng),
          timeout = nap(rng) }
        if name == "ch" then add() end
      end
    end
  end
  local a = proa.spawn(side(function(i) return proa.sending(ch, i) end,
    function() given = given + 1 end))
  local b = proa.spawn(side(function() return ch end,
    function() taken = taken + 1 end))
  a:await()
  b:await()
  expect(given == taken, "%d were given and %d taken", given, taken)
end

-- -- all at once: every entry is taken, whoever is on the other side --

local function check_alls(rng)
  local n, chs, out, entries, others = rng(1, 4), {}, {}, {}, {}
  for i = 1, n do
    chs[i] = proa.channel(rng:pick { 0, 0, 0, 1 })
    out[i] = rng:chance(2)
    entries[i] = out[i] and proa.sending(chs[i], i) or chs[i]
    others[i] = out[i] and chs[i] or proa.sending(chs[i], i)
  end
  for _ = 1, rng(0, 3) do
    local extra = distraction(rng)
    if type(extra) == "userdata" then
      extra = proa.spawn(proa.sleep, nap(rng))
    end
    entries[#entries + 1] = extra
  end
  local all = proa.spawn(proa.all, entries)
  for i = n, 1, -1 do
    local entry = others[i]
    others[i] = proa.spawn(function()
      local name, value
      while name ~= "other" do
        name, value = proa.select { other = entry,
          second = distraction(rng) }
      end
      return value
    end)
    if rng:chance(2) then proa.sleep(nap(rng)) end
  end
  local results = all:await()
  for i = 1, n do
    local there, here = results[i], others[i]:await()
    expect((out[i] and here or there) == i, "entry %d was sent as %s, %s", i,
      there, here)
  end
end

-- -- a pipeline of map and each --

local function check_pipeline(rng)
  local n, ch, out = rng(1, 20), proa.channel(rng(0, 2)), {}
  local options = { limit = rng:chance(3) and rng(1, 5) or nil }
  local sender = proa.spawn(proa.each, coroutine.wrap(function()
    for i = 1, n do
      if rng:chance(3) then proa.sleep(nap(rng)) end
      coroutine.yield(i)
    end
  end), function(i)
    if rng:chance(2) then proa.sleep(nap(rng)) end
    ch:send(i)
  end, options)
  local receiver = proa.spawn(proa.each, ch, function(i)
    if rng:chance(2) then proa.sleep(nap(rng)) end
    out[#out + 1] = i
  end, options)
  expect(sender:await() == n, "not all of %d were sent", n)
  ch:close()
  expect(receiver:await() == n, "not all of %d arrived", n)
  local results = assert(proa.map(out, function(v)
    if rng:chance(2) then proa.sleep(nap(rng)) end
    return v
  end, options))
  for i = 1, n do expect(results[i] == out[i], "results are out of order") end
  table.sort(out)
  for i = 1, n do expect(out[i] == i, "%d is not among the results", i) end
end

-- -- broadcasts --

local function subscribe(rng, b, state)
  local sub <close> = b:subscribe()
  local from, read = state.sent, 0
  while true do
    local v, _, code, missed
    if rng:chance(3) then
      v, _, code, missed = sub:recv(nap(rng))
    elseif rng:chance(2) then
      local name
      name, v, _, code, missed = proa.select { sub = sub,
        other = distraction(rng) }
      if name ~= "sub" then code = "TIMEOUT" end
    else
      v, _, code, missed = sub:recv()
    end
    if code == "LAGGED" then
      read = read + missed
    elseif v and code == nil then
      read = read + 1
      expect(v == from + read, "message %s came as number %d", v, from + read)
    elseif code == nil then
      expect(from + read == state.sent, "%d of %d were read or missed",
        from + read, state.sent)
      return
    end
    if rng:chance(2) then proa.sleep(nap(rng)) end
    if rng:chance(60) then return end
  end
end

local function check_broadcast(rng)
  local b, state, tasks = proa.broadcast(rng(1, 4)), { sent = 0 }, {}
  for i = 1, rng(1, 4) do
    tasks[i] = proa.spawn(subscribe, rng, b, state)
  end
  proa.yield()
  for _ = 1, rng(1, 20) do
    if b:send(state.sent + 1) > 0 then state.sent = state.sent + 1 end
    if rng:chance(3) then proa.sleep(nap(rng)) end
    if rng:chance(9) then
      tasks[#tasks + 1] = proa.spawn(subscribe, rng, b, state)
      proa.yield()
    end
    if rng:chance(9) then proa.spawn(struck, rng, subscribe, rng, b, state) end
  end
  b:close()
  for _, task in ipairs(tasks) do task:await() end
end

local checks = { check_channel, check_channel, check_channel, check_meeting,
  check_alls, check_pipeline, check_broadcast }

return function(rng)
  local tasks = {}
  for i = 1, rng(1, 3) do tasks[i] = proa.spawn(rng:pick(checks), rng) end
  for _, task in ipairs(tasks) do task:await() end
end
