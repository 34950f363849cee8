--- datagrams: each arrives whole, at most once, and was sent; over Unix all of
-- them do, in order. Receivers give up and are cancelled meanwhile, and lose
-- nothing by it.
-- SPDX-License-Identifier: MIT

local proa = require "proa"

--- A receive that anything may strike.
local function receive(rng, socket)
  local how = rng(3)
  if how == 1 then return socket:recv_from(rng:float() * 0.01) end
  if how == 2 then
    return proa.timeout(rng:float() * 0.01, socket.recv_from, socket)
  end
  local task = proa.spawn(socket.recv_from, socket)
  proa.sleep(rng:float() * 0.002)
  task:cancel()
  return task:await()
end

local given_up = { TIMEOUT = true, CANCELLED = true }

--- The numbers that arrive until the last has, or nothing more does.
local function collect(rng, socket, last)
  local got, silent = {}, 0
  while got[#got] ~= last and silent < 40 do
    local data, message, code = receive(rng, socket)
    if data then
      got[#got + 1] = tonumber(data:match "^%d+")
      local n = tonumber(data:match "^%d+ (%d+)")
      if #data ~= n then
        error(("a datagram of %d bytes came with %d"):format(n, #data), 0)
      end
      silent = 0
    elseif given_up[code] then
      silent = silent + 1
      proa.sleep(silent > 20 and 1 or 0)
    else
      error(message, 0)
    end
  end
  return got
end

local function datagram(rng, i)
  local n = rng(20, 200) -- the smallest buffers take 256
  local text = ("%d %d "):format(i, n)
  return text .. ("x"):rep(n - #text)
end

local function over_udp(rng)
  local a <close> = assert(proa.net.udp { bind = "127.0.0.1:0" })
  local b <close> = assert(proa.net.udp { bind = "127.0.0.1:0" })
  local count, address = rng(1, 10), b:address()
  local sender = proa.spawn(function()
    for i = 1, count do
      assert(a:send_to(datagram(rng, i), address))
      if rng:chance(3) then proa.sleep(rng:float() * 0.002) end
    end
  end)
  local seen = {}
  for _, i in ipairs(collect(rng, b, nil)) do
    if i < 1 or i > count then error("a datagram came that nobody sent", 0) end
    if seen[i] then error(("datagram %d came twice"):format(i), 0) end
    seen[i] = true
  end
  sender:await()
end

local function over_unix(rng)
  local a, b = proa.net.pair { datagram = true }
  local count = rng(1, 10)
  local sender = proa.spawn(function()
    for i = 1, count do
      assert(a:send(datagram(rng, i)))
      if rng:chance(3) then proa.sleep(rng:float() * 0.002) end
    end
  end)
  local got = collect(rng, b, count)
  for i = 1, count do
    if got[i] ~= i then
      error(("datagram %s came instead of %d"):format(got[i], i), 0)
    end
  end
  sender:await()
  a:close()
  b:close()
end

return function(rng)
  local tasks = {}
  for i = 1, rng(1, 3) do
    tasks[i] = proa.spawn(rng:chance(2) and over_udp or over_unix, rng)
  end
  for _, task in ipairs(tasks) do task:await() end
end
