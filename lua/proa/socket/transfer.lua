--- Receiving and sending of proa.socket's TCP objects, over a stream.
-- What a call that timed out has read is its third result, as LuaSocket has it:
-- a stream, whose reads are transactions, still has it queued, and it is taken
-- from there.
-- SPDX-License-Identifier: MIT

local common = require "proa.socket.common"
local core = require "proa.core"

local transfer = {}

local CHUNK = 32 * 1024 -- of a send: what is accepted at once
local MANY = math.maxinteger

-- -- receiving --

--- What a call that failed leaves queued is its partial result.
local function take_rest(self, conn)
  local parts = {}
  while not conn:closed() and core.unread_bytes(conn) > 0 do
    parts[#parts + 1] = conn:read_some(nil, 0)
  end
  local rest = table.concat(parts)
  self.received = self.received + #rest
  return rest
end

--- nil, text, what was there of it.
local function partly(self, conn, prefix, message, code)
  return nil, common.text(message, code), prefix .. take_rest(self, conn)
end

local function options_of(self)
  local opts = self.opts
  if not opts then
    opts = { max = MANY }
    self.opts = opts
  end
  opts.timeout = self.block == 0 and 0 or self.total
  local idle = self.block ~= 0 and self.block or math.huge
  if idle ~= self.idle then
    self.conn:timeout { idle = idle }
    self.idle = idle
  end
  return opts
end

local function receive_line(self, conn, prefix, opts)
  local line, message, code = conn:read("L", opts)
  if not line then
    if not message then return nil, "closed", prefix end
    return partly(self, conn, prefix, message, code)
  end
  self.received = self.received + #line
  local whole = line:byte(-1) == 10
  line = prefix .. line:gsub("[\r\n]", "")
  if whole then return line end
  return nil, "closed", line
end

local function receive_all(self, conn, prefix, opts)
  local data, message, code = conn:read("a", opts)
  if not data then return partly(self, conn, prefix, message, code) end
  self.received = self.received + #data
  if data == "" then return nil, "closed", prefix end
  return prefix .. data
end

local function receive_bytes(self, conn, prefix, opts, n)
  n = math.max(0, math.floor(n) - #prefix)
  if n == 0 then return prefix end
  opts.max = nil
  local data, message, code = conn:read(n, opts)
  opts.max = MANY
  if not data then
    if not message then return nil, "closed", prefix end
    return partly(self, conn, prefix, message, code)
  end
  self.received = self.received + #data
  if #data == n then return prefix .. data end
  return nil, "closed", prefix .. data
end

--- receive([pattern[, prefix]]): "*l", "*a" or a number of bytes.
function transfer:receive(pattern, prefix)
  local dialing = self:is_dialing()
  local conn = self.conn
  prefix = prefix and tostring(prefix) or ""
  if dialing then return nil, "timeout", prefix end
  if not conn then return nil, "closed", prefix end
  local opts = options_of(self)
  pattern = tonumber(pattern) or pattern -- "10" is a number as well
  if type(pattern) == "number" then
    if pattern < 0 then
      error("bad argument #1 to 'receive' (invalid receive pattern)", 2)
    end
    return receive_bytes(self, conn, prefix, opts, pattern)
  end
  local kind = pattern == nil and "l" or tostring(pattern):match "^%*?([la])"
  if kind == "l" then return receive_line(self, conn, prefix, opts) end
  if kind == "a" then return receive_all(self, conn, prefix, opts) end
  error("bad argument #1 to 'receive' (invalid receive pattern)", 2)
end

-- -- sending --

--- Accepted bytes go out also when the call ends before they have.
local function write(self, conn, part)
  if self.block == 0 then return conn:try_write(part) end
  local ok, message, code = conn:write(part)
  local accepted = not ok and code == "TIMEOUT" and message:find "accepted"
  return ok, message, code, accepted
end

--- send(data[, i[, j]]): the index of the last byte, or nil, text, the index.
function transfer:send(data, i, j)
  data = type(data) == "number" and tostring(data) or data
  if type(data) ~= "string" then
    error("bad argument #1 to 'send' (string expected, got " .. type(data)
      .. ")", 2)
  end
  i, j = i or 1, j or -1
  if i < 0 then i = math.max(1, #data + i + 1) elseif i == 0 then i = 1 end
  if j < 0 then j = #data + j + 1 else j = math.min(j, #data) end
  local dialing = self:is_dialing()
  local conn, last = self.conn, i - 1
  if dialing then return nil, "timeout", last end
  if not conn then return nil, "closed", last end
  local until_ = self.total and core.now() + self.total
  options_of(self)
  while last < j do
    if until_ then conn:timeout { write = math.max(0, until_ - core.now()) } end
    local part = data:sub(last + 1, math.min(j, last + CHUNK))
    local ok, message, code, accepted = write(self, conn, part)
    if ok or accepted then
      last = last + #part
      self.sent = self.sent + #part
    end
    if not ok then return nil, common.text(message, code), last end
  end
  if until_ then conn:timeout { write = math.huge } end
  return last
end

return transfer
