--- accepts: clients come while those who accept give up, are cancelled, or
-- take one and leave. Every client that connected is served, once.
-- SPDX-License-Identifier: MIT

local function serve_one(served, conn)
  local name <const> = conn:read "l"
  if not name then error("a client came without a word", 0) end
  served[name] = (served[name] or 0) + 1
  assert(conn:write(name, "\n"))
  conn:close()
end

-- Each accepts for a while, in its own way; state.over: no client is missing.
local acceptors = {
  function(rng, proa, listener, state)
    while not state.over do
      local conn, message, code = listener:accept(rng:float() * 0.002)
      if conn then
        serve_one(state.served, conn)
      elseif code ~= "TIMEOUT" and code ~= "CLOSED" then
        error(message, 0)
      end
      if rng:chance(4) then proa.sleep(rng:float() * 0.002) end
    end
  end,
  function(rng, proa, listener, state)
    while not state.over do
      local got = proa.spawn(function()
        local conn = listener:accept()
        if conn then serve_one(state.served, conn) end
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
      if name == "listener" and conn then serve_one(state.served, conn) end
    end
  end,
  function(rng, proa, listener, state)
    while not state.over do
      local n = rng(3)
      proa.timeout(rng:float() * 0.01, function()
        for conn in listener:incoming() do
          proa.shield(serve_one, state.served, conn)
          n = n - 1
          if n == 0 then break end
        end
      end)
      proa.sleep(0)
    end
  end,
}

local function client(rng, proa, address, name, replies)
  if rng:chance(2) then proa.sleep(rng:float() * 0.004) end
  local conn <close> = assert(proa.net.connect(address))
  assert(conn:write(name, "\n"))
  local reply, message = conn:read "l"
  if reply ~= name then
    error(("client %s was told %s (%s)"):format(name, reply, message), 0)
  end
  replies[name] = true
end

local function check(state, names, replies)
  for _, name in ipairs(names) do
    if not replies[name] then error(name .. " was never served", 0) end
    if state.served[name] ~= 1 then
      error(("%s was served %d times"):format(name, state.served[name]), 0)
    end
  end
end

local function open(rng, proa)
  local address = rng:pick { "127.0.0.1:0", "[::1]:0", "unix:@accepts" }
  return assert(proa.net.listen(address,
    { backlog = rng:pick { 1, 2, 1024 } }))
end

return function(rng, proa)
  local listener <close> = open(rng, proa)
  local state, replies, names, clients = { served = {} }, {}, {}, {}
  for i = 1, rng(1, 10) do
    local name = "client " .. i
    names[i] = name
    clients[i] = proa.spawn(client, rng, proa, listener:address(), name,
      replies)
  end
  local accepting = {}
  local serving = rng:chance(4)
  if serving then
    accepting[1] = proa.spawn(function()
      listener:serve(function(conn) serve_one(state.served, conn) end,
        { max = rng:chance(2) and rng(3) or nil })
    end)
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
  if not ok or serving then listener:close() end
  for _, t in ipairs(ok and {} or clients) do t:cancel() end
  for _, t in ipairs(accepting) do t:await() end
  check(state, names, replies)
end
