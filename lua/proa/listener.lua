--- Methods of listeners that are made of accept: incoming and serve.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"

local listener = {}

-- Descriptors or memory are short for the moment; the core backs off.
local passing = { EMFILE = true, ENFILE = true, ENOBUFS = true, ENOMEM = true }

local function accept_lasting(self)
  while true do
    local stream, message, code = self:accept()
    if stream or not passing[code] then return stream, message, code end
  end
end

--- Iterate over connections until the listener is closed. Raises on errors
-- other than a shortage of descriptors, which is waited out.
---@return fun(): proa.stream|nil
local function incoming(self)
  return function()
    local stream, message, code = accept_lasting(self)
    if stream or code == "CLOSED" then return stream end
    error(message, 2)
  end
end

local function handle(handler, stream)
  local conn <close> = core.served(stream)
  handler(conn)
end

--- Serve each connection in a task of its own until the listener is closed.
-- The connection is closed when the handler returns, unless it called
-- conn:keep(). Errors of handlers are
-- reported to proa.on_error and do not end serve.
---@param handler fun(conn: proa.stream)
local function serve(self, handler)
  if type(handler) ~= "function" then
    error("serve: a function expected, got " .. type(handler), 2)
  end
  for stream in incoming(self) do
    core.spawn_handler(handle, handler, stream)
  end
end

function listener.extend(methods)
  methods.incoming = incoming
  methods.serve = serve
end

return listener
