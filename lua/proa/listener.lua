--- Methods of listeners that are made of accept: incoming and serve.
-- serve counts the handlers that run and accepts when there is room; a client
-- that was accepted is served, also when the listener was closed meanwhile.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"

local listener = {}

-- Descriptors or memory are short for the moment; the core backs off.
local passing = { EMFILE = true, ENFILE = true, ENOBUFS = true, ENOMEM = true }

--- A stream, or nil when the listener is closed. Raises on errors that last.
local function accept_lasting(self, accept, once)
  while true do
    local stream, message, code = accept(self, once)
    if stream or code == "CLOSED" then return stream end
    if not passing[code] then error(message, 3) end
  end
end

--- Iterate over connections until the listener is closed. Each step accepts
-- one. Raises on errors other than a shortage of descriptors, which is waited
-- out.
---@return fun(): proa.stream|nil
local function incoming(self)
  if self:closed() then error("incoming: listener is closed", 2) end
  return function()
    if self:closed() then return nil end
    return accept_lasting(self, core.accept_once)
  end
end

-- -- room: at most `max` handlers at once --

-- { listener, max, running, queue }; queue: futures of handlers that exist,
-- because their clients came before the close, and wait for their turn.

--- A handler begins: nil, or the future that tells when it may.
local function enter(room)
  if room.running < room.max then
    room.running = room.running + 1
    return nil
  end
  local turn = core.future()
  room.queue[#room.queue + 1] = turn
  return turn
end

--- A handler has ended: its place goes to the next.
local function leave(room)
  local turn = table.remove(room.queue, 1)
  if turn then return turn:set(true) end
  room.running = room.running - 1
  core.serve_wake(room.listener)
end

--- A handler was cancelled before its turn. false: its turn had come.
local function give_up(room, turn)
  for i, waiting in ipairs(room.queue) do
    if waiting == turn then return table.remove(room.queue, i) end
  end
  return false
end

local place = {
  __close = function(self)
    if not give_up(self.room, self.turn) then leave(self.room) end
  end,
}

-- -- serve --

local function handle(handler, stream, idle, room, turn)
  local conn <close> = core.served(stream)
  local _ <close> = room and setmetatable({ room = room, turn = turn }, place)
  if turn then turn:await() end
  if idle then conn:timeout { idle = idle } end
  handler(conn)
end

local serving = { __close = function(self) core.serve_end(self.listener) end }

local known = { max = true, idle = true }

local function check_serve(self, handler, options)
  if type(handler) ~= "function" then
    error("serve: a function expected, got " .. type(handler), 3)
  end
  if type(options) ~= "table" then
    error("serve: a table of options expected, got " .. type(options), 3)
  end
  for key in pairs(options) do
    if not known[key] then
      error(("serve: unknown option '%s'"):format(tostring(key)), 3)
    end
  end
  local max = options.max
  if max ~= nil and (math.type(max) ~= "integer" or max < 1) then
    error(("serve: max: an integer above 0 expected, got %s"):format(
      tostring(max)), 3)
  end
  local idle = options.idle
  if idle ~= nil and not (type(idle) == "number" and idle > 0) then
    error(("serve: idle: a number of seconds above 0 expected, got %s"):format(
      tostring(idle)), 3)
  end
  if self:closed() then error("serve: listener is closed", 3) end
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
  local idle = options.idle
  local room = options.max
    and { listener = self, max = options.max, running = 0, queue = {} }
  core.serve_begin(self)
  local _ <close> = setmetatable({ listener = self }, serving)
  while true do
    while room and room.running >= room.max and not self:closed() do
      core.serve_wait(self)
    end
    local stream = accept_lasting(self, core.serve_next, room ~= nil)
    if not stream then return end
    core.spawn_handler(handle, handler, stream, idle, room,
      room and enter(room))
  end
end

function listener.extend(methods)
  methods.incoming = incoming
  methods.serve = serve
end

return listener
