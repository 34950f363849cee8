--- proa.fd: descriptors of other libraries, and waiting for them.
-- A library such as libpq or libcurl owns its descriptor and says what it
-- waits for; a task waits for that here and calls the library again. Nothing
-- is read, written or closed that is not ours.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local misuse = require "proa.misuse"

local fd = {}

-- fd object -> what it was made of, which is kept as long
local owners = setmetatable({}, { __mode = "k" })

--- An fd object for what has a descriptor: a number, a file, or an object with
-- a method fileno, getfd or pollfd.
local function borrow(_, value)
  local object = core.fd.wrap(core.fileno(value))
  if type(value) ~= "number" and value ~= object then owners[object] = value end
  return object
end

-- -- methods --

local function readable(self, timeout)
  local ready, message, code = core.ready(self, "r", timeout)
  if not ready then return nil, message, code end
  return true
end

local function writable(self, timeout)
  local ready, message, code = core.ready(self, "w", timeout)
  if not ready then return nil, message, code end
  return true
end

local function wait(self, events, timeout)
  return core.ready(self, events, timeout)
end

-- -- the protocol of cqueues: pollfd, events, timeout --

--- Events that an object waits for, of "r" and "w"; nil: none.
local function events_of(object)
  local events = object.events and object:events()
  if events == nil then return nil end
  if type(events) ~= "string" or events:find "[^rwp]" then
    misuse("poll: events: some of \"rwp\" expected, got %s", tostring(events))
  end
  local text = events:gsub("p", "")
  return text == "wr" and "rw" or text ~= "" and text or nil
end

--- Its descriptor, events, and timeout, each nil when there is none. What has
-- no method pollfd is waited for until it is readable.
local function ask(object)
  if not object.pollfd then return borrow(nil, object), "r" end
  local events = events_of(object)
  local number = object:pollfd()
  local timeout = object.timeout and object:timeout()
  return events and number and borrow(nil, number), events, timeout
end

-- What one call waits for; closing it withdraws what still waits.
local waiting = {
  __close = function(self)
    for _, future in ipairs(self.futures) do future:cancel() end
  end,
}

local function add(self, object)
  local descriptor, events, timeout = ask(object)
  if descriptor then
    self.futures[#self.futures + 1] = core.op.ready(descriptor, events)
    self.of[#self.futures] = object
  end
  if timeout then
    self.due[object] = timeout
    self.limit = math.min(self.limit or timeout, timeout)
  end
end

--- The objects that are ready when so much time has passed, in the order in
-- which they were given.
local function collect(self, objects, passed)
  local ready, by = {}, {}
  for i, future in ipairs(self.futures) do by[self.of[i]] = future:poll() end
  for _, object in ipairs(objects) do
    local due = self.due[object]
    if by[object] or (due and due <= passed) then ready[#ready + 1] = object end
  end
  return ready
end

--- Wait for the first of several objects of cqueues' protocol: until the
-- descriptor of one is ready for its events, or its own timeout is over. A
-- number among them is a limit for the call.
local function poll(...)
  local objects, limit = {}, nil
  local self <close> = setmetatable({ futures = {}, of = {}, due = {} }, waiting)
  for i = 1, select("#", ...) do
    local object = select(i, ...)
    if type(object) == "number" then
      limit = math.min(limit or object, object)
    elseif type(object) ~= "table" and type(object) ~= "userdata" then
      misuse("poll: an object with pollfd, events and timeout expected, got %s",
        type(object))
    else
      objects[#objects + 1] = object
      add(self, object)
    end
  end
  if limit then self.limit = math.min(self.limit or limit, limit) end
  local start, chosen = core.now(), nil
  if #self.futures == 0 then
    if not self.limit then misuse "poll: nothing to wait for" end
    core.sleep(self.limit)
  else
    chosen = core.choose(self.futures, self.limit)
  end
  -- a limit that is over is, whatever the clock says of its last digit
  local passed = core.now() - start
  if not chosen then passed = math.max(passed, self.limit) end
  local ready = collect(self, objects, passed)
  if #ready > 0 then return table.unpack(ready) end
  return nil, "poll: timed out", "TIMEOUT"
end

-- -- proa for the loops of others --

-- An object of cqueues' protocol that stands for proa's own loop.
local loop = {
  pollfd = function() return core.pollfd() end,
  events = function() return "r" end,
  timeout = function() return core.timeout_hint() end,
  step = function(_, timeout) return core.step(timeout) end,
}

--- Add all that to the core's table of functions and to its class.
function fd.extend(module, methods)
  setmetatable(module, { __call = borrow })
  module.poll = poll
  methods.readable = readable
  methods.writable = writable
  methods.wait = wait
end

--- The runtime as an object that cqueues.poll takes.
function fd.pollable()
  return setmetatable({}, { __index = loop, __name = "proa.loop" })
end

return fd
