--- fs_spec: names of files, whole files, temporary ones.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local lfs = require "lfs"
local proa = require "proa"

local fs = proa.fs
local it, temp, temp_file = helper.it, helper.temp, helper.temp_file

local function fails(code, value, message, got)
  assert.is_nil(value)
  assert.is_string(message)
  assert.equal(code, got, message)
  return message
end

local function names(dir)
  local list = {}
  for name in lfs.dir(dir) do
    if name ~= "." and name ~= ".." then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

local function here() return (temp_file("x", ""):match "^(.*)/") end

describe("open", function()
  it("takes the modes of io.open", function()
    local path = temp_file("file", "old")
    local function open(mode) return assert(fs.open(path, mode)) end
    do
      local r <close> = open "rb"
      assert.equal("old", r:read "a")
      fails("EBADF", r:write "x")
      local plus <close> = open "r+"
      assert.equal(plus, plus:write "OL")
      assert.equal("d", plus:read "a")
      local a <close> = open "a"
      a:write "er"
      fails("EBADF", a:read(1))
    end
    assert.equal("OLder", helper.read_file(path))
    do
      local plus <close> = open "a+"
      assert.equal("OLder", plus:read "a")
      local w <close> = open "w"
      assert.equal(0, w:stat().size)
      local new <close> = assert(fs.open(temp "new", "wx"))
      assert.equal(new, new:write "x")
    end
    fails("EEXIST", fs.open(path, "wx"))
    fails("ENOENT", fs.open(temp "nothing"))
  end)

  it("takes options", function()
    local path = temp "file"
    do
      local file <close> = assert(fs.open(path, { exclusive = true,
        permissions = "600", sync = "data" }))
      file:write "hello"
      fails("EBADF", file:read(1))
    end
    assert.equal("rw-------", lfs.attributes(path, "permissions"))
    fails("EEXIST", fs.open(path, { exclusive = true }))
    do
      local file <close> = assert(fs.open(path, { read = true, write = true }))
      file:write "HE"
      assert.equal("llo", file:read "a")
      local more <close> = assert(fs.open(path, { append = true, sync = true }))
      more:write "!"
    end
    assert.equal("HEllo!", helper.read_file(path))
    assert(fs.open(path, { truncate = true })):close()
    assert.equal("", helper.read_file(path))
    fails("ENOENT", fs.open(temp "none", { write = true }))
    lfs.link("file", temp "link", true)
    fails("ELOOP", fs.open(temp "link", { follow = false }))
    assert(fs.open(path, { timeout = 60 })):close()
  end)

  it("raises on what is wrong with its arguments", function()
    local path = temp "file"
    for _, case in ipairs { { { path, "q" }, "invalid mode 'q'" },
      { { path, "rx" }, "invalid mode" }, { { 1 }, "a path is a string" },
      { { "a\0b" }, "zero bytes" }, { { path, { writ = 1 } }, "option 'writ'" },
      { { path, { read = false } }, "neither" }, { { path, 1 }, "table" },
      { { path, { sync = "maybe" } }, "sync" },
      { { path, { permissions = "999" } }, "permissions" },
      { { path, { timeout = "1" } }, "timeout" } } do
      local message = helper.error_of(function()
        local _ = fs.open(table.unpack(case[1]))
      end)
      assert.matches(case[2], message, 1, true)
      assert.matches("fs_spec.lua", message, 1, true)
    end
    assert.is_false(fs.exists(path))
  end)

  it("closes what comes too late", function()
    local path, before = temp_file("file", ""), proa.stats().handles
    for _ = 1, 50 do
      local task = proa.spawn(fs.open, path)
      proa.yield()
      task:cancel()
      local file = task:await()
      if file then file:close() end
    end
    helper.wait_until(function() return proa.stats().handles == before end)
  end) -- and the helper counts descriptors

  it("passes the page cache by", function()
    local path = temp_file("file", ("x"):rep(8192))
    local file <close>, _, code = fs.open(path, { read = true, write = true,
      direct = true })
    if code == "EINVAL" then return end -- not on this file system
    local page = proa.buffer(("y"):rep(4096))
    assert.equal(file, file:write_at(4096, page))
    assert.equal(4096, file:read_into_at(0, page))
    assert.equal(("x"):rep(4096), page:string())
    assert.equal(("x"):rep(4096) .. ("y"):rep(4096), file:read "a")
    local n, message, why = file:read_into_at(1, page)
    if n ~= 4096 then fails("EINVAL", n, message, why) end -- tmpfs takes any
  end)
end)

describe("whole files", function()
  it("are read and written", function()
    local path = temp "file"
    assert.is_true(fs.write(path, "one\n"))
    assert.is_true(fs.append(path, "two\n"))
    assert.is_true(fs.append(path, proa.buffer "three"))
    assert.equal("one\ntwo\nthree", fs.read(path))
    assert.is_true(fs.write(path, 4))
    assert.equal("4", fs.read(path))
    assert.equal("", fs.read "/dev/null")
    assert.is_true(#assert(fs.read "/proc/self/status") > 0)
    local large = ("0123456789"):rep(300000)
    assert.is_true(fs.write(path, large))
    assert.is_true(fs.read(path) == large)
    fails("LIMIT", fs.read(path, { max = 1000 }))
    fails("EEXIST", fs.write(path, "x", { exclusive = true }))
    fails("ENOENT", fs.read(temp "nothing"))
    fails("EISDIR", fs.read(here()))
    assert.is_true(fs.append(temp "new", "x", { permissions = "600",
      sync = true }))
    assert.equal("rw-------", lfs.attributes(temp "new", "permissions"))
    assert.matches("option 'atom'", helper.error_of(fs.write, path, "",
      { atom = true }))
    assert.matches("string or a buffer", helper.error_of(fs.write, path, {}))
    assert.matches("string or a buffer", helper.error_of(fs.write, path))
    assert.is_true(fs.read(path) == large)
  end)

  it("are replaced at once, or not at all", function()
    local path = temp_file("file", "old")
    local old <close> = assert(fs.open(path))
    assert(fs.chmod(path, "640"))
    assert(fs.symlink("file", temp "link"))
    assert.is_true(fs.write(temp "link", "new", { atomic = true }))
    assert.equal("new", fs.read(path))
    assert.equal("old", old:read "a") -- who has it open keeps what it was
    assert.equal(416, fs.stat(path).permissions)
    assert.equal("link", fs.lstat(temp "link").type)
    assert.is_true(fs.write(temp "fresh", "x", { atomic = true, sync = false,
      permissions = "600" }))
    assert.equal(384, fs.stat(temp "fresh").permissions)
    assert.same({ "file", "fresh", "link" }, names(temp "."))
    fails("ENOENT", fs.write(temp "no/where", "x", { atomic = true }))
    assert.matches("exclusive", helper.error_of(fs.write, path, "x",
      { atomic = true, exclusive = true }))
  end)

  it("that are replaced leave nothing behind when that is given up", function()
    local path = temp_file("file", "old")
    local large = ("x"):rep(1 << 20)
    for turns = 0, 12 do
      local task = proa.spawn(fs.write, path, large, { atomic = true })
      helper.turns(turns)
      task:cancel()
      task:await()
      local content = helper.read_file(path)
      assert.is_true(content == "old" or content == large)
      assert.same({ "file" }, names(temp "."))
    end
  end)

  it("are copied, with their permissions", function()
    local path, to = temp_file("file", ("0123456789"):rep(100000)), temp "to"
    assert(fs.chmod(path, "750"))
    assert.equal(1000000, fs.copy(path, to))
    assert.is_true(fs.read(path) == fs.read(to))
    assert.equal("rwxr-x---", lfs.attributes(to, "permissions"))
    assert.equal(5, fs.copy(temp_file("short", "short"), to, { sync = true }))
    assert.equal("short", fs.read(to))
    fails("EEXIST", fs.copy(path, to, { exclusive = true }))
    fails("EISDIR", fs.copy(here(), to))
    fails("ENOENT", fs.copy(temp "nothing", to))
    lfs.link("file", temp "link", true)
    fails("EINVAL", fs.copy(path, temp "link"))
    fails("EINVAL", fs.copy(path, path))
    assert.equal(1000000, #fs.read(path))
    local n = assert(fs.copy("/proc/self/status", to)) -- claims to be empty
    assert.equal(n, #fs.read(to))
    assert.equal(0, fs.copy("/dev/null", to))
    assert.equal("", fs.read(to))
  end)
end)

describe("names", function()
  it("are told of, as they are and as what they point to", function()
    local path = temp_file("file", "hello")
    lfs.link("file", temp "link", true)
    lfs.link("nothing", temp "broken", true)
    local stat = assert(fs.stat(temp "link"))
    assert.same({ "file", 5 }, { stat.type, stat.size })
    assert.equal("link", fs.lstat(temp "link").type)
    assert.equal(stat.inode, fs.stat(path).inode)
    assert.equal("directory", fs.stat(temp ".").type)
    assert.equal("character", fs.stat "/dev/null".type)
    assert.is_true(math.abs(stat.modified - os.time()) < 100)
    assert.is_true(fs.exists(path))
    assert.is_false(fs.exists(temp "broken"))
    assert.is_false(fs.exists(temp "file/below"))
    fails("ENAMETOOLONG", fs.exists(("x"):rep(300)))
    local message = fails("ENOENT", fs.stat(temp "broken"))
    assert.equal(("stat %s: no such file or directory"):format(temp "broken"),
      message)
    assert.equal("file", fs.readlink(temp "link"))
    assert.equal(fs.realpath(path), fs.realpath(temp "./link"))
    assert.is_true(fs.access(path, "r"))
    fails("EACCES", fs.access(path, "x"))
    assert.matches("letters", helper.error_of(fs.access, path, "z"))
  end)

  it("are changed", function()
    local path = temp_file("a", "A")
    assert.is_true(fs.link(path, temp "b"))
    assert.equal(2, fs.stat(path).links)
    assert.is_true(fs.symlink("a", temp "s"))
    assert.equal("A", fs.read(temp "s"))
    assert.is_true(fs.chmod(path, "400"))
    assert.equal(256, fs.stat(path).permissions)
    assert.is_true(fs.chmod(path, 420))
    assert.is_true(fs.rename(path, temp "c"))
    fails("EEXIST", fs.rename(temp "c", temp "s", { exclusive = true }))
    assert.is_true(fs.rename(temp "c", temp "s"))
    assert.same({ "b", "s" }, names(temp "."))
    fails("ENOENT", fs.rename(temp "none", temp "s"))
    fails("EEXIST", fs.link(temp "b", temp "s"))
    assert.is_true(fs.rm(temp "b"))
    fails("ENOENT", fs.rm(temp "b"))
    assert.is_true(fs.rm(temp "b", { force = true }))
    assert.matches("permissions", helper.error_of(fs.chmod, path))
    assert.matches("permissions", helper.error_of(fs.chmod, path, "rwx"))
  end)

  it("may be any bytes but zero and slash", function()
    for _, name in ipairs { "new\nline", "tab\t", "\xff\xfe", " ", "-rf", "*",
      "%s", ("n"):rep(255) } do
      local path = temp(name)
      assert.is_true(fs.write(path, name))
      assert.equal(name, fs.read(path))
      assert.is_true(fs.rename(path, path:sub(1, -2) .. "~"))
      assert.is_true(fs.rm(path:sub(1, -2) .. "~"))
    end
    assert.same({}, names(temp "."))
  end)

  it("of what is too much or not there tell why", function()
    fails("ENAMETOOLONG", fs.stat(temp(("n"):rep(256))))
    fails("ENAMETOOLONG", fs.open(temp(("n/"):rep(3000))))
    fails("ENOENT", fs.open "")
    fails("ENOTDIR", fs.open(temp_file("file", "") .. "/below"))
    lfs.link("loop", temp "loop", true)
    fails("ELOOP", fs.read(temp "loop"))
  end)
end)

describe("temporary", function()
  it("files have no name", function()
    local dir = here()
    local file <close> = assert(fs.tmpfile { dir = dir })
    assert.equal(file, file:write "hello")
    assert.equal(0, file:seek "set")
    assert.equal("hello", file:read "a")
    assert.same({ "x" }, names(dir))
    fails("ENOENT", fs.tmpfile { dir = dir .. "/none" })
  end)

  it("directories are new, and for this user alone", function()
    local root = here()
    local a, b = fs.tmpdir { dir = root }, fs.tmpdir { dir = root }
    assert.not_equal(a, b)
    assert.equal("rwx------", lfs.attributes(a, "permissions"))
    fails("ENOENT", fs.tmpdir { dir = root .. "/none" })
    local own = assert(fs.tmpdir())
    assert.is_true(fs.rm(own))
  end)
end)

describe("a limit", function()
  it("on what does not wait changes nothing", function()
    local path = temp_file("file", "x")
    assert.equal(1, fs.stat(path, { timeout = 60 }).size)
    assert.equal("x", fs.read(path, { timeout = 60 }))
    assert.is_true(fs.write(path, "y", { timeout = 60 }))
    assert.is_true(fs.rm(path, { timeout = 60 }))
  end)

  it("ends what waits, and says of what", function()
    local stat, message, code = fs.stat(temp_file("file", ""), { timeout = 0 })
    if stat then return end -- it was quicker
    assert.equal("TIMEOUT", code)
    assert.equal(("stat %s: timed out"):format(temp "file"), message)
  end)
end)
