--- proa.process: children, spawn and run.
-- Checks what spawn takes and puts argv, the environment and the three
-- standard descriptors together; the child itself is the core's. Streams
-- without a descriptor to give away are pumped through a pipe by a task.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local misuse = require "proa.misuse"
local opening = require "proa.fs.opening"
local run = require "proa.process_run"

local process = {}

-- -- options --

local known = {
  shell = true, env = true, clean_env = true, cwd = true, stdin = true,
  stdout = true, stderr = true, uid = true, gid = true, new_session = true,
  grace = true,
}

--- Raises for unknown keys; those of argv are 1, 2, ...
local function check_keys(options, more, who)
  if type(options) ~= "table" then
    misuse("%s: a table expected, got %s%s", who, type(options),
      type(options) == "string"
      and "; like { \"ls\", \"-l\" } or { shell = \"ls -l\" }" or "")
  end
  for key in pairs(options) do
    local ok = math.type(key) == "integer" or known[key] or more and more[key]
    if not ok then misuse("%s: unknown option '%s'", who, tostring(key)) end
  end
end

local function check_type(options, key, expected, who)
  local value = options[key]
  if value ~= nil and type(value) ~= expected then
    misuse("%s: %s: a %s expected, got %s", who, key, expected, type(value))
  end
  return value
end

--- A word as exec takes it.
local function word(value, what, who)
  if type(value) == "number" then value = tostring(value) end
  if type(value) ~= "string" then
    misuse("%s: %s: a string expected, got %s", who, what, type(value))
  end
  if value:find("\0", 1, true) then
    misuse("%s: %s: it has a zero byte in it", who, what)
  end
  return value
end

local function argv_of(options, who)
  local shell = check_type(options, "shell", "string", who)
  if shell then
    if #options > 0 then misuse("%s: arguments or shell, not both", who) end
    return { "/bin/sh", "-c", word(shell, "shell", who) }
  end
  if #options == 0 then
    misuse("%s: a program expected: {\"ls\", \"-l\"} or {shell = \"ls -l\"}",
      who)
  end
  local argv = {}
  for i = 1, #options do argv[i] = word(options[i], "argument " .. i, who) end
  return argv
end

local function check_name(name, who)
  if type(name) ~= "string" or name == "" or name:find "[=%z]" then
    misuse("%s: env: bad name '%s'", who, tostring(name))
  end
end

--- This process's, unless a clean one is wanted, with what env sets and, by
-- false, takes away. Sorted, so that a run is like another.
local function env_of(options, who)
  local changes = check_type(options, "env", "table", who) or {}
  local values, list = {}, {}
  for _, entry in ipairs(options.clean_env and {} or core.environ()) do
    local name, value = entry:match "^(.[^=]*)=(.*)$"
    if name then values[name] = value end
  end
  for name, value in pairs(changes) do
    check_name(name, who)
    values[name] = value and word(value, "env: " .. name, who) or nil
  end
  for name, value in pairs(values) do list[#list + 1] = name .. "=" .. value end
  table.sort(list)
  return list
end

local function id_of(options, key, who)
  local id = options[key]
  if id ~= nil and (math.type(id) ~= "integer" or id < 0 or id > 0xfffffffe) then
    misuse("%s: %s: a number of a %s expected, got %s", who, key,
      key == "uid" and "user" or "group", tostring(id))
  end
  return id
end

-- -- stdin, stdout, stderr --

local defaults = { stdin = "null", stdout = "inherit", stderr = "inherit" }
local words = { pipe = true, null = true, inherit = true }
local path_modes = { stdin = "r", stdout = "w", stderr = "w" }

local function open_path(key, path, mode, who)
  local fd, message, code = opening.descriptor(path, mode or path_modes[key])
  if fd then return fd end
  return nil, ("%s: %s: %s"):format(who, key, message), code
end

local function path_of(key, value, who)
  if type(value) == "string" then
    return value:find("/", 1, true) and value or nil
  end
  for name in pairs(value) do
    if name ~= "path" and name ~= "mode" then
      misuse("%s: %s: unknown option '%s'", who, key, tostring(name))
    end
  end
  return word(value.path, key .. ": path", who), value.mode
end

--- What the core has raised, without the place and the function's name.
local function reason(raised)
  local text = raised:sub(#core.where() + 1)
  return text:match "^[%w_.]+: (.*)$" or text
end

--- What the core takes for one of the three: a word or a number; then what
-- has to be closed once the child has it, or the stream that is to be pumped.
local function stdio_of(key, value, who)
  if words[value] or (value == "stdout" and key == "stderr") then return value end
  local kind = type(value)
  if math.type(value) == "integer" and value >= 0 then return value end
  if kind == "string" or kind == "table" then
    local path, mode = path_of(key, value, who)
    if path then
      local fd, message, code = open_path(key, path, mode, who)
      if not fd then return nil, message, code end
      return core.give_fd(fd, true), fd
    end
  elseif kind == "userdata" then
    local ok, given, pumped = pcall(core.give_fd, value, false, key ~= "stdin")
    if not ok then
      misuse("%s: %s: %s", who, key, reason(given))
    end
    if given then return given end
    if pumped then return "pipe", nil, nil, value end
  end
  misuse("%s: %s: \"pipe\", \"null\", \"inherit\"%s, a path with a slash, "
    .. "{path =}, a file, a descriptor or a stream expected, got %s", who, key,
    key == "stderr" and ", \"stdout\"" or "",
    kind == "string" and "'" .. value .. "'" or kind)
end

-- -- spawn --

local texts = {
  stdio = "its standard streams", session = "a new session",
  group = "its group", user = "its user", clone = "a process",
}

--- "spawn ls (in /nowhere): no such file or directory"
local function failure(options, argv, step, message, code)
  local in_cwd = options.cwd and step == "exec"
  local where = in_cwd and (" (in %s)"):format(options.cwd) or ""
  if step == "cwd" then message = "cwd " .. options.cwd .. ": " .. message end
  if texts[step] then message = texts[step] .. ": " .. message end
  local name = run.what(options)
  if step == "exec" and code == "ENOENT" and not options.shell
    and #argv == 1 and argv[1]:find " " then
    message = ("%s (one word; for a command line: shell = \"%s\")"):format(
      message, name)
  end
  return nil, ("spawn %s%s: %s"):format(name, run.escaped(where),
    run.escaped(message)), code
end

local GRACE = 5 -- seconds

-- By process: futures of what it said, set when that has been passed on, and
-- its grace. Only where a task passes it on.
local saying = setmetatable({}, { __mode = "k" })

local sets = { __close = function(self) self.future:set() end }

--- Copies what a stream has to the child, or what the child says to a stream,
-- until that ends or nobody takes it any more.
---@return proa.task|nil task when it is worth waiting for
local function pump(p, key, stream)
  local pipe, said = core.take_stream(p, key), core.future()
  if key ~= "stdin" then table.insert(saying[p], said) end
  local task = core.spawn(function()
    local _ <close> = setmetatable({ future = said }, sets)
    local _ <close> = pipe
    if key == "stdin" then return stream:copy_to(pipe) end
    return pipe:copy_to(stream)
  end)
  task:background()
  if key ~= "stdin" then return task end
  core.spawn(function() -- it may have more to say that nobody will read
    p:wait()
    task:cancel()
  end):background()
end

local keys = { "stdin", "stdout", "stderr" }

--- Raises for what is no option. nil, message, code: what stdio names can't be
-- opened.
local function gather(options, who)
  local call = {
    argv = argv_of(options, who), env = env_of(options, who),
    cwd = check_type(options, "cwd", "string", who),
    uid = id_of(options, "uid", who), gid = id_of(options, "gid", who),
    opened = {}, pumped = {},
  }
  if call.cwd then word(call.cwd, "cwd", who) end
  check_type(options, "new_session", "boolean", who)
  local grace = check_type(options, "grace", "number", who)
  if grace and (grace < 0 or grace ~= grace) then
    misuse("%s: grace: a number of seconds expected", who)
  end
  return call
end

local closing = {
  __close = function(self)
    for _, fd in ipairs(self) do fd:close() end
  end,
}

local function spawn(options, who)
  local call = gather(options, who)
  local opened <close> = setmetatable({}, closing)
  for i, key in ipairs(keys) do
    local value = options[key] == nil and defaults[key] or options[key]
    local slot, fd, code, pumped = stdio_of(key, value, who)
    if not slot then return nil, fd, code end
    call[i], call.pumped[key] = slot, pumped
    opened[#opened + 1] = fd
  end
  local p, step, _, message, code = core.process_spawn(call.argv, call.env,
    call.cwd, call[1], call[2], call[3], call.uid, call.gid,
    options.new_session, options.grace)
  if not p then return failure(options, call.argv, step, message, code) end
  local pumps = {}
  if next(call.pumped) then saying[p] = { grace = options.grace or GRACE } end
  for _, key in ipairs(keys) do
    local stream = call.pumped[key]
    pumps[#pumps + 1] = stream and pump(p, key, stream)
  end
  return p, pumps
end

--- Start a program. Does not wait for it; only opening a path waits.
---@param options table see lua/proa/meta/process.lua
---@return proa.process|nil process, string? message, string? code
function process.spawn(options)
  check_keys(options, nil, "spawn")
  local p, message, code = spawn(options, "spawn")
  if p then return p end
  return nil, message, code
end

--- Start a program, collect what it writes, and wait for its end.
---@param options table see lua/proa/meta/process.lua
---@return table|nil result, string? message, string? code, table? result
function process.run(options)
  check_keys(options, run.known, "run")
  return run.run(options, spawn)
end

--- End it, as <close> does: closes its streams, TERM at once, KILL when the
-- grace is over, and reaps it; none of it is waited for.
local function close(self)
  for _, key in ipairs(keys) do
    if self[key] then self[key]:close() end
  end
  core.process_end(self)
end

core.process_methods.close = close

local wait = core.process_methods.wait

--- What it said has been passed on as well, unless others hold its pipes for
-- longer than the grace.
function core.process_methods:wait(timeout)
  local said = saying[self]
  if not said then return wait(self, timeout) end
  local result, message, code = wait(self, timeout)
  local until_then = core.now() + said.grace
  for _, future in ipairs(result and said or {}) do
    future:await(math.max(until_then - core.now(), 0))
  end
  return result, message, code
end

return process
