--- proa.net: connect, listen, resolve, sockets of datagrams.
-- Resolving and connecting, which wait, are put together here from ops; what
-- needs no waiting is the core's. Addresses are text: "host:port", ":port",
-- "[::1]:port", "unix:/path", "unix:@name".
-- SPDX-License-Identifier: MIT

local check = require "proa.options"
local connect = require "proa.connect"
local core = require "proa.core"
local datagram = require "proa.datagram"
local misuse = require "proa.misuse"

local net = {}

local shown = connect.shown

--- Raises as check.check does; of a host and a port apart, how they belong
-- together.
local function check_options(who, address, options, known)
  local kind = type(options)
  if (kind == "number" or kind == "string") and type(address) == "string"
    and core.address(address, true) == false then
    misuse("%s: a table of options expected, got %s; host and port are one"
      .. " address: \"%s:%s\"", who, kind,
      address:find(":", 1, true) and "[" .. address .. "]" or address, options)
  end
  check.check(options, known, who)
end

--- What core.address says of it. Raises, in the name of who was called, for
-- what is no address at all.
local function parsed(who, address, to_listen)
  if type(address) ~= "string" then
    misuse("%s: an address is a string%s, got %s", who, math.type(address)
      == "integer" and (" like \":%d\""):format(address) or "", type(address))
  end
  local text, host, service = core.address(address, to_listen)
  if text == false and not service then misuse("%s: %s", who, host) end
  return text, host, service
end

--- The addresses of a name. verb and what: for the message, as they were typed.
local function resolve(verb, what, host, service, options)
  return core.resolve(verb .. " " .. shown(what), host, service,
    options and options.family or "any", options and options.numeric,
    options and options.timeout)
end

-- -- connect --

--- An address that needs neither a name looked up nor a second attempt.
local function connect_one(address, bind)
  local fd, message, code = connect.socket(address, bind)
  if not fd then
    return nil, ("connect %s: %s"):format(shown(address), message), code
  end
  local closing <close> = fd
  local ok
  ok, message, code = core.call("connect", fd, address)
  if not ok then return nil, message, code end
  return core.stream(closing)
end

local function connect_name(address, host, service, stagger, bind)
  local list, message, code = resolve("connect", address, host, service)
  if not list then return nil, message, code end
  return connect.any(address, connect.interleave(list), stagger, bind)
end

local function connect_to(address, stagger, bind)
  local text, host, service = parsed("connect", address)
  if text then return connect_one(text, bind) end
  if text == false then return nil, host, service end
  return connect_name(address, host, service, stagger, bind)
end

--- Several: names are replaced by their addresses, the order is the caller's.
local function connect_list(addresses, stagger, bind)
  local list, failure = {}, {}
  for _, address in ipairs(addresses) do
    local text, host, service = parsed("connect", address)
    local found = text and { text }
    if text == false then
      failure = { host, service }
    elseif not text then
      found, failure[1], failure[2] = resolve("connect", address, host, service)
      found = found and connect.interleave(found)
    end
    table.move(found or {}, 1, #(found or {}), #list + 1, list)
  end
  if #list == 0 then return nil, failure[1], failure[2] end
  return connect.any(table.concat(addresses, " or "), list, stagger, bind)
end

local function check_addresses(addresses)
  if type(addresses) ~= "table" then
    parsed("connect", addresses)
    return addresses
  end
  for _, address in ipairs(addresses) do parsed("connect", address) end
  if #addresses == 0 then misuse("connect: an empty list of addresses") end
  return table.concat(addresses, " or ")
end

local connect_options = { timeout = true, stagger = true, bind = true }

--- The address of this end, which is not a name.
local function check_bind(address)
  if address ~= nil and not parsed("connect: bind", address, true) then
    misuse("connect: bind: '%s' is no address of this machine", address)
  end
  return address
end

--- Connect a stream; to the first of several addresses that takes one.
---@param address string|string[]
---@param options { timeout: number?, stagger: number?, bind: string? }?
---  seconds; the address of this end
---@return proa.stream|nil stream, string? message, string? code an errno name,
---  EAI_* or TIMEOUT
function net.connect(address, options)
  options = options or {}
  check_options("connect", address, options, connect_options)
  local what = check_addresses(address)
  local limit, stagger = options.timeout, options.stagger
  check.typed("connect", "timeout", limit, "number", "number of seconds")
  check.typed("connect", "stagger", stagger, "number", "number of seconds")
  local dial = type(address) == "table" and connect_list or connect_to
  local bind = check_bind(options.bind)
  if limit == nil then return dial(address, stagger, bind) end
  local stream, message, code = core.timeout(limit, dial, address, stagger, bind)
  if not stream and code == "TIMEOUT" then
    message = ("connect %s: timed out"):format(shown(what))
  end
  return stream, message, code
end

-- -- listen --

local function check_backlog(backlog)
  if math.type(backlog) ~= "integer" or backlog < 1 or backlog > 65535 then
    misuse("listen: backlog: an integer of 1 to 65535 expected, got %s",
      tostring(backlog))
  end
  return backlog
end

local function check_flag(key, value)
  if type(value) ~= "boolean" then
    misuse("listen: %s: a boolean expected, got %s", key, tostring(value))
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
  check_options("listen", address, options, listen_options)
  local text, host = parsed("listen", address, true)
  if text == nil then
    misuse("listen: '%s' is a name; an address of this machine expected, like "
      .. "\"127.0.0.1:0\", \"[::1]:0\" or \":0\"", host)
  end
  local backlog, mode = options.backlog, options.mode
  local reuse_port = options.reuse_port
  if mode ~= nil and not address:find "^unix:[^@]" then
    misuse "listen: mode is for paths of Unix sockets"
  end
  if reuse_port and address:find "^unix:" then
    misuse "listen: reuse_port is for TCP"
  end
  return core.listen(address, backlog == nil and 1024 or check_backlog(backlog),
    reuse_port ~= nil and check_flag("reuse_port", reuse_port),
    check.mode("listen", mode))
end

-- -- pairs, datagrams --

--- Two connected streams, or sockets of datagrams.
---@param options { memory: boolean?, datagram: boolean? }? memory: without
---  descriptors, in this process's memory
---@return proa.stream|nil, proa.stream|string, string? code
function net.pair(options)
  options = options or {}
  check.check(options, { memory = true, datagram = true }, "pair")
  if options.memory and options.datagram then
    misuse "pair: either in memory or of datagrams"
  end
  if options.memory then return core.memory_pair() end
  if options.datagram then return datagram.pair() end
  local a, b, code = core.fd.pair()
  if not a then return nil, b, code end
  local one, other, message
  one, message, code = core.stream(a)
  if one then other, message, code = core.stream(b) end
  if other then return one, other end
  if one then one:close() end
  b:close()
  return nil, message, code
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
      misuse("udp: %s: a Unix address; proa.net.datagram takes it", key)
    end
  end
  return datagram.open("udp", options, resolve)
end

-- -- names --

local resolve_options = { family = true, numeric = true, timeout = true }
local families = { inet = true, inet6 = true }

--- The addresses of a name, as text that connect takes.
---@param host string
---@param service string|integer|nil port or name of a service; default 0
---@param options { family: "inet"|"inet6"|nil, numeric: boolean?,
---  timeout: number? }?
---@return string[]|nil addresses, string? message, string? code
function net.resolve(host, service, options)
  if type(host) ~= "string" then
    misuse("resolve: a name is a string, got %s", type(host))
  end
  if type(service) == "table" and options == nil then
    service, options = nil, service
  end
  options = options or {}
  check.check(options, resolve_options, "resolve")
  check.typed("resolve", "timeout", options.timeout, "number",
    "number of seconds")
  if options.family ~= nil and not families[options.family] then
    misuse("resolve: family: inet or inet6 expected, got %s",
      tostring(options.family))
  end
  return resolve("resolve", host, host, tostring(service or 0), options)
end

--- The name that belongs to an address.
---@param address string as for connect; the port does not count
---@param options { timeout: number? }?
---@return string|nil host, string? message, string? code
function net.name(address, options)
  options = options or {}
  check.check(options, { timeout = true }, "name")
  check.typed("name", "timeout", options.timeout, "number", "number of seconds")
  if type(address) == "string" and address ~= "" then
    for _, form in ipairs { "[%s]:0", "%s:0" } do
      local whole = form:format(address)
      if core.address(whole) then
        address = whole
        break
      end
    end
  end
  if not parsed("name", address) or address:find "^unix:" then
    misuse("name: '%s' is no address of IPv4 or IPv6", address)
  end
  local name, message, code = core.op.name(address):await(options.timeout)
  if code == "TIMEOUT" then message = ("name %s: timed out"):format(address) end
  return name, message, code
end

return net
