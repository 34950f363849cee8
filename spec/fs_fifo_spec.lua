--- fs_fifo_spec: opening a FIFO waits for its other end, and nothing else does.
-- In the simulation an end to read is there at once; the specs that need one to
-- wait say so. Others than this process are shells that block.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local fs, op = proa.fs, proa.op
local it, temp = helper.it, helper.temp

local simulated = helper.driver == "sim"
local WAITERS = 12 -- more than there are workers, or threads of a ring

local function fifo(name)
  local path = temp(name or "fifo")
  local output, status = helper.shell(("mkfifo '%s'"):format(path))
  assert.equal(0, status, output)
  return path
end

--- A shell that does this, in the background.
local function shell(command)
  return assert(proa.process.spawn { "sh", "-c", command, stdin = "null",
    stderr = "null" })
end

--- Tasks that wait in fs.open; ended when that is closed.
local function waiters(n, ...)
  local args = table.pack(...)
  local tasks = setmetatable({}, { __close = function(self)
    for _, task in ipairs(self) do task:cancel() end
    for _, task in ipairs(self) do
      local _, _, code = task:await()
      assert.equal("CANCELLED", code)
    end
  end })
  for i = 1, n do
    tasks[i] = proa.spawn(fs.open, table.unpack(args, 1, args.n))
  end
  helper.turns(5)
  for _, task in ipairs(tasks) do assert.not_equal("done", task:status()) end
  return tasks
end

--- What needs workers, or the ring's threads, still does what it should.
local function alive()
  local path = temp "plain"
  assert.is_true(fs.write(path, "text"))
  assert.equal("text", fs.read(path))
  assert.equal(path, fs.realpath(path))
  assert.is_true(fs.rm(path))
  assert(proa.net.resolve "localhost")
end

describe("opening a FIFO", function()
  it("brings a reader and a writer together", function()
    for _, mode in ipairs { "w", "a" } do
      local path = fifo(mode)
      local read = proa.spawn(function()
        local file <close> = assert(fs.open(path))
        return file:read "a"
      end)
      local file <close> = assert(fs.open(path, mode))
      assert(file:write "hello")
      file:close()
      assert.equal("hello", read:await())
    end
  end)

  -- A new FIFO each time: what is written while its last reader is on its way
  -- out is nobody's.
  it("waits for a writer of another process, who comes and goes", function()
    for i = 1, 30 do
      local path = fifo("fifo" .. i)
      local child <close> = shell(("echo %d >'%s'"):format(i, path))
      local file <close> = assert(fs.open(path))
      assert.equal(i .. "\n", file:read "a")
      assert(child:wait())
    end
  end)

  it("meets a writer who comes and goes without a word", function()
    if simulated then return end
    for i = 1, 30 do
      local path = fifo("fifo" .. i)
      local child <close> = shell((": >'%s'"):format(path))
      local file <close> = assert(fs.open(path))
      assert.equal("", file:read "a")
      assert(child:wait())
    end
  end)

  it("waits for a reader of another process", function()
    local path = fifo()
    local child <close> = proa.process.spawn { "cat", stdin = "null",
      stdout = "pipe", path }
    local file <close> = assert(fs.open(path, "w"))
    assert(file:write "hello")
    file:close()
    assert.equal("hello", child.stdout:read "a")
  end)

  it("ends with its limit", function()
    local function late(path, options)
      local file, message, code = fs.open(path, options)
      assert.is_nil(file)
      assert.equal("TIMEOUT", code)
      assert.equal(("open %s: timed out"):format(path), message)
    end
    late(fifo "w", { write = true, timeout = 0.01 })
    late(fifo "c", { create = true, truncate = true, timeout = 0.01 })
    late(fifo "a", { append = true, timeout = 0.01 })
    if not simulated then late(fifo "r", { timeout = 0.01 }) end
  end)

  it("does not wait to read and write", function()
    local file <close> = assert(fs.open(fifo(), "r+"))
    assert(file:write "hello")
    assert.equal("hello", file:read(5))
  end)

  it("leaves files and names of hosts alive while many wait", function()
    local write <close> = waiters(WAITERS, fifo "w", "w")
    local append <close> = waiters(WAITERS, fifo "a", "a")
    local plain <close> = waiters(WAITERS, fifo "p", { write = true })
    local read <close> = waiters(simulated and 0 or WAITERS, fifo "r")
    assert.equal(WAITERS, #write + #append + #plain - 2 * WAITERS)
    assert.is_table(read)
    alive()
  end)

  it("leaves them alive where its path is not in the kernel's memory", function()
    -- as /proc/self never is (RESOLVE_CACHED, openat2(2))
    local function far(name) return "/proc/self/root" .. fifo(name) end
    local write <close> = waiters(WAITERS, far "w", { write = true })
    local read <close> = waiters(simulated and 0 or WAITERS, far "r")
    assert.equal(WAITERS, #write)
    assert.is_table(read)
    alive()
  end)

  it("holds nothing up after it was cancelled", function()
    local path = fifo()
    for _ = 1, 5 do
      local write <close> = waiters(4, path, "w")
      assert.equal(4, #write)
    end
    for i = 1, simulated and 0 or 5 do
      local read <close> = waiters(4, fifo("r" .. i))
      assert.equal(4, #read)
    end
    alive()
    helper.wait_until(function() return not proa.stats().ops.open_waiting end)
  end)

  it("goes on, one after the other, when more wait than there are threads for",
    function()
      local path, tasks = fifo(), {}
      for i = 1, 150 do
        tasks[i] = proa.spawn(function()
          local file <close> = assert(fs.open(path, "w"))
          return assert(file:write "x")
        end)
      end
      helper.turns(5)
      alive()
      local read = 0
      local file <close> = assert(fs.open(path, "r+")) -- sees no end
      while read < 150 do read = read + #assert(file:read_some()) end
      for _, task in ipairs(tasks) do assert.truthy(task:await()) end
    end)

  it("is done by a child's stdin", function()
    if simulated then return end
    local path = fifo()
    local writer <close> = shell(("echo hello >'%s'"):format(path))
    local child <close> = assert(proa.process.spawn { "cat", stdin = path,
      stdout = "pipe" })
    assert.equal("hello\n", child.stdout:read "a")
    assert(writer:wait())
  end)

  it("is not waited for by the operation open", function()
    local path = fifo()
    local _, _, code = op.open(path, "w"):await()
    assert.equal("ENXIO", code)
    local r <close> = assert(op.open(path):await())
    local w <close> = assert(op.open(path, "w"):await())
    assert.equal(1, op.write(w, "x"):await())
    assert.equal(1, op.read(r, proa.buffer(1)):await())
  end)

  it("lets the program end at once while it waits", function()
    local path = fifo()
    for _, mode in ipairs { "r", "w", "a" } do
      local output, status = helper.lua(([[
        local proa = require "proa"
        for _ = 1, 6 do proa.spawn(proa.fs.open, %q, %q):background() end
        proa.sleep(0.01)
        print "end"
      ]]):format(path, mode))
      assert.equal("end\n", output) -- and no word about what did not end
      assert.equal(0, status)
    end
  end)
end)

describe("opening what is none", function()
  it("leaves a descriptor that blocks, as was asked for", function()
    for _, mode in ipairs { "r", "w", "a", "r+" } do
      local file <close> = assert(fs.open(helper.temp_file("file", "x"), mode))
      local info = helper.read_file("/proc/self/fdinfo/" .. file:fileno())
      local flags = tonumber(info:match "flags:%s+(%d+)", 8)
      assert.equal(0, flags & tonumber("4000", 8))
      assert.equal(mode == "a", flags & tonumber("2000", 8) ~= 0)
    end
  end)

  it("tells that a socket cannot be opened", function()
    if simulated then return end
    local path = temp "socket"
    local listener <close> = assert(proa.net.listen("unix:" .. path))
    assert.truthy(listener)
    local file, message, code = fs.open(path, { write = true })
    assert.is_nil(file)
    assert.equal("ENXIO", code)
    assert.match("^open " .. path:gsub("%p", "%%%0") .. ": ", message)
  end)
end)
