--- streams: connections of every kind, written and read in every way, both
-- directions at once, disturbed by limits and cancellations. What is read is
-- what was written, all of it, in order, once.
-- SPDX-License-Identifier: MIT

local function piece(rng, block)
  local n = rng:chance(10) and rng(#block - 1) or rng(0, 200)
  local i = rng(#block - n)
  return block:sub(i, i + n - 1)
end

local writes = {
  function(_, conn, sent, a)
    sent:add(a) -- it may arrive before write returns
    assert(conn:write(a))
  end,
  function(_, conn, sent, a, b)
    sent:add(a .. b)
    assert(conn:write(a, b))
  end,
  function(_, conn, sent, a)
    if conn:try_write(a) then sent:add(a) end
  end,
  function(_, conn, sent, a)
    sent:add(a)
    assert(conn:write(a))
    assert(conn:flush())
  end,
  -- given up or not: all of it goes out
  function(rng, conn, sent, a, _, proa)
    sent:add(a)
    proa.timeout(rng:float() * 0.001, conn.write, conn, a)
  end,
}

local function write_all(rng, proa, conn, sent)
  local block = rng:bytes(2000)
  for _ = 1, rng(0, 12) do
    rng:pick(writes)(rng, conn, sent, piece(rng, block), piece(rng, block),
      proa)
    if rng:chance(3) then proa.sleep(rng:float() * 0.001) end
  end
  assert(conn:shutdown "w")
end

local function read_all(rng, kit, conn, sent)
  local more, message, code
  repeat
    more, message, code = kit.read(rng, conn, sent)
    if more == nil then
      error(("%s: %s (%s)"):format(sent.name, message, code), 0)
    end
  until not more
  sent:finish()
end

return function(rng, proa, sim)
  local tasks = {}
  for i = 1, rng:pick { 1, 1, 2, 3 } do
    local a, b = sim.kit.pair(rng)
    local there = sim.kit.way(("stream %d"):format(i))
    local back = sim.kit.way(("stream %d, back"):format(i))
    local own = {
      proa.spawn(write_all, rng, proa, a, there),
      proa.spawn(write_all, rng, proa, b, back),
      proa.spawn(read_all, rng, sim.kit, b, there),
      proa.spawn(read_all, rng, sim.kit, a, back),
    }
    tasks[i] = proa.spawn(function()
      for _, t in ipairs(own) do t:await() end
      a:close()
      b:close()
    end)
  end
  local ok, message, code = proa.timeout(600, function()
    for _, t in ipairs(tasks) do t:await() end
    return true
  end)
  if not ok then
    error(("the streams came to no end: %s %s"):format(message, code), 0)
  end
end
