--- helper.lua: what the specs share.
--
--   helper.it(name, fn, { limit = seconds }?)       fn runs in a task
--   helper.it_main(name, fn, { limit = seconds }?)  fn runs in the main chunk
--
-- Either has a deadline (30 s) and ends drained: no op in flight, no buffer
-- taken or lent, no task, handle or deadline left, the same descriptors as
-- before. It also knows the driver, gives each test a directory of its own,
-- and runs Lua programs in processes of their own. Everything is per test, so
-- that the order does not matter.
-- SPDX-License-Identifier: MIT

local proa = require "proa"
local busted = require "busted"
local core = require "proa.core"
local lfs = require "lfs"

local helper = {}

--- "uring", "poll" or "sim". Asking opens the runtime, so that its own
-- descriptors are there before the first test.
helper.driver = proa.info().driver

-- AddressSanitizer needs more address space than a limit would leave it.
helper.sanitized = (os.getenv "LD_PRELOAD" or ""):find("libasan", 1, true) ~= nil

-- -- temporary files --

local temp_dir

local function remove_tree(path)
  if lfs.symlinkattributes(path, "mode") == "directory" then
    for name in lfs.dir(path) do
      if name ~= "." and name ~= ".." then remove_tree(path .. "/" .. name) end
    end
    lfs.rmdir(path)
  else
    os.remove(path)
  end
end

--- A path in a directory that lives as long as the test.
---@param name string
---@return string path nothing is there yet
function helper.temp(name)
  if not temp_dir then
    temp_dir = os.tmpname()
    assert(os.remove(temp_dir))
    assert(lfs.mkdir(temp_dir))
  end
  return temp_dir .. "/" .. name
end

--- A path as above, with this content.
function helper.temp_file(name, content)
  local path = helper.temp(name)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(content))
  return path
end

--- What is in a real file.
function helper.read_file(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

-- -- other processes --

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- The interpreter that runs the specs.
---@return string
function helper.interpreter()
  local name = os.getenv "PROA_LUA" or ""
  if name ~= "" then return name end
  local first = 0
  while arg and arg[first - 1] do first = first - 1 end
  return arg and first < 0 and arg[first] or "lua5.4"
end

--- Run a shell command; blocks, 60 s at most; then the status is 124.
---@return string output stdout and stderr, integer status as the shell's $?
function helper.shell(command, limit)
  local limited = ("timeout -k 2 %d sh -c %s"):format(limit or 60,
    quote(command))
  local pipe = assert(io.popen(limited .. " 2>&1 </dev/null"))
  local output = pipe:read "a"
  local _, how, status = pipe:close()
  return output, how == "signal" and 128 + status or status
end

--- Run a Lua program in a process of its own, with this process's paths and
-- driver.
---@param source string
---@param options { before: string?, env: string?, args: string?, stdin:
---  string?, driver: string?, limit: integer? }? before: shell code, "ulimit
---  -v 100000"; env: "A=1 B=2"; args: the interpreter's own, "-i"; stdin: text;
---  limit: seconds
---@return string output stdout and stderr, integer status 128 + n: signal n
function helper.lua(source, options)
  options = options or {}
  local words = { options.before and options.before .. ";" or "", "exec env",
    "PROA_DRIVER=" .. (options.driver or helper.driver), options.env or "",
    helper.interpreter(), options.args or "",
    quote(helper.temp_file("program.lua", source)) }
  if options.stdin then
    words[#words + 1] = "<" .. quote(helper.temp_file("stdin", options.stdin))
  end
  return helper.shell(table.concat(words, " "), options.limit)
end

--- The same without a program: `lua5.4 args` with text at its stdin.
function helper.interactive(args, stdin)
  return helper.shell(("exec env PROA_DRIVER=%s %s %s <%s"):format(
    helper.driver, helper.interpreter(), args,
    quote(helper.temp_file("stdin", stdin))))
end

-- -- what is in use --

-- descriptor -> what it is; the one that lists them left out
local function descriptors()
  local list = {}
  for name in lfs.dir "/proc/self/fd" do
    local target = lfs.symlinkattributes("/proc/self/fd/" .. name, "target")
    if tonumber(name) and target and not target:find "^/proc/.*/fd$" then
      list[tonumber(name)] = target
    end
  end
  return list
end

local counted = { "ops_in_flight", "ops_live", "buffers_taken", "buffer_bytes",
  "buffers_lent", "parked", "handles", "streams", "queued_bytes", "lingering",
  "deadlines", "tasks" }

local function snapshot()
  local stats = proa.stats()
  local now = { descriptors = descriptors() }
  for _, name in ipairs(counted) do now[name] = stats[name] end
  return now
end

--- What there is now and was not before; "" when nothing.
local function difference(before, now)
  local lines = {}
  for _, name in ipairs(counted) do
    if now[name] > before[name] then
      lines[#lines + 1] = ("%s: %d, before: %d"):format(name, now[name],
        before[name])
    end
  end
  for fd = 0, 1023 do
    local was, is = before.descriptors[fd], now.descriptors[fd]
    if was ~= is then
      lines[#lines + 1] = ("fd %d: %s, before: %s"):format(fd, is, was)
    end
  end
  for _, record in ipairs(now.tasks > before.tasks and proa.tasks() or {}) do
    lines[#lines + 1] = tostring(record.task) .. "\n" .. record.traceback
  end
  return table.concat(lines, "\n")
end

--- Turns the loop until everything is as before, a bounded number of times.
local function settle(before)
  local left
  for i = 1, 100 do
    collectgarbage()
    collectgarbage()
    left = difference(before, snapshot())
    if left == "" then return "" end
    proa.sleep(i < 20 and 0 or 0.005)
  end
  return left
end

-- -- tests --

--- The error with the traceback of where it was raised, in its own task.
local function with_traceback(err)
  if type(err) == "string" then return debug.traceback(err, 2) end
  local meta = getmetatable(err)
  if meta and meta.__type == "pending" then return err end -- not an error
  if type(err) == "table" and type(err.message) == "string" then
    err.message = debug.traceback(err.message, 2)
  end
  return err
end

local function traced(fn)
  local ok, err = xpcall(fn, with_traceback)
  if not ok and proa.is_cancelled(err) then error(err, 0) end
  return ok, err
end

-- Tools that slow everything down multiply every limit.
local patience = tonumber(os.getenv "PROA_PATIENCE") or 1

local function body(fn, limit)
  limit = limit * patience
  local ok, err, code = proa.timeout(limit, traced, fn)
  if ok then return end
  if code == "TIMEOUT" then
    error(("the test took longer than %g s"):format(limit), 0)
  end
  error(err, 0)
end

local function test(name, call)
  return busted.it(name, function()
    local before = snapshot()
    local ok, err = pcall(call)
    proa.on_error(nil)
    -- a test's garbage may await nothing: whatever it left, the loop goes on
    local settled, left = pcall(settle, before)
    if temp_dir then remove_tree(temp_dir) end
    temp_dir = nil
    if not ok then error(err, 0) end
    if not settled then error(left, 0) end
    if left ~= "" then error("not drained:\n" .. left, 0) end
  end)
end

--- A test whose function runs in a task, inside proa.run.
function helper.it(name, fn, options)
  local limit = options and options.limit or 30
  return test(name, function()
    local _, message, code = proa.run(body, fn, limit)
    if code == "CANCELLED" then error(message, 0) end
  end)
end

--- A test whose function runs in the main chunk.
function helper.it_main(name, fn, options)
  local limit = options and options.limit or 30
  return test(name, function() body(fn, limit) end)
end

-- -- small things that many specs need --

--- Collect what nobody awaited instead of printing it; reset after the test.
---@return table[] reports { err, traceback, label }, filled as they come
function helper.catch_errors()
  local reports = {}
  proa.on_error(function(err, traceback, label)
    reports[#reports + 1] = { err = err, traceback = traceback, label = label }
  end)
  return reports
end

--- Let every task that is ready run, hand over to the kernel, and let what
-- became ready by that run; n times. (proa.yield alone need not look at the
-- kernel.)
function helper.turns(n)
  for _ = 1, n or 3 do proa.sleep(0) end
end

--- Yield until the condition holds; the test's own limit bounds it.
function helper.wait_until(condition)
  while not condition() do proa.sleep(0) end
end

--- core.op, where each await goes through `call(await, verb, ...)`.
local function ops_through(call)
  local function submit(verb, ...)
    local future, args = core.op[verb](...), table.pack(...)
    local function await() return future:await() end
    return setmetatable({ await = function()
      return call(await, verb, table.unpack(args, 1, args.n))
    end }, { __index = function(_, name)
      return function(_, ...) return future[name](future, ...) end
    end })
  end
  return setmetatable({}, { __index = function(_, verb)
    return function(...) return submit(verb, ...) end
  end })
end

--- A module of proa's, loaded once more for this test alone, whose operations go
-- through `call(real, verb, ...)`, also those of core.op that it kept when it was
-- loaded.
function helper.anew(name, call)
  local real, op, kept = core.call, core.op, package.loaded[name]
  core.call, core.op = function(...) return call(real, ...) end, ops_through(call)
  package.loaded[name] = nil
  local fresh = require(name)
  core.call, core.op, package.loaded[name] = real, op, kept
  return fresh
end

--- The message of the error that fn raises; fails when it raises none.
function helper.error_of(fn, ...)
  local ok, err = pcall(fn, ...)
  if ok then error("no error was raised", 2) end
  return err
end

--- A connected pair of streams over TCP, and nothing else left.
---@return proa.stream client, proa.stream server
function helper.tcp_pair()
  local listener <close> = assert(proa.net.listen "127.0.0.1:0")
  local client = assert(proa.net.connect(listener:address()))
  return client, assert(listener:accept())
end

--- `it` for a connected pair of streams, closed after the test:
-- it(name, function(conn, peer) ... end, options).
function helper.it_on(pair)
  return function(name, fn, options)
    return helper.it(name, function()
      local conn, peer = pair()
      local _ <close> = conn
      local _ <close> = peer
      fn(conn, peer)
    end, options)
  end
end

--- `it` for a listener, closed after the test: fn(listener, its address).
function helper.it_listening(name, fn, options)
  return helper.it(name, function()
    local listener <close> = assert(proa.net.listen "127.0.0.1:0")
    fn(listener, listener:address())
  end, options)
end

--- Connect and say who it is; the stream is the test's to close.
---@return proa.stream
function helper.client(address, name)
  local conn = assert(proa.net.connect(address))
  conn:write(name, "\n")
  return conn
end

-- -- whatever may stand under a stream --

local function memory_pair() return proa.net.pair { memory = true } end

local function framed(pair)
  return function()
    local frames = require "proa_spec_frames"
    local a, b = pair()
    return frames.wrap(a), frames.wrap(b)
  end
end

--- Two pipes, one for each direction.
local function pipe_pair()
  local there, from_here = proa.fd.pipe()
  local here, from_there = proa.fd.pipe()
  local a = assert(core.pipe_stream(here, from_here))
  return a, assert(core.pipe_stream(there, from_there))
end

--- Every kind of stream, each with a function that makes a connected pair. All
-- of them keep the same promises.
helper.transports = {
  { name = "TCP", pair = helper.tcp_pair },
  { name = "a Unix socket", pair = proa.net.pair },
  { name = "memory", pair = memory_pair },
  { name = "pipes", pair = pipe_pair },
  { name = "a codec over TCP", pair = framed(helper.tcp_pair) },
  { name = "a codec over memory", pair = framed(memory_pair) },
  { name = "two codecs", pair = framed(framed(proa.net.pair)) },
}

--- describe("what over TCP:") and so on, with the function that makes a pair.
function helper.over_each(what, fn)
  for _, transport in ipairs(helper.transports) do
    busted.describe(("%s over %s:"):format(what, transport.name), function()
      fn(transport.pair)
    end)
  end
end

return helper
