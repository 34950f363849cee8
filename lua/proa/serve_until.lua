--- serve_until: end servers by a signal, gently at first.
-- Built on signal.each and on what servers have: close, and, where they have
-- them, drain (wait for who is being served) and abort (drop them).
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local misuse = require "proa.misuse"

local DRAIN = 30

--- What is a server, and not the options behind the servers?
local function is_server(value)
  local kind = type(value)
  if kind ~= "table" and kind ~= "userdata" then return false end
  local ok, close = pcall(function() return value.close end)
  return ok and close ~= nil
end

local function check_options(options)
  for key in pairs(options) do
    if key ~= "drain" then
      misuse("serve_until: unknown option '%s'", tostring(key))
    end
  end
  local limit = options.drain
  if limit == nil then return DRAIN end
  if type(limit) ~= "number" or limit < 0 or limit ~= limit then
    misuse("serve_until: drain: a number of seconds expected, got %s",
      tostring(limit))
  end
  return limit
end

--- Arguments after the signals: servers, then perhaps options.
local function arguments(...)
  local servers = table.pack(...)
  local last, limit = servers[servers.n], DRAIN
  if type(last) == "table" and not is_server(last) then
    limit = check_options(last)
    servers[servers.n], servers.n = nil, servers.n - 1
  end
  for i = 1, servers.n do
    if not is_server(servers[i]) then
      misuse("serve_until: server %d: a %s cannot be closed", i,
        type(servers[i]))
    end
  end
  return servers, limit
end

local function drain_all(servers)
  for _, server in ipairs(servers) do
    if server.drain then server:drain() end
  end
end

local function abort_all(servers)
  for _, server in ipairs(servers) do
    if server.abort then server:abort() end
  end
end

local task_ends = { __close = function(self) self[1]:cancel() end }

--- True when all were served to the end.
local function drained(servers, signals, limit)
  local task = core.spawn(drain_all, servers)
  local _ <close> = setmetatable({ task }, task_ends)
  return core.choose({ task, signals }, limit) == 1
end

--- Wait for a signal; then close the servers and give those who are being
-- served time to end; a second signal, or the end of that time, drops them.
---@param names string|integer|table a signal, or a list of them
---@param ... any servers: what has a close; then { drain = seconds }?
---@return string|integer name the signal, boolean drained
return function(names, ...)
  local servers, limit = arguments(...)
  if type(names) ~= "table" then names = { names } end
  local signals <close> = core.signal_each(table.unpack(names))
  local name = signals:wait()
  for _, server in ipairs(servers) do server:close() end
  local all = drained(servers, signals, limit)
  if not all then abort_all(servers) end
  return name, all
end
