--- What the objects of proa.socket share: errors, limits, names, options.
-- The words are LuaSocket's: its errors are texts such as "timeout" and
-- "closed", its limits have modes, its hosts and ports are apart.
-- SPDX-License-Identifier: MIT

local common = {}

local by_code = {
  TIMEOUT = "timeout", ETIMEDOUT = "timeout", EAGAIN = "timeout",
  CLOSED = "closed", EOF = "closed", EPIPE = "closed", ECONNRESET = "closed",
  ECONNABORTED = "closed", ENOTCONN = "closed",
  EISCONN = "already connected", EACCES = "permission denied",
  EAI_NONAME = "host or service not provided, or not known",
  EAI_NODATA = "host or service not provided, or not known",
  EAI_ADDRFAMILY = "host or service not provided, or not known",
  EAI_SERVICE = "service not supported for socket type",
  EAI_AGAIN = "temporary failure in name resolution",
  EAI_FAIL = "non-recoverable failure in name resolution",
}

--- LuaSocket's text for a failure.
function common.text(message, code)
  return by_code[code] or (tostring(message):match ".*: (.*)$")
    or tostring(message)
end

--- nil, text; of what proa returned as nil, message, code.
function common.failure(message, code)
  return nil, common.text(message, code)
end

-- -- addresses --

--- "host:port" of a host and a port, a name or a number each.
function common.join(host, port, family)
  if host == "*" then host = family == "inet6" and "::" or "0.0.0.0" end
  if host:find(":", 1, true) then host = "[" .. host .. "]" end
  return ("%s:%s"):format(host, port)
end

--- host, port, family; of an address that proa gave.
function common.split(address)
  local six, port = address:match "^%[(.*)%]:(%d+)$"
  if six then return six, math.tointeger(port), "inet6" end
  local four
  four, port = address:match "^(.*):(%d+)$"
  if four then return four, math.tointeger(port), "inet" end
  return address, nil, "unix"
end

--- The results of getsockname or getpeername.
function common.name(address, message, code)
  if not address then return common.failure(message, code) end
  return common.split(address)
end

function common.check_host(host, port, who)
  if type(host) ~= "string" then
    error(("bad argument #1 to '%s' (string expected, got %s)"):format(who,
      type(host)), 3)
  end
  if type(port) ~= "string" and type(port) ~= "number" then
    error(("bad argument #2 to '%s' (string expected, got %s)"):format(who,
      type(port)), 3)
  end
end

-- -- limits --

--- settimeout(seconds[, mode]): "b" for each wait, "t" for the whole call;
-- none, nil or negative: no limit.
function common.set_timeout(self, value, mode)
  if value ~= nil and type(value) ~= "number" then
    error("bad argument #1 to 'settimeout' (number expected, got "
      .. type(value) .. ")", 3)
  end
  if value and value < 0 then value = nil end
  mode = mode or "b"
  if mode == "b" then
    self.block = value
  elseif mode == "t" or mode == "r" then
    self.total = value
  else
    error("bad argument #2 to 'settimeout' (invalid timeout mode)", 3)
  end
  return 1
end

--- The limit of a call that waits once, or nil.
function common.limit(self)
  local block, total = self.block, self.total
  if block and total then return math.min(block, total) end
  return block or total
end

function common.get_timeout(self)
  return self.block or -1, self.total or -1
end

-- -- options: LuaSocket's names --

local names = {
  keepalive = "keepalive", reuseaddr = "reuseaddr", reuseport = "reuseport",
  broadcast = "broadcast", ["tcp-nodelay"] = "nodelay",
  ["tcp-keepidle"] = "keepidle", ["tcp-keepcnt"] = "keepcnt",
  ["tcp-keepintvl"] = "keepintvl", ["ipv6-v6only"] = "v6only",
  ["recv-buffer-size"] = "rcvbuf", ["send-buffer-size"] = "sndbuf",
  ["ip-multicast-loop"] = "multicast_loop",
  ["ip-multicast-ttl"] = "multicast_ttl", ["tcp-user-timeout"] = "user_timeout",
  ["ip-multicast-if"] = "multicast_if",
  ["ipv6-multicast-loop"] = "multicast_loop",
  ["ipv6-multicast-hops"] = "multicast_ttl", ["ipv6-unicast-hops"] = "ttl",
  ["tcp-defer-accept"] = "defer_accept", ["tcp-fastopen"] = "fastopen",
  ["tcp-fastopen-connect"] = "fastopen_connect", linger = false,
  error = "error",
}

--- Those of groups: the verb for what they do.
common.memberships = {
  ["ip-add-membership"] = "join", ["ip-drop-membership"] = "leave",
  ["ipv6-add-membership"] = "join", ["ipv6-drop-membership"] = "leave",
}

--- The name that proa has for an option; false: it has none, and need not.
-- Raises for what LuaSocket does not know either.
function common.option(name, to_set, level)
  local ours = names[name]
  if ours == nil or (to_set and ours == "error") then
    error(("bad argument #1 (unsupported option `%s')"):format(tostring(name)),
      level or 3)
  end
  return ours
end

return common
