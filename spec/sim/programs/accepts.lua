--- accepts: clients come while those who accept give up, are cancelled, or
-- take one and leave. Every client that connected is served, once; where ops
-- may fail, it may instead be told that it failed.
-- SPDX-License-Identifier: MIT

local function serve_one(state, conn)
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

-- Each accepts for a while, in its own way; state.over: no client is missing.
local acceptors = {
  function(rng, proa, listener, state)
    while not state.over do
      local conn, message, code = listener:accept(rng:float() * 0.002)
      if conn then
        serve_one(state, conn)
      elseif code ~= "TIMEOUT" and code ~= "CLOSED" and not state.errors then
        error(message, 0)
      end
      if rng:chance(4) then proa.sleep(rng:float() * 0.002) end
    end
  end,
  function(rng, proa, listener, state)
    while not state.over do
      local got = proa.spawn(function()
        local conn = not state.over and listener:accept()
        if conn then serve_one(state, conn) end
      end)
      proa.sleep(rng:float() * 0.002)
      -- one that has a client goes on to the end, or loses it visibly
      if got:status() == "waiting" and select(2, got:status()) == "accept" then
        got:cancel()
      end
      got:await()
    end
  end,
  function(rng, proa, listener, state)
    while not state.over do
      local name, conn = proa.select { listener = listener,
        timeout = rng:float() * 0.002 }
      if name == "listener" and conn then serve_one(state, conn) end
    end
  end,
  function(rng, proa, listener, state)
    while not state.over do
      local n = rng(3)
      -- with errors the iterator raises those that last
      local ok, err = pcall(proa.timeout, rng:float() * 0.01, function()
        for conn in listener:incoming() do
          proa.shield(serve_one, state, conn)
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
  if rng:chance(2) then proa.sleep(rng:float() * 0.004) end
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

local function open(rng, proa)
  local address = rng:pick { "127.0.0.1:0", "[::1]:0", "unix:@accepts" }
  return proa.net.listen(address, { backlog = rng:pick { 1, 2, 1024 } })
end

--- As many who take one each, without a limit, as there are clients.
local function one_each(rng, proa, listener, state, n)
  local accepting = {}
  for i = 1, n do
    accepting[i] = proa.spawn(function()
      if rng:chance(3) then proa.sleep(rng:float() * 0.004) end
      local conn
      while not conn and not listener:closed() do conn = listener:accept() end
      if conn then serve_one(state, conn) end
    end)
  end
  return accepting
end

--- Beside one_each: accepts for a while only. What it gives up has to find its
-- way to those who wait without a limit.
local function pass_by(rng, proa, listener, state)
  local own = setmetatable({}, { __index = state })
  local clock = proa.spawn(function()
    proa.sleep(rng:float() * 0.01)
    own.over = true
  end)
  rng:pick(acceptors)(rng, proa, listener, own)
  clock:await()
end

local function run(rng, proa, sim)
  local listener <close>, message = open(rng, proa)
  if not listener and sim.errors then return end
  assert(listener, message)
  local state = { served = {}, told = {}, errors = sim.errors }
  local replies, names, clients = {}, {}, {}
  for i = 1, rng(1, 10) do
    local name = "client " .. i
    names[i] = name
    clients[i] = proa.spawn(client, rng, proa, listener:address(), name,
      state, replies)
  end
  local accepting = {}
  local serving = rng:chance(4)
  local each = not serving and not sim.errors and rng:chance(3)
  if serving then
    accepting[1] = proa.spawn(function()
      listener:serve(function(conn) serve_one(state, conn) end,
        { max = rng:chance(2) and rng(3) or nil })
    end)
  elseif each then
    if rng:chance(2) then proa.sleep(rng:float() * 0.002) end -- some are there
    local first = {}
    for i = 1, rng(0, 2) do
      first[i] = proa.spawn(pass_by, rng, proa, listener, state)
    end
    accepting = one_each(rng, proa, listener, state, #names)
    table.move(first, 1, #first, #accepting + 1, accepting)
    for _ = 1, rng(0, 2) do
      accepting[#accepting + 1] = proa.spawn(pass_by, rng, proa, listener, state)
    end
  else
    for i = 1, rng(1, 3) do
      accepting[i] = proa.spawn(rng:pick(acceptors), rng, proa, listener, state)
    end
  end
  local ok = proa.timeout(300, function()
    for _, t in ipairs(clients) do t:await() end
    return true
  end)
  state.over = true
  if not ok or serving or each then listener:close() end
  for _, t in ipairs(ok and {} or clients) do t:cancel() end
  for _, t in ipairs(accepting) do t:await() end
  check(state, names, replies)
end

return { run = run, errors = true }
