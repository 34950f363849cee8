--- proa.testing: run code in a simulated world of its own.
-- The world is made of a seed: a network in memory, delays, and a clock that
-- moves when all wait. What goes wrong in one run goes wrong in every run of
-- that seed. The runtime of the process stands still meanwhile. What is done
-- to a world is core.sim's; here is what people call.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local misuse = require "proa.misuse"
local options = require "proa.options"

local testing = {}

-- -- the world, as the function in it gets it --

local sim = {}
sim.__index = sim
sim.__name = "proa.testing.sim"

local function check_alive(self, what)
  if getmetatable(self) ~= sim then
    misuse("sim:%s: call it on what testing.run gave", what)
  end
  if self.over then misuse("sim:%s: this run is over", what) end
end

local fail_keys = { nth = true, times = true }

--- Let an operation fail: the nth from now on that would have had a result,
-- and `times` in a row.
---@param op string accept, connect, recv, send, ... or socket, bind, listen
---@param errno string like "ECONNRESET"
---@param given { nth: integer?, times: integer? }? default 1 each
function sim:fail(op, errno, given)
  check_alive(self, "fail")
  given = given or {}
  options.check(given, fail_keys, "sim:fail")
  core.sim.fail(op, errno, given.nth, given.times)
end

--- Nothing passes between an address and its peers, for so long or until
-- heal. Nobody is told: what was sent arrives afterwards.
---@param address string one end's, as listener:address() tells it
---@param seconds number? simulated ones
function sim:partition(address, seconds)
  check_alive(self, "partition")
  core.sim.partition(address, seconds)
end

--- End the partition of an address, or all.
---@param address string?
function sim:heal(address)
  check_alive(self, "heal")
  core.sim.heal(address)
end

local knob_names = { latency = true, loss = true, errors = true, chaos = true,
  delay = true, socket_buffer = true, sockets = true, completions = true,
  submissions = true }

--- Change the world: the options of testing.run by these names.
function sim:set(knobs)
  check_alive(self, "set")
  options.check(knobs, knob_names, "sim:set")
  core.sim.knobs(knobs)
end

-- -- running --

local run_keys = { seed = true, limit = true, files = true, buffers = true,
  buffer_size = true }
for name in pairs(knob_names) do run_keys[name] = true end

local LIMIT = 3600

local function inside(fn, world, given)
  local limit = given.limit or LIMIT
  local knobs = { alone = true, limit = limit, files = given.files ~= false }
  for name in pairs(knob_names) do knobs[name] = given[name] end
  core.sim.knobs(knobs)
  local results = table.pack(pcall(core.run_plain, fn, world))
  if core.sim.state().ended then
    error(("testing.run: not over after %g simulated seconds\n%s"):format(limit,
      tostring(results[2])), 0)
  end
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

local function check_run(fn, given, who)
  if type(fn) ~= "function" then
    misuse("%s: a function expected, got %s", who, type(fn))
  end
  options.check(given, run_keys, who)
  options.integer(who, "seed", given.seed, math.mininteger, math.maxinteger)
  options.integer(who, "buffers", given.buffers, 1, 32768)
  options.integer(who, "buffer_size", given.buffer_size, 1, 16 << 20)
  options.typed(who, "limit", given.limit, "number")
  options.typed(who, "files", given.files, "boolean")
end

local function run(fn, given)
  local world = setmetatable({ seed = given.seed or 1, over = false }, sim)
  local results = table.pack(core.sim.nested({ seed = world.seed,
    buffers = given.buffers, buffer_size = given.buffer_size }, inside, fn,
    world, given))
  world.over = true
  return results
end

--- Run fn(sim) in a task of a simulated runtime, whatever the process uses.
-- Inside, proa is what it always is; objects of outside can't be used. What
-- was made inside is closed when it returns.
---@param fn fun(sim: proa.testing.sim): ...
---@param given table? options; see lua/proa/meta/testing.lua
---@return any ... fn's results; its error is raised
function testing.run(fn, given)
  given = given or {}
  check_run(fn, given, "testing.run")
  local results = run(fn, given)
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

-- -- many seeds --

--- The seed that PROA_TESTING_SEED names, to repeat a run.
local function wanted_seed()
  local text = os.getenv "PROA_TESTING_SEED"
  local seed = text and math.tointeger(tonumber(text))
  if text and text ~= "" and not seed then
    misuse("PROA_TESTING_SEED is not an integer: %s", text)
  end
  return seed
end

--- Run fn(sim) once for each of n seeds, until one fails. With
-- PROA_TESTING_SEED=seed in the environment only that one.
---@param n integer
---@param fn fun(sim: proa.testing.sim)
---@param given table? as of testing.run; seed: the first, default 1
---@return integer count of runs; raises with the seed of one that failed
function testing.explore(n, fn, given)
  given = given or {}
  options.integer("testing.explore", "n", n or 0, 1, math.maxinteger)
  check_run(fn, given, "testing.explore")
  local first, only = given.seed or 1, wanted_seed()
  local last = only or first + n - 1
  for seed = only or first, last do
    local with = {}
    for key, value in pairs(given) do with[key] = value end
    with.seed = seed
    local results = run(fn, with)
    if not results[1] then
      error(("seed %d: %s\n(PROA_TESTING_SEED=%d repeats it)"):format(seed,
        tostring(results[2]), seed), 0)
    end
  end
  return last - (only or first) + 1
end

--- busted's it, whose function runs simulated, once for each of some seeds.
---@param name string
---@param fn fun(sim: proa.testing.sim)
---@param given table? as of testing.run; seeds: how many, default 100
function testing.it(name, fn, given)
  local with = {}
  for key, value in pairs(given or {}) do with[key] = value end
  local seeds = with.seeds or 100
  with.seeds = nil
  check_run(fn, with, "testing.it")
  local it = rawget(_G, "it") or require "busted".it
  return it(name, function() testing.explore(seeds, fn, with) end)
end

return testing
