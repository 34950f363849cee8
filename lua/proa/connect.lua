--- Connecting to one of several addresses: Happy Eyeballs (RFC 8305).
-- The attempts start one after another, 250 ms apart or as soon as one has
-- failed; the first that succeeds wins, the others are closed. Resolving comes
-- before (net.lua); getaddrinfo has sorted what it gave (RFC 6724).
-- SPDX-License-Identifier: MIT

local core = require "proa.core"

local connect = {}

connect.STAGGER = 0.25 -- seconds; RFC 8305, section 5

--- For a message: what others may have named may hold control characters.
function connect.shown(address)
  return (address:gsub("%c", function(c)
    return ("\\x%02x"):format(c:byte())
  end))
end

local shown = connect.shown

local function family_of(address)
  return address:byte() == 91 and 6 or 4 -- "["
end

--- The two families by turns, that of the first address first (section 4).
function connect.interleave(list)
  local by_family, result = { [4] = {}, [6] = {} }, {}
  for _, address in ipairs(list) do
    table.insert(by_family[family_of(address)], address)
  end
  local turn = list[1] and family_of(list[1])
  while #result < #list do
    local address = table.remove(by_family[turn], 1)
    result[#result + 1] = address
    turn = 10 - turn
  end
  return result
end

--- What an attempt says without the address that it begins with.
local function reason(message, address)
  local head = "connect " .. shown(address) .. ": "
  return message:sub(1, #head) == head and message:sub(#head + 1) or message
end

-- -- one race --

-- { list, next, due, running, futures, failures }; running[i] is an attempt
-- { address, fd } and futures[i] its operation. Closed with the race: all that
-- still run.
local race = {}
race.__index = race

function race:__close()
  for _, attempt in ipairs(self.running) do attempt.fd:close() end
end

function race:fail(address, message, code)
  self.failures[#self.failures + 1] = { address = address,
    reason = reason(message, address), code = code }
  self.due = 0 -- the next need not wait any more
end

--- An fd object for that address, bound to the address `bind` if there is one. A
-- path goes with it.
function connect.socket(address, bind)
  local fd, message, code = core.fd.socket(address)
  if not fd or not bind then return fd, message, code end
  local ok
  if bind:find "^unix:[^@]" then
    ok, message, code = core.bind_path(fd, bind)
  else
    ok, message, code = fd:bind(bind, true)
  end
  if ok then return fd end
  fd:close()
  return nil, message, code
end

--- Begin the next attempt.
function race:start(stagger)
  local address = self.list[self.next]
  self.next = self.next + 1
  local fd, message, code = connect.socket(address, self.bind)
  if not fd then return self:fail(address, message, code) end
  self.due = core.now() + stagger
  table.insert(self.running, { address = address, fd = fd })
  table.insert(self.futures, core.op.connect(fd, address))
end

function race:start_due(stagger)
  while self.next <= #self.list
    and (#self.running == 0 or core.now() >= self.due) do
    self:start(stagger)
  end
end

--- An attempt has ended: the stream, when it is the one.
function race:ended(i, ok, message, code)
  local attempt = table.remove(self.running, i)
  table.remove(self.futures, i)
  local stream
  if ok then stream, message, code = core.stream(attempt.fd) end
  if stream then return stream end
  attempt.fd:close()
  self:fail(attempt.address, message, code)
end

local function run(self, stagger)
  while true do
    self:start_due(stagger)
    if #self.running == 0 then return nil end
    local more = self.next <= #self.list
    local limit = more and math.max(0, self.due - core.now()) or nil
    local i, ok, message, code = core.choose(self.futures, limit)
    local stream = i and self:ended(i, ok, message, code)
    if stream then return stream end
  end
end

-- -- what is said of it --

local function no_success(address, failures)
  local head = "connect " .. shown(address) .. ": "
  local last = failures[#failures]
  if #failures == 1 then
    local candidate = last.address
    if candidate ~= address then
      head = ("connect %s (%s): "):format(shown(address), shown(candidate))
    end
    return nil, head .. last.reason, last.code
  end
  local parts = {}
  for i, failure in ipairs(failures) do
    parts[i] = shown(failure.address) .. ": " .. failure.reason
  end
  return nil, head .. table.concat(parts, "; "), last.code
end

--- A stream to the first address of the list that takes one. `address`: how
-- they are called, for a message.
---@return proa.stream|nil stream, string? message, string? code
function connect.any(address, list, stagger, bind)
  local self <close> = setmetatable({ list = list, next = 1, due = 0, bind = bind,
    running = {}, futures = {}, failures = {} }, race)
  local stream = run(self, stagger or connect.STAGGER)
  if stream then return stream end
  return no_success(address, self.failures)
end

return connect
