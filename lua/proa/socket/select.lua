--- socket.select: which of several sockets can be received from or sent to.
-- A task for each waits until its call would not wait; what it had to take for
-- that (a connection, a datagram) is held for the next accept or receive.
-- Other objects with a method getfd are waited for by their descriptor.
-- SPDX-License-Identifier: MIT

local combine = require "proa.combine"
local core = require "proa.core"

local function wait(object, how)
  local method = how == "r" and object.wait_readable or object.wait_writable
  if method then return method(object) end
  local fd = core.fd.wrap(core.fileno(object))
  core.ready(fd, how)
end

--- A list of the objects that is a set as well, by object its index.
local function add(list, object)
  if list[object] then return end
  list[#list + 1] = object
  list[object] = #list
end

--- A function that waits for an object, and notes that it is ready.
local function waiter(object, how, into)
  return function()
    wait(object, how)
    add(into, object)
    return true
  end
end

--- Those that are ready by now as well: each gets one more turn of the loop.
local function settle()
  core.sleep(0)
end

--- What is no socket, or a closed one, is passed over.
local function is_open(object)
  local kind = type(object)
  if kind ~= "table" and kind ~= "userdata" then return false end
  return not object.getfd or object.dialing or object:getfd() ~= -1
end

local function waiters(list, how, into, all)
  for _, object in ipairs(list or {}) do
    if how == "r" and is_open(object) and object.dirty and object:dirty() then
      add(into, object)
    elseif is_open(object) then
      all[#all + 1] = waiter(object, how, into)
    end
  end
end

--- select(receivers, senders[, timeout]) -> readable, writable[, "timeout"]
return function(receivers, senders, timeout)
  local readable, writable, all = {}, {}, {}
  waiters(receivers, "r", readable, all)
  waiters(senders, "w", writable, all)
  if timeout and timeout < 0 then timeout = nil end
  if #readable > 0 then timeout = 0 end
  if #all == 0 and #readable == 0 then
    core.sleep(timeout or math.huge)
  elseif #all > 0 then
    all.timeout = timeout
    local first = combine.select(all)
    if first ~= "timeout" then settle() end
  end
  if #readable + #writable == 0 then return readable, writable, "timeout" end
  return readable, writable
end
