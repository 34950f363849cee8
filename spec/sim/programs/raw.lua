--- raw: operations by hand, through futures and through a proactor without
-- tasks. Buffers are lent while an op has them and back with its result, also
-- when it was cancelled or its descriptor closed; no byte is lost or doubled.
-- SPDX-License-Identifier: MIT

local proa = require "proa"

local function expect(holds, ...)
  if not holds then error(string.format(...), 2) end
end

--- Nobody may touch a buffer that an op has; afterwards it is as before.
local function check_lent(future, b, verb)
  local done = future:poll()
  local ok, err = pcall(b.string, b)
  if done then
    expect(ok, "a buffer did not come back from %s: %s", verb, err)
  elseif not ok then
    expect(tostring(err):find "in use", "a lent buffer says: %s", err)
  end
end

local stopped = { CANCELLED = true, CLOSED = true, ECANCELED = true }

-- Bytes come by recv, one op at a time, each given up or not.
local function receive(rng, fd, sent)
  while true do
    local b = proa.buffer(rng(1, 800))
    local i = rng(#b)
    local future = proa.op.recv(fd, b, i)
    if rng:chance(3) then
      proa.sleep(rng:float() * 0.001)
      check_lent(future, b, "recv")
      future:cancel()
    elseif rng:chance(3) then
      future:await(rng:float() * 0.001)
      check_lent(future, b, "recv")
      if rng:chance(2) then future:cancel() end
    end
    local n, message, code = future:await()
    check_lent(future, b, "recv")
    if n then
      expect(n <= #b - i + 1, "recv wrote behind its buffer")
      sent:check(b:string(i, i + n - 1))
    elseif not message then
      return sent:finish()
    elseif not stopped[code] then
      error(message, 0)
    end
  end
end

-- What a cancelled send moved is told by its count.
local function send(rng, fd, sent, block)
  for _ = 1, rng(0, 10) do
    local n = rng(1, 600)
    local at = rng(#block - n)
    local piece = block:sub(at, at + n - 1)
    local b = rng:chance(2) and proa.buffer(piece) or piece
    while piece ~= "" do
      sent:add(piece)
      local future = proa.op.send(fd, b)
      if rng:chance(4) then
        proa.sleep(rng:float() * 0.001)
        future:cancel()
      end
      if rng:chance(5) then collectgarbage "step" end
      local moved, message, code = future:await()
      if b ~= piece then check_lent(future, b, "send") end
      if not moved and not stopped[code] then error(message, 0) end
      moved = moved or 0
      expect(moved <= #piece, "more was sent than there is")
      sent:take_back(#piece - moved)
      piece = piece:sub(moved + 1)
      b = piece
    end
  end
  assert(proa.op.shutdown(fd, "w"):await())
end

local function streams(rng, sim)
  local a, b = proa.fd.pair()
  if rng:chance(2) then a:send_buffer(rng:pick { 1, 5000 }) end
  local sent, block = sim.kit.way "raw", rng:bytes(1000)
  local tasks = { proa.spawn(send, rng, a, sent, block),
    proa.spawn(receive, rng, b, sent) }
  for _, t in ipairs(tasks) do t:await() end
  a:close()
  b:close()
end

-- -- ends that nobody expects --

--- A descriptor is closed under its ops: each of them ends, buffers are back.
local function closing(rng)
  local a, b = proa.fd.pair()
  local ops = {}
  for i = 1, rng(1, 4) do
    local buffer = proa.buffer(100)
    ops[i] = { proa.op.recv(a, buffer), buffer }
  end
  if rng:chance(2) then proa.op.send(b, "late"):await() end
  if rng:chance(2) then proa.sleep(rng:float() * 0.001) end
  a:close()
  for _, op in ipairs(ops) do
    local n, _, code = op[1]:await()
    expect(n or stopped[code], "recv under a close gave %s", code)
    check_lent(op[1], op[2], "recv")
  end
  b:close()
end

--- Futures that nobody keeps: their ops end, what they took goes away.
local function dropped(rng)
  local a, b = proa.fd.pair()
  for _ = 1, rng(1, 4) do proa.op.recv(a, proa.buffer(50)) end
  if rng:chance(2) then proa.op.send(b, ("x"):rep(120)) end
  if rng:chance(2) then collectgarbage() end
  proa.sleep(rng:float() * 0.001)
  a:close()
  b:close()
end

--- The other side does nothing: only a cancel ends them, also one that meets
-- an op which has moved a part.
local function stuck(rng)
  local a, b = proa.fd.pair()
  local ops = {
    recv = { proa.op.recv(a, proa.buffer(10)) },
    send = { proa.op.send(a, proa.buffer(("x"):rep(100000))) },
  }
  for _, verb in ipairs { "recv", "send" } do
    if rng:chance(2) then proa.sleep(rng:float() * 0.001) end
    for _ = 1, rng(0, 2) do proa.yield() end
    ops[verb][1]:cancel()
  end
  for _, verb in ipairs { "send", "recv" } do
    local n, _, code = ops[verb][1]:await(1e5)
    expect(n or stopped[code], "a cancelled %s gave %s", verb, code)
  end
  a:close()
  b:close()
end

local function readiness(rng)
  local a, b = proa.fd.pair()
  local ready = proa.op.ready(a, "r")
  local sent = proa.op.send(b, "now")
  expect(ready:await(1e6) == "r", "what is readable was not told")
  sent:await()
  if rng:chance(2) then a:close() end
  a:close()
  b:close()
end

--- A wait for readiness that is given up, and perhaps another one: what is left
-- of it wakes nobody.
local function given_up(rng)
  local a, b = proa.fd.pair()
  for _ = 1, rng(1, 4) do
    local what, _, code = a:readable(rng:float() * 0.001)
    expect(not what and code == "TIMEOUT", "nothing came, and it gave %s, %s",
      what, code)
    if rng:chance(2) then proa.sleep(rng:float() * 0.01) end
  end
  a:close()
  b:close()
end

local function timers(rng)
  local seconds, start = rng:float() * 0.01, proa.now()
  local timer = proa.op.timer(seconds)
  if rng:chance(3) then
    timer:cancel()
    local ok, _, code = timer:await()
    expect(ok or code == "CANCELLED", "a cancelled timer gave %s", code)
  else
    timer:await()
    expect(proa.now() - start > seconds - 1e-6, "a timer was early")
  end
end

-- -- a proactor without tasks --

local function by_hand(rng)
  local p <close> = assert(proa.proactor.new { driver = "sim",
    seed = rng(1, 1 << 30), buffers = 2, buffer_size = 64 })
  local keys, n = {}, 0
  for _ = 1, rng(1, 6) do
    local name = rng:pick { "nop", "timer" }
    local how, key = p:push(name, name == "timer" and rng:float() or nil)
    if how == "pending" then
      keys[key], n = true, n + 1
      if rng:chance(3) then p:cancel(key) end
    end
  end
  while n > 0 and not rng:chance(20) do
    for _, key in ipairs(assert(p:poll(1))) do
      expect(keys[key], "a key came twice, or from nowhere")
      keys[key], n = nil, n - 1
      expect(p:pop(key) == "ready", "what was told as ready is not")
      expect(not pcall(p.pop, p, key), "a result was popped twice")
    end
  end
end

local kinds = { streams, streams, streams, closing, dropped, stuck, readiness,
  given_up, timers, by_hand }

return function(rng, _, sim)
  local tasks = {}
  for i = 1, rng(1, 4) do
    local kind = rng:pick(kinds)
    tasks[i] = proa.spawn(kind, rng, sim)
  end
  for _, t in ipairs(tasks) do t:await() end
end
