--- fs_file_spec: file objects: the position, buffering, offsets, parts, locks.
-- SPDX-License-Identifier: MIT

local helper = require "spec.helper"
local proa = require "proa"

local fs = proa.fs
local it, temp, temp_file = helper.it, helper.temp, helper.temp_file

local function fails(code, value, message, got)
  assert.is_nil(value)
  assert.is_string(message)
  assert.equal(code, got)
  return message
end

--- A file with this content, closed after the test.
local function it_on(content, mode, name, fn)
  it(name, function()
    local path = temp_file("file", content)
    local file <close> = assert(fs.open(path, mode))
    fn(file, path)
  end)
end

describe("reading a file", function()
  it_on("one\ntwo\n\nfour", "r", "takes the formats of Lua's files", function(file)
    assert.equal("one", file:read())
    assert.equal("two\n", file:read "L")
    assert.equal("", file:read "*l")
    assert.equal("fo", file:read(2))
    assert.equal("ur", file:read "a")
    assert.equal("", file:read "a")
    assert.same({ nil, n = 1 }, table.pack(file:read "l"))
    assert.same({ nil, n = 1 }, table.pack(file:read(1)))
  end)

  it_on("a,b,c", "r", "takes the methods of streams", function(file)
    assert.equal("a", file:read_until ",")
    assert.equal("b,", file:peek(2))
    assert.equal("b,", file:read_exact(2))
    file:unread "xyz"
    assert.equal("xyzc", file:read_some())
    fails("EOF", file:read_exact(1))
  end)

  it("iterates over lines and chunks, and raises on errors", function()
    local lines = {}
    for i = 1, 5000 do lines[i] = "line " .. i end
    local text = table.concat(lines, "\n")
    local file <close> = fs.open(temp_file("file", text))
    local n = 0
    for line in file:lines() do
      n = n + 1
      assert.equal(lines[n], line)
    end
    assert.equal(5000, n)
    file:seek "set"
    local parts = {}
    for chunk in file:chunks(1000) do parts[#parts + 1] = chunk end
    assert.equal(text, table.concat(parts))
    local dir <close> = fs.open(temp ".")
    assert.match("is a directory", helper.error_of(dir:lines()))
  end)

  it_on("hello", "r", "asks again after its end: the file may have grown",
    function(file, path)
      assert.equal("hello", file:read "a")
      assert.is_nil(file:read "l")
      assert(fs.append(path, " again"))
      assert.equal(" again", file:read "a")
    end)

  it("tells errors with the path, and can go on after one", function()
    local dir <close> = assert(fs.open(temp_file("file", ""):match "^(.*)/"))
    local message = fails("EISDIR", dir:read "a")
    assert.equal(("read %s: is a directory"):format(dir:path()), message)
    local file <close> = fs.open(temp "file", "w")
    fails("EBADF", file:read(1))
    assert.equal(file, file:write "x")
  end)

  it("lets a limit on all that is read be told", function()
    local file <close> = fs.open(temp_file("file", ("x"):rep(1000)))
    fails("LIMIT", file:read("a", 999))
    fails("LIMIT", file:read("l", 10))
    assert.equal(1000, #file:read("a", 1000))
  end)

  it("reads large files whole", function()
    local text = ("0123456789abcdef"):rep(1 << 18) .. "end" -- 4 MiB and 3
    local file <close> = fs.open(temp_file("file", text))
    assert.is_true(file:read "a" == text)
    file:seek("set", 1)
    assert.is_true(file:read(#text) == text:sub(2))
  end)
end)

describe("the position of a file", function()
  it_on("0123456789", "r+", "agrees with what was read ahead", function(file)
    assert.equal(0, file:seek())
    assert.equal("012", file:read(3))
    assert.equal(3, file:seek())
    assert.equal(5, file:seek("cur", 2))
    assert.equal("56", file:read(2))
    assert.equal(6, file:seek("end", -4))
    assert.equal("6789", file:read "a")
    assert.equal(10, file:seek())
    assert.equal(2, file:seek("set", 2))
    file:unread "!"
    assert.equal(1, file:seek()) -- as if it were the byte before
    assert.equal(1, file:seek("set", 1))
    assert.equal("1", file:read(1)) -- going somewhere drops what was put back
  end)

  it_on("0123456789", "r+", "is where a write goes", function(file, path)
    assert.equal("012", file:read(3))
    assert.equal(file, file:write("ab", "c", 4))
    assert.equal(7, file:seek())
    assert.equal("7", file:read(1))
    file:unread "7"
    file:write "d"
    assert.equal("89", file:read "a")
    assert.equal("012abc4d89", helper.read_file(path))
  end)

  it_on("0123456789", "r+", "is nothing to reads and writes at offsets",
    function(file, path)
      assert.equal("01", file:read(2))
      assert.equal("789", file:read_at(7, 10))
      assert.is_nil(file:read_at(10, 1))
      assert.equal("", file:read_at(0, 0))
      assert.equal(file, file:write_at(4, "xx"))
      assert.equal(2, file:seek())
      assert.equal("23xx67", file:read(6)) -- what was read ahead is not old
      assert.equal("0123xx6789", helper.read_file(path))
    end)

  it_on("", "r+", "may lie behind the end: a hole reads as zeros", function(file)
    assert.equal(5, file:seek("set", 5))
    assert.equal("", file:read "a")
    file:write "x"
    assert.equal(0, file:seek("set", 0))
    assert.equal("\0\0\0\0\0x", file:read "a")
  end)

  it_on("one", "a+", "of one that is appended to is at its end after a write",
    function(file, path)
      assert.equal("on", file:read(2))
      file:write "two"
      assert.equal(6, file:seek())
      assert.equal(0, file:seek("set", 0))
      file:write "3"
      assert.equal("onetwo3", helper.read_file(path))
      assert.equal(1, file:seek("set", 1))
      assert.equal("netwo3", file:read "a")
    end)

  it_on("one", "a+", "of parts that are appended is at their end",
    function(file, path)
      file:read(1)
      assert.equal(6, file:writev { "tw", "o", "333" })
      assert.equal(9, file:seek())
      assert.equal("onetwo333", helper.read_file(path))
    end)

  it_on("x", "r", "is checked", function(file)
    assert.match("cur", helper.error_of(file.seek, file, "middle"))
    assert.match("integer", helper.error_of(file.seek, file, "set", 1.5))
    fails("EINVAL", file:seek("cur", -1))
    assert.match("offset", helper.error_of(file.read_at, file, -1, 1))
    assert.match("truncate", helper.error_of(file.truncate, file, -1))
  end)

  it("is missing where there is none", function()
    local null <close> = assert(fs.open("/dev/zero", "r+"))
    assert.equal("\0\0", null:read(2))
    assert.equal(null, null:write "gone")
    fails("ESPIPE", null:seek())
  end)

  it("goes beyond 4 GiB, past holes that take no place", function()
    local path, far = temp "sparse", (5 << 30) + 7
    local file <close> = assert(fs.open(path, "w+"))
    file:seek("set", far)
    assert.equal(file, file:write "end")
    assert.equal(far + 3, file:seek())
    assert.equal(file, file:write_at(far + 4096, "later"))
    assert.equal("end\0", file:read_at(far, 4))
    local buffer = proa.buffer(5)
    assert.equal(5, file:read_into_at(far + 4096, buffer))
    assert.equal("later", buffer:string())
    local stat = file:stat()
    assert.equal(far + 4101, stat.size)
    assert.is_true(stat.allocated < 1 << 20)
    file:seek("set", far)
    assert.equal("end\0", file:read(4))
    assert.equal(file, file:truncate(far + 1))
    assert.equal(far + 1, fs.stat(path).size)
  end)
end)

describe("buffers and parts", function()
  it_on("0123456789", "r", "are read at the position, or at an offset",
    function(file)
      local buffer = proa.buffer(4)
      assert.equal(4, file:read_into(buffer))
      assert.equal("0123", buffer:string())
      assert.equal(2, file:read_into(buffer, 2, 3))
      assert.equal("0453", buffer:string())
      assert.equal("6", file:read(1)) -- reads ahead: the next one is copied
      assert.equal(3, file:read_into(buffer))
      assert.equal("7893", buffer:string())
      assert.is_nil(file:read_into(buffer))
      assert.equal(2, file:read_into_at(8, buffer, 3))
      assert.equal("7889", buffer:string())
      assert.is_nil(file:read_into_at(10, buffer))
    end)

  it_on("0123456789", "r+", "come and go in lists", function(file, path)
    local a, b = proa.buffer(2), proa.buffer(3)
    assert.equal("0", file:read(1))
    assert.equal(5, file:readv { a, b })
    assert.equal("12345", a:string() .. b:string())
    assert.equal(6, file:seek())
    assert.equal(4, file:writev { "a", "", "bcd" })
    assert.equal(10, file:seek())
    assert.equal(2, file:writev({ "x", "y" }, 0))
    assert.equal(2, file:readv({ a, b }, 8))
    assert.equal("cd", a:string())
    assert.equal("xy2345abcd", helper.read_file(path))
    assert.is_nil(file:readv({ a }, 10))
  end)

  it_on("0123456789", "r+", "are lent until the operation has ended",
    function(file)
      local buffer = proa.buffer "...."
      -- what is in memory comes at once, but not for ever
      local task = proa.spawn(function()
        for _ = 1, 300 do assert.equal(4, file:read_into_at(2, buffer)) end
      end)
      proa.yield()
      assert.match("buffer is in use by read",
        helper.error_of(buffer.string, buffer))
      task:cancel()
      assert.equal("CANCELLED", select(3, task:await()))
      assert.equal(4, #buffer:string())
      assert.equal(file, file:write_at(0, buffer))
    end)

  it_on(("x"):rep(100), "r", "stay lent while a task gives up on them", function(file)
    for _ = 1, 50 do
      local buffer = proa.buffer(100)
      local n, _, code = proa.timeout(0, file.read_into, file, buffer)
      if not n then assert.equal("TIMEOUT", code) end
      assert.equal(100, #buffer:string()) -- it is back, whatever happened
      assert.equal(n or 0, file:seek())
      file:seek("set", 0)
    end
  end)

  it_on("x", "r", "are checked", function(file)
    assert.match("buffer", helper.error_of(file.read_into_at, file, 0, "x"))
    assert.match("buffers", helper.error_of(file.readv, file, { "x" }))
    assert.match("strings", helper.error_of(file.writev, file, { 1 }))
    assert.match("twice", (function()
      local b = proa.buffer(1)
      return helper.error_of(file.readv, file, { b, b }, 0)
    end)())
  end)
end)

describe("writing a file", function()
  it("returns when it has been done", function()
    local path = temp "file"
    local file <close> = assert(fs.open(path, "w"))
    for i = 1, 100 do
      assert.equal(file, file:write(i, "\n"))
      assert.equal(file:stat().size, file:seek())
    end
    local large = ("large"):rep(100000)
    assert.equal(file, file:write(large))
    assert.is_true(helper.read_file(path):sub(-#large) == large)
    assert.equal(file, file:write(proa.buffer "buffer"))
    assert.equal("buffer", helper.read_file(path):sub(-6))
  end)

  it("fails for the one who wrote, and for nobody after it", function()
    local file <close> = fs.open(temp_file("file", "hello"), "r")
    local message = fails("EBADF", file:write "x")
    assert.equal(("write %s: bad file descriptor"):format(file:path()), message)
    local results = {}
    for i = 1, 3 do
      results[i] = proa.spawn(function() return select(3, file:write "x") end)
    end
    for i = 1, 3 do assert.equal("EBADF", results[i]:await()) end
    assert.equal(file, file:flush())
    assert.equal("hello", file:read "a")
    assert.is_true(file:close())
  end)

  it("tells a failure that nobody heard with the next call, once", function()
    local file <close> = fs.open(temp_file("file", "hello"), "r")
    local task = proa.spawn(function() return file:write "x" end)
    proa.yield()
    task:cancel()
    task:await()
    local results = table.pack(file:flush())
    if results[1] == nil then fails("EBADF", table.unpack(results)) end
    assert.equal(file, file:flush())
  end)

  it("goes on when the one who wrote gives up", function()
    local path = temp "file"
    local file <close> = fs.open(path, "w")
    local task = proa.spawn(function() file:write "accepted" end)
    proa.yield()
    task:cancel()
    file:write ", and this"
    assert.equal("accepted, and this", helper.read_file(path))
  end)

  it("is in whole calls, in order, whoever writes", function()
    local path = temp "file"
    local file <close> = fs.open(path, "w")
    local tasks = {}
    for i = 1, 50 do
      tasks[i] = proa.spawn(function()
        file:write(("%02d"):format(i), ("."):rep(i * 100), "\n")
      end)
    end
    for i = 1, 50 do tasks[i]:await() end
    local i = 0
    for line in helper.read_file(path):gmatch "[^\n]+" do
      i = i + 1
      assert.equal(("%02d"):format(i) .. ("."):rep(i * 100), line)
    end
    assert.equal(50, i)
  end)
end)

describe("several tasks at one file", function()
  it("each read their own bytes", function()
    local lines = {}
    for i = 1, 300 do lines[i] = ("%03d"):format(i) end
    local file <close> = fs.open(temp_file("file", table.concat(lines, "\n")))
    local seen, n = {}, 0
    local tasks = {}
    for k = 1, 10 do
      tasks[k] = proa.spawn(function()
        for line in file:lines() do
          assert.is_nil(seen[line])
          seen[line], n = true, n + 1
          if n % 7 == 0 then proa.yield() end
        end
      end)
    end
    for k = 1, 10 do tasks[k]:await() end
    assert.equal(300, n)
  end)

  it("wait for each other where they use the position", function()
    local file <close> = fs.open(temp_file("file", ("."):rep(100)), "r+")
    local buffer = proa.buffer(10)
    local first = proa.spawn(function() return file:read_into(buffer) end)
    local second = proa.spawn(function() return file:write "WRITE" end)
    local third = proa.spawn(function() return file:read(5) end)
    local fourth = proa.spawn(function() return file:seek() end)
    assert.equal(10, first:await())
    assert.equal(file, second:await())
    assert.equal(".....", third:await())
    local at = fourth:await()
    assert.is_true(at == 15 or at == 20)
    assert.equal("WRITE", file:read_at(10, 5))
    assert.equal(20, file:seek())
  end)

  it("go on when one of them is cancelled", function()
    local file <close> = fs.open(temp_file("file", "abcdef"))
    local one = proa.spawn(function() return file:read(2) end)
    local two = proa.spawn(function() return file:read(2) end)
    local three = proa.spawn(function() return file:read(2) end)
    proa.yield()
    two:cancel()
    local got = (one:await() or "") .. (two:await() or "") .. three:await()
    assert.equal(("abcdef"):sub(1, #got), got)
    assert.equal("abcdef", got .. file:read "a")
  end)

  it("are told when it is closed under them", function()
    local file = fs.open(temp_file("file", "abcdef"))
    local codes = {}
    local tasks = {}
    for i = 1, 5 do
      tasks[i] = proa.spawn(function()
        local data, _, code = file:read_at(0, 3)
        codes[i] = data or code
      end)
      tasks[5 + i] = proa.spawn(function()
        local data, _, code = file:read(1)
        codes[5 + i] = data or code
      end)
    end
    proa.yield()
    file:close()
    for i = 1, 10 do tasks[i]:await() end
    for i = 1, 10 do
      assert.is_true(codes[i] == "CLOSED" or #codes[i] <= 3, codes[i])
    end
    assert.match("stream is closed", helper.error_of(file.read_at, file, 0, 1))
    assert.equal("proa.file (closed)", tostring(file))
    assert.is_true(file:close())
  end)
end)

describe("a file", function()
  it_on("hello", "r+", "says what it is", function(file, path)
    file:read(2)
    assert.equal(("proa.file %s (fd %d, at 2)"):format(path, file:fileno()),
      tostring(file))
    assert.equal(path, file:path())
    assert.is_nil(file.peer)
    local stat = file:stat()
    assert.equal("file", stat.type)
    assert.equal(5, stat.size)
    assert.is_true(math.abs(stat.modified - os.time()) < 100)
  end)

  it_on("hello world", "r+", "is cut, grown, punched and brought to the disk",
    function(file, path)
      assert.equal("hel", file:read(3))
      assert.equal(file, file:truncate(5))
      assert.equal("lo", file:read "a")
      assert.equal(file, file:truncate(8))
      assert.equal("hello\0\0\0", helper.read_file(path))
      assert.equal(file, file:allocate(0, 8192))
      assert.equal(8192, file:stat().size)
      file:seek("set", 0)
      assert.equal("he", file:read(2))
      assert.equal(file, file:allocate(0, 4096, true))
      assert.equal(("\0"):rep(8190), file:read "a")
      assert.equal(file, file:sync())
      assert.equal(file, file:datasync())
    end)

  it_on("", "r+", "is locked against others, here and elsewhere",
    function(file, path)
      local other <close> = fs.open(path)
      assert.equal(file, file:lock())
      fails("TIMEOUT", other:lock("shared", 0))
      local message = fails("TIMEOUT", other:lock("exclusive", 0.02))
      assert.equal(("lock %s: timed out"):format(path), message)
      local waits = proa.spawn(function() return other:lock "shared" end)
      proa.yield()
      assert.equal("waiting", waits:status())
      assert.equal(file, file:unlock())
      assert.equal(other, waits:await())
      assert.equal(file, file:lock "shared")
      local gives_up = proa.spawn(function() return file:lock() end)
      proa.yield()
      gives_up:cancel()
      assert.equal("CANCELLED", select(3, gives_up:await()))
      assert.match("shared", helper.error_of(file.lock, file, "mine"))
    end)

  it("that nobody closes is closed by the collector", function()
    local before = proa.stats().handles
    for i = 1, 20 do assert(fs.open(temp_file("file" .. i, ""))) end
    collectgarbage()
    collectgarbage()
    helper.wait_until(function() return proa.stats().handles <= before end)
  end)

  it("can be given to raw operations", function()
    local file <close> = fs.open(temp_file("file", "hello"))
    local buffer = proa.buffer(3)
    assert.equal(3, proa.op.read(file, buffer, 1, -1, 2):await())
    assert.equal("llo", buffer:string())
  end)
end)
