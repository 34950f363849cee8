--- socket.unix of LuaSocket: streams and datagrams by path.
-- A path that begins with a NUL is an abstract name. A stream's path stays when
-- it is closed, as LuaSocket has it; a datagram's goes with its socket.
-- SPDX-License-Identifier: MIT

local common = require "proa.socket.common"
local core = require "proa.core"
local net = require "proa.net"
local tcp = require "proa.socket.tcp"
local udp = require "proa.socket.udp"

--- "unix:/path" of a path; or nil, text.
local function address_of(path, who)
  if type(path) ~= "string" then
    error(("bad argument #1 to '%s' (string expected, got %s)"):format(who,
      type(path)), 3)
  end
  local address = "unix:" .. path:gsub("^%z", "@")
  if not core.address(address) then return nil, "path too long" end
  return address
end

--- The path of an address.
local function path_of(address)
  return (address:gsub("^unix:", ""):gsub("^@", "\0"))
end

local function name(address, message, code)
  if not address then return common.failure(message, code) end
  return path_of(address)
end

-- -- streams --

local stream = { class = "unixstream" }
local stream_meta = tcp.derive(stream)

function stream:bind(path)
  if self.conn or self.listener or self.bound then
    return nil, "invalid argument"
  end
  local address, text = address_of(path, "bind")
  if not address then return nil, text end
  return self:bind_to(address)
end

--- Over a socket that is bound already.
local function connect_bound(self, address)
  local fd <close> = self.bound
  self.bound = nil
  local ok, message, code = core.call("connect", fd, address)
  if not ok then return nil, message, code end
  return core.stream(fd)
end

function stream:connect(path)
  local address, text = address_of(path, "connect")
  if not address then return nil, text end
  if self.conn then return nil, "already connected" end
  if self.listener then return nil, "operation not supported" end
  local conn, message, code
  if self.bound then
    conn, message, code = connect_bound(self, address)
  else
    local limit = common.limit(self)
    conn, message, code = net.connect(address,
      { timeout = limit ~= 0 and limit or nil }) -- it is there or not
  end
  if not conn then return common.failure(message, code) end
  local ok
  ok, text = self:attach(conn)
  if not ok then return nil, text end
  return 1
end

function stream:getsockname()
  local object = self.conn or self.listener or self.bound
  if not object then return nil, "closed" end
  return name(object:address())
end

function stream:getpeername()
  if not self.conn then return nil, "closed" end
  return name(self.conn:peer())
end

stream.setsockname, stream.setpeername = stream.bind, stream.connect

-- -- datagrams --

local dgram = { class = "unixdgram" }
local dgram_meta = udp.derive(dgram)

function dgram:bind(path)
  local address, text = address_of(path, "bind")
  if not address then return nil, text end
  if self.bound then return nil, "invalid argument" end
  local socket
  socket, text = self:open(address)
  if not socket then return nil, text end
  return 1
end

function dgram:connect(path)
  local address, text
  if path ~= "*" then
    address, text = address_of(path, "connect")
    if not address then return nil, text end
  end
  return self:connect_to(address)
end

function dgram:sendto(data, path)
  local address, text = address_of(path, "sendto")
  if not address then return nil, text end
  return self:send_to(data, address)
end

function dgram:receivefrom(size)
  local data, from = udp.receivefrom(self, size)
  if not data then return nil, from end
  return data, from and path_of(from) or ""
end

function dgram:getsockname()
  local socket, text = self:open()
  if not socket then return nil, text end
  return name(socket:address())
end

dgram.setsockname, dgram.setpeername = dgram.bind, dgram.connect

-- -- the module --

local unix = {}

function unix.stream() return tcp.new("unix", stream_meta) end
function unix.dgram() return udp.new("unix", dgram_meta) end
unix.tcp, unix.udp = unix.stream, unix.dgram

return setmetatable(unix, { __call = unix.stream })
