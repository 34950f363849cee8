--- streams: connections of every kind, written and read in every way, both
-- directions at once, disturbed by limits and cancellations. What is read is
-- what was written, all of it, in order, once. Where ops may fail it is a part
-- of that from the beginning.
-- SPDX-License-Identifier: MIT

local function piece(rng, block)
  local n = rng:chance(10) and rng(#block - 1) or rng(0, 200)
  local i = rng(#block - n)
  return block:sub(i, i + n - 1)
end

-- Each gives what write gave: nil, message, code.
local writes = {
  function(_, conn, sent, a)
    sent:add(a) -- it may arrive before write returns
    return conn:write(a)
  end,
  function(_, conn, sent, a, b)
    sent:add(a .. b)
    return conn:write(a, b)
  end,
  function(_, conn, sent, a)
    local ok, message, code = conn:try_write(a)
    if ok then sent:add(a) end
    return ok or code == "EAGAIN", message, code
  end,
  function(_, conn, sent, a)
    sent:add(a)
    local ok, message, code = conn:write(a)
    if not ok then return nil, message, code end
    return conn:flush()
  end,
  -- given up or not: all of it goes out
  function(rng, conn, sent, a, _, proa)
    sent:add(a)
    local ok, message, code =
      proa.timeout(rng:float() * 0.001, conn.write, conn, a)
    return ok or code == "TIMEOUT", message, code
  end,
}

--- Only where ops may fail may it.
local function check(sim, sent, ok, message, code)
  if ok or sim.errors then return ok end
  error(("%s: %s (%s)"):format(sent.name, message, code), 0)
end

local function write_all(rng, proa, sim, conn, sent)
  -- now and then more than lies in one buffer
  local block = rng:bytes(1999)
  if rng:chance(4) then block = block:rep(10) end
  for _ = 1, rng(0, 12) do
    local write = rng:pick(writes)
    if not check(sim, sent, write(rng, conn, sent, piece(rng, block),
      piece(rng, block), proa)) then return conn:close() end
    if rng:chance(3) then proa.sleep(rng:float() * 0.001) end
  end
  if not check(sim, sent, conn:shutdown "w") then conn:abort() end
end

local function read_all(rng, proa, sim, conn, sent)
  while true do
    if rng:chance(4) then proa.sleep(rng:float() * 0.004) end -- it queues up
    if conn:closed() then return end -- its other user has failed
    local more, message, code = sim.kit.read(rng, conn, sent)
    if more == false then break end
    -- whoever writes to it is to learn of it
    if not check(sim, sent, more, message, code) then return conn:abort() end
  end
  if not sim.errors then sent:finish() end
end

--- Whoever fails closes the stream under the others.
local function tolerant(sim, proa, fn)
  if not sim.errors then return fn end
  return function(...)
    local ok, err = pcall(fn, ...)
    if ok then return end
    if proa.is_cancelled(err) or not tostring(err):find "is closed" then
      error(err, 0)
    end
  end
end

local function run(rng, proa, sim)
  local write, read = tolerant(sim, proa, write_all),
    tolerant(sim, proa, read_all)
  local tasks = {}
  for i = 1, rng:pick { 1, 1, 2, 3 } do
    local a, b = sim.kit.pair(rng)
    if not a and sim.errors then goto next end
    assert(a, b)
    local there = sim.kit.way(("stream %d"):format(i))
    local back = sim.kit.way(("stream %d, back"):format(i))
    there.may_break, back.may_break = sim.errors, sim.errors
    local own = {
      proa.spawn(write, rng, proa, sim, a, there),
      proa.spawn(write, rng, proa, sim, b, back),
      proa.spawn(read, rng, proa, sim, b, there),
      proa.spawn(read, rng, proa, sim, a, back),
    }
    tasks[#tasks + 1] = proa.spawn(function()
      for _, t in ipairs(own) do t:await() end
      a:close()
      b:close()
    end)
    ::next::
  end
  sim.kit.await_all(tasks, "streams")
end

return { run = run, errors = true }
