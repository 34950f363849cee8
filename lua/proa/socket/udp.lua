--- UDP objects of proa.socket, over proa's sockets of datagrams.
-- SPDX-License-Identifier: MIT

local common = require "proa.socket.common"
local core = require "proa.core"
local net = require "proa.net"

local udp = {}
udp.settimeout = common.set_timeout
udp.gettimeout = common.get_timeout

local meta = { __index = udp }

function meta:__close() self:close() end

function meta:__tostring()
  return ("udp{%s}: %p"):format(self.connected and "connected"
    or "unconnected", self)
end

function udp.new(family)
  return setmetatable({ family = family or "inet", options = {} }, meta)
end

local any = { inet = "0.0.0.0:0", inet6 = "[::]:0" }

--- The socket, made when it is first needed. `bind`: its address.
local function open(self, bind)
  if self.closed then return nil, "closed" end
  if self.socket then return self.socket end
  local socket, message, code = net.udp { bind = bind or any[self.family] }
  if not socket then return common.failure(message, code) end
  self.socket = socket
  for _, option in ipairs(self.options) do socket:option(option[1], option[2]) end
  return socket
end

--- One address of a host and a port, as text.
local function resolve(self, host, port)
  if host == "*" then host = self.family == "inet6" and "::" or "0.0.0.0" end
  local list, message, code = net.resolve(host, port, { family = self.family })
  if not list then return common.failure(message, code) end
  return list[1]
end

function udp:setsockname(host, port)
  common.check_host(host, port, "setsockname")
  local address, text = resolve(self, host, port)
  if not address then return nil, text end
  if self.socket then return nil, "invalid argument" end
  local socket
  socket, text = open(self, address)
  if not socket then return nil, text end
  return 1
end

--- "*": no peer any more.
function udp:setpeername(host, port)
  local socket, text = open(self)
  if not socket then return nil, text end
  local address
  if host ~= "*" then
    common.check_host(host, port, "setpeername")
    address, text = resolve(self, host, port)
    if not address then return nil, text end
  end
  local ok, message, code = socket:connect(address)
  if not ok then return common.failure(message, code) end
  self.connected = address ~= nil
  return 1
end

function udp:send(data)
  local socket, text = open(self)
  if not socket then return nil, text end
  if not self.connected then return nil, "refused" end
  local n, message, code = socket:send(data, common.limit(self))
  if not n then return common.failure(message, code) end
  return n
end

function udp:sendto(data, host, port)
  common.check_host(host, port, "sendto")
  local socket, text = open(self)
  if not socket then return nil, text end
  local address
  address, text = resolve(self, host, port)
  if not address then return nil, text end
  local n, message, code = socket:send_to(data, address, common.limit(self))
  if not n then return common.failure(message, code) end
  return n
end

--- What select has taken, or the next.
local function take(self)
  local socket, text = open(self)
  if not socket then return nil, text end
  local held = self.held
  self.held = nil
  if held then return held[1], held[2] end -- an error as well
  local data, from, code = socket:recv_from(common.limit(self))
  if not data then return common.failure(from, code) end
  return data, from
end

--- receive([size]): more of the datagram is lost
function udp:receive(size)
  local data, from = take(self)
  if not data then return nil, from end
  return size and data:sub(1, size) or data
end

function udp:receivefrom(size)
  local data, from = take(self)
  if not data then return nil, from end
  local host, port = common.split(from)
  return size and data:sub(1, size) or data, host, port
end

function udp:setoption(name, value)
  local ours = common.option(name)
  if value == nil then value = true end
  if ours and self.socket then self.socket:option(ours, value) end
  if ours then self.options[#self.options + 1] = { ours, value } end
  return 1
end

function udp:getoption(name)
  local ours = common.option(name)
  local socket, text = open(self)
  if not socket then return nil, text end
  return ours and socket:option(ours) or false
end

function udp:getsockname()
  local socket, text = open(self)
  if not socket then return nil, text end
  return common.name(socket:address())
end

function udp:getpeername()
  if not self.connected then return nil, "closed" end
  return common.name(self.socket:peer())
end

function udp:close()
  if self.socket then self.socket:close() end
  self.socket, self.held, self.closed, self.connected = nil, nil, true, false
  return 1
end

function udp:getfd()
  local socket = open(self)
  return socket and core.fileno(socket) or -1
end

function udp:dirty() return self.held ~= nil end

-- -- for select --

function udp:wait_readable()
  local socket = not self.held and open(self)
  if not socket then return end
  local data, from, code = socket:recv_from()
  self.held = { data, data and from or common.text(from, code) }
end

function udp.wait_writable() end

return udp
