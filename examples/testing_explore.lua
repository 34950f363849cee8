--- testing_explore.lua: find a bug that shows once in a while, and repeat it.
-- A small server gives each client a number of its own. It looks for a free
-- one, tells it, and marks it as taken: while it waits for the client to get
-- the answer, another handler may look, too. On loopback that is hardly ever
-- seen. proa.testing runs server and clients in a simulated world for one seed
-- after the other; each seed is another order of events, and the same order
-- every time.
--
--   lua5.4 examples/testing_explore.lua
--
-- Prints:
--   the server as it is: a number was given twice
--   the same seed again: a number was given twice
--   the server put right: 200 seeds, no number given twice
-- SPDX-License-Identifier: MIT

local proa = require "proa"

--- serve(listener): a number for each client. `careful`: mark it first.
local function server(careful)
  local taken = {}
  local function first_free()
    local number = 1
    while taken[number] do number = number + 1 end
    return number
  end
  return function(listener)
    listener:serve(function(conn)
      local number = first_free()
      if careful then taken[number] = true end
      conn:write(number, "\n")
      conn:flush() -- waits, and others run
      taken[number] = true
    end)
  end
end

--- Some clients at some times; no two of them may get the same number.
local function clients_get_different_numbers(serve)
  return function()
    local listener = assert(proa.net.listen "127.0.0.1:0")
    proa.spawn(serve(), listener)
    local got, clients = {}, {}
    for i = 1, 3 do
      clients[i] = proa.spawn(function()
        proa.sleep(i * 0.001)
        local conn <close> = assert(proa.net.connect(listener:address()))
        local number = conn:read "l"
        got[number] = (got[number] or 0) + 1
      end)
    end
    for _, client in ipairs(clients) do client:await() end
    listener:close()
    for _, n in pairs(got) do
      if n > 1 then error("a number was given twice", 0) end
    end
  end
end

-- a network that is now and then slower than the clients come
local world = { latency = { 0.00005, 0.0005 } }

local broken = clients_get_different_numbers(function() return server(false) end)
local ok, err = pcall(proa.testing.explore, 1000, broken, world)
assert(not ok, "1000 seeds were not enough")
local seed, message = err:match "^seed (%d+): ([^\n]+)"
print("the server as it is: " .. message)

world.seed = math.tointeger(tonumber(seed))
print("the same seed again: " .. select(2, pcall(proa.testing.run, broken, world)))

world.seed = 1
local runs = proa.testing.explore(200,
  clients_get_different_numbers(function() return server(true) end), world)
print(("the server put right: %d seeds, no number given twice"):format(runs))
