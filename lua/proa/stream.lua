--- Methods of streams that are made of others: lines, chunks, send_fds.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local misuse = require "proa.misuse"

local stream = {}

--- An iterator that ends at the end of stream and raises on errors.
local function iterator(read, self, what, options)
  return function()
    local data, message = read(self, what, options)
    if data == nil and message then misuse(message) end
    return data
  end
end

local function lines(self, what, options)
  if what == nil then what = "l" end
  if what ~= "l" and what ~= "L" then
    if type(what) == "table" then
      misuse "lines: bad format, a table: l or L; options come behind it"
    end
    misuse("lines: bad format '%s': l or L", tostring(what))
  end
  return iterator(self.read, self, what, options)
end

local function chunks(self, max, timeout)
  if max ~= nil and not (math.tointeger(max) and max >= 1) then
    misuse("chunks: max is at least 1, got %s", tostring(max))
  end
  return iterator(self.read_some, self, max, timeout)
end

--- Its turn and room are those of a write; the descriptors are duplicated then
-- and go with the first byte.
local function send_fds(self, data, ...)
  local ok, message, code = self:write ""
  if not ok then return nil, message, code end
  return core.queue_fds(self, data, ...)
end

function stream.extend(methods)
  methods.send_fds = send_fds
  methods.lines = lines
  methods.chunks = chunks
end

return stream
