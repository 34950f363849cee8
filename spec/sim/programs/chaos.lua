--- chaos: anything, on anything, at any time. Handles are closed, aborted,
-- dropped and collected under those who use them, tasks are cancelled, and
-- everything may fail; what fails says so, and at the end nothing is left.
-- SPDX-License-Identifier: MIT

local proa = require "proa"

-- What using a handle may raise that somebody else has closed or uses.
local allowed = { "is closed", "was closed", "in use by", "being read by",
  "was shut down", "itself", "is being", "has ops in flight", "not a socket",
  "timed out", "longer than", "cancelled", "incoming:", "serve:", "broken pipe",
  "connection reset", "accept:", "read:", "write:" }

local function check_error(err)
  if proa.is_cancelled(err) then error(err, 0) end
  err = tostring(err)
  if err:find("nterrupted", 1, true) then error(err, 0) end -- EINTR is ours
  for _, text in ipairs(allowed) do
    if err:find(text, 1, true) then return end
  end
  error("unexpected: " .. err, 0)
end

--- Errors that are part of the game; a cancellation goes on.
local function try(fn, ...)
  local results = table.pack(pcall(fn, ...))
  if results[1] then return table.unpack(results, 2, results.n) end
  check_error(results[2])
end

local world = {}
world.__index = world

function world:any(list) return #list > 0 and self.rng:pick(list) or nil end

--- Put in place of another when there are many: that one is garbage then.
function world:keep(list, object)
  if not object then return end
  if #list < 6 then
    list[#list + 1] = object
  else
    list[self.rng(#list)] = object
  end
end

function world:nap() return self.rng:float() * 0.003 end

local acts = {}

function acts.pair(w)
  local a, b = w.kit.pair(w.rng)
  if not a then return end
  w:keep(w.streams, a)
  w:keep(w.streams, b)
end

function acts.listen(w)
  local listener = proa.net.listen(w.rng:pick { "127.0.0.1:0", "unix:@c-" ..
    w.rng(3) })
  if listener then
    w:keep(w.listeners, listener)
    w.addresses[#w.addresses + 1] = listener:address()
  end
end

function acts.connect(w)
  local address = w:any(w.addresses)
  if not address then return end
  w:keep(w.streams, (proa.net.connect(address, { timeout = w:nap() })))
end

function acts.accept(w)
  local listener = w:any(w.listeners)
  if listener then w:keep(w.streams, (listener:accept(w:nap()))) end
end

function acts.incoming(w)
  local listener = w:any(w.listeners)
  if not listener then return end
  proa.timeout(w:nap(), function()
    for conn in listener:incoming() do w:keep(w.streams, conn) end
  end)
end

function acts.serve(w)
  local listener = w:any(w.listeners)
  if not listener then return end
  proa.timeout(w:nap(), listener.serve, listener, function(conn)
    if w.rng:chance(3) then conn:keep() end
    local line = conn:read("l", { timeout = w:nap() })
    if line then conn:write(line) end
    w:keep(w.streams, conn)
  end, { max = w.rng:chance(2) and w.rng(2) or nil })
end

local formats = { "l", "L", "a" }

function acts.read(w)
  local s = w:any(w.streams)
  if not s then return end
  local how = w.rng(6)
  if how == 1 then
    s:read(w.rng:pick(formats), { timeout = w:nap() })
  elseif how == 2 then
    s:read_some(w.rng(500), w:nap())
  elseif how == 3 then
    local b = proa.buffer(w.rng(500))
    s:read_into(b, 1, #b, w:nap())
    b:string()
  elseif how == 4 then
    s:read_exact(w.rng(300), w:nap())
  elseif how == 5 then
    s:peek(w.rng(300), w:nap())
  else
    s:unread(w.rng:bytes(w.rng(20)))
  end
end

function acts.write(w)
  local s = w:any(w.streams)
  if not s then return end
  local data = w.rng:bytes(w.rng:pick { 0, 1, 100, 6000 })
  local how = w.rng(4)
  if how == 1 then
    s:try_write(data)
  elseif how == 2 then
    proa.timeout(w:nap(), s.write, s, data, data)
  elseif how == 3 then
    proa.timeout(w:nap(), s.flush, s)
  else
    proa.timeout(w:nap(), s.shutdown, s, "w")
  end
end

function acts.copy(w)
  local from, to = w:any(w.streams), w:any(w.streams)
  if from and from ~= to then
    from:copy_to(to, { timeout = w:nap(), max = w.rng(5000) })
  end
end

function acts.close(w)
  local s = w:any(w.rng:chance(4) and w.listeners or w.streams)
  if not s then return end
  local _ = tostring(s)
  if s.abort and w.rng:chance(2) then
    s:abort()
  else
    s:close()
  end
end

function acts.drop(w)
  local list = w.rng:pick { w.streams, w.listeners, w.futures, w.tasks }
  if #list > 0 then table.remove(list, w.rng(#list)) end
  if w.rng:chance(3) then
    collectgarbage()
  else
    collectgarbage "step"
  end
end

function acts.raw(w)
  local a, b = proa.fd.pair()
  if not a then return end
  w:keep(w.futures, proa.op.recv(a, proa.buffer(100)))
  if w.rng:chance(2) then w:keep(w.futures, proa.op.send(b, "abc")) end
  if w.rng:chance(2) then a:close() end
  if w.rng:chance(2) then w:keep(w.streams, try(require "proa.core".stream, b))
  end
end

function acts.future(w)
  local f = w:any(w.futures)
  if not f then return w:keep(w.futures, proa.future()) end
  local how = w.rng(4)
  if how == 1 then
    f:await(w:nap())
  elseif how == 2 then
    f:cancel()
  elseif how == 3 then
    f:poll()
  else
    proa.select { a = f, b = w:any(w.listeners), timeout = w:nap() }
  end
end

function acts.cancel(w)
  local t = w:any(w.tasks)
  if t and t ~= proa.current() then t:cancel() end
end

function acts.rest(w) proa.sleep(w:nap()) end

local names = { "pair", "pair", "listen", "connect", "connect", "accept",
  "accept", "incoming", "serve", "read", "read", "read", "write", "write",
  "write", "copy", "copy", "close", "close", "drop", "drop", "raw", "future",
  "cancel", "rest" }

local function live(w, depth)
  for _ = 1, w.rng(1, 10) do
    if w.rng:chance(6) and depth < 3 then
      w:keep(w.tasks, proa.spawn(live, w, depth + 1))
    end
    try(acts[w.rng:pick(names)], w)
  end
end

local function run(rng, _, sim)
  local w = setmetatable({ rng = rng, kit = sim.kit, streams = {},
    listeners = {}, futures = {}, tasks = {}, addresses = {} }, world)
  -- a handler's errors are reported; those of the game are none
  proa.on_error(function(err)
    local ok, why = pcall(check_error, err)
    if not ok and not proa.is_cancelled(why) then w.failed = why end
  end)
  local tasks = {}
  for i = 1, rng(1, 4) do tasks[i] = proa.spawn(live, w, 1) end
  for _, t in ipairs(tasks) do t:await(60) end
  for _, list in ipairs { w.tasks, w.listeners, w.streams } do
    for _, object in ipairs(list) do (object.cancel or object.close)(object) end
  end
  w.streams, w.listeners, w.futures = {}, {}, {}
  for _, t in ipairs(tasks) do t:await(60) end
  if w.failed then error(w.failed, 0) end
  if rng:chance(4) then sim.leave = true end
end

return { run = run, errors = true }
