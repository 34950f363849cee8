--- fs_watch_spec: what happens to files and in directories, as it happens.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local fs = proa.fs
local it, temp, temp_file = helper.it, helper.temp, helper.temp_file

local function root()
  local dir = temp_file(".r", ""):match "^(.*)/"
  os.remove(temp ".r")
  return dir
end

--- The next n changes, as "kind name".
local function changes(watch, n)
  local list = {}
  for i = 1, n do
    local change = assert(watch:next(5))
    list[i] = change.kind .. " " .. (change.name or "")
  end
  return list
end

describe("watch", function()
  it("tells what happens in a directory", function()
    local dir = root()
    local watch <close> = assert(fs.watch(dir))
    fs.write(dir .. "/a\nb", "x")
    assert.same({ "created a\nb", "changed a\nb", "written a\nb" },
      changes(watch, 3))
    fs.chmod(dir .. "/a\nb", "600")
    fs.rename(dir .. "/a\nb", dir .. "/c")
    assert.same({ "attributes a\nb", "moved_out a\nb" }, changes(watch, 2))
    local change = watch:next(5)
    assert.equal("moved_in", change.kind)
    assert.equal(dir .. "/c", change.path)
    assert.equal(dir, change.watched)
    assert.is_false(change.directory)
    fs.mkdir(dir .. "/d")
    change = watch:next(5)
    assert.is_true(change.directory)
    fs.rm(dir .. "/c")
    assert.same({ "removed c" }, changes(watch, 1))
  end)

  it("tells what happens to several files, and to one that is added", function()
    local a, b = temp_file("a", ""), temp_file("b", "")
    local watch <close> = assert(fs.watch { a })
    assert.equal(watch, watch:add(b))
    fs.append(a, "x")
    assert.equal(a, watch:next(5).path)
    assert.equal("written", watch:next(5).kind)
    fs.append(b, "x")
    assert.equal(b, watch:next(5).path)
    assert.equal("written", watch:next(5).kind)
    fs.rm(a)
    assert.equal("attributes", watch:next(5).kind) -- one name fewer
    local change = watch:next(5)
    assert.same({ "removed", a }, { change.kind, change.path })
  end)

  it("is an iterator that ends when it is closed", function()
    local dir = root()
    local watch = assert(fs.watch(dir))
    local seen = {}
    local task = proa.spawn(function()
      for change in watch do seen[#seen + 1] = change.name end
      return "ended"
    end)
    fs.mkdir(dir .. "/1")
    fs.mkdir(dir .. "/2")
    helper.wait_until(function() return #seen == 2 end)
    assert.same({ "1", "2" }, seen)
    watch:close()
    assert.equal("ended", task:await())
    assert.is_true(watch:close())
    local _, _, code = watch:next()
    assert.equal("CLOSED", code)
    assert.matches("closed", tostring(watch))
  end)

  it("gives each change to one of those who wait, and loses none", function()
    local dir = root()
    local watch <close> = assert(fs.watch(dir))
    local seen, n = {}, 0
    local tasks = {}
    for i = 1, 4 do
      tasks[i] = proa.spawn(function()
        for change in watch do
          assert.is_nil(seen[change.name])
          seen[change.name], n = true, n + 1
        end
      end)
    end
    for _ = 1, 10 do -- some give up meanwhile
      local gives_up = proa.spawn(watch.next, watch)
      proa.yield()
      gives_up:cancel()
      gives_up:await()
    end
    for i = 1, 40 do fs.mkdir(dir .. "/" .. i) end
    helper.wait_until(function() return n == 40 end)
    watch:close()
    for i = 1, 4 do tasks[i]:await() end
  end)

  it("waits no longer than it is told", function()
    local watch <close> = assert(fs.watch(root()))
    local _, message, code = watch:next(0.01)
    assert.equal("TIMEOUT", code)
    assert.equal("watch: timed out", message)
  end)

  it("leaves nothing watched when an add was cancelled", function()
    local dir, n = root(), 40
    for i = 1, n do assert(fs.mkdir(dir .. "/" .. i)) end
    local watch <close> = assert(fs.watch(dir .. "/" .. n))
    local info = "/proc/self/fdinfo/" .. watch.fd:fileno()
    local function watched()
      return select(2, helper.read_file(info):gsub("inotify wd:", ""))
    end
    assert.equal(1, watched())
    for i = 1, n do -- the last is watched already, and stays so
      local task = proa.spawn(watch.add, watch, dir .. "/" .. i)
      proa.yield()
      task:cancel()
      task:await()
    end
    helper.wait_until(function()
      assert(watch:add(dir .. "/" .. n))
      return not watch.strays[1]
    end)
    assert.equal(1, watched())
    assert(fs.mkdir(dir .. "/1/x"))
    assert(fs.mkdir(dir .. "/" .. n .. "/y"))
    assert.same({ "created y" }, changes(watch, 1))
  end)

  it("takes part in select", function()
    local dir = root()
    local watch <close> = assert(fs.watch(dir))
    local function next_change() return watch:next() end
    assert.equal("timeout",
      (proa.select { change = next_change, timeout = 0.01 }))
    fs.mkdir(dir .. "/x")
    local name, change = proa.select { change = next_change, timeout = 5 }
    assert.equal("change", name)
    assert.equal("x", change.name)
  end)

  it("tells what can't be watched", function()
    local _, message, code = fs.watch(temp "none")
    assert.equal("ENOENT", code)
    assert.equal(("watch %s: no such file or directory"):format(temp "none"),
      message)
    assert.matches("a path", helper.error_of(fs.watch, {}))
    assert.matches("a path", helper.error_of(fs.watch, 1))
  end)
end)
