--- Connecting in steps, as LuaSocket has it with a limit of zero: connect says
-- "timeout", select says when the socket can be sent to, and connect once more,
-- or the first send or receive, tells how it went.
-- SPDX-License-Identifier: MIT

local common = require "proa.socket.common"
local core = require "proa.core"
local net = require "proa.net"

local dial = {}

--- Begin; a name is waited for all the same. `bound`: a socket to use, which is
-- closed when this fails; of another, prepare(fd) sets the options.
---@return proa.socket.dial|nil, string? text
function dial.begin(host, port, family, bound, prepare)
  local _ <close> = core.defer(function() if bound then bound:close() end end)
  local list, message, code = net.resolve(host == "*" and "127.0.0.1" or host,
    port, { family = family })
  if not list then return common.failure(message, code) end
  local fd = bound
  if not fd then fd, message, code = core.fd.socket(list[1]) end
  if not fd then return common.failure(message, code) end
  local ready = bound ~= nil
  bound = fd
  if not ready then ready, message, code = prepare(fd) end
  if not ready then return common.failure(message, code) end
  bound = nil
  return { fd = fd, future = core.op.connect(fd, list[1]) }
end

--- A stream when it is there; or nil, text: "timeout" when it is not yet.
function dial.finish(self)
  local done, ok, message, code = self.future:poll()
  if not done then return nil, "timeout" end
  local stream
  if ok then stream, message, code = core.stream(self.fd) end
  if stream then return stream end
  self.fd:close()
  return common.failure(message, code)
end

--- Wait until finish would say.
function dial.wait(self, limit)
  self.future:await(limit)
end

function dial.give_up(self)
  self.fd:close()
end

return dial
