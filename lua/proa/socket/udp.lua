--- UDP objects of proa.socket, over proa's sockets of datagrams, and what Unix
-- datagrams share with them (unix.lua).
-- SPDX-License-Identifier: MIT

local common = require "proa.socket.common"
local core = require "proa.core"
local datagram = require "proa.datagram"
local net = require "proa.net"

local udp = {}
udp.settimeout = common.set_timeout
udp.gettimeout = common.get_timeout

local meta = { __index = udp }

function meta:__close() self:close() end

function meta:__tostring()
  return ("%s{%s}: %p"):format(self.class, self.connected and "connected"
    or "unconnected", self)
end

udp.class = "udp"

--- A metatable for objects that do this and what the methods say.
function udp.derive(methods)
  return { __index = setmetatable(methods, { __index = udp }),
    __tostring = meta.__tostring, __close = meta.__close }
end

--- `family`: "inet", "inet6", or nil: that of the first address.
function udp.new(family, class)
  return setmetatable({ family = family, options = {} }, class or meta)
end

local any = { inet = "0.0.0.0:0", inet6 = "[::]:0", unix = "unix:" }

--- The socket with its options, of which the kernel needs some before it binds.
-- `bind`: the address that it will have.
local function make(self, bind)
  local socket, message, code = datagram.unbound(bind
    or any[self.family or "inet"])
  if not socket then return common.failure(message, code) end
  for _, option in ipairs(self.options) do
    local ok
    ok, message, code = socket:option(option[1], option[2])
    if not ok then
      socket:close()
      return common.failure(message, code)
    end
  end
  self.socket = socket
  self.family = self.family or bind and bind:byte() == 91 and "inet6" or "inet"
  return socket
end

--- The socket, made when it is first needed, for an option or a group not bound
-- yet.
local function open_unbound(self)
  if self.closed then return nil, "closed" end
  if self.socket then return self.socket end
  return make(self)
end

--- The socket, bound when it is first needed: to that address, or to none in
-- particular.
local function open(self, bind)
  if self.closed then return nil, "closed" end
  if self.bound then return self.socket end
  local had, text = self.socket, nil
  local socket = had
  if not had then socket, text = make(self, bind) end
  if not socket then return nil, text end
  local ok, message, code = socket:bind(bind or any[self.family])
  if ok then
    self.bound = true
    return socket
  end
  if not had then
    socket:close()
    self.socket = nil
  end
  return common.failure(message, code)
end
udp.open = open

--- One address of a host and a port, as text; of any family IPv4 first.
local function resolve(self, host, port)
  local families = { self.family or "inet", not self.family and "inet6" or nil }
  if host == "*" then host = self.family == "inet6" and "::" or "0.0.0.0" end
  local list, message, code
  for _, family in ipairs(families) do
    list, message, code = net.resolve(host, port, { family = family })
    if list then
      self.family = family
      return list[1]
    end
  end
  return common.failure(message, code)
end

function udp:setsockname(host, port)
  common.check_host(host, port, "setsockname")
  local address, text = resolve(self, host, port)
  if not address then return nil, text end
  if self.bound then return nil, "invalid argument" end
  local socket
  socket, text = open(self, address)
  if not socket then return nil, text end
  return 1
end

--- "*": no peer any more.
function udp:setpeername(host, port)
  local address, text
  if host ~= "*" then
    common.check_host(host, port, "setpeername")
    address, text = resolve(self, host, port)
    if not address then return nil, text end
  end
  return self:connect_to(address)
end

--- Connect to an address as proa has it, or to none.
function udp:connect_to(address)
  local socket, text = open(self)
  if not socket then return nil, text end
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
  local address, text = resolve(self, host, port)
  if not address then return nil, text end
  return self:send_to(data, address)
end

--- Send to an address as proa has it.
function udp:send_to(data, address)
  local socket, text = open(self)
  if not socket then return nil, text end
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
  data = size and data:sub(1, size) or data
  if not from then return data end -- of Unix, without a name
  local host, port = common.split(from)
  return data, host, port
end

--- Of an address of every interface proa's name is none.
local function interface(value)
  local every = value == nil or value == "*" or value == "0.0.0.0" or value == 0
  return not every and tostring(value) or nil
end

--- Join a group, or leave it: { multiaddr =, interface = }.
local function membership(self, verb, value)
  if not self.family and value.multiaddr:find(":", 1, true) then
    self.family = "inet6"
  end
  local socket, text = open_unbound(self)
  if not socket then return nil, text end
  local ok, message, code = socket[verb](socket, value.multiaddr,
    interface(value.interface))
  if not ok then return common.failure(message, code) end
  return 1
end

--- The name that proa has for it. Raises for those of streams, too, which the
-- kernel would refuse or take for nothing.
local function option_of(name, to_set)
  local ours = common.option(name, to_set, 4)
  local of_streams = type(name) == "string" and name:find "^tcp%-"
    or name == "keepalive" or name == "linger"
  if of_streams then
    error(("bad argument #1 (unsupported option `%s')"):format(name), 3)
  end
  return ours
end

function udp:setoption(name, value)
  local verb = common.memberships[name]
  if verb and not (type(value) == "table"
    and type(value.multiaddr) == "string") then
    error("bad argument #2 to 'setoption' (a table with multiaddr expected)", 2)
  end
  if verb then return membership(self, verb, value) end
  local ours = option_of(name, true)
  if value == nil then value = true end
  if ours == "multicast_if" then value = interface(value) end
  if value == nil then return 1 end -- multicast leaves as the kernel thinks
  if self.socket then
    local ok, message, code = self.socket:option(ours, value)
    if not ok then return common.failure(message, code) end
  end
  self.options[#self.options + 1] = { ours, value }
  return 1
end

function udp:getoption(name)
  local ours = option_of(name)
  local socket, text = open_unbound(self)
  if not socket then return nil, text end
  local found, message, code = socket:option(ours)
  if found == nil then return common.failure(message, code) end
  return found
end

function udp:getfamily()
  return self.family == "inet6" and "inet6" or "inet4"
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
  self.bound = false
  return 1
end

function udp:getfd()
  local socket = open_unbound(self)
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
