--- proa: a completion-based I/O runtime for Lua 5.4.
-- This file puts the public module together from the C core (proa.core) and
-- the Lua parts beside it. It owns no state; the runtime is the core's.
-- SPDX-License-Identifier: MIT

local core = require "proa.core"
local checks = require "proa.options"
local combine = require "proa.combine"
local datagram = require "proa.datagram"
local each = require "proa.each"
local fd = require "proa.fd"
local dump = require "proa.dump"
local file = require "proa.fs.file"
local listener = require "proa.listener"
local net = require "proa.net"
local stream = require "proa.stream"

local proa = {
  -- running
  run = core.run, stop = core.stop, spawn = core.spawn,
  current = core.current,
  on_error = core.on_error, info = core.info, stats = core.stats,
  task_local = core.task_local,
  -- insight
  tasks = core.tasks, dump = dump.print, watchdog = core.watchdog,
  on_log = core.on_log, trace = core.trace,
  -- time
  sleep = core.sleep, yield = core.yield, now = core.now,
  interval = combine.interval,
  -- cancelling
  scope = core.scope, timeout = core.timeout, deadline = core.deadline,
  shield = core.shield, defer = core.defer, is_cancelled = core.is_cancelled,
  -- several at once
  select = combine.select, all = combine.all, any = combine.any,
  race = combine.race, map = each.map, each = each.each, sending = core.sending,
  -- between tasks
  channel = core.channel, broadcast = core.broadcast,
  sync = {
    mutex = core.mutex, semaphore = core.semaphore, event = core.event,
    cond = core.cond, waitgroup = core.waitgroup, limiter = core.limiter,
  },
  -- futures, raw operations, bytes
  future = core.future, from_callback = each.from_callback, op = core.op, fd = core.fd,
  proactor = core.proactor, buffer = core.buffer,
  -- inside another loop
  step = core.step, pollfd = core.pollfd, timeout_hint = core.timeout_hint,
  pollable = fd.pollable,
  -- the network, signals
  net = net,
  signal = { wait = core.signal_wait, each = core.signal_each },
}

datagram.extend(core.datagram_methods)
fd.extend(core.fd, core.fd_methods)
listener.extend(core.listener_methods)
stream.extend(core.stream_methods)
file.extend(core.file_methods)

local stock = {
  resume = coroutine.resume, wrap = coroutine.wrap, close = coroutine.close,
}
local stock_require, own_require = require, nil

--- Choose before the first use of proa; afterwards it raises.
---@param options { driver: "auto"|"uring"|"poll"|"sim"|nil, entries: integer?,
---  cq_entries: integer?, buffers: integer?, buffer_size: integer?,
---  memory: integer?, workers: integer?, seed: integer?,
---  patch_coroutines: boolean?, dump_signal: "QUIT"|"USR1"|"USR2"|nil,
---  log: function? }
--- patch_coroutines (default true): coroutine.resume, wrap and close let a
--- coroutine inside a task await, require a module; false leaves the stock
--- functions.
function proa.setup(options)
  checks.check_table(options, "setup")
  local rest = {}
  for key, value in pairs(options) do rest[key] = value end
  rest.patch_coroutines, rest.dump_signal, rest.log = nil, nil, nil
  core.setup(rest)
  if options.log then core.on_log(options.log) end
  if options.dump_signal then core.dump_signal(options.dump_signal) end
  if options.patch_coroutines == false then
    for name, fn in pairs(stock) do rawset(coroutine, name, fn) end
    if require == own_require then rawset(_G, "require", stock_require) end
  end
end

core.patch_coroutines()
if core.patch_require() then own_require = require end

--- What few programs need is loaded when it is first asked for.
local later = {
  fs = "proa.fs", process = "proa.process", serve_until = "proa.serve_until",
  socket = "proa.socket", stdio = "proa.stdio", testing = "proa.testing",
}

setmetatable(proa, {
  __index = function(self, name)
    if not later[name] then return nil end
    local module = require(later[name])
    rawset(self, name, module)
    return module
  end,
  --- Who lists the module sees all of it.
  __pairs = function(self)
    for name in pairs(later) do assert(self[name]) end
    return next, self
  end,
})

return proa
