--- floods: more is sent than may be held. Writers wait at the mark, receiving
-- stops at the quota, or at the cap of all queues together; whatever a reader
-- then takes, in large pieces or small ones, lets it go on. All arrives, and
-- what has room arrives without being asked for.
-- SPDX-License-Identifier: MIT

local FLOOR = 64 * 1024 -- what each stream may hold, whatever the others do
local QUOTA = 256 * 1024 -- ... and what it may hold at most

-- Not so narrow that it takes a million ops.
local world = {
  socket_buffer = { 4096, 65536, 65536 },
  buffer_size = { 1024, 4096, 16384 },
  memory = { false, false, 1, FLOOR, 4 * FLOOR },
}

--- Several write to one stream, whole pieces each: "WRITER NUMBER LENGTH\n" and
-- so many bytes.
local function write_some(rng, proa, conn, id, state)
  local block = ("x"):rep(rng:pick { 100, 5000, 40000, 100000 })
  for number = 1, rng(1, 6) do
    local n = rng(#block)
    local piece = ("%d %d %d\n"):format(id, number, n) .. block:sub(1, n)
    local ok, message, code
    if rng:chance(4) then
      local task = proa.spawn(conn.write, conn, piece)
      for _ = 1, rng(0, 3) do proa.yield() end
      if rng:chance(2) then proa.sleep(rng:float() * 0.001) end
      task:cancel()
      ok, message, code = task:await()
    else
      ok, message, code = conn:write(piece)
    end
    if not ok and code ~= "CANCELLED" then error(message, 0) end
    state.sent[id] = ok and number or state.sent[id]
    if rng:chance(4) then proa.sleep(rng:float() * 0.002) end
  end
end

local function write_all(rng, proa, conn, state)
  local writers = {}
  for id = 1, rng(1, 4) do
    writers[id] = proa.spawn(write_some, rng, proa, conn, id, state)
  end
  for _, task in ipairs(writers) do task:await() end
  local ok, message = conn:flush()
  if not ok then error(message, 0) end
end

--- n bytes, by reads that may want more than there is room for.
local function take(rng, conn, n)
  local parts = {}
  while n > 0 do
    local most = rng:chance(3) and n or math.min(n, rng(100000))
    local data, message, code
    if rng:chance(2) then
      data, message, code = conn:read_exact(most)
    else
      data, message, code = conn:read_some(most)
    end
    if code == "LIMIT" then -- the cap: what is there has to be taken first
      data, message = conn:read_some(FLOOR)
    end
    if not data then error(message or "it ended early", 0) end
    parts[#parts + 1] = data
    n = n - #data
  end
  return table.concat(parts)
end

local function read_all(rng, proa, conn, seen)
  local last = {}
  while true do
    local head, message = conn:read "l"
    if not head and not message then return end
    if not head then error(message, 0) end
    local id, number, n = head:match "^(%d+) (%d+) (%d+)$"
    id, number, n = tonumber(id), tonumber(number), tonumber(n)
    if not n or number <= (last[id] or 0) then
      error(("%q came behind %s"):format(head, last[id]), 0)
    end
    if take(rng, conn, n):find "[^x]" then error("other bytes came", 0) end
    last[id], seen[id] = number, number
    if rng:chance(8) then proa.sleep(rng:float() * 0.004) end
  end
end

local function flood(rng, proa, sim)
  local a, b = assert(sim.kit.pair(rng))
  local state, seen = { sent = {} }, {}
  local writing = proa.spawn(write_all, rng, proa, a, state)
  if rng:chance(2) then proa.sleep(rng:float() * 0.1) end -- it piles up
  local reading = proa.spawn(read_all, rng, proa, b, seen)
  writing:await()
  assert(a:shutdown "w")
  reading:await()
  for id, number in pairs(state.sent) do
    if (seen[id] or 0) < number then
      error(("piece %d of writer %d never arrived"):format(number, id), 0)
    end
  end
  a:close()
  b:close()
end

--- A reader who takes so much that the rest has room, and then waits until the
-- writer is rid of it.
local function leave_rest(rng, proa, sim)
  local a, b = assert(sim.kit.pair(rng))
  local left = rng(FLOOR // 2)
  local full = rng:chance(2)
  local n = full and QUOTA + left or rng(400000)
  local writing = proa.spawn(function()
    assert(a:write(("y"):rep(n)))
    assert(a:flush())
  end)
  if rng:chance(2) then proa.sleep(rng:float() * 0.1) end
  -- all at once, it is taken in the very turn that stopped it
  if not (full and b:read_exact(QUOTA)) then
    if n > left then take(rng, b, n - left) else assert(b:read_some()) end
  end
  writing:await()
  a:close()
  assert(b:read "a")
  b:close()
end

local function run(rng, proa, sim)
  local tasks = {}
  for i = 1, rng:pick { 1, 1, 2, 3 } do
    tasks[i] = proa.spawn(rng:chance(3) and leave_rest or flood, rng, proa, sim)
  end
  sim.kit.await_all(tasks, "floods")
end

return { run = run, world = world }
