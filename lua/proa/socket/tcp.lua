--- TCP objects of proa.socket: master, client and server in one class, and what
-- Unix streams share with them (unix.lua).
-- A client has a stream, a server a listener, a master that is bound an fd
-- object. Receiving and sending is in transfer.lua.
-- SPDX-License-Identifier: MIT

local common = require "proa.socket.common"
local core = require "proa.core"
local dial = require "proa.socket.dial"
local net = require "proa.net"
local transfer = require "proa.socket.transfer"

local tcp = { receive = transfer.receive, send = transfer.send }
tcp.settimeout = common.set_timeout
tcp.gettimeout = common.get_timeout

local meta = { __index = tcp }

function meta:__tostring()
  return ("%s{%s}: %p"):format(self.class, self.kind, self)
end

function meta:__close() self:close() end

tcp.class = "tcp"

--- A metatable for objects that do this and what the methods say.
function tcp.derive(methods)
  return { __index = setmetatable(methods, { __index = tcp }),
    __tostring = meta.__tostring, __close = meta.__close }
end

--- A new object; `family`: "inet", "inet6" or nil.
function tcp.new(family, class)
  return setmetatable({ kind = "master", family = family, options = {},
    received = 0, sent = 0, born = core.now() }, class or meta)
end

-- -- options --

-- Before it is bound or connects, or never.
local early = { reuseaddr = true, reuseport = true, v6only = true,
  fastopen_connect = true }

-- A connection has no use for them.
local of_servers = { fastopen = true, defer_accept = true }

--- Get or set an option of what there is; nil alone: there is nothing yet.
local function access(self, ours, ...)
  if self.conn then return self.conn:option(ours, ...) end
  if self.listener then return core.listener_option(self.listener, ours, ...) end
  if self.bound then return core.fd_option(self.bound, ours, ...) end
end

--- Set on a new socket what was asked for.
local function prepare(self, fd)
  for _, option in ipairs(self.options) do
    local ours = common.option(option[1])
    if ours then
      local ok, message, code = core.fd_option(fd, ours, option[2])
      if not ok then return nil, message, code end
    end
  end
  return true
end

--- The value of an option that was set, or false.
local function option_of(self, name)
  for i = #self.options, 1, -1 do
    if self.options[i][1] == name then return self.options[i][2] end
  end
  return false
end

--- Before there is a socket they are kept for it, and what the kernel refuses is
-- told by bind or connect.
function tcp:setoption(name, value)
  local ours = common.option(name, true)
  if value == nil then value = true end
  if ours == "fastopen_connect" and type(value) == "number" then
    value = value ~= 0 -- a flag, of which LuaSocket makes a number
  end
  if ours then
    local ok, message, code = access(self, ours, value)
    if not ok and message then return common.failure(message, code) end
  end
  self.options[#self.options + 1] = { name, value }
  return 1
end

function tcp:getoption(name)
  local ours = common.option(name)
  if ours then
    local value, message, code = access(self, ours)
    if value ~= nil then return value end
    if message then return common.failure(message, code) end
  end
  return option_of(self, name)
end

-- -- becoming a client --

--- From now on it is a client of this stream, which is closed when an option
-- can't be had.
function tcp:attach(conn)
  for _, option in ipairs(self.options) do
    local ours = common.option(option[1])
    if ours and not early[ours] and not of_servers[ours] then
      local ok, message, code = conn:option(ours, option[2])
      if not ok then
        conn:close()
        return common.failure(message, code)
      end
    end
  end
  self.conn, self.kind = conn, "client"
  return self
end

local function become(self, conn)
  local ok, text = self:attach(conn)
  if not ok then return nil, text end
  return 1
end

local function addresses(self, host, port)
  if not self.family then return common.join(host, port) end
  local list, message, code = net.resolve(host, port, { family = self.family,
    timeout = common.limit(self) })
  return list, message, code
end

--- A connect that was begun with a limit of zero has perhaps ended.
local function finish(self)
  local conn, text = dial.finish(self.dialing)
  if text == "timeout" then return nil, text end
  self.dialing = nil
  if not conn then return nil, text end
  return become(self, conn)
end

--- For who is about to use the connection: is it still on its way?
function tcp:is_dialing()
  if self.dialing then finish(self) end
  return self.dialing ~= nil
end

--- A cancel gives the connection up, as it does everywhere else.
local function begin(self, host, port)
  local text
  local bound, limit, waited = self.bound, common.limit(self), false
  local family = self.family or option_of(self, "ipv6-v6only") and "inet6" or nil
  self.bound = nil
  self.dialing, text = dial.begin(host, port, family, bound, function(fd)
    return prepare(self, fd)
  end)
  if not self.dialing then return nil, text end
  local _ <close> = core.defer(function()
    if waited or not self.dialing then return end
    dial.give_up(self.dialing)
    self.dialing = nil
  end)
  if limit == 0 then
    core.sleep(0) -- on this machine it is often there at once
  else
    dial.wait(self.dialing, limit)
  end
  waited = true
  return finish(self)
end

function tcp:connect(host, port)
  common.check_host(host, port, "connect")
  if self.conn then return nil, "already connected" end
  if self.listener then return nil, "operation not supported" end
  if self.dialing then return finish(self) end
  if self.bound or common.limit(self) == 0 or option_of(self, "ipv6-v6only")
    or option_of(self, "tcp-fastopen-connect") then
    return begin(self, host, port)
  end
  local to, message, code = addresses(self, host, port)
  local conn
  if to then
    conn, message, code = net.connect(to, { timeout = common.limit(self) })
  end
  if not conn then return common.failure(message, code) end
  return become(self, conn)
end

-- -- serving --

--- One address of a host and a port, as text.
local function own_address(self, host, port)
  local address = common.join(host, port, self.family)
  if core.address(address, true) then return address end
  local list, message, code = net.resolve(host, port, { family = self.family })
  return list and list[1], message, code
end

--- Bind to an address as proa has it.
function tcp:bind_to(address)
  local fd, message, code = core.fd.socket(address)
  local ok
  if fd then ok, message, code = prepare(self, fd) end
  if ok then ok, message, code = fd:bind(address) end
  if ok then
    self.bound = fd
    return 1
  end
  if fd then fd:close() end
  return common.failure(message, code)
end

--- It becomes a server with listen, a client with connect.
function tcp:bind(host, port)
  common.check_host(host, port, "bind")
  if self.conn or self.listener or self.bound then
    return nil, "invalid argument"
  end
  local address, message, code = own_address(self, host, port)
  if not address then return common.failure(message, code) end
  local _, _, family = common.split(address)
  self.family = family
  return self:bind_to(address)
end

function tcp:listen(backlog)
  local message, code
  if self.bound then
    self.listener, message, code = core.listener_of(self.bound, backlog or 32)
    if not self.listener then return common.failure(message, code) end
    self.bound = nil
  end
  if not self.listener then return nil, "invalid argument" end
  self.kind = "server"
  return 1
end

function tcp:accept()
  if self.kind == "closed" then return nil, "closed" end
  if not self.listener then return nil, "invalid argument" end
  local conn, message, code = self.held, nil, nil
  self.held = nil -- select has taken it
  if not conn then
    conn, message, code = self.listener:accept(common.limit(self))
  end
  if not conn then return common.failure(message, code) end
  return tcp.new(self.family, getmetatable(self)):attach(conn)
end

-- -- the rest --

function tcp:shutdown(how)
  how = how or "both"
  if how ~= "both" and how ~= "send" and how ~= "receive" then
    error("bad argument #1 to 'shutdown' (invalid shutdown method)", 2)
  end
  if not self.conn then return nil, "closed" end
  if how ~= "receive" then self.conn:shutdown "w" end
  return 1
end

--- With a linger of no time what was not sent is dropped, as SO_LINGER has it.
local function close_conn(self)
  local linger = option_of(self, "linger")
  local drops = type(linger) == "table" and linger.on and linger.timeout == 0
  if drops then self.conn:abort() else self.conn:close() end
end

function tcp:close()
  if self.conn then close_conn(self) end
  if self.bound then self.bound:close() end
  if self.listener then self.listener:close() end
  if self.held then self.held:close() end
  if self.dialing then dial.give_up(self.dialing) end
  self.dialing = nil
  self.conn, self.listener, self.held, self.bound = nil, nil, nil, nil
  self.kind = "closed"
  return 1
end

function tcp:getsockname()
  local object = self.conn or self.listener or self.bound
  if not object then return nil, "closed" end
  return common.name(object:address())
end

function tcp:getfamily()
  return self.family == "inet6" and "inet6" or "inet4"
end

function tcp:getpeername()
  if not self.conn then return nil, "closed" end
  return common.name(self.conn:peer())
end

--- Are there bytes that select need not wait for?
function tcp:dirty()
  if self.held then return true end
  return self.conn ~= nil and core.unread_bytes(self.conn) > 0
end

function tcp:getfd()
  local object = self.conn or self.listener or self.bound
  return object and core.fileno(object) or -1
end

function tcp:getstats()
  return self.received, self.sent, core.now() - self.born
end

function tcp:setstats(received, sent, age)
  self.received, self.sent = received or 0, sent or 0
  self.born = core.now() - (age or 0)
  return 1
end

tcp.setsockname, tcp.setpeername = tcp.bind, tcp.connect

-- -- for select --

--- Wait until a receive or an accept would not wait.
function tcp:wait_readable()
  if self.dialing then dial.wait(self.dialing) finish(self) end
  if self.held or not (self.conn or self.listener) then return end
  if self.conn then self.conn:peek() else self.held = self.listener:accept() end
end

function tcp:wait_writable()
  if self.dialing then dial.wait(self.dialing) return end
  if self.conn then self.conn:write "" end
end

return tcp
