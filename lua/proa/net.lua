--- proa.net: connect and listen.
-- Resolving and connecting, which wait, are put together here from ops; what
-- needs no waiting is the core's. Addresses are text: "host:port", ":port",
-- "[::1]:port", "unix:/path", "unix:@name".
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local datagram = require "proa.datagram"

local net = {}

--- Raises for keys that are not known: a misspelt limit is no limit.
local function check_options(options, known, who)
  if type(options) ~= "table" then
    error(("%s: a table of options expected, got %s"):format(who,
      type(options)), 3)
  end
  for key in pairs(options) do
    if not known[key] then
      error(("%s: unknown option '%s'"):format(who, tostring(key)), 3)
    end
  end
end

--- For a message: what others may have named may hold control characters.
local function shown(address)
  return (address:gsub("%c", function(c)
    return ("\\x%02x"):format(c:byte())
  end))
end

--- What core.address says of it. Raises, in the name of who was called, for
-- what is no address at all.
local function parsed(who, address, to_listen)
  if type(address) ~= "string" then
    error(("%s: an address is a string, got %s"):format(who, type(address)), 3)
  end
  local text, host, service = core.address(address, to_listen)
  if text == false and not service then
    error(("%s: %s"):format(who, host), 3)
  end
  return text, host, service
end

--- The addresses of a name. verb and what: for the message, as they were typed.
local function resolve(verb, what, host, service)
  local list, message, code = core.call("resolve", host, service)
  if list or code ~= "ENOENT" then return list, message, code end
  return nil, ("%s %s: there is no such name%s"):format(verb, shown(what),
    tonumber(service) and "" or " or service"), code
end

local function connect_one(address)
  local fd, message, code = core.fd.socket(address)
  if not fd then
    return nil, ("connect %s: %s"):format(shown(address), message), code
  end
  local closing <close> = fd
  local ok
  ok, message, code = core.call("connect", fd, address)
  if not ok then return nil, message, code end
  return core.stream(closing)
end

--- An error of one of the addresses of a name: both are told.
local function with_name(message, address, candidate)
  local head = "connect " .. shown(candidate) .. ": "
  if message:sub(1, #head) ~= head then return message end
  return ("connect %s (%s): %s"):format(shown(address), shown(candidate),
    message:sub(#head + 1))
end

local function connect_name(address, host, service)
  local list, message, code = resolve("connect", address, host, service)
  if not list then return nil, message, code end
  local stream
  for _, candidate in ipairs(list) do
    stream, message, code = connect_one(candidate)
    if stream then return stream end
    message = with_name(message, address, candidate)
  end
  return nil, message or ("connect %s: no address"):format(shown(address)),
    code or "ENOENT"
end

local function connect(address, text, host, service)
  if text then return connect_one(text) end
  if text == false then return nil, host, service end
  return connect_name(address, host, service)
end

--- Connect a stream.
---@param address string
---@param options { timeout: number? }? seconds
---@return proa.stream|nil stream, string? message, string? code an errno name
---  or TIMEOUT
function net.connect(address, options)
  options = options or {}
  check_options(options, { timeout = true }, "connect")
  local text, host, service = parsed("connect", address)
  local limit = options.timeout
  if limit == nil then return connect(address, text, host, service) end
  if type(limit) ~= "number" then
    error("connect: timeout: a number of seconds expected", 2)
  end
  local stream, message, code =
    core.timeout(limit, connect, address, text, host, service)
  if not stream and code == "TIMEOUT" then
    message = ("connect %s: timed out"):format(shown(address))
  end
  return stream, message, code
end

--- Permissions as an integer (0x1B0) or in octal digits ("660").
local function check_mode(mode)
  local bits = mode
  if type(mode) == "string" and mode:find "^0?[0-7][0-7][0-7]$" then
    bits = tonumber(mode, 8)
  end
  if math.type(bits) ~= "integer" or bits < 0 or bits > 511 then
    error(("listen: mode: octal digits like \"660\" or an integer of 0 to 511"
      .. " expected, got %s"):format(tostring(mode)), 3)
  end
  return bits
end

local function check_backlog(backlog)
  if math.type(backlog) ~= "integer" or backlog < 1 or backlog > 65535 then
    error(("listen: backlog: an integer of 1 to 65535 expected, got %s"):format(
      tostring(backlog)), 3)
  end
  return backlog
end

local function check_flag(key, value)
  if type(value) ~= "boolean" then
    error(("listen: %s: a boolean expected, got %s"):format(key,
      tostring(value)), 3)
  end
  return value
end

local listen_options = { backlog = true, reuse_port = true, mode = true }

--- Listen for streams. ":80" is every interface, dual stack.
---@param address string
---@param options { backlog: integer?, reuse_port: boolean?,
---  mode: integer|string|nil }? backlog: 1024; mode: of a Unix path
---@return proa.listener|nil listener, string? message, string? code
function net.listen(address, options)
  options = options or {}
  check_options(options, listen_options, "listen")
  local text, host = parsed("listen", address, true)
  if text == nil then
    error(("listen: '%s' is a name; an address of this machine expected, like "
      .. "\"127.0.0.1:0\", \"[::1]:0\" or \":0\""):format(host), 2)
  end
  local backlog, mode = options.backlog, options.mode
  local reuse_port = options.reuse_port
  if mode ~= nil and not address:find "^unix:[^@]" then
    error("listen: mode is for paths of Unix sockets", 2)
  end
  if reuse_port and address:find "^unix:" then
    error("listen: reuse_port is for TCP", 2)
  end
  return core.listen(address, backlog == nil and 1024 or check_backlog(backlog),
    reuse_port ~= nil and check_flag("reuse_port", reuse_port),
    mode ~= nil and check_mode(mode) or nil)
end

--- Two connected streams, or sockets of datagrams.
---@param options { memory: boolean?, datagram: boolean? }? memory: without
---  descriptors, in this process's memory
---@return proa.stream|nil, proa.stream|string, string? code
function net.pair(options)
  options = options or {}
  check_options(options, { memory = true, datagram = true }, "pair")
  if options.memory and options.datagram then
    error("pair: either in memory or of datagrams", 2)
  end
  if options.memory then return core.memory_pair() end
  if options.datagram then return datagram.pair() end
  local a, b, code = core.fd.pair()
  if not a then return nil, b, code end
  return core.stream(a), core.stream(b)
end

--- The addresses of a name, as text that connect takes.
---@param host string
---@param service string|integer|nil port or name of a service; default 0
---@return string[]|nil addresses, string? message, string? code
function net.resolve(host, service)
  if type(host) ~= "string" then
    error("resolve: a name is a string, got " .. type(host), 2)
  end
  return resolve("resolve", host, host, tostring(service or 0))
end

--- A socket of datagrams. `udp` is for UDP, `datagram` for Unix as well.
---@param options table? see proa.datagram_options
---@return proa.datagram|nil socket, string? message, string? code
function net.datagram(options)
  return datagram.open("datagram", options, resolve)
end

function net.udp(options)
  for _, key in ipairs(type(options) == "table" and { "bind", "connect" }
    or {}) do
    local address = options[key]
    if type(address) == "string" and address:find "^unix:" then
      error("udp: " .. key .. ": a Unix address; proa.net.datagram takes it", 2)
    end
  end
  return datagram.open("udp", options, resolve)
end

return net
