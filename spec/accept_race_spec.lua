--- Accepts raced against timeouts: a client that connects is served, whatever
-- its accept came to (O6). PROA_RACES sets how many (default 3000).
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local RACES = tonumber(os.getenv("PROA_RACES")) or 3000
local CLIENTS, ACCEPTORS = 64, 3
local LIMIT = os.getenv("PROA_RACES") and 7200 or 60

--- Serve with accepts whose limit is about as long as a connection takes.
local function server(listener, counts)
  while counts.served < RACES do
    local conn, message, code = listener:accept(math.random() * 0.0004)
    if conn then
      counts.served = counts.served + 1
      proa.spawn(function()
        local id = conn:read("l")
        conn:write("served ", id, "\n")
        conn:close()
      end)
    else
      assert(code == "TIMEOUT", message)
      counts.timeouts = counts.timeouts + 1
    end
    if math.random(2) == 1 then proa.sleep(math.random() * 0.0005) end
  end
end

local function client(address, first, step, counts)
  for id = first, RACES, step do
    local conn <close> = assert(proa.net.connect(address))
    assert(conn:write(id, "\n"))
    assert(conn:read("l") == "served " .. id)
    counts.answered = counts.answered + 1
    proa.sleep(math.random() * 0.01)
  end
end

describe("an accept that races a timeout", function()
  helper.it("serves every client that connected", function()
    local counts = { served = 0, answered = 0, timeouts = 0 }
    local before = proa.stats().accepts_parked
    local listener <close> = assert(proa.net.listen("127.0.0.1:0"))
    local serving = {}
    for i = 1, ACCEPTORS do
      serving[i] = proa.spawn(server, listener, counts)
    end
    local clients = {}
    for i = 1, CLIENTS do
      clients[i] = proa.spawn(client, listener:address(), i, CLIENTS, counts)
    end
    for _, task in ipairs(clients) do task:await() end
    for _, task in ipairs(serving) do task:await() end
    local parked = proa.stats().accepts_parked - before
    if os.getenv("PROA_RACES") then
      print(("%s: %d races, %d timeouts, %d parked"):format(
        proa.info().driver, RACES, counts.timeouts, parked))
    end
    assert.equal(RACES, counts.answered)
    assert.equal(RACES, counts.served)
    -- it was a race: who won it how often is the machine's affair
    assert.is_true(counts.timeouts + parked > 0)
  end, { limit = LIMIT })
end)
