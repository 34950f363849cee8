--- runner.lua: one random program on the simulation, from its seed.
-- host.c calls it in a fresh Lua state for each seed. It rolls the world
-- (chaos, delays, sizes of queues and pools), picks a kind of program, runs it,
-- and then checks what must hold after any program: nothing failed that nobody
-- awaited, no op in flight, no buffer taken or lent, no task, stream, handle,
-- deadline, simulated socket left.
--
-- A kind is a file spec/sim/programs/NAME.lua that returns
--
--   function(rng, proa, sim) ... end
--
-- It raises when a promise was broken (give the error a sentence that says
-- which), and may do so in any of its tasks. It runs in a task or in the main
-- chunk, and everything that is random in it comes from rng:
--
--   rng(n)        an integer of 1 to n          rng(m, n)    of m to n
--   rng:chance(n) true once in n                rng:pick(list)
--   rng:float()   0 to 1                        rng:bytes(n) a string
--
-- sim.kit has what programs share (kit.lua). sim:log("format", ...) prints with
-- TRACE=1. sim.leave = true, set by the program, means that it left things
-- open on purpose: the state is then closed around them. A program that
-- tolerates failing ops returns { run = function, errors = true } instead; in
-- some of its worlds, told by sim.errors, any op may then meet any error. With
-- world = { socket_buffer = list, buffer_size = list, memory = list } its worlds
-- are rolled from these; memory (of all queues, false: much) is else never short.
-- Keep one below two milliseconds, its virtual time below some minutes, and
-- let nothing depend on the order of pairs() or on addresses.
-- SPDX-License-Identifier: MIT

local kit = require "spec.sim.kit"
local core = require "proa.core"
local proa = require "proa"

local counted = { "ops_in_flight", "ops_live", "buffers_taken", "buffer_bytes",
  "handles", "streams", "queued_bytes", "lingering", "deadlines", "tasks" }

local function left()
  local stats, lines = proa.stats(), {}
  for _, name in ipairs(counted) do
    if stats[name] ~= 0 then
      lines[#lines + 1] = ("%s: %d"):format(name, stats[name])
    end
  end
  local state = core.sim.state()
  for _, name in ipairs { "sockets", "files" } do
    if state[name] ~= 0 then
      lines[#lines + 1] = ("open %s: %d"):format(name, state[name])
    end
  end
  for _, record in ipairs(stats.tasks ~= 0 and proa.tasks() or {}) do
    lines[#lines + 1] = tostring(record.task) .. "\n" .. record.traceback
  end
  return #lines > 0 and table.concat(lines, "\n") or nil
end

--- Garbage is collected and what closes gets its time (virtual, bounded).
local function drain()
  local what
  for i = 1, 60 do
    if i % 4 == 1 then collectgarbage() end
    what = left()
    if not what then return end
    proa.sleep(i < 10 and 0.001 or 1)
  end
  error("not drained:\n" .. what, 0)
end

--- The world that the program meets.
local function roll(rng, tolerant, own)
  local chaos = rng:pick { 0, 1, 1, 1, 2, 4, 8 }
  local knobs = {
    chaos = chaos, alone = true, files = true,
    delay = rng:pick { 0, 0.00002, 0.0002, 0.0002, 0.002, 0.05 },
    socket_buffer = rng:pick(own.socket_buffer
      or { 256, 1024, 4096, 65536, 65536 }),
    completions = rng:pick { 1, 2, 3, 8, 1024, 1024 },
    submissions = rng:pick { 1, 2, 4, 64, 1024, 1024 },
  }
  if rng:chance(3) then
    knobs.latency = rng:pick { 0.0001, { 0, 0.001 }, { 0.001, 0.2 } }
  end
  if rng:chance(5) then knobs.loss = rng:pick { 0.01, 0.1, 0.5 } end
  if tolerant and rng:chance(3) then knobs.errors = rng:pick { 5, 20, 100 } end
  proa.setup { driver = "sim", seed = rng(1, 1 << 40),
    buffers = rng:pick { 1, 2, 4, 16, 64 },
    buffer_size = rng:pick(own.buffer_size or { 16, 100, 1024, 4096, 16384 }),
    memory = rng:pick(own.memory or { false }) or nil }
  core.sim.knobs(knobs)
  return knobs.errors ~= nil
end

--- Whoever sleeps is woken by nothing that it waited for before.
local function check_sleeps()
  local sleep = proa.sleep
  function proa.sleep(seconds, ...)
    local start = proa.now()
    sleep(seconds, ...)
    local slept = proa.now() - start
    if slept < seconds - 1e-6 then
      error(("slept %g s instead of %g"):format(slept, seconds), 2)
    end
  end
end

--- pcall that keeps where an error came from.
local function traced(fn, ...)
  return xpcall(fn, function(err)
    if proa.is_cancelled(err) then return err end
    return debug.traceback(tostring(err), 2)
  end, ...)
end

return function(seed, names, only, trace, tell)
  local rng = kit.rng(seed)
  local name = rng:pick(names)
  name = only or name
  tell(name)
  local program = require("spec.sim.programs." .. name)
  if type(program) == "function" then program = { run = program } end
  local errors = roll(rng, program.errors, program.world or {})
  check_sleeps()
  if trace then core.sim.knobs { trace = true } end
  local sim = { kit = kit, seed = seed, errors = errors }
  function sim:log(...)
    if trace then
      io.stderr:write(("%12.6f ms  "):format(proa.now() * 1000),
        string.format(...), "\n")
    end
  end
  local reports = {}
  local function report(err, traceback)
    reports[#reports + 1] = tostring(err) .. "\n" .. tostring(traceback)
  end
  proa.on_error(report)
  local ok, err = traced(function()
    if rng:chance(4) then
      program.run(rng, proa, sim)
      if not sim.leave then proa.run() end
    else
      proa.run(function()
        local well, why = traced(program.run, rng, proa, sim)
        if not well then error(why, 0) end
      end)
    end
  end)
  if reports[1] and not ok then err = err .. "\nand before:\n" .. reports[1] end
  if not ok then error(err, 0) end
  if reports[1] then error("nobody awaited:\n" .. reports[1], 0) end
  proa.on_error(report) -- the program may have had one, and kept things by it
  core.sim.knobs { errors = 0 }
  if not sim.leave then drain() end
  if reports[1] then error("nobody awaited:\n" .. reports[1], 0) end
  local state = core.sim.state()
  return state.hash, state.results
end
