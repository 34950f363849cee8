--- TCP objects of proa.socket: master, client and server in one class.
-- A client reads and writes a stream, a server accepts from a listener. What a
-- call that timed out has read is its third result, as LuaSocket has it: a
-- stream, whose reads are transactions, still has it queued, and it is taken
-- from there.
-- SPDX-License-Identifier: MIT

local common = require "proa.socket.common"
local core = require "proa.core"
local dial = require "proa.socket.dial"
local net = require "proa.net"

local tcp = {}
tcp.settimeout = common.set_timeout
tcp.gettimeout = common.get_timeout

local CHUNK = 32 * 1024 -- of a send: what is accepted at once
local MANY = math.maxinteger

local meta = { __index = tcp }

function meta:__tostring()
  return ("tcp{%s}: %p"):format(self.kind, self)
end

function meta:__close() self:close() end

--- A new object; `family`: "inet", "inet6" or nil.
function tcp.new(family)
  return setmetatable({ kind = "master", family = family, options = {},
    received = 0, sent = 0, born = core.now() }, meta)
end

-- -- options --

local function apply(self, name, value)
  local ours = common.option(name)
  if ours and self.conn then self.conn:option(ours, value) end
end

--- Before there is a connection they are kept for it.
function tcp:setoption(name, value)
  common.option(name)
  if value == nil then value = true end
  self.options[#self.options + 1] = { name, value }
  apply(self, name, value)
  return 1
end

function tcp:getoption(name)
  local ours = common.option(name)
  if ours and self.conn then
    local value, message, code = self.conn:option(ours)
    if value == nil and message then return common.failure(message, code) end
    return value
  end
  for i = #self.options, 1, -1 do
    if self.options[i][1] == name then return self.options[i][2] end
  end
  return false
end

-- -- becoming a client --

--- From now on it is a client of this stream.
function tcp:attach(conn)
  self.conn, self.kind = conn, "client"
  for _, option in ipairs(self.options) do apply(self, option[1], option[2]) end
  return self
end

local function addresses(self, host, port)
  if not self.family then return common.join(host, port) end
  local list, message, code = net.resolve(host, port, { family = self.family,
    timeout = common.limit(self) })
  return list, message, code
end

--- A connect that was begun with a limit of zero has perhaps ended.
local function finish(self)
  local conn, text = dial.finish(self.dialing)
  if text == "timeout" then return nil, text end
  self.dialing = nil
  if not conn then return nil, text end
  self:attach(conn)
  return 1
end

local function begin(self, host, port)
  local text
  self.dialing, text = dial.begin(host, port, self.family)
  if not self.dialing then return nil, text end
  core.sleep(0) -- on this machine it is often there at once
  return finish(self)
end

function tcp:connect(host, port)
  common.check_host(host, port, "connect")
  if self.conn then return nil, "already connected" end
  if self.listener then return nil, "operation not supported" end
  if self.dialing then return finish(self) end
  if common.limit(self) == 0 then return begin(self, host, port) end
  local to, message, code = addresses(self, host, port)
  local conn
  if to then
    conn, message, code = net.connect(to, { timeout = common.limit(self) })
  end
  if not conn then return common.failure(message, code) end
  self:attach(conn)
  return 1
end

-- -- serving --

--- It listens from now on: proa binds and listens in one step.
function tcp:bind(host, port)
  common.check_host(host, port, "bind")
  if self.conn or self.listener then return nil, "invalid argument" end
  local address = common.join(host, port)
  local text = core.address(address, true)
  local message, code
  if text == nil then
    local list
    list, message, code = net.resolve(host, port, { family = self.family })
    address = list and list[1]
  end
  if address then self.listener, message, code = net.listen(address) end
  if not self.listener then return common.failure(message, code) end
  return 1
end

function tcp:listen()
  if not self.listener then return nil, "invalid argument" end
  self.kind = "server"
  return 1
end

function tcp:accept()
  if self.kind == "closed" then return nil, "closed" end
  if not self.listener then return nil, "invalid argument" end
  local conn, message, code = self.held, nil, nil
  self.held = nil -- select has taken it
  if not conn then
    conn, message, code = self.listener:accept(common.limit(self))
  end
  if not conn then return common.failure(message, code) end
  return tcp.new():attach(conn)
end

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
function tcp:receive(pattern, prefix)
  if self.dialing then finish(self) end
  local conn = self.conn
  prefix = prefix and tostring(prefix) or ""
  if self.dialing then return nil, "timeout", prefix end
  if not conn then return nil, "closed", prefix end
  local opts = options_of(self)
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
function tcp:send(data, i, j)
  data = type(data) == "number" and tostring(data) or data
  if type(data) ~= "string" then
    error("bad argument #1 to 'send' (string expected, got " .. type(data)
      .. ")", 2)
  end
  i, j = i or 1, j or -1
  if i < 0 then i = math.max(1, #data + i + 1) elseif i == 0 then i = 1 end
  if j < 0 then j = #data + j + 1 else j = math.min(j, #data) end
  if self.dialing then finish(self) end
  local conn, last = self.conn, i - 1
  if self.dialing then return nil, "timeout", last end
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

-- -- the rest --

function tcp:shutdown(how)
  how = how or "both"
  if how ~= "both" and how ~= "send" and how ~= "receive" then
    error("bad argument #1 to 'shutdown' (invalid shutdown method)", 2)
  end
  if not self.conn then return nil, "closed" end
  if how ~= "receive" then self.conn:shutdown "w" end
  return 1
end

function tcp:close()
  if self.conn then self.conn:close() end
  if self.listener then self.listener:close() end
  if self.held then self.held:close() end
  if self.dialing then dial.give_up(self.dialing) end
  self.dialing = nil
  self.conn, self.listener, self.held = nil, nil, nil
  self.kind = "closed"
  return 1
end

function tcp:getsockname()
  local object = self.conn or self.listener
  if not object then return nil, "closed" end
  return common.name(object:address())
end

function tcp:getpeername()
  if not self.conn then return nil, "closed" end
  return common.name(self.conn:peer())
end

--- Are there bytes that select need not wait for?
function tcp:dirty()
  if self.held then return true end
  return self.conn ~= nil and core.unread_bytes(self.conn) > 0
end

function tcp:getfd()
  local object = self.conn or self.listener
  return object and core.fileno(object) or -1
end

function tcp:getstats()
  return self.received, self.sent, core.now() - self.born
end

function tcp:setstats(received, sent, age)
  self.received, self.sent = received or 0, sent or 0
  self.born = core.now() - (age or 0)
  return 1
end

-- -- for select --

--- Wait until a receive or an accept would not wait.
function tcp:wait_readable()
  if self.dialing then dial.wait(self.dialing) finish(self) end
  if self.held or not (self.conn or self.listener) then return end
  if self.conn then self.conn:peek() else self.held = self.listener:accept() end
end

function tcp:wait_writable()
  if self.dialing then dial.wait(self.dialing) return end
  if self.conn then self.conn:write "" end
end

return tcp
