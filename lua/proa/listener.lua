--- Methods of listeners that are made of accept: incoming and serve.
-- serve counts the handlers that run and accepts when there is room; a client
-- that was accepted is served, also when the listener was closed meanwhile.
-- SPDX-License-Identifier: MIT

local checks = require "proa.options"
local core = require "proa.core"
local misuse = require "proa.misuse"

local listener = {}

-- Descriptors or memory are short for the moment; the core backs off.
local passing = { EMFILE = true, ENFILE = true, ENOBUFS = true, ENOMEM = true }

--- A stream, or nil when the listener is closed. Raises on errors that last.
local function accept_lasting(self, accept, once)
  while true do
    local stream, message, code = accept(self, once)
    if stream or code == "CLOSED" then return stream end
    if not passing[code] then misuse(message) end
  end
end

--- Iterate over connections until the listener is closed. Each step accepts
-- one. Raises on errors other than a shortage of descriptors, which is waited
-- out.
---@return fun(): proa.stream|nil
local function incoming(self)
  if self:closed() then misuse "incoming: listener is closed" end
  return function()
    if self:closed() then return nil end
    return accept_lasting(self, core.accept_once)
  end
end

-- -- room: at most `max` handlers at once --

-- { listener, max, running, queue }; queue: places of handlers that exist,
-- because their clients came before the close, and wait for their turn.
-- A place is { room, turn }: no room when it was left; a future that tells when
-- the turn has come, or false. Leaving it makes nothing.

--- A handler ends before its turn has come. false: it has come.
local function give_up(room, place)
  for i, waiting in ipairs(room.queue) do
    if waiting == place then return table.remove(room.queue, i) end
  end
  return false
end

--- A handler has ended: its place goes to the next.
local function leave(place)
  local room = place.room
  if not room then return end
  place.room = nil
  if place.turn and give_up(room, place) then return end
  local waiting = table.remove(room.queue, 1)
  if waiting then return waiting.turn:set() end
  room.running = room.running - 1
  core.serve_wake(room.listener)
end

local place_meta = { __close = leave }

--- The place that a handler has, or waits for.
local function enter(room)
  local place = setmetatable({ room = room, turn = false }, place_meta)
  if room.running < room.max then
    room.running = room.running + 1
  else
    place.turn = core.future()
    room.queue[#room.queue + 1] = place
  end
  return place
end

-- -- crew: who serves a listener's clients at the moment --

-- { serving, n, list, room, idle, aborted }: calls of serve; handlers, those
-- that wait for their turn too; members, and some that have left, up to `room`;
-- the future of who waits for the end of all; nobody is served any more.
-- A member is { service, stream, task, place }. Its task is false until there
-- is one, and nil when it has left; its place false without a limit.
local crews = setmetatable({}, { __mode = "k" })

local function crew_of(self)
  local crew = crews[self]
  if not crew then
    crew = { serving = 0, n = 0, list = {}, room = 16 }
    crews[self] = crew
  end
  return crew
end

local function crew_check(crew)
  if crew.n > 0 or crew.serving > 0 or not crew.idle then return end
  crew.idle:set() -- to nothing: makes nothing
  crew.idle = nil
end

--- It may have left before. Makes nothing.
local function crew_leave(member)
  if member.task == nil then return end
  local crew = member.service.crew
  member.task, member.stream = nil, nil
  crew.n = crew.n - 1
  if member.place then leave(member.place) end
  crew_check(crew)
end

local membership = { __close = crew_leave }

--- Those that have ended leave now and then, so that each costs the same.
local function crew_add(service, stream)
  local crew = service.crew
  local list = crew.list
  if #list >= crew.room then
    local left = {}
    for _, member in ipairs(list) do
      if member.task ~= nil then left[#left + 1] = member end
    end
    list, crew.list, crew.room = left, left, math.max(16, 2 * #left)
  end
  local member = setmetatable({ service = service, stream = stream,
    task = false, place = false }, membership)
  list[#list + 1] = member
  crew.n = crew.n + 1
  if service.room then member.place = enter(service.room) end
  return member
end

--- Those that serve could not spawn.
local function crew_drop(service)
  for _, member in ipairs(service.crew.list) do
    if member.task == false and member.service == service then
      member.stream:close()
      crew_leave(member)
    end
  end
end

-- Those whose tasks memory was too short for to begin, or to end, leave here.
core.on_lost(function()
  for _, crew in pairs(crews) do
    for _, member in ipairs(crew.list) do
      local begun = member.task and core.task_ended(member.task)
      if begun == false and member.task then member.stream:close() end
      if begun ~= nil and member.task then crew_leave(member) end
    end
  end
end)

--- Close, and wait until serve has returned and all handlers have ended.
---@param timeout number? seconds
---@return boolean|nil drained, string? message, string? code TIMEOUT
local function drain(self, timeout)
  local crew = crew_of(self)
  self:close()
  if crew.n == 0 and crew.serving == 0 then return true end
  crew.idle = crew.idle or core.future()
  local _, _, code = crew.idle:await(timeout)
  if not code then return true end
  return nil, ("drain: timed out, with %d being served"):format(crew.n), code
end

--- Close, cancel all handlers and drop their connections.
local function abort(self)
  local crew = crew_of(self)
  crew.aborted = true
  self:close()
  for _, member in ipairs(crew.list) do
    if member.task then
      member.task:cancel()
      member.stream:abort()
    end
  end
end

-- -- serve --

--- With a limit on how many there are at once: the place is left before the
-- connection is closed.
local function handle_limited(member, conn)
  local service, place = member.service, member.place
  local _ <close> = place
  if place.turn then place.turn:await() end
  if conn:closed() then return end -- abort was quicker
  if service.idle then
    return core.handle_served(conn, service.handler, service.idle)
  end
  service.handler(conn)
end

-- Few locals: a task whose frames fit the stack that coroutines start with is
-- 640 bytes smaller, and the handler needs most of it.
local function handle(member)
  local _ <close> = member
  local conn <close> = core.served(member.stream)
  if member.service.room then return handle_limited(member, conn) end
  if conn:closed() then return end -- abort was quicker
  if member.service.idle then
    return core.handle_served(conn, member.service.handler,
      member.service.idle)
  end
  member.service.handler(conn)
end

local serving = {
  __close = function(self, err)
    if not self.begun then return end
    if err then crew_drop(self) end
    core.serve_end(self.listener)
    self.crew.serving = self.crew.serving - 1
    crew_check(self.crew)
  end,
}

local known = { max = true, idle = true }

local function check_serve(self, handler, options)
  if type(handler) ~= "function" then
    misuse("serve: a function expected, got %s", type(handler))
  end
  checks.check(options, known, "serve")
  local max = options.max
  if max ~= nil and (math.type(max) ~= "integer" or max < 1) then
    misuse("serve: max: an integer above 0 expected, got %s",
      checks.shown(max))
  end
  local idle = options.idle
  if idle ~= nil and not (type(idle) == "number" and idle > 0) then
    misuse("serve: idle: a number of seconds above 0 expected, got %s",
      checks.shown(idle))
  end
  if self:closed() then misuse "serve: listener is closed" end
end

--- Serve each connection in a task of its own until the listener is closed.
-- The connection is closed when the handler returns, unless it called
-- conn:keep(). Errors of handlers are reported to proa.on_error and do not end
-- serve.
---@param handler fun(conn: proa.stream)
---@param options { max: integer?, idle: number? }?
local function serve(self, handler, options)
  options = options or {}
  check_serve(self, handler, options)
  local room = options.max
    and { listener = self, max = options.max, running = 0, queue = {} }
  local crew = crew_of(self)
  local service <close> = setmetatable({ listener = self, crew = crew,
    handler = handler, idle = options.idle, room = room, begun = false },
    serving)
  core.serve_begin(self)
  service.begun, crew.serving = true, crew.serving + 1
  while true do
    while room and room.running >= room.max and not self:closed() do
      core.serve_wait(self)
    end
    local stream = accept_lasting(self, core.serve_next, room ~= nil)
    if not stream then return end
    if crew.aborted then
      stream:abort() -- it was accepted before that, and not taken yet
    else
      local member = crew_add(service, stream)
      member.task = core.spawn_handler(handler, handle, member)
    end
  end
end

function listener.extend(methods)
  methods.incoming = incoming
  methods.serve = serve
  methods.drain = drain
  methods.abort = abort
end

return listener
