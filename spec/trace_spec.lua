--- trace_spec: the timeline is what the trace viewers' format says.
-- SPDX-License-Identifier: MIT

local dkjson = require "dkjson"
local helper = require "spec.helper"
local proa = require "proa"

local it, it_main = helper.it, helper.it_main

--- The events of a file, which is JSON.
local function read_events(path)
  local events, at, message = dkjson.decode(helper.read_file(path))
  assert(events, message)
  assert.equal("[\n", helper.read_file(path):sub(1, 2))
  assert.is_true(at > 2)
  return events
end

local phases = { X = true, M = true, b = true, n = true, e = true }

--- Every key of the object is one of these; "args" is an object of its own.
local function check_keys(event, keys)
  for key in pairs(event) do assert.truthy(keys:find("%f[%w]" .. key .. "%f[%W]"), key) end
end

--- One event by itself, as the format wants it. All have names: some viewers
--- read no event without.
local function check_event(event, pid)
  assert.is_true(phases[event.ph], event.ph)
  assert.equal("integer", math.type(event.pid))
  assert.equal(pid, event.pid)
  assert.equal("integer", math.type(event.tid))
  assert.is_true(event.ts >= 0)
  assert.is_true(#event.name > 0)
  if event.ph == "X" then
    check_keys(event, "ph pid tid ts name cat dur args")
    assert.equal(event.tid == 0 and "loop" or "task", event.cat)
    assert.is_true(event.dur >= 0)
  elseif event.ph == "M" then
    check_keys(event, "ph pid tid ts name args")
    if event.name == "thread_sort_index" then
      assert.equal("integer", math.type(event.args.sort_index))
    else
      assert.is_true(event.name == "thread_name" or event.name == "process_name")
      assert.is_true(#event.args.name > 0)
    end
  else
    check_keys(event, "ph pid tid ts name cat id args")
    assert.equal("op", event.cat)
    assert.is_string(event.id)
  end
end

--- Slices in the order of time, those that hold others first.
local function slices_of(events)
  local slices = {}
  for at, event in ipairs(events) do
    if event.ph == "X" then
      slices[#slices + 1] = { from = event.ts, to = event.ts + event.dur,
        at = at, event = event }
    end
  end
  table.sort(slices, function(a, b)
    if a.from ~= b.from then return a.from < b.from end
    if a.to ~= b.to then return a.to > b.to end
    return a.at < b.at
  end)
  return slices
end

--- Slices of a row nest, also when microseconds are added as viewers do it, in
--- floating point. Calls seen(row, open slices, the innermost) at each.
local function check_slices(events, seen)
  local open = {}
  for _, slice in ipairs(slices_of(events)) do
    local row = open[slice.event.tid] or {}
    open[slice.event.tid] = row
    while row[1] and row[#row].to <= slice.from do row[#row] = nil end
    assert.is_true(not row[1] or slice.to <= row[#row].to, "slices overlap")
    row[#row + 1] = slice
    if seen then seen(slice.event.tid, row, slice.event) end
  end
end

--- Ops by id begin once and end once, in the order of time, as they are written.
local function check_ops(events)
  local ops, last = {}, 0
  for _, event in ipairs(events) do
    if event.ph:find "[bne]" then
      assert.is_true(event.ts >= last)
      last = event.ts
      if event.ph == "b" then
        assert.is_nil(ops[event.id])
        ops[event.id] = event.name
      else
        assert.equal(ops[event.id], event.name)
        if event.ph == "e" then ops[event.id] = nil end
      end
    end
  end
  return ops
end

--- Every row has a name.
local function check_rows(events)
  local named = {}
  for _, event in ipairs(events) do
    if event.name == "thread_name" then named[event.tid] = true end
  end
  for _, event in ipairs(events) do assert.is_true(named[event.tid]) end
end

local function check_events(events, seen)
  for _, event in ipairs(events) do check_event(event, events[1].pid) end
  check_rows(events)
  check_slices(events, seen)
  assert.is_nil(next(check_ops(events)))
end

--- What a task did, in order: the slices inside its life.
local function steps_of(events, task)
  local steps, life = {}, nil
  check_events(events, function(tid, row, event)
    if tid ~= task:id() then return end
    if #row == 1 then
      assert.is_nil(life)
      life = event
    end
    if #row == 2 then steps[#steps + 1] = event.name end
    assert.is_true(#row <= 2)
  end)
  return steps, life
end

local function traced(fn)
  local path = helper.temp "trace.json"
  local trace = assert(proa.trace(path))
  fn()
  assert.is_true(trace:close())
  return read_events(path)
end

describe("a trace", function()
  it("has a row for each task, its life and what it did in it", function()
    local task
    local events = traced(function()
      task = proa.spawn(function()
        proa.sleep(0)
        proa.yield()
      end):name "the traced one"
      task:await()
    end)
    local steps, life = steps_of(events, task)
    assert.same({ "ready", "run", "sleep", "ready", "run", "ready", "run" }, steps)
    assert.match("trace_spec.lua:%d+$", life.args.spawned)
    assert.equal(proa.current():id(), life.args.by)
    local named
    for _, event in ipairs(events) do
      if event.name == "thread_name" and event.tid == task:id() then
        named = event.args.name
      end
    end
    assert.match('^#%d+ "the traced one" %(', named)
  end)

  it("shows waits on peers, and ops from submission to completion", function()
    local address, reader
    local events = traced(function()
      local a, b = helper.tcp_pair()
      local conn <close> = a
      local peer <close> = b
      address = conn:peer()
      reader = proa.spawn(function() assert.equal("x", conn:read(1)) end)
      helper.turns()
      peer:write "x"
      reader:await()
      assert(peer:flush())
    end)
    local on, ops = nil, {}
    check_events(events, function(tid, _, event)
      if tid == reader:id() and event.name == "read" then on = event.args.on end
    end)
    assert.equal(address, on:match "^(%S+) %(fd %d+%)$")
    for _, event in ipairs(events) do
      if event.ph == "e" and event.args then ops[event.name] = event.args.result end
    end
    assert.equal(0, ops.connect)
    assert.equal(1, ops.send)
  end)

  it("begins and ends in the midst of what lives and is in flight", function()
    local a, b = helper.tcp_pair()
    local conn <close> = a
    local peer <close> = b
    local reader = proa.spawn(conn.read, conn, 1)
    local ready = proa.spawn(function() end)
    helper.turns()
    local events = traced(function() proa.spawn(proa.sleep, 60) proa.yield() end)
    assert.same({ "read" }, (steps_of(events, reader)))
    assert.same({}, (steps_of(events, ready)))
    assert.truthy(peer)
    reader:cancel()
    for _, record in ipairs(proa.tasks()) do
      if record.op == "sleep" then record.task:cancel() end
    end
  end)

  it("shows the time that the loop spent in the driver", function()
    local slept
    repeat -- until nothing has kept it from the driver
      slept = 0
      for _, event in ipairs(traced(function() proa.sleep(0.02) end)) do
        if event.ph == "X" and event.name == "driver" then
          assert.equal(0, event.tid)
          slept = slept + event.dur
        end
      end
    until slept >= 19000 -- microseconds
  end)

  it("is well-formed whatever names and peers say", function()
    local name = "q\" b\\ \27[3m \xff \xc3( \u{20ac} \n"
    local task
    local events = traced(function()
      task = proa.spawn(function() proa.sleep(0) end):name(name)
      task:await()
    end)
    check_events(events)
    local found
    for _, event in ipairs(events) do
      if event.name == "thread_name" and event.tid == task:id() then
        found = event.args.name
      end
    end
    assert.match("q\" b\\ \27%[3m \u{fffd} \u{fffd}%( \u{20ac} \n", found)
  end)

  it("is well-formed when tasks fail, are cancelled, and never began", function()
    local reports, failed, cancelled = helper.catch_errors(), nil, nil
    local events = traced(function()
      failed = proa.spawn(error, "on purpose")
      cancelled = proa.spawn(proa.sleep, 60)
      helper.turns()
      cancelled:cancel()
      proa.spawn(function() end):cancel()
      helper.turns()
    end)
    local function last_of(task)
      local _, life = steps_of(events, task)
      return life.args["end"]
    end
    check_events(events)
    assert.equal("failed", last_of(failed))
    assert.equal("cancelled", last_of(cancelled))
    assert.equal(1, #reports)
  end)

  it("ends by itself when its file is as long as it may be", function()
    local path, said = helper.temp "trace.json", nil
    proa.on_log(function(_, message, fields)
      if fields.event == "trace" then said = message end
    end)
    local trace = assert(proa.trace(path, { max = 20000 }))
    for _ = 1, 200 do proa.yield() end
    helper.turns()
    proa.on_log(nil)
    assert.equal("proa.trace (closed)", tostring(trace))
    assert.match("as long as it may be", said)
    assert.is_true(trace:close())
    check_events(read_events(path))
    assert.is_true(#helper.read_file(path) < 25000)
  end)

  it("says why it can't be written", function()
    local trace, message, code = proa.trace "/no/such/directory/trace"
    assert.is_nil(trace)
    assert.match("^trace /no/such/directory/trace: .", message)
    assert.equal("ENOENT", code)
    trace = assert(proa.trace "/dev/full")
    for _ = 1, 1000 do proa.yield() end
    assert.equal("ENOSPC", select(3, trace:close()))
    assert.is_true(trace:close()) -- told once
  end)

  it("is one at a time, and refuses options that it does not know", function()
    local trace <close> = assert(proa.trace "/dev/null")
    assert.match("being traced already", helper.error_of(proa.trace, "/dev/null"))
    assert.match("^proa.trace %(%d+ bytes%)$", tostring(trace))
    assert.match("unknown option 'maxi'",
      helper.error_of(proa.trace, "/dev/null", { maxi = 1 }))
    assert.match("max is a number of bytes",
      helper.error_of(proa.trace, "/dev/null", { max = 0 }))
  end)

  it_main("is whole when the state is closed, kept or not", function()
    local path = helper.temp "closed.json"
    local output, status = helper.lua(([[
      local proa = require "proa"
      proa.trace(%q)
      collectgarbage()
      proa.spawn(proa.sleep, 60)
      proa.sleep(0)
      os.exit(0, true)
    ]]):format(path))
    assert.equal("", output)
    assert.equal(0, status)
    check_events(read_events(path))
  end)

  it_main("lacks its last bracket alone when the program was killed", function()
    local path = helper.temp "killed.json"
    local _, status = helper.lua(([[
      local proa = require "proa"
      proa.trace(%q)
      local name = ("\u{20ac}"):rep(30)
      for _ = 1, 200 do proa.spawn(proa.sleep, 0):name(name):await() end
      os.exit(7)
    ]]):format(path))
    assert.equal(7, status)
    local written = helper.read_file(path)
    assert.is_true(#written > 64 * 1024)
    local events = assert(dkjson.decode(written .. "]"))
    for _, event in ipairs(events) do check_event(event, events[1].pid) end
    check_slices(events)
    check_ops(events)
  end)
end)
