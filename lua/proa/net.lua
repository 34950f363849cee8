--- proa.net: connect and listen.
-- Resolving and connecting, which wait, are put together here from ops; what
-- needs no waiting is the core's. Addresses are text: "host:port", ":port",
-- "[::1]:port", "unix:/path", "unix:@name".
-- SPDX-License-Identifier: MIT

local core = require "proa.core"

local net = {}

--- Raises for keys that are not known: a misspelt limit is no limit.
local function check_options(options, known, who)
  for key in pairs(options) do
    if not known[key] then
      error(("%s: unknown option '%s'"):format(who, tostring(key)), 3)
    end
  end
end

--- The addresses that stand behind a text.
local function candidates(address)
  local text, host, service = core.address(address)
  if text then return { text } end
  local list, message, code = core.call("resolve", host, service)
  if not list then return nil, message, code end
  return list
end

local function connect_one(address)
  local fd, message, code = core.fd.socket(address)
  if not fd then return nil, message, code end
  local closing <close> = fd
  local ok
  ok, message, code = core.call("connect", fd, address)
  if not ok then return nil, message, code end
  return core.stream(closing)
end

local function connect(address)
  local list, message, code = candidates(address)
  if not list then return nil, message, code end
  local stream
  for _, candidate in ipairs(list) do
    stream, message, code = connect_one(candidate)
    if stream then return stream end
  end
  return nil, message or ("connect %s: no address"):format(address),
    code or "ENOENT"
end

--- Connect a stream.
---@param address string
---@param options { timeout: number? }? seconds
---@return proa.stream|nil stream, string? message, string? code an errno name
---  or TIMEOUT
function net.connect(address, options)
  options = options or {}
  check_options(options, { timeout = true }, "connect")
  if type(address) ~= "string" then
    error("connect: an address is a string", 2)
  end
  if not options.timeout then return connect(address) end
  local stream, message, code = core.timeout(options.timeout, connect, address)
  if not stream and code == "TIMEOUT" then
    message = ("connect %s: timed out"):format(address)
  end
  return stream, message, code
end

--- Listen for streams. ":80" is every interface, dual stack.
---@param address string
---@param options { backlog: integer?, reuse_port: boolean? }? backlog: 1024
---@return proa.listener|nil listener, string? message, string? code
function net.listen(address, options)
  options = options or {}
  check_options(options, { backlog = true, reuse_port = true }, "listen")
  return core.listen(address, options.backlog or 1024,
    options.reuse_port or false)
end

--- Two connected streams.
---@return proa.stream|nil, proa.stream|string, string? code
function net.pair()
  local a, b, code = core.fd.pair()
  if not a then return nil, b, code end
  return core.stream(a), core.stream(b)
end

--- The addresses of a name, as text that connect takes.
---@param host string
---@param service string|integer|nil port or name of a service; default 0
---@return string[]|nil addresses, string? message, string? code
function net.resolve(host, service)
  return core.call("resolve", host, tostring(service or 0))
end

return net
