--- fs_world_spec: what the world does to files: a full disk, permissions,
-- signals, many at once, cancelling in the middle.
-- PROA_FILES sets how many files are written, read, walked, copied and removed
-- by a hundred tasks (default 200), and prints what it took.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local lfs = require "lfs"
local proa = require "proa"

local fs = proa.fs
local it, temp, temp_file = helper.it, helper.temp, helper.temp_file

local FILES = tonumber(os.getenv "PROA_FILES") or 200
local TASKS = 100

local function fails(code, value, message, got)
  assert.is_nil(value)
  assert.is_string(message)
  assert.equal(code, got, message)
end

local function user_id()
  return tonumber(helper.read_file("/proc/self/status"):match "Uid:%s+%d+%s+(%d+)")
end

describe("a full disk", function()
  --- A file system of 64 KiB, or nil and why there is none.
  local function small()
    if user_id() ~= 0 then return nil, "only root can mount" end
    local dir = temp "small"
    assert(lfs.mkdir(dir))
    local output, status = helper.shell("mount -t tmpfs -o size=64k tmpfs '"
      .. dir .. "'")
    if status ~= 0 then return nil, "no tmpfs can be mounted: " .. output end
    local before = proa.stats().handles
    return dir, proa.defer(function() -- once all there is closed
      helper.wait_until(function() return proa.stats().handles <= before end)
      output, status = helper.shell("umount '" .. dir .. "'")
      assert.equal(0, status, output)
    end)
  end

  local function it_full(name, fn)
    it(name, function()
      local dir, mounted = small()
      if not dir then return pending(mounted) end
      local _ <close> = mounted
      fn(dir)
    end)
  end

  it_full("is told to the one who wrote, and is over when there is room",
    function(dir)
      do
        local file <close> = assert(fs.open(dir .. "/a", "w"))
        local first = ("x"):rep(40000)
        assert.equal(file, file:write(first))
        fails("ENOSPC", file:write(("y"):rep(100000)))
        assert.is_true(file:seek() >= 40000)
        assert.equal(file, file:flush())
        assert.equal(file, file:truncate(0))
        file:seek "set"
        assert.equal(file, file:write "z")
        fails("ENOSPC", file:write_at(0, ("y"):rep(100000)))
        fails("ENOSPC", file:allocate(0, 100000))
        assert.equal(file, file:truncate(0))
      end
      fails("ENOSPC", fs.write(dir .. "/b", ("b"):rep(100000)))
      assert.is_true(fs.rm(dir .. "/b"))
    end)

  it_full("leaves what is replaced at once as it was", function(dir)
    assert.is_true(fs.write(dir .. "/a", "old"))
    fails("ENOSPC", fs.write(dir .. "/a", ("x"):rep(100000), { atomic = true }))
    assert.equal("old", fs.read(dir .. "/a"))
    for name in fs.list(dir) do assert.equal("a", name) end
  end)

  it_full("ends a copy, from a file and from a socket", function(dir)
    local path = temp_file("large", ("x"):rep(200000))
    fails("ENOSPC", fs.copy(path, dir .. "/a"))
    assert.is_true(fs.rm(dir .. "/a"))
    local a <close>, b = helper.tcp_pair()
    local writer = proa.spawn(function()
      b:write(("x"):rep(200000))
      b:close()
    end)
    local file <close> = fs.open(dir .. "/b", "w")
    fails("ENOSPC", a:copy_to(file))
    a:abort()
    writer:await()
  end)
end)

describe("permissions", function()
  local PROGRAM = [[
    local proa = require "proa"
    local fs, dir = proa.fs, %q
    local function code(...) return (select(3, ...)) end
    proa.run(function()
      print(code(fs.open(dir .. "/secret")))
      print(code(fs.open(dir .. "/readable", "r+")))
      print(fs.read(dir .. "/readable"))
      print(code(fs.write(dir .. "/new", "x")))
      print(code(fs.write(dir .. "/readable", "x", { atomic = true })))
      print(code(fs.rm(dir .. "/readable")))
      print(code(fs.rename(dir .. "/readable", dir .. "/other")))
      print(code(fs.mkdir(dir .. "/d")))
      print(code(fs.chmod(dir .. "/readable", "777")))
      print(code(fs.access(dir .. "/readable", "w")))
      print(code(fs.stat(dir .. "/closed/file")))
      print(select(2, pcall(fs.list, dir .. "/closed")):match "list.*")
      local told = 0
      for _ in fs.walk(dir, { on_error = function(path, message, why)
        told = told + 1
        print(path:match "[^/]*$", why)
      end }) do end
      print(told, fs.glob(dir .. "/closed/*")())
    end)
  ]]

  --- A directory that others may look into, and nobody may write to.
  local function plant()
    assert(lfs.mkdir(temp "d"))
    temp_file("d/secret", "")
    temp_file("d/readable", "all may")
    assert(lfs.mkdir(temp "d/closed"))
    temp_file("d/closed/file", "")
    fs.chmod(temp "d/secret", 0)
    fs.chmod(temp "d/readable", "444")
    fs.chmod(temp "d/closed", 0)
    fs.chmod(temp "d", "555")
    return temp "d", proa.defer(function()
      fs.chmod(temp "d", "755")
      fs.chmod(temp "d/closed", "755")
    end)
  end

  local NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups"

  it("are the kernel's, and are told as it does", function()
    local root = user_id() == 0 -- who would be allowed everything
    if root and not os.execute(NOBODY .. ' test -r "$PWD/lua/proa/init.lua"') then
      return pending "this checkout is where only root may look"
    end
    local dir, restore = plant()
    local _ <close> = restore
    local output = helper.lua(PROGRAM:format(dir), { env = root and NOBODY or nil })
    assert.equal(table.concat({ "EACCES", "EACCES", "all may", "EACCES",
      "EACCES", "EACCES", "EACCES", "EACCES", root and "EPERM" or "nil",
      root and "EACCES" or "nil", "EACCES",
      "list " .. dir .. "/closed: permission denied", "closed\tEACCES",
      "1\tnil", "" }, "\n"), output)
  end)
end)

describe("signals", function()
  it("interrupt no operation on a file", function()
    local dir = temp_file("x", ""):match "^(.*)/"
    local output = helper.lua(([[
      local proa = require "proa"
      local fs, dir = proa.fs, %q
      local pid = fs.readlink "/proc/self"
      local seen = 0
      proa.run(function()
        proa.spawn(function()
          while proa.signal.wait "USR1" do seen = seen + 1 end
        end):background()
        proa.yield()
        local storm = assert(proa.process.spawn {
          shell = "while kill -USR1 " .. pid .. "; do :; done" })
        while seen == 0 do proa.sleep(0) end
        local text = ("0123456789"):rep(20000)
        for i = 1, 12 do
          local path = dir .. "/" .. i
          assert(fs.write(path, text))
          assert(fs.copy(path, path .. "c"))
          local file <close> = assert(fs.open(path .. "c", "r+"))
          assert(file:sync())
          assert(file:read "a" == text)
          assert(file:write_at(3, "x"))
          assert(file:stat().size == #text)
          assert(fs.rm(path))
          assert(fs.rm(path .. "c"))
          proa.yield()
        end
        storm:kill "KILL"
        storm:wait() -- the signals have their default effect again, then
      end)
      print "whole"
    ]]):format(dir))
    assert.equal("whole\n", output)
  end)
end)

describe("cancelling", function()
  it("gives the buffer back when the operation has ended, not before", function()
    local path = temp_file("file", ("x"):rep(1 << 20))
    local file <close> = assert(fs.open(path))
    local buffer = proa.buffer(1 << 20)
    for turns = 0, 40 do
      buffer:set(1, "................")
      local task = proa.spawn(function()
        while true do file:read_into_at(0, buffer) end
      end)
      helper.turns(turns % 4)
      task:cancel()
      task:await()
      local before = buffer:string(1, 16) -- raises while it is lent
      proa.sleep(0)
      assert.equal(before, buffer:string(1, 16)) -- and nobody writes to it
    end
  end)

  it("in the middle of anything leaves nothing open", function()
    local dir = temp_file("file", ("x"):rep(100000)):match "^(.*)/"
    local path, handles = temp "file", proa.stats().handles
    local function work()
      local file <close> = assert(fs.open(path, "r+"))
      file:read "a"
      file:write "y"
      file:seek "set"
      fs.copy(path, temp "copy")
      for _ in fs.list(dir) do proa.yield() end
      for _ in fs.walk(dir) do proa.yield() end
      local t <close> = assert(fs.tmpfile { dir = dir })
      t:write "z"
      local w <close> = assert(fs.watch(dir))
      w:next(0)
      file:lock()
      file:sync()
    end
    for turns = 0, 40 do
      local task = proa.spawn(work)
      helper.turns(turns)
      task:cancel()
      task:await()
    end
    helper.wait_until(function() return proa.stats().handles == handles end)
    for name in fs.list(dir) do
      assert.is_true(name == "file" or name == "copy", name)
    end
  end)
end)

describe("many files", function()
  local function rss()
    return tonumber(helper.read_file("/proc/self/statm"):match "^%d+ (%d+)") * 4
  end

  --- fn(i) for 1 to n, by that many tasks.
  local function each(n, fn)
    local next_one, tasks = 0, {}
    for k = 1, TASKS do
      tasks[k] = proa.spawn(function()
        while next_one < n do
          next_one = next_one + 1
          fn(next_one)
        end
      end)
    end
    for k = 1, TASKS do tasks[k]:await() end
  end

  local function content(i) return ("file %d\n"):format(i):rep(i % 300 + 1) end

  local function round(dir, n)
    local took, started = {}, proa.now()
    local function step(name)
      local now = proa.now()
      took[#took + 1] = ("%s %.2f s"):format(name, now - started)
      started = now
    end
    assert(fs.mkdir(dir .. "/to", { parents = true }))
    local function name(i) return ("%s/from/%d/%d"):format(dir, i % 50, i) end
    for k = 0, 49 do assert(fs.mkdir(dir .. "/from/" .. k, { parents = true })) end
    each(n, function(i) assert(fs.write(name(i), content(i))) end)
    step "written"
    each(n, function(i) assert.is_true(fs.read(name(i)) == content(i)) end)
    step "read"
    local found = 0
    for path, kind in fs.walk(dir .. "/from") do
      if kind == "file" then
        assert.is_truthy(path)
        found = found + 1
      end
    end
    assert.equal(n, found)
    step "walked"
    each(n, function(i)
      assert.equal(#content(i), fs.copy(name(i), dir .. "/to/" .. i))
    end)
    step "copied"
    each(n, function(i)
      assert.is_true(fs.read(dir .. "/to/" .. i) == content(i))
      assert(fs.rm(dir .. "/to/" .. i))
    end)
    step "read and removed"
    assert(fs.rm(dir, { recursive = true }))
    step "removed"
    return table.concat(took, ", ")
  end

  it("are written, read, walked, copied and removed by many tasks", function()
    local dir = temp_file("x", ""):match "^(.*)/"
    local before = rss()
    local took, resident = {}, { before }
    local grown
    -- malloc takes what it likes at first; a leak would grow in every round
    repeat
      took[#took + 1] = round(dir .. "/" .. #took, FILES)
      collectgarbage()
      resident[#resident + 1] = rss()
      grown = resident[#resident] - resident[#resident - 1]
    until grown < 512 and #took > 1 or #took == 10
    if os.getenv "PROA_FILES" then
      print(("%s: %d files, %d tasks\n%s\nKiB resident: %s"):format(
        helper.driver, FILES, TASKS, table.concat(took, "\n"),
        table.concat(resident, ", ")))
    end
    assert.same({ "x" }, (function()
      local names = {}
      for name in fs.list(dir) do names[#names + 1] = name end
      return names
    end)())
    if not helper.sanitized then
      assert.is_true(grown < 512, table.concat(resident, " "))
    end
  end, { limit = os.getenv "PROA_FILES" and 600 or 30 })
end)
