--- proa.socket: LuaSocket's shape, so that programs written for it run in tasks.
-- Every call that would block awaits instead; other tasks run meanwhile. Errors
-- are LuaSocket's texts ("timeout", "closed"), with partial results. install()
-- makes it what `require "socket"` gives.
-- Not there: setfd, as others may not read and write what proa does, and
-- LuaSocket's own modules above (socket.http, ltn12 ...), which work with this
-- one where they are installed.
-- SPDX-License-Identifier: MIT

local common = require "proa.socket.common"
local core = require "proa.core"
local net = require "proa.net"
local select_sockets = require "proa.socket.select"
local tcp = require "proa.socket.tcp"
local udp = require "proa.socket.udp"

local socket = {
  _VERSION = "LuaSocket 3.1.0 (proa.socket)", _DEBUG = false,
  _SETSIZE = 1 << 20, _SOCKETINVALID = -1, _DATAGRAMSIZE = 8192,
  BLOCKSIZE = 2048, select = select_sockets,
}

-- -- sockets --

function socket.tcp() return tcp.new() end
function socket.tcp4() return tcp.new "inet" end
function socket.tcp6() return tcp.new "inet6" end
function socket.udp() return udp.new() end
function socket.udp4() return udp.new "inet" end
function socket.udp6() return udp.new "inet6" end

local function connect(family, host, port, own_host, own_port)
  local object = tcp.new(family)
  local ok, text = true, nil
  if own_host then ok, text = object:bind(own_host, own_port or 0) end
  if ok then ok, text = object:connect(host, port) end
  if ok then return object end
  object:close()
  return nil, text
end

function socket.connect(host, port, own_host, own_port, family)
  return connect(family, host, port, own_host, own_port)
end

function socket.connect4(host, port) return connect("inet", host, port) end
function socket.connect6(host, port) return connect("inet6", host, port) end

--- A server that listens.
function socket.bind(host, port, backlog)
  local object = tcp.new()
  object:setoption("reuseaddr", true)
  local ok, text = object:bind(host, port)
  if ok then ok, text = object:listen(backlog) end
  if ok then return object end
  object:close()
  return nil, text
end

-- -- time --

function socket.sleep(seconds)
  core.sleep(math.max(0, seconds))
end

local offset -- from the monotonic clock to that of the day

--- Seconds since 1970; it never goes back.
function socket.gettime()
  offset = offset or os.time() - core.now()
  return core.now() + offset
end

-- -- names --

socket.dns = {}

--- getaddrinfo(host) -> { { family =, addr = }, ... }
function socket.dns.getaddrinfo(host)
  local list, message, code = net.resolve(host)
  if not list then return common.failure(message, code) end
  local result = {}
  for i, address in ipairs(list) do
    local addr, _, family = common.split(address)
    result[i] = { family = family, addr = addr }
  end
  return result
end

--- toip(host) -> the first IPv4 address, { name =, alias =, ip = }
function socket.dns.toip(host)
  local list, message, code = net.resolve(host, { family = "inet" })
  if not list then return common.failure(message, code) end
  local ips = {}
  for i, address in ipairs(list) do ips[i] = common.split(address) end
  return ips[1], { name = host, alias = {}, ip = ips }
end

--- The name of an address, or the address.
local function name_or_ip(ip)
  return net.name(ip) or ip
end

--- tohostname(address) -> its name, { name =, alias =, ip = }
function socket.dns.tohostname(host)
  local ip, resolved = socket.dns.toip(host)
  if not ip then return nil, resolved end
  local name = net.name(ip)
  if not name then return nil, "host not found" end
  resolved.name = name
  return name, resolved
end

--- getnameinfo([host][, service]) -> the names of its addresses, the service
function socket.dns.getnameinfo(host, service)
  if host == nil and service == nil then
    error("host and service cannot be both nil", 2)
  end
  local list, text = socket.dns.getaddrinfo(host or "127.0.0.1")
  if not list then return nil, text end
  local names = {}
  for i, entry in ipairs(list) do names[i] = name_or_ip(entry.addr) end
  if not host then return service end
  return names, service
end

function socket.dns.gethostname()
  local file <close> = io.open "/proc/sys/kernel/hostname"
  return file and file:read "l" or "localhost"
end

-- -- errors as exceptions --

local exception = {} -- the metatable of what a try throws

function exception:__tostring() return tostring(self[1]) end

--- A function that throws when its first argument is false or nil, after the
-- finaliser has run; protect turns that into nil and the second argument.
function socket.newtry(finaliser)
  return function(...)
    if ... then return ... end
    if finaliser then pcall(finaliser) end
    error(setmetatable({ (select(2, ...)) }, exception), 0)
  end
end

socket.try = socket.newtry()

local function protected(ok, ...)
  if ok then return ... end
  local thrown = ...
  if getmetatable(thrown) ~= exception then error(thrown, 0) end
  return nil, thrown[1]
end

function socket.protect(fn)
  return function(...) return protected(pcall(fn, ...)) end
end

function socket.skip(n, ...)
  return select(n + 1, ...)
end

-- -- sinks and sources, for LTN12 --

function socket.choose(list)
  return function(name, a, b)
    if type(name) ~= "string" then name, a, b = "default", name, a end
    local make = list[name or "nil"]
    if not make then error("unknown key (" .. tostring(name) .. ")", 3) end
    return make(a, b)
  end
end

local function stream_of(object, call)
  return setmetatable({ getfd = function() return object:getfd() end,
    dirty = function() return object:dirty() end }, { __call = call })
end

socket.sinkt = {
  ["close-when-done"] = function(object)
    return stream_of(object, function(_, chunk)
      if chunk then return object:send(chunk) end
      object:close()
      return 1
    end)
  end,
  ["keep-open"] = function(object)
    return stream_of(object, function(_, chunk)
      return chunk and object:send(chunk) or 1
    end)
  end,
}
socket.sinkt.default = socket.sinkt["keep-open"]
socket.sink = socket.choose(socket.sinkt)

socket.sourcet = {
  ["by-length"] = function(object, length)
    return stream_of(object, function()
      if length <= 0 then return nil end
      local chunk, text = object:receive(math.min(socket.BLOCKSIZE, length))
      if not chunk then return nil, text end
      length = length - #chunk
      return chunk
    end)
  end,
  ["until-closed"] = function(object)
    local done
    return stream_of(object, function()
      if done then return nil end
      local chunk, text, partial = object:receive(socket.BLOCKSIZE)
      if chunk then return chunk end
      if text ~= "closed" then return nil, text end
      done = true
      object:close()
      return partial ~= "" and partial or nil
    end)
  end,
}
socket.sourcet.default = socket.sourcet["until-closed"]
socket.source = socket.choose(socket.sourcet)

-- -- in place of LuaSocket --

--- From now on `require "socket"` gives this module, "socket.unix" its own.
function socket.install()
  local modules = { ["socket"] = socket, ["socket.core"] = socket,
    ["socket.unix"] = require "proa.socket.unix" }
  for name, module in pairs(modules) do
    package.loaded[name] = module
    package.preload[name] = function() return module end
  end
  return socket
end

return socket
