--- accepts: clients come, one by one or all at once, while those who accept give
-- up, are cancelled, choose something else, or take one and leave. Every client
-- that connected is served, once; where ops may fail, it may instead be told
-- that it failed.
-- SPDX-License-Identifier: MIT

--- Not more than `most` seconds: any time, or a few turns.
local function nap(rng, most)
  return rng:chance(3) and rng(0, 8) * 1e-6 or rng:float() * most
end

--- Disturb those who accept, in the turn in which one of them has a client.
local function shake(rng, proa, state)
  if state.shaky or rng:chance(2) then
    state.shaken[1]:set(true)
    state.shaken[1] = proa.future()
  end
  if state.shaky or rng:chance(2) then
    for _, task in ipairs(state.victims) do task:cancel() end
    state.victims = {}
  end
end

--- Turn by turn: whoever was just woken for a client, and has not taken it yet,
-- is cancelled or finds another thing ready as well.
local function stir(proa, state, turns)
  for _ = 1, turns do
    if state.over then return end
    for _, task in ipairs(state.victims) do
      if task:status() == "ready" then task:cancel() end
    end
    for _, task in ipairs(state.choosing) do
      if task:status() == "ready" then
        state.shaken[1]:set(true)
        state.shaken[1] = proa.future()
        break
      end
    end
    proa.yield()
  end
end

local function serve_one(rng, proa, state, conn)
  shake(rng, proa, state)
  local name, message = conn:read "l"
  if not name and not state.errors then
    error(("a client came without a word (%s)"):format(message), 0)
  end
  if name then
    state.served[name] = (state.served[name] or 0) + 1
    local ok, why = conn:write(name, "\n")
    if not ok and not state.errors then error(why, 0) end
  end
  conn:close()
end

--- Shall it try once more? state.over: no client is missing.
local function again(state)
  if state.over then return false end
  state.tried = (state.tried or 0) + 1
  return not state.tries or state.tried <= state.tries
end

--- Seconds to wait for a client. More from try to try: where much is lost or
-- late, it takes a while. Who tries a few times only (pass_by) may wait until
-- it is disturbed: nil.
local function patience(rng, state)
  if state.tries and rng:chance(2) then return nil end
  return nap(rng, 0.002 * (1 + state.tried / 8))
end

-- Each accepts again and again, in its own way.
local acceptors = {
  function(rng, proa, listener, state)
    while again(state) do
      local conn, message, code = listener:accept(patience(rng, state))
      if conn then
        serve_one(rng, proa, state, conn)
      elseif code ~= "TIMEOUT" and code ~= "CLOSED" and not state.errors then
        error(message, 0)
      end
      if rng:chance(4) then proa.sleep(nap(rng, 0.002)) end
    end
  end,
  -- cancelled at any moment: one that has a client goes on to the end
  function(rng, proa, listener, state)
    while again(state) do
      local got = proa.spawn(function()
        local conn = not state.over and listener:accept()
        if conn then proa.shield(serve_one, rng, proa, state, conn) end
      end)
      state.victims[#state.victims + 1] = got
      local limit = patience(rng, state)
      if limit then
        proa.sleep(limit)
        got:cancel()
      end
      got:await()
    end
  end,
  -- among others that get ready in the same turn
  function(rng, proa, listener, state)
    state.choosing[#state.choosing + 1] = proa.current()
    while again(state) do
      local limit, start = patience(rng, state), proa.now()
      local entries = { listener, shaken = state.shaken[1],
        timeout = limit }
      for _, door in ipairs(state.doors) do
        if door ~= listener and rng:chance(2) then entries[2] = door end
      end
      local name, conn, message = proa.select(entries)
      local due = start + (limit or math.huge)
      if name == "timeout" and proa.now() < due - 1e-6 then
        error("select ended before its time", 0)
      end
      if math.type(name) == "integer" and conn then
        serve_one(rng, proa, state, conn)
      elseif message and not state.errors and not listener:closed() then
        error(message, 0)
      end
    end
  end,
  function(rng, proa, listener, state)
    while again(state) do
      local n = rng(3)
      -- with errors the iterator raises those that last
      local limit = patience(rng, state) or math.huge
      local ok, err = pcall(proa.timeout, limit, function()
        for conn in listener:incoming() do
          proa.shield(serve_one, rng, proa, state, conn)
          n = n - 1
          if n == 0 then break end
        end
      end)
      if not ok and not state.errors then error(err, 0) end
      proa.sleep(0)
    end
  end,
}

local function client(rng, proa, address, name, state, replies)
  if state.gong then
    state.gong:await()
  elseif rng:chance(2) then
    proa.sleep(nap(rng, 0.004))
  end
  local conn <close>, message = proa.net.connect(address)
  local reply
  if conn then
    local ok = conn:write(name, "\n")
    if ok then ok, message = conn:flush() end
    if ok then reply, message = conn:read "l" end
  end
  -- a part of it: the rest was lost with the connection
  if state.errors and (not reply or #reply < #name) then
    state.told[name] = true
  elseif reply ~= name then
    error(("%s was told %s (%s)"):format(name, reply, message), 0)
  end
  replies[name] = true
end

local function check(state, names, replies)
  for _, name in ipairs(names) do
    local n = state.served[name] or 0
    if not replies[name] and not state.told[name] then
      error(name .. " was never served", 0)
    end
    if n > 1 or n == 0 and not state.told[name] then
      error(("%s was served %d times"):format(name, n), 0)
    end
  end
end

local doors = 0

local function open(rng, proa)
  doors = doors + 1
  local address = rng:pick { "127.0.0.1:0", "[::1]:0",
    "unix:@accepts" .. doors }
  local backlog = rng:pick { 1, 2, 1024, 1024, 1024 }
  return proa.net.listen(address, { backlog = backlog })
end

--- As many who take one each, without a limit, as there are clients.
local function one_each(rng, proa, listener, state, n)
  local accepting = {}
  for i = 1, n do
    accepting[i] = proa.spawn(function()
      if state.late and rng:chance(3) then proa.sleep(nap(rng, 0.004)) end
      local conn
      while not conn and not listener:closed() do conn = listener:accept() end
      if conn then serve_one(rng, proa, state, conn) end
    end)
  end
  return accepting
end

--- Beside one_each: tries a few times. What it gives up has to find its way to
-- those who wait without a limit.
local function pass_by(rng, proa, listener, state)
  if state.late and rng:chance(2) then proa.sleep(nap(rng, 0.004)) end
  local tries = rng:pick { 1, 1, 1, 2, 3 }
  local own = setmetatable({ tries = tries }, { __index = state })
  local accept = rng:chance(2) and acceptors[rng(2, 3)] or rng:pick(acceptors)
  accept(rng, proa, listener, own)
end

-- How the clients of one door are accepted; n: how many there are.
local ways = {}

function ways.serve(rng, proa, listener, state)
  return { proa.spawn(function()
    listener:serve(function(conn) serve_one(rng, proa, state, conn) end,
      { max = rng:chance(2) and rng(3) or nil })
  end) }
end

function ways.each(rng, proa, listener, state, n)
  -- some clients are there
  if not state.gong and rng:chance(2) then proa.sleep(nap(rng, 0.002)) end
  local accepting = {}
  local function others()
    for _ = 1, rng(0, 4) do
      accepting[#accepting + 1] = proa.spawn(pass_by, rng, proa, listener,
        state)
    end
  end
  others()
  local own = one_each(rng, proa, listener, state, n)
  table.move(own, 1, #own, #accepting + 1, accepting)
  others()
  return accepting
end

function ways.any(rng, proa, listener, state)
  local accepting = {}
  for i = 1, rng(1, 3) do
    accepting[i] = proa.spawn(rng:pick(acceptors), rng, proa, listener, state)
  end
  return accepting
end

local function choose_way(rng, errors)
  if rng:chance(4) then return "serve" end
  return (errors or rng:chance(4)) and "any" or "each"
end

local function scene(rng, proa, sim)
  local first <close>, message = open(rng, proa)
  local second <close> = first and rng:chance(2) and open(rng, proa) or nil
  if not first and sim.errors then return end
  assert(first, message)
  local state = { served = {}, told = {}, errors = sim.errors,
    doors = { first, second }, victims = {}, choosing = {},
    shaken = { proa.future() },
    gong = rng:chance(2) and proa.future(), -- all clients come at once
    shaky = rng:chance(2), late = rng:chance(3) }
  local replies, names, clients, counts = {}, {}, {}, { 0, 0 }
  for i = 1, rng(1, 10) do
    local door = rng(#state.doors)
    names[i] = "client " .. i
    counts[door] = counts[door] + 1
    clients[i] = proa.spawn(client, rng, proa, state.doors[door]:address(),
      names[i], state, replies)
  end
  local accepting, all_any = {}, true
  local way = choose_way(rng, sim.errors) -- who takes one each minds no others
  for i, door in ipairs(state.doors) do
    if way ~= "each" then way = rng:chance(4) and "serve" or "any" end
    local more = ways[way](rng, proa, door, state, counts[i])
    table.move(more, 1, #more, #accepting + 1, accepting)
    all_any = all_any and way == "any"
  end
  if state.gong then
    proa.sleep(nap(rng, 0.002))
    state.gong:set(true)
  end
  if not rng:chance(3) then
    accepting[#accepting + 1] = proa.spawn(stir, proa, state, rng(2000))
  end
  local ok = proa.timeout(300, function()
    for _, t in ipairs(clients) do t:await() end
    return true
  end)
  state.over = true
  if not ok or not all_any then
    for _, door in ipairs(state.doors) do door:close() end
  end
  for _, t in ipairs(ok and {} or clients) do t:cancel() end
  for _, t in ipairs(accepting) do t:await() end
  check(state, names, replies)
end

local function run(...)
  for _ = 1, (...)(8) do scene(...) end
end

return { run = run, errors = true }
