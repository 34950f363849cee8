--- proa.net.udp and its kin: sockets of datagrams, with their options.
-- The core makes a socket for a family and binds, connects, sends and receives
-- on it; here it is told what is wanted, in the order that the kernel needs.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local check = require "proa.options"
local misuse = require "proa.misuse"

local datagram = {}

local QUEUE = 256 * 1024 -- bytes
local SIZE_MAX = 1024 * 1024
local QUEUE_MAX = 1024 * 1024 * 1024

-- set before the socket is bound, in this order
local socket_options = { "reuseaddr", "reuseport", "v6only", "broadcast",
  "rcvbuf", "sndbuf", "ttl", "tos", "multicast_ttl", "multicast_loop",
  "multicast_if" }

local known = { bind = true, connect = true, size = true, queue = true,
  mode = true }
for _, name in ipairs(socket_options) do known[name] = true end

--- Raises for what is no address, or a name where none may be.
local function check_address(who, key, address, to_bind)
  if address == nil or (to_bind and address == "unix:") then return end
  check.typed(who, key, address, "string")
  local text, message, service = core.address(address, to_bind)
  if text == false and not service then
    misuse("%s: %s", who, message)
  elseif to_bind and text == nil then
    misuse("%s: %s: '%s' is a name; an address of this machine expected", who,
      key, message)
  end
end

local function check_options(who, options)
  check.check(options, known, who)
  check_address(who, "bind", options.bind, true)
  check_address(who, "connect", options.connect, false)
  check.integer(who, "size", options.size, 1, SIZE_MAX)
  check.integer(who, "queue", options.queue, 1, QUEUE_MAX)
  if options.mode ~= nil and not tostring(options.bind):find "^unix:[^@]" then
    misuse("%s: mode is for paths of Unix sockets", who)
  end
  return check.mode(who, options.mode)
end

--- The address to connect to, resolved when it is a name.
local function peer_of(address, resolve)
  local text, host, service = core.address(address)
  if text then return text end
  if text == false then return nil, host, service end
  local list, message, code = resolve("connect", address, host, service)
  return list and list[1], message, code
end

local function set_options(socket, options)
  for _, name in ipairs(socket_options) do
    if options[name] ~= nil then
      local ok, message, code = socket:option(name, options[name])
      if not ok then return nil, message, code end
    end
  end
  return true
end

--- Set up in the kernel's order; what is nil is left out.
local function set_up(socket, options, mode, peer)
  local ok, message, code = set_options(socket, options)
  if ok and options.bind then
    ok, message, code = socket:bind(options.bind, mode)
  end
  if ok and peer then ok, message, code = socket:connect(peer) end
  return ok, message, code
end

--- A socket as the options say. `resolve`: net.lua's.
function datagram.open(who, options, resolve)
  options = options == nil and {} or options
  local mode = check_options(who, options)
  local peer, message, code
  if options.connect then
    peer, message, code = peer_of(options.connect, resolve)
    if not peer then return nil, message, code end
  end
  local socket
  socket, message, code = core.datagram(options.bind or peer,
    options.size or 0, options.queue or QUEUE)
  if not socket then return nil, message, code end
  local ok
  ok, message, code = set_up(socket, options, mode, peer)
  if ok then return socket end
  socket:close()
  return nil, message, code
end

--- One of that address's family that is not bound yet.
---@return proa.datagram|nil socket, string? message, string? code
function datagram.unbound(address)
  return core.datagram(address, 0, QUEUE)
end

--- Two connected ones.
function datagram.pair()
  return core.datagram_pair(0, QUEUE)
end

--- Iterate over what comes until the socket is closed here. Raises on errors.
---@return fun(): string|nil, string|nil, integer|nil
local function incoming(self)
  if self:closed() then misuse "incoming: datagram socket is closed" end
  return function()
    if self:closed() then return nil end
    local data, from, full = self:recv_from()
    if data or full == "CLOSED" then return data, from, full end
    misuse(from)
  end
end

function datagram.extend(methods)
  methods.incoming = incoming
end

return datagram
